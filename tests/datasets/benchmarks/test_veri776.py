import pytest
from tests.datasets.miniatures import lines, veri776

from reseen.datasets import VeRi776
from reseen.errors import DataError


def test_images(tmp_path):
    benchmark = VeRi776(**veri776(tmp_path))
    assert benchmark.protocol.name == "cross_camera"
    assert [(s.identity, s.camera) for s in benchmark.train] == [(1, 1), (1, 2), (3, 20)]
    assert [(s.identity, s.camera) for s in benchmark.query] == [(2, 2), (5, 3)]
    assert [(s.identity, s.camera) for s in benchmark.gallery] == [(2, 2), (2, 2), (2, 4), (5, 3), (5, 10)]
    assert all(s.track is None for s in benchmark.gallery)


def test_tracks(tmp_path):
    benchmark = VeRi776(**veri776(tmp_path), search="track")
    assert benchmark.protocol.name == "veri_track"
    assert [s.track for s in benchmark.gallery] == [1, 1, 2, 3, 4]


def test_track_lists_may_name_their_tracks(tmp_path):
    benchmark = VeRi776(**veri776(tmp_path), search="track")
    path = tmp_path / "VeRi" / "test_track.txt"
    named = [f"{line[:9]}_{i} {line}" for i, line in enumerate(path.read_text().split("\n")) if line]
    lines(path, *named)
    assert VeRi776(tmp_path, search="track").gallery == benchmark.gallery


def test_missing_tracks(tmp_path):
    veri776(tmp_path)
    path = tmp_path / "VeRi" / "test_track.txt"
    lines(path, *path.read_text().split("\n")[1:])
    with pytest.raises(DataError, match=r"found 2 without, first 0002_c002_00030600_0\.jpg"):
        VeRi776(tmp_path, search="track")
    path.unlink()
    VeRi776(tmp_path)
    with pytest.raises(DataError, match=r"expected the list .*test_track\.txt"):
        VeRi776(tmp_path, search="track")
