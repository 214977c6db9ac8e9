"""Individuals, their number and the questions, and a person who answers them."""

import dataclasses

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from reseen.discovery import Clustering, Individuals, Links, discover, without_camera_means
from reseen.discovery.agreement import agreement
from reseen.discovery.questions import fit_probability, number_interval, pairs_to_judge, parts_of, pieces_of
from reseen.types import Embeddings

PEOPLE, OF_EACH = 12, 10
OPTIONS = Clustering(k1=8, k2=3)


def pictures(seed: int = 0, *, cameras: int = 2, shift: float = 2.5, spread: float = 0.8) -> Embeddings:
    """Vectors of people by cameras that each add something of their own."""
    generator = np.random.default_rng(seed)
    who = np.arange(PEOPLE * OF_EACH) % PEOPLE
    camera = np.arange(PEOPLE * OF_EACH) // PEOPLE % cameras
    vectors = generator.standard_normal((PEOPLE, 32))[who] + shift * generator.standard_normal((cameras, 32))[camera]
    return Embeddings(vectors + spread * generator.standard_normal((len(who), 32)), who, cameras=camera)


def ari(found: Individuals, true: Embeddings) -> float:
    labels = found.clusters.labels
    alone = [f"alone {row}" if label < 0 else str(label) for row, label in enumerate(labels)]
    return agreement([str(name) for name in true.identities], alone).ari


def test_camera_means_keep_cameras_from_making_groups_of_their_own() -> None:
    seen = pictures()
    without = discover(seen, dataclasses.replace(OPTIONS, camera_means=False))
    assert ari(discover(seen, OPTIONS), seen) > ari(without, seen) + 0.2


def test_a_camera_mean_counts_each_unit_once() -> None:
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.6, 0.8]], dtype=torch.float64)
    seen = Embeddings(vectors, np.arange(4), cameras=np.array([0, 0, 0, 1]))
    found = without_camera_means(seen, np.array([5, 5, 6, 7])).vectors
    side = 2**-0.5  # The mean is (0.5, 0.5), not (2/3, 1/3).
    torch.testing.assert_close(found[:3], torch.tensor([[side, -side], [side, -side], [-side, side]]))
    unknown = dataclasses.replace(seen, cameras=None)
    torch.testing.assert_close(without_camera_means(unknown).vectors, vectors.float())


def test_identities_are_not_looked_at() -> None:
    seen = pictures(1)
    blind = dataclasses.replace(seen, identities=np.zeros(len(seen), np.int64))
    one, two = discover(seen, OPTIONS), discover(blind, OPTIONS)
    assert (one.clusters.labels == two.clusters.labels).all()
    assert one.questions == two.questions


def test_questions_are_the_most_worth_first_and_about_pictures_of_each_side() -> None:
    seen = pictures(2, spread=1.1)
    found = discover(seen, OPTIONS)
    labels = found.clusters.labels
    assert found.questions
    assert [q.worth for q in found.questions] == sorted((q.worth for q in found.questions), reverse=True)
    for asked in found.questions:
        assert asked.first in asked.first_rows
        assert asked.second in asked.second_rows
        assert not set(asked.first_rows) & set(asked.second_rows)
        one, two = labels[asked.first], labels[asked.second]
        assert (one == two >= 0) == (asked.kind == "split")
        size = len(asked.first_rows) * len(asked.second_rows)
        if asked.kind == "split":
            assert asked.worth == pytest.approx((1 - asked.probability) * size)
        else:
            whole = [1 if label < 0 else int((labels == label).sum()) for label in (one, two)]
            assert asked.worth == pytest.approx(asked.probability * whole[0] * whole[1])
    assert discover(seen, OPTIONS, num_questions=3).questions == found.questions[:3]


def test_a_calibration_takes_the_place_of_the_fit() -> None:
    found = discover(pictures(2), OPTIONS, probability=lambda likeness: np.full(len(likeness), 0.25))
    assert {q.probability for q in found.questions} == {0.25}


def test_what_was_answered_is_not_asked_again() -> None:
    seen = pictures(2, spread=1.1)
    found = discover(seen, OPTIONS)
    links = answered(found, seen, len(found.questions))
    again = discover(seen, OPTIONS, links=links)
    pairs = {frozenset((q.first, q.second)) for q in found.questions}
    assert not pairs & {frozenset((q.first, q.second)) for q in again.questions}


def answered(found: Individuals, true: Embeddings, count: int, order: NDArray[np.int64] | None = None) -> Links:
    """The answers of somebody who knows, to the first questions, or to others."""
    chosen = [found.questions[n] for n in (range(len(found.questions)) if order is None else order)][:count]
    pairs: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
    for asked in chosen:
        pairs[bool(true.identities[asked.first] == true.identities[asked.second])].append((asked.first, asked.second))
    return Links(*(np.array(pairs[same], np.int64).reshape(-1, 2) for same in (True, False)))


def answers_to(goal: float, seen: Embeddings, *, random: bool) -> int:
    links, count, generator = Links.none(), 0, np.random.default_rng(0)
    while True:
        found = discover(seen, OPTIONS, links=links)
        if ari(found, seen) >= goal:
            return count
        assert found.questions, "no question is left"
        order = generator.permutation(len(found.questions)) if random else None
        links = links.then(answered(found, seen, 10, order))
        count += min(10, len(found.questions))


def test_a_person_gets_further_by_the_questions_most_worth() -> None:
    drawn = [pictures(seed, spread=1.2) for seed in range(6)]
    assert max(ari(discover(seen, OPTIONS), seen) for seen in drawn) < 0.9
    by_worth, at_random = (sum(answers_to(0.95, seen, random=random) for seen in drawn) for random in (False, True))
    assert by_worth <= at_random / 2


@pytest.mark.parametrize("random", [False, True])
def test_whoever_answers_on_and_on_ends_at_the_truth(random: bool) -> None:
    answers_to(1.0, pictures(0, spread=1.6), random=random)


def test_a_group_is_looked_into_until_all_of_it_is_known_to_be_one() -> None:
    generator = np.random.default_rng(0)
    vectors, cameras, unit = generator.standard_normal((12, 4)), np.arange(12) % 3, np.arange(12)
    for _ in range(11):
        pieces = pieces_of(vectors, np.arange(12), cameras, unit)
        assert sorted(np.concatenate(pieces).tolist()) == list(range(12))
        assert len(pieces) > 1
        unit[unit == unit[pieces[1][0]]] = unit[pieces[0][0]]  # They are said to be one.
    assert len(pieces_of(vectors, np.arange(12), cameras, unit)) == 1


def test_parts_of_a_group_are_compared_by_themselves_and_groups_as_wholes() -> None:
    seen = pictures(2, spread=1.1)
    vectors = torch.nn.functional.normalize(seen.vectors).double().numpy()
    parts = parts_of(vectors, np.arange(len(vectors)) // 10, seen.cameras.astype(np.int64))
    pairs, alike = pairs_to_judge(parts)
    for (one, two), found in zip(pairs.tolist(), alike.tolist(), strict=True):
        rows = [parts.rows[part] for part in (one, two)]
        if parts.group[one] != parts.group[two]:
            rows = [np.flatnonzero(np.arange(len(vectors)) // 10 == parts.group[part]) for part in (one, two)]
        assert found == pytest.approx((vectors[rows[0]] @ vectors[rows[1]].T).mean())


def test_groups_known_to_be_apart_are_not_compared() -> None:
    vectors = np.repeat(np.eye(3), 4, axis=0) + 0.1
    parts = parts_of(vectors, np.repeat([0, 1, 2], 4), np.arange(12) % 2)

    def compared(cannot: list[tuple[int, int]]) -> set[tuple[int, int]]:
        pairs, _ = pairs_to_judge(parts, np.array(cannot, np.int64).reshape(-1, 2))
        return {(int(one), int(two)) for one, two in np.sort(parts.group[pairs], axis=1) if one != two}

    assert compared([]) == {(0, 1), (0, 2), (1, 2)}
    assert compared([(1, 6)]) == {(0, 2), (1, 2)}


def test_answers_correct_the_probabilities() -> None:
    """Told that groups were one and that others were two, it believes more of the kind."""
    seen = pictures(2, spread=1.1)
    before = discover(seen, OPTIONS, probability=lambda likeness: np.full(len(likeness), 0.25))
    splits = [q for q in before.questions if q.kind == "split"][:5]
    joins = [q for q in before.questions if q.kind == "join" and len(q.second_rows) > 1][:5]
    links = Links(*(np.array([(q.first, q.second) for q in each]) for each in (splits, joins)))
    after = discover(seen, OPTIONS, links=links, probability=lambda likeness: np.full(len(likeness), 0.25))
    assert {round(q.probability, 2) for q in before.questions} == {0.25}
    assert min(q.probability for q in after.questions if q.kind == "split") > 0.4
    assert min(q.probability for q in after.questions if q.kind == "join") < 0.2


@pytest.mark.parametrize("seed", range(3))
def test_the_number_is_within_its_interval(seed: int) -> None:
    low, high = discover(pictures(seed), OPTIONS).interval
    assert low <= PEOPLE <= high
    assert high - low < 2 * PEOPLE


def test_the_interval_of_certain_answers() -> None:
    """Three groups and two pictures in none: certainly apart, and certainly one."""
    vectors = np.repeat(np.eye(4), [4, 4, 4, 2], axis=0)
    labels = np.array([0] * 4 + [1] * 4 + [2] * 4 + [-1] * 2)
    parts = parts_of(vectors, labels, np.arange(14) % 2)
    pairs, _ = pairs_to_judge(parts)
    same = parts.group[pairs[:, 0]] == parts.group[pairs[:, 1]]
    assert number_interval(parts, pairs, np.where(same, 1.0, 0.0)) == (3, round(3 + 2 / 4))
    assert number_interval(parts, pairs, np.ones(len(pairs)))[0] == 1
    assert number_interval(parts, pairs, np.zeros(len(pairs)))[1] == round(6 + 2 / 4)


def test_without_anything_to_fit_to_nothing_is_known() -> None:
    parts = parts_of(np.eye(3), np.array([-1, -1, -1]), None)
    pairs, alike = pairs_to_judge(parts)
    assert fit_probability(parts, pairs, alike)(alike).tolist() == [0.5] * 3


@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_pictures(count: int) -> None:
    found = discover(pictures()[slice(0, count)], OPTIONS)
    assert found.clusters.labels.tolist() == [-1] * count
    assert found.interval[0] == 0
