import pytest
from tests.datasets.miniatures import lines, msmt17

from reseen.datasets import MSMT17
from reseen.errors import DataError


@pytest.mark.parametrize(("version", "top"), [("V1", "MSMT17_V1"), ("V2", "MSMT17_V2"), ("V1", "MSMT17"), ("V1", ".")])
def test_every_layout(tmp_path, version, top):
    benchmark = MSMT17(**msmt17(tmp_path, version=version, top=top))
    assert benchmark.name == f"MSMT17-{version} (train without val)"
    assert [(s.identity, s.camera) for s in benchmark.train] == [(0, 1), (1, 15)]
    # Identities to test on start at 0 again in their lists.
    assert [(s.identity, s.camera) for s in benchmark.query] == [(2, 5), (3, 6)]
    assert [(s.identity, s.camera) for s in benchmark.gallery] == [(2, 5), (2, 7), (3, 8)]


def test_val_is_in_the_name(tmp_path):
    benchmark = MSMT17(**msmt17(tmp_path), with_val=True)
    assert benchmark.name == "MSMT17-V1 (train + val)"
    assert [(s.identity, s.camera) for s in benchmark.train] == [(0, 1), (1, 15), (0, 14)]
    assert [s.identity for s in benchmark.query] == [2, 3]


def test_both_versions_side_by_side(tmp_path):
    msmt17(tmp_path, version="V1", top="MSMT17_V1")
    msmt17(tmp_path, version="V2", top="MSMT17_V2")
    assert "V1" in MSMT17(tmp_path).name
    assert all("/mask_train_v2/" in s.path for s in MSMT17(tmp_path, version="V2").train)


def test_bad_lists(tmp_path):
    msmt17(tmp_path)
    base = tmp_path / "MSMT17_V1"
    with pytest.raises(DataError, match="expected the folders mask_train_v2, mask_test_v2 in"):
        MSMT17(tmp_path, version="V2")
    (base / "list_val.txt").unlink()
    MSMT17(tmp_path)
    with pytest.raises(DataError, match=r"expected the list .*list_val\.txt, found list_gallery\.txt"):
        MSMT17(tmp_path, with_val=True)
    lines(base / "list_query.txt", "0000/0000_000_05_gone.jpg 0")
    with pytest.raises(DataError, match=r"names, found 1 missing, first .*0000_000_05_gone\.jpg"):
        MSMT17(tmp_path)
    lines(base / "list_query.txt", "0000/0000_000_05_0303noon_0010_0.jpg")
    with pytest.raises(DataError, match=r"expected lines 'picture identity' in .*list_query\.txt"):
        MSMT17(tmp_path)
    lines(base / "list_query.txt", "0000/one.jpg 0")
    with pytest.raises(DataError, match=r"expected pictures such as .*, found 0000/one\.jpg"):
        MSMT17(tmp_path)
