import pytest
from tests.datasets.miniatures import folder, market, veri776

from reseen.datasets import Folder, Joined, Market1501, VeRi776
from reseen.errors import DataError


@pytest.fixture
def people(tmp_path):
    return Market1501(**market(tmp_path / "people"))


@pytest.fixture
def vehicles(tmp_path):
    return VeRi776(**veri776(tmp_path / "vehicles"))


def test_identities_and_cameras_stay_apart(people, vehicles):
    joined = Joined([people, vehicles])
    assert joined.name == "Market-1501 + VeRi-776, tested on Market-1501"
    assert len(joined.train) == len(people.train) + len(vehicles.train)
    assert {s.identity for s in joined.train} == {"Market-1501: 2", "Market-1501: 7", "VeRi-776: 1", "VeRi-776: 3"}
    assert {s.camera for s in joined.train} >= {"Market-1501: 1", "VeRi-776: 1"}
    assert (joined.query, joined.gallery, joined.protocol) == (people.query, people.gallery, people.protocol)
    assert joined.distractors == people.distractors


def test_what_is_tested_may_be_another(people, vehicles, tmp_path):
    cows = Folder(**folder(tmp_path / "cows"))
    joined = Joined([people, vehicles], test=cows)
    assert joined.query == cows.query
    assert joined.name == "Market-1501 + VeRi-776, tested on cows"


def test_sources_of_one_name_are_numbered(people, tmp_path):
    other = Market1501(**market(tmp_path / "again"))
    assert len({s.identity for s in Joined([people, other]).train}) == 4


def test_nothing_that_is_tested_is_trained_on(people, tmp_path):
    folder(tmp_path / "cows")
    everything = Folder(tmp_path / "cows", test_identities=0)
    tested = Folder(tmp_path / "cows", test_identities=2)
    with pytest.raises(DataError, match="expected other pictures to train on than to test on"):
        Joined([people, everything], test=tested)


def test_no_sources():
    with pytest.raises(ValueError, match="expected one source or more to join"):
        Joined([])
