import pytest
from tests.datasets.miniatures import lines, veriwild

from reseen.datasets import VERIWild
from reseen.errors import DataError


@pytest.mark.parametrize("extension", [".jpg", ""])
def test_lists_with_and_without_extensions(tmp_path, extension):
    benchmark = VERIWild(**veriwild(tmp_path, extension=extension))
    assert benchmark.name == "VERI-Wild-small"
    assert [(s.identity, s.camera) for s in benchmark.train] == [(1, 1), (1, 2), (4, 174)]
    assert [(s.identity, s.camera) for s in benchmark.query] == [(2, 3), (3, 4)]
    assert [(s.identity, s.camera) for s in benchmark.gallery] == [(2, 3), (2, 9), (3, 5)]


@pytest.mark.parametrize("size", ["medium", "large"])
def test_sizes(tmp_path, size):
    assert VERIWild(**veriwild(tmp_path), size=size).name == f"VERI-Wild-{size}"


def test_the_camera_rule_is_in_the_name(tmp_path):
    arguments = veriwild(tmp_path)
    asked = VERIWild(**arguments).protocol
    assert (asked.name, asked.same_camera) == ("veri_wild", "exclude")
    kept = VERIWild(**arguments, same_camera="keep").protocol
    assert (kept.name, kept.same_camera) == ("veri_wild, same camera kept", "keep")


def test_bad_lists(tmp_path):
    veriwild(tmp_path)
    path = tmp_path / "VERI-Wild" / "train_test_split" / "vehicle_info.txt"
    rows = path.read_text().split("\n")
    lines(path, *rows[:2], *rows[3:])
    with pytest.raises(DataError, match=r"expected a camera of 00001/000002 \(line 2 of .*train_list\.txt\)"):
        VERIWild(tmp_path)
    lines(path, rows[0], "00001/000001;north;2018")
    with pytest.raises(DataError, match=r"found '00001/000001;north;2018' \(line 2\)"):
        VERIWild(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"expected the list .*vehicle_info\.txt"):
        VERIWild(tmp_path)
