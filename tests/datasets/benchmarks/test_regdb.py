import pytest
from tests.datasets.miniatures import regdb

from reseen.datasets import RegDB
from reseen.errors import DataError


def people(samples):
    return {s.path.split("/")[-2] for s in samples}


@pytest.mark.parametrize(("trial", "tested"), [(1, {"3", "4"}), (2, {"1", "2"})])
def test_trials(tmp_path, trial, tested):
    benchmark = RegDB(**regdb(tmp_path), trial=trial)
    assert benchmark.name == f"RegDB-{trial}"
    assert people(benchmark.query) == people(benchmark.gallery) == tested
    assert people(benchmark.train) == {"1", "2", "3", "4"} - tested
    # Labels start at 0 in each list.
    assert {s.identity for s in benchmark.train} == {0, 1}
    assert {s.identity for s in benchmark.query} == {2, 3}
    assert {s.modality for s in benchmark.train} == {"visible", "infrared"}


@pytest.mark.parametrize(
    ("direction", "query", "gallery"),
    [("visible_to_thermal", "visible", "infrared"), ("thermal_to_visible", "infrared", "visible")],
)
def test_directions(tmp_path, direction, query, gallery):
    benchmark = RegDB(**regdb(tmp_path), direction=direction)
    assert {s.modality for s in benchmark.query} == {query}
    assert {s.modality for s in benchmark.gallery} == {gallery}
    assert benchmark.protocol.name == f"regdb, {direction.replace('_', ' ')}"
    assert benchmark.protocol.same_camera == "keep"


def test_bad_lists(tmp_path):
    arguments = regdb(tmp_path)
    with pytest.raises(ValueError, match="expected trial from 1 to 10, got 11"):
        RegDB(**arguments, trial=11)
    (tmp_path / "RegDB" / "idx" / "test_thermal_2.txt").unlink()
    RegDB(**arguments, trial=1)
    with pytest.raises(DataError, match=r"expected the list .*test_thermal_2\.txt"):
        RegDB(**arguments, trial=2)


def test_both_directions_are_measured(tmp_path):
    first = RegDB(**regdb(tmp_path), direction="thermal_to_visible")
    (other,) = first.further
    assert (other.query, other.gallery) == (first.gallery, first.query)
    assert other.protocol.name == "regdb, visible to thermal"
