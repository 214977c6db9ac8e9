"""A target's labels are hidden from training and kept for reports."""

import pytest
from tests.datasets.miniatures import market, veri776

from reseen.cli.parser import parse
from reseen.datasets import Joined, Market1501, Transfer, VeRi776


@pytest.fixture
def pair(tmp_path):
    return Market1501(**market(tmp_path / "people")), VeRi776(**veri776(tmp_path / "vehicles"))


def test_the_targets_pictures_show_nobody_known(pair):
    source, target = pair
    found = Transfer(target, source=source)
    assert [s.path for s in found.unlabelled] == [s.path for s in target.train]
    assert [s.camera for s in found.unlabelled] == [s.camera for s in target.train]
    assert {s.identity for s in found.unlabelled} == {"unknown"}
    assert found.truth == tuple(s.identity for s in target.train)
    assert len(set(found.truth)) > 1


def test_what_is_trained_on_is_the_source_and_what_is_tested_the_target(pair):
    source, target = pair
    found = Transfer(target, source=source)
    assert found.name == "Market-1501 to VeRi-776"
    assert found.train == Joined([source]).train
    assert (found.query, found.gallery, found.protocol) == (target.query, target.gallery, target.protocol)


def test_without_a_source_there_is_nothing_to_train_on(pair):
    _, target = pair
    found = Transfer(target)
    assert found.train == ()
    assert found.name == "VeRi-776"


def test_on_the_command_line(pair, tmp_path):
    people, vehicles = tmp_path / "people", tmp_path / "vehicles"
    words = f"--data Transfer --data.source Market1501 --data.source.root {people} --data.target VeRi776"
    _, named = parse("train", [*words.split(), "--data.target.root", str(vehicles), "--out", str(tmp_path / "run")])
    assert named["data"] == Transfer(pair[1], source=pair[0])
