import h5py
import numpy as np
import pytest
from scipy.io import savemat
from tests.datasets.miniatures import cuhk03_np, cuhk03_pixels, cuhk03_release

from reseen.datasets import CUHK03
from reseen.errors import DataError


def test_the_folders_of_the_new_protocol(tmp_path):
    benchmark = CUHK03(**cuhk03_np(tmp_path))
    assert benchmark.name == "CUHK03-detected"
    assert benchmark.protocol.name == "cross_camera"
    assert all("/detected/" in s.path for s in benchmark.train)
    assert [(s.identity, s.camera) for s in benchmark.query] == [(1, 1), (3, 2)]


def test_the_release_with_the_new_protocol(tmp_path):
    benchmark = CUHK03(**cuhk03_release(tmp_path))
    assert benchmark.name == "CUHK03-labeled"
    # Persons 1_001 to 1_003 and 2_001 train; five pictures under each camera, but for the two that are missing.
    assert {s.identity for s in benchmark.train} == {1, 2, 3, 4}
    assert len(benchmark.train) == 4 * 10 - 1
    # Of the four others, picture 5 of each view is the query.
    assert sorted(s.path.rpartition("/")[2] for s in benchmark.query) == sorted(
        f"{p}_{view}_{k:02d}.png" for p in ("2_002", "3_001", "4_001", "5_001") for view, k in ((1, 5), (2, 10))
    )
    assert len(benchmark.gallery) == 4 * 8 - 1
    for sample in benchmark.query:
        pair, person, view, k = map(int, sample.path.rpartition("/")[2].removesuffix(".png").split("_"))
        assert sample.camera == view
        np.testing.assert_array_equal(sample.draw(), cuhk03_pixels("labeled", pair, person, k))


def test_the_two_kinds_of_boxes_hold_other_pictures(tmp_path):
    arguments = cuhk03_release(tmp_path)
    detected = CUHK03(**arguments, boxes="detected").query[0]
    pair, person, _, k = map(int, detected.path.rpartition("/")[2].removesuffix(".png").split("_"))
    np.testing.assert_array_equal(detected.draw(), cuhk03_pixels("detected", pair, person, k))


def test_the_classic_splits(tmp_path):
    arguments = cuhk03_release(tmp_path)
    first = CUHK03(**arguments, variant="classic", split=1)
    assert first.name == "CUHK03-labeled, split 1"
    assert first.protocol.name == "cuhk03_classic"
    assert {s.identity for s in first.query} == {"1_001", "5_001"}
    assert first.query == first.gallery
    assert len(first.query) == 20 - 1
    assert len({s.identity for s in first.train}) == 6
    second = CUHK03(**arguments, variant="classic", split=2)
    assert {s.identity for s in second.query} == {"2_001", "1_003"}
    with pytest.raises(ValueError, match="expected split from 1 to 20, got 21"):
        CUHK03(**arguments, variant="classic", split=21)


def test_folders_are_not_the_classic_protocol(tmp_path):
    cuhk03_np(tmp_path)
    with pytest.raises(DataError, match=r"expected cuhk03_release/cuhk-03\.mat in .*, found cuhk03-np; the classic"):
        CUHK03(tmp_path, variant="classic")


def test_a_missing_configuration_is_named(tmp_path):
    cuhk03_release(tmp_path)
    (tmp_path / "cuhk03_new_protocol_config_detected.mat").unlink()
    CUHK03(tmp_path, boxes="labeled")
    with pytest.raises(DataError, match=r"with cuhk03_new_protocol_config_detected\.mat"):
        CUHK03(tmp_path, boxes="detected")


def test_damaged_files_are_named(tmp_path):
    cuhk03_release(tmp_path)
    config = tmp_path / "cuhk03_new_protocol_config_labeled.mat"
    config.write_bytes(b"MATLAB?")
    with pytest.raises(DataError, match=r"expected a MATLAB file at .*config_labeled\.mat"):
        CUHK03(tmp_path)
    savemat(config, {"filelist": np.array([["9_999_1_01.png"]], dtype=object), "labels": np.array([[1]])})
    with pytest.raises(DataError, match=r"expected the new protocol of .*cuhk-03\.mat in .*config_labeled\.mat"):
        CUHK03(tmp_path)
    release = tmp_path / "cuhk03_release" / "cuhk-03.mat"
    with h5py.File(release, "a") as file:
        del file["testsets"]
    with pytest.raises(DataError, match="expected the variable testsets in"):
        CUHK03(tmp_path, variant="classic")
    release.write_bytes(release.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"expected the HDF5 file of CUHK03 at .*cuhk-03\.mat"):
        CUHK03(tmp_path, variant="classic")
