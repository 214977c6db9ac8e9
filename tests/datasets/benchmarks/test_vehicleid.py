import pytest
import torch
from tests.datasets.miniatures import lines, vehicleid

from reseen.datasets import VehicleID
from reseen.errors import DataError
from reseen.types import Embeddings


def trials(benchmark):
    query, gallery = (Embeddings.of(torch.zeros(len(p), 1), p) for p in (benchmark.query, benchmark.gallery))
    return [
        (query.identities[t.query], gallery.identities[t.gallery]) for t in benchmark.protocol.trials(query, gallery)
    ]


@pytest.mark.parametrize("size", ["small", "medium", "large", "3200", "6000", "13164"])
def test_every_size(tmp_path, size):
    benchmark = VehicleID(**vehicleid(tmp_path), size=size)
    assert benchmark.name == f"VehicleID-{size}"
    assert [s.identity for s in benchmark.train] == [10, 10, 11, 11]
    assert benchmark.query is benchmark.gallery
    assert [s.identity for s in benchmark.query] == [20, 20, 20, 21, 21, 22]
    assert all(s.camera is None for s in benchmark.query)


def test_one_picture_of_each_vehicle_is_the_gallery(tmp_path):
    drawn = trials(VehicleID(**vehicleid(tmp_path), repeats=3))
    assert len(drawn) == 3
    for query, gallery in drawn:
        assert gallery.tolist() == [20, 21, 22]
        assert sorted(query) == [20, 20, 21]


def test_the_reverse_has_its_own_name(tmp_path):
    benchmark = VehicleID(**vehicleid(tmp_path), variant="retrieval")
    assert benchmark.protocol.name == "vehicle_id_retrieval"
    for query, gallery in trials(benchmark):
        assert query.tolist() == [20, 21, 22]
        assert sorted(gallery) == [20, 20, 21]


def test_bad_lists(tmp_path):
    vehicleid(tmp_path)
    path = tmp_path / "VehicleID_V1.0" / "train_test_split" / "test_list_800.txt"
    lines(path, "0000011 20", "0000011 21")
    with pytest.raises(DataError, match=r"found .*0000011\.jpg twice, as 20 and 21"):
        VehicleID(tmp_path)
    lines(path, "0000011 twenty")
    with pytest.raises(DataError, match=r"found '0000011 twenty' \(line 1\)"):
        VehicleID(tmp_path)
    lines(path, "0000099 20")
    with pytest.raises(DataError, match=r"found 1 missing, first .*0000099\.jpg"):
        VehicleID(tmp_path)
    path.unlink()
    VehicleID(tmp_path, size="medium")
    with pytest.raises(DataError, match=r"expected the list .*test_list_800\.txt"):
        VehicleID(tmp_path)
