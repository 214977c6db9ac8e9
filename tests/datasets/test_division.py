"""Pictures divided into train, query and gallery, seen through tables."""

import itertools

import numpy as np
import pytest
from tests.datasets.miniatures import lines, picture

from reseen.datasets import Table
from reseen.errors import DataError
from reseen.evaluation import evaluate
from reseen.protocols import cross_camera
from reseen.types import Embeddings


@pytest.fixture
def write(tmp_path):
    def write(rows, columns="path,identity,camera"):
        for row in rows:
            picture(tmp_path / row.split(",")[0])
        lines(tmp_path / "own.csv", columns, *rows)
        return tmp_path / "own.csv"

    return write


@pytest.fixture
def ten(write):
    """Ten identities, two cameras, three pictures each."""
    return write([f"{i}_{c}_{k}.jpg,{i},{c}" for i, c, k in itertools.product(range(10), (1, 2), range(3))])


def identities(samples):
    return sorted({s.identity for s in samples})


def test_identities_are_divided_by_a_seed(ten):
    table = Table(ten, test_identities=3)
    assert len(identities(table.train)) == 7
    assert identities(table.query) == identities(table.gallery)
    assert set(identities(table.train)).isdisjoint(identities(table.query))
    again = Table(ten, test_identities=3)
    assert again == table
    assert any(identities(Table(ten, test_identities=3, seed=seed).train) != identities(table.train) for seed in (1, 2))


@pytest.mark.parametrize(("asked", "given"), [(0.3, 3), (0.25, 2), (4, 4), (1.0, 10), (10, 10)])
def test_a_share_or_a_number_of_identities(ten, asked, given):
    table = Table(ten, test_identities=asked)
    assert len(identities(table.gallery)) == given
    assert len(identities(table.train)) == 10 - given


def test_all_may_be_trained_on(ten):
    table = Table(ten, test_identities=0)
    assert (len(table.train), len(table.query), len(table.gallery)) == (60, 0, 0)


def test_more_identities_to_test_on_include_fewer(ten):
    few, many = Table(ten, test_identities=2), Table(ten, test_identities=5)
    assert set(identities(few.query)) < set(identities(many.query))


def test_one_query_for_each_identity_and_camera(ten):
    table = Table(ten, test_identities=3)
    assert sorted((s.identity, s.camera) for s in table.query) == list(
        itertools.product(identities(table.query), (1, 2))
    )
    assert len(table.gallery) == 3 * 2 * 3
    everything = Table(ten, test_identities=3, queries="all")
    assert everything.query == everything.gallery == table.gallery


def test_a_query_is_out_of_the_gallery_where_cameras_do_not_count(ten):
    table = Table(ten, test_identities=3, same_camera="keep")
    assert [s.identity for s in table.query] == identities(table.query)
    assert len(table.gallery) == 3 * 6 - 3
    assert {s.path for s in table.query}.isdisjoint(s.path for s in table.gallery)


def test_who_is_seen_once_is_only_in_the_gallery(write):
    path = write(["a.jpg,1,1", "b.jpg,1,2", "c.jpg,2,1", "d.jpg,2,1", "e.jpg,3,1"])
    table = Table(path, test_identities=3)
    assert identities(table.query) == [1]
    assert identities(table.gallery) == [1, 2, 3]
    table = Table(path, test_identities=3, same_camera="keep")
    assert identities(table.query) == [1, 2]
    assert len(table.gallery) == 3
    assert {"e.jpg"} <= {s.path.rpartition("/")[2] for s in table.gallery}


def test_one_direction_at_a_time(ten):
    there = Table(ten, test_identities=3, queries="all", query_camera=1, gallery_camera="2")
    assert {s.camera for s in there.query} == {1}
    assert {s.camera for s in there.gallery} == {2}
    assert len(there.query) == len(there.gallery) == 9
    assert there.protocol.name == "cross_camera, query camera 1, gallery camera 2"
    with pytest.raises(DataError, match="expected query_camera among 1, 2, got 7"):
        Table(ten, query_camera=7)


def test_one_modality_searches_the_other(write):
    path = write(
        [f"{i}_{m}_{k}.jpg,{i},{m}" for i, m, k in itertools.product(range(4), ("visible", "infrared"), range(2))],
        "path,identity,modality",
    )
    table = Table(path, test_identities=2, queries="all", query_modality="infrared", gallery_modality="visible")
    assert {s.modality for s in table.query} == {"infrared"}
    assert {s.modality for s in table.gallery} == {"visible"}
    assert len(table.query) == len(table.gallery) == 4
    assert table.protocol.name == "any_view, query infrared, gallery visible"


def test_given_queries_are_limited_too(write):
    path = write(
        ["a.jpg,1,1,query", "b.jpg,1,2,query", "c.jpg,1,1,gallery", "d.jpg,1,2,gallery", "e.jpg,2,2,gallery"],
        "path,identity,camera,split",
    )
    table = Table(path, query_camera=1, gallery_camera=2)
    assert [s.camera for s in table.query] == [1]
    assert [s.identity for s in table.gallery] == [1, 2]


def test_every_picture_for_itself_cannot_be_searched(ten):
    with pytest.raises(DataError, match="found 0 queries that the gallery"):
        Table(ten, same_camera="keep", queries="all")


@pytest.mark.parametrize("wrong", [11, -1, 1.5])
def test_a_number_of_identities_that_there_is_not(ten, wrong):
    with pytest.raises(DataError, match="expected at most 10 identities to test on"):
        Table(ten, test_identities=wrong)


def test_nothing_by_the_querys_camera_is_ranked(ten):
    table = Table(ten, same_camera="exclude_all", queries="all")
    assert table.protocol.name == "cross_camera, other cameras only"
    identity, camera = [[getattr(s, name) for s in table.query] for name in ("identity", "camera")]
    vectors = np.random.default_rng(0).normal(size=(len(identity), 8)).astype(np.float32)
    both = Embeddings(vectors, identity, camera)
    one, two = (both[both.cameras == c] for c in (1, 2))
    directions = [evaluate(q, g, cross_camera) for q, g in ((one, two), (two, one))]
    pooled = evaluate(both, both, table.protocol)
    assert pooled.mean_ap == pytest.approx(np.mean([d.mean_ap for d in directions]))
    assert pooled.cmc(1) == pytest.approx(np.mean([d.cmc(1) for d in directions]))
