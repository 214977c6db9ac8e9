import numpy as np
import pytest
import torch
from scipy.io import savemat
from tests.datasets.miniatures import SYSU_COUNTS, SYSU_IDS, lines, sysu_permutations, sysumm01

from reseen.datasets import SYSUMM01
from reseen.errors import DataError
from reseen.types import Embeddings


def drawn(benchmark):
    """Return, for each trial, the names of the gallery's pictures."""
    query, gallery = (Embeddings.of(torch.zeros(len(p), 1), p) for p in (benchmark.query, benchmark.gallery))
    return [
        {"/".join(p.split("/")[-3:]) for p in gallery.paths[trial.gallery]}
        for trial in benchmark.protocol.trials(query, gallery)
    ]


def count(persons, cameras):
    return sum(n for (person, camera), n in SYSU_COUNTS.items() if person in persons and camera in cameras)


def test_parts(tmp_path):
    benchmark = SYSUMM01(**sysumm01(tmp_path))
    assert benchmark.name == "SYSU-MM01 (train + val)"
    assert benchmark.protocol.name == "sysu_mm01, all search, single shot"
    assert len(benchmark.train) == count([1, 4, 5], range(1, 7))
    assert len(benchmark.query) == count([6, 9], [3, 6])
    assert len(benchmark.gallery) == count([6, 9], [1, 2, 4, 5])
    assert {s.modality for s in benchmark.query} == {"infrared"}
    assert {s.modality for s in benchmark.gallery} == {"visible"}
    assert {(s.modality, s.camera) for s in benchmark.train} == {
        *(("visible", c) for c in (1, 2, 4, 5)),
        *(("infrared", c) for c in (3, 6)),
    }


def test_training_without_val_is_in_the_name(tmp_path):
    benchmark = SYSUMM01(**sysumm01(tmp_path), with_val=False)
    assert benchmark.name == "SYSU-MM01 (train without val)"
    assert {s.identity for s in benchmark.train} == {1, 4}


@pytest.mark.parametrize(("search", "cameras"), [("all", (1, 2, 4, 5)), ("indoor", (1, 2))])
@pytest.mark.parametrize(("shots", "word"), [(1, "single"), (10, "multi")])
def test_the_official_permutations(tmp_path, search, cameras, shots, word):
    benchmark = SYSUMM01(**sysumm01(tmp_path, permutations=True), search=search, shots=shots)
    assert benchmark.protocol.name == f"sysu_mm01, {search} search, {word} shot"
    cells = sysu_permutations()
    for trial, names in enumerate(drawn(benchmark)):
        assert names == {
            f"cam{camera}/{person:04d}/{number:04d}.jpg"
            for person in (6, 9)
            for camera in cameras
            if (person, camera) in SYSU_COUNTS
            for number in cells[camera - 1, 0][person - 1, 0][trial, :shots]
        }


def test_drawn_by_a_seed_without_them(tmp_path):
    arguments = sysumm01(tmp_path)
    first = drawn(SYSUMM01(**arguments))
    assert len(first) == 10
    assert all(len(names) == 7 for names in first)
    assert drawn(SYSUMM01(**arguments)) == first
    assert drawn(SYSUMM01(**arguments, seed=1)) != first


def test_lists_as_matlab_files(tmp_path):
    text = SYSUMM01(**sysumm01(tmp_path))
    for name, ids in SYSU_IDS.items():
        (tmp_path / "SYSU-MM01" / "exp" / f"{name}.txt").unlink()
        savemat(tmp_path / "SYSU-MM01" / "exp" / f"{name}.mat", {"id": np.array([ids])})
    mat = SYSUMM01(tmp_path)
    assert (mat.train, mat.query, mat.gallery) == (text.train, text.query, text.gallery)


def test_bad_lists(tmp_path):
    sysumm01(tmp_path, permutations=True)
    exp = tmp_path / "SYSU-MM01" / "exp"
    (exp / "rand_perm_cam.mat").write_bytes(b"no")
    with pytest.raises(DataError, match="expected a MATLAB file at"):
        SYSUMM01(tmp_path)
    savemat(exp / "rand_perm_cam.mat", {"rand_perm_cam": sysu_permutations()[:3]})
    with pytest.raises(DataError, match=r"expected a permutation of person . under camera"):
        SYSUMM01(tmp_path)
    lines(exp / "test_id.txt", "6,5")
    (exp / "rand_perm_cam.mat").unlink()
    with pytest.raises(DataError, match="expected other pictures to train on than to test on"):
        SYSUMM01(tmp_path)
    lines(exp / "test_id.txt", "six, nine")
    with pytest.raises(DataError, match=r"expected numbers parted by commas in .*test_id\.txt, found 'six'"):
        SYSUMM01(tmp_path)
    (exp / "test_id.txt").unlink()
    with pytest.raises(
        DataError, match=r"expected the list test_id\.txt or test_id\.mat in .*, found available_id\.txt"
    ):
        SYSUMM01(tmp_path)


def test_the_asked_setting_comes_first_and_the_others_follow(tmp_path):
    benchmark = SYSUMM01(**sysumm01(tmp_path, permutations=True), search="indoor", shots=10)
    assert [benchmark.protocol.name, *(other.protocol.name for other in benchmark.further)] == [
        f"sysu_mm01, {name} shot"
        for name in ("indoor search, multi", "all search, single", "all search, multi", "indoor search, single")
    ]
    assert all((o.query, o.gallery) == (benchmark.query, benchmark.gallery) for o in benchmark.further)
    alone = SYSUMM01(tmp_path, search="all", shots=1)
    assert drawn(benchmark.further[0]) == drawn(alone)
