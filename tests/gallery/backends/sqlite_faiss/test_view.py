"""Searching what a process holds: masks, growing, approximate lists."""

from dataclasses import replace

import numpy as np
import pytest

from reseen.gallery.backends.sqlite_faiss.nearest import (
    looked_into,
    make_lists,
    measure_recall,
    search_exactly,
    search_lists,
)
from reseen.gallery.backends.sqlite_faiss.view import Columns, GalleryView, LabelCodes
from reseen.gallery.records import EVERYTHING, Where
from reseen.gallery.rows import normalized

DIM = 8


def vectors(count: int, seed: int = 0) -> np.ndarray:
    return normalized(np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32))


def columns(rows: np.ndarray) -> Columns:
    codes = np.zeros(len(rows), np.int32)
    return Columns(rows, codes, codes, codes, np.zeros(len(rows)), np.ones(len(rows), bool))


@pytest.mark.parametrize("by_lists", [False, True])
def test_masked_search_is_the_search_of_the_rows_kept(by_lists: bool) -> None:
    everything, queries = vectors(500), vectors(3, 1)
    mask = np.random.default_rng(2).random(500) < 0.3
    if by_lists:  # With every list looked into, and more candidates than rows: exact.
        lists = make_lists(everything, recall=1.0)
        lists.nprobe = lists.nlist
        similarity, position = search_lists(lists, everything, queries, 9, mask)
    else:
        similarity, position = search_exactly(everything, queries, 9, mask)
    scores = np.where(mask, queries @ everything.T, -np.inf)
    np.testing.assert_array_equal(position, np.argsort(-scores, axis=1)[:, :9])
    np.testing.assert_allclose(similarity, -np.sort(-scores, axis=1)[:, :9], atol=1e-6)


def test_fewer_rows_than_answers_leave_absent_ones() -> None:
    everything, mask = vectors(200), np.isin(np.arange(200), [1, 4])
    _, position = search_exactly(everything, vectors(1, 1), 4, mask)
    assert sorted(position[0].tolist()) == [-1, -1, 1, 4]
    _, by_lists = search_lists(make_lists(everything, recall=0.9), everything, vectors(1, 1), 4, mask)
    assert by_lists.tolist() == position.tolist()


def test_a_view_grows_in_few_parts_and_stays_as_it_was() -> None:
    everything, view = vectors(1000), GalleryView()
    views = [view]
    for start in range(0, 1000, 10):
        view = view.appended(columns(np.arange(start, start + 10) * 2 + 1), everything[start : start + 10])
        views.append(view)
    assert max(len(v.parts) for v in views) <= 12
    np.testing.assert_array_equal(np.concatenate(view.parts), everything)
    queries = vectors(4, 1)
    for n in (1, 7, 50, 100):
        _, rows = views[n].search(queries, 5, None, exact=True)
        expected = np.argsort(-(queries @ everything[: 10 * n].T), axis=1)[:, :5] * 2 + 1
        np.testing.assert_array_equal(rows, expected)


def test_deletions_and_changes_touch_their_rows_only() -> None:
    before = columns(np.array([2, 3, 5, 8]))
    after = before.without(np.array([1, 3, 4, 9]))
    assert after.alive.tolist() == [True, False, True, True]
    assert before.alive.all()
    assert columns(np.array([], np.int64)).without(np.array([1])).alive.tolist() == []
    codes = [np.array([code], np.int32) for code in (7, 6, 5)]
    news = Columns(np.array([5]), *codes, np.array([1.5]), np.array([True]))
    changed = after.changed(news)
    assert (changed.identities.tolist(), changed.times.tolist()) == ([0, 0, 7, 0], [0, 0, 1.5, 0])
    assert after.identities.tolist() == [0, 0, 0, 0]


def test_codes_tell_7_from_its_text_and_know_the_unmet() -> None:
    codes = LabelCodes()
    assert codes.encode([7, "7", None, 7]).tolist() == [0, 1, -1, 0]
    assert codes.known(["7", "never", None]).tolist() == [1, -1]
    assert codes.labels == [7, "7"]


@pytest.fixture(scope="module")
def crowd() -> np.ndarray:
    """6,000 vectors of 300 individuals."""
    generator = np.random.default_rng(3)
    centres = generator.normal(size=(300, 32)).repeat(20, 0)
    return normalized((centres + 0.3 * generator.normal(size=centres.shape)).astype(np.float32))


def test_lists_reach_the_recall_they_were_made_for(crowd: np.ndarray) -> None:
    lists = make_lists(crowd, recall=0.98)
    assert 1 <= lists.nprobe < lists.nlist
    queries = normalized(crowd[::40] + 0.02 * np.random.default_rng(4).normal(size=(150, 32)).astype(np.float32))
    products, truth = search_exactly(crowd, queries, 10)
    similarity, found = search_lists(lists, crowd, queries, 10)
    assert measure_recall(np.insert(found, 0, -1, 1), np.insert(truth, 0, -1, 1)) >= 0.97
    np.testing.assert_allclose(similarity[:, 0], products[:, 0], atol=1e-6)  # scores are the vectors' own
    # With fewer rows kept, more lists are looked into.
    mask = np.random.default_rng(5).random(len(crowd)) < 0.5
    truth = search_exactly(crowd, queries, 10, mask)[1]
    found = search_lists(lists, crowd, queries, 10, mask)[1]
    assert mask[found].all()
    assert np.mean([len(np.intersect1d(f, t)) for f, t in zip(found, truth, strict=True)]) >= 9.5


def test_a_filter_that_keeps_little_is_searched_exactly(crowd: np.ndarray) -> None:
    lists = make_lists(crowd, recall=0.5)
    lists.nprobe = 1
    view = replace(GalleryView().appended(columns(np.arange(len(crowd))), crowd), lists=lists)
    times = np.random.default_rng(6).permutation(len(crowd)).astype(float)
    view = replace(view, columns=replace(view.columns, times=times))
    few = view.mask(Where(until=100.0))
    np.testing.assert_array_equal(
        view.search(crowd[:20], 60, few, exact=False)[1], view.search(crowd[:20], 60, few, exact=True)[1]
    )
    everything = view.search(crowd[:20], 60, None, exact=False)[1]
    assert (everything != view.search(crowd[:20], 60, None, exact=True)[1]).any()


def test_ever_more_lists_are_looked_into_up_to_all() -> None:
    assert list(looked_into(1)) == [1]
    assert list(looked_into(12)) == [1, 2, 3, 4, 6, 8, 11, 12]


def test_recall_leaves_the_query_out() -> None:
    truth = np.array([[0, 1, 2], [3, 4, 5]])
    assert measure_recall(np.array([[0, 9, 9], [3, 9, 9]]), truth) == 0
    assert measure_recall(np.array([[0, 2, 1], [3, 9, 4]]), truth) == 0.75


def test_unasked_filters_make_no_mask() -> None:
    view = GalleryView().appended(columns(np.arange(5)), vectors(5))
    assert view.mask(EVERYTHING) is None
    assert view.mask(Where(until=0.0)).tolist() == [False] * 5  # type: ignore[union-attr]
