import logging

import pytest
from tests.datasets.miniatures import duke, market, occluded_duke, picture, pictures

from reseen.datasets import DukeMTMCReID, Market1501, OccludedDuke
from reseen.datasets.benchmarks.dukemtmc import _warn_withdrawn
from reseen.errors import DataError


def test_junk_is_dropped_and_distractors_are_kept(tmp_path):
    benchmark = Market1501(**market(tmp_path))
    assert benchmark.name == "Market-1501"
    assert [(s.identity, s.camera) for s in benchmark.train] == [(2, 1), (2, 2), (7, 1), (7, 3)]
    assert [(s.identity, s.camera) for s in benchmark.query] == [(1, 1), (3, 3)]
    assert [(s.identity, s.camera) for s in benchmark.gallery] == [(0, 1), (1, 1), (1, 3), (3, 1)]
    assert benchmark.distractors == {0}
    assert benchmark.protocol.name == "cross_camera"


def test_the_folder_itself_is_a_root(tmp_path):
    market(tmp_path)
    assert Market1501(tmp_path / "Market-1501-v15.09.15").train == Market1501(str(tmp_path)).train


def test_counts_that_differ_are_said_in_one_line(tmp_path, caplog):
    Market1501(**market(tmp_path))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "train 4 pictures of 2 identities instead of 12,936 of 751" in record.getMessage()
    assert "gallery 4 pictures of 3 identities instead of 15,913 of 751" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_further_distractors(tmp_path):
    market(tmp_path)
    pictures(tmp_path / "Market-1501-v15.09.15" / "images", ["0000_c4s1_000151_01.jpg", "00000001.jpg"])
    benchmark = Market1501(tmp_path, distractors_500k=True)
    assert benchmark.name == "Market-1501+500k"
    assert [(s.identity, s.camera) for s in benchmark.gallery[-2:]] == [(0, 0), (0, 4)]
    assert len(benchmark.gallery) == 6


def test_further_distractors_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match="expected bounding_box_train, query, bounding_box_test, images in"):
        Market1501(**market(tmp_path), distractors_500k=True)


def test_a_name_of_another_form_is_named(tmp_path):
    market(tmp_path)
    picture(tmp_path / "Market-1501-v15.09.15" / "query" / "me.jpg")
    with pytest.raises(
        DataError, match=r"expected pictures named like 0002_c1s1_000451_03\.jpg in .*query, found me\.jpg"
    ):
        Market1501(tmp_path)


@pytest.mark.parametrize(("data_set", "write"), [(DukeMTMCReID, duke), (OccludedDuke, occluded_duke)])
def test_duke_names_its_distractors(tmp_path, data_set, write):
    benchmark = data_set(**write(tmp_path))
    assert [(s.identity, s.camera) for s in benchmark.query] == [(1, 2), (3, 8)]
    assert benchmark.distractors == {0}


def test_duke_says_once_that_it_was_withdrawn(tmp_path, caplog):
    _warn_withdrawn.cache_clear()
    arguments = duke(tmp_path)
    DukeMTMCReID(**arguments)
    DukeMTMCReID(**arguments)
    assert sum("withdrawn" in record.getMessage() for record in caplog.records) == 1
