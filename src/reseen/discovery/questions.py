"""Most valuable questions to a person: which two groups to join, which group to split.

A group's parts are what each camera sees of it, or two halves where one camera saw all of it. Two parts are as alike
as the mean cosine of their pictures. The probability that two parts show one individual is a curve of that: the
gallery's calibration where there is one, or else a logistic one fitted to the groups themselves, whose own parts stand
for one individual and the nearest parts of other groups for two.

Dimensions: N pictures, D components, P parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reseen.discovery.links import Ints, Links, connected

Floats = NDArray[np.float64]
Probability = Callable[[Floats], Floats]
NEAREST = 10
"""Other groups that each is asked about at most."""
DRAWS = 200
CHUNK = 2**10
"""Parts that are compared with all others at once."""


@dataclass(frozen=True)
class Question:
    """Two pictures: do they show one individual?

    Attributes:
        kind: ``join``: they stand for two groups, or a group and a picture in none; ``split``: for parts of one group.
        first: Row of a picture.
        second: Row of the other.
        probability: That they show one individual.
        worth: Expected number of pairs of pictures that the answer corrects: the probability that the groups as they
            are are wrong, times the pairs that would change.
        first_rows: Pictures that the first stands for, itself first.
        second_rows: Pictures that the second stands for.
    """

    kind: Literal["join", "split"]
    first: int
    second: int
    probability: float
    worth: float
    first_rows: tuple[int, ...]
    second_rows: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class GroupParts:
    """Parts of groups.

    Attributes:
        rows: Pictures of each part, the most central first.
        group: (P,) the group of each; pictures in none are groups of one, numbered behind the others.
        means: (P, D) mean vectors.
    """

    rows: Sequence[Ints]
    group: Ints
    means: Floats

    @cached_property
    def size(self) -> Ints:
        """Pictures of each (P,)."""
        return np.array([len(rows) for rows in self.rows], np.int64)

    @cached_property
    def part(self) -> Ints:
        """The part of each picture (N,)."""
        part = np.empty(int(self.size.sum()), np.int64)
        for number, rows in enumerate(self.rows):
            part[rows] = number
        return part


def parts_of(vectors: Floats, labels: Ints, cameras: Ints | None) -> GroupParts:
    """Return the parts of all groups.

    Args:
        vectors: (N, D) of unit length.
        labels: (N,), -1 for pictures in no group.
        cameras: (N,) codes, or None.
    """
    ungrouped = np.flatnonzero(labels < 0)
    group = labels.copy()
    group[ungrouped] = labels.max(initial=-1) + 1 + np.arange(len(ungrouped))
    rows, owner = [], []
    for number, own in enumerate(np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])):
        codes = np.zeros(len(own), np.int64) if cameras is None else cameras[own]
        if len(own) > 1 and len(np.unique(codes)) == 1:
            codes = halves(vectors[own])
        for part in np.unique(codes):
            rows.append(_central_first(vectors, own[codes == part]))
            owner.append(number)
    means = np.stack([vectors[part].mean(0) for part in rows]) if rows else np.empty((0, vectors.shape[1]))
    return GroupParts(rows, np.array(owner, np.int64), means)


def halves(vectors: Floats) -> Ints:
    """Return the half (n,) of each picture of a group: the sign of its first principal component."""
    centred = vectors - vectors.mean(0)
    side: Ints = (centred @ np.linalg.svd(centred, full_matrices=False)[2][0] > 0).astype(np.int64)
    if side.min() == side.max():  # Equal pictures.
        side[0] = 1 - side[0]
    return side


def _central_first(vectors: Floats, rows: Ints) -> Ints:
    likeness = vectors[rows] @ vectors[rows].mean(0)
    ordered: Ints = rows[np.argsort(-likeness, kind="stable")]
    return ordered


def pairs_to_judge(parts: GroupParts) -> tuple[Ints, Floats]:
    """Return pairs of parts (n, 2) and how alike they are (n,): parts of one group, and the nearest of other groups."""
    count, means = len(parts.rows), parts.means.astype(np.float32)
    order = np.argsort(parts.group, kind="stable")
    together = np.split(order, np.cumsum(np.bincount(parts.group))[:-1])
    blocks = [np.stack(np.triu_indices(len(own), 1), axis=1) for own in together]
    blocks = [np.sort(own[pairs], axis=1) for own, pairs in zip(together, blocks, strict=True)]
    for start in range(0, count if count > 1 else 0, CHUNK):
        rows = slice(start, min(start + CHUNK, count))
        likeness = means[rows] @ means.T
        likeness[parts.group[rows, None] == parts.group] = -np.inf
        near = np.argpartition(-likeness, min(NEAREST, count) - 1, axis=1)[:, :NEAREST]
        row = np.repeat(np.arange(rows.start, rows.stop), near.shape[1])
        other = np.isfinite(np.take_along_axis(likeness, near, axis=1)).reshape(-1)
        blocks.append(np.sort(np.stack([row, near.reshape(-1)], axis=1)[other], axis=1))
    pairs = np.unique(np.concatenate([np.empty((0, 2), np.int64), *blocks]), axis=0)
    alike = np.empty(len(pairs))
    for start in range(0, len(pairs), CHUNK):
        part = slice(start, start + CHUNK)
        alike[part] = (parts.means[pairs[part, 0]] * parts.means[pairs[part, 1]]).sum(1)
    return pairs, alike


def fit_probability(parts: GroupParts, pairs: Ints, alike: Floats) -> Probability:
    """Return the logistic curve of the groups as they are; a half everywhere where there is nothing to fit to."""
    from sklearn.linear_model import LogisticRegression

    several = parts.size > 1
    used = several[pairs].all(1)
    same = (parts.group[pairs[:, 0]] == parts.group[pairs[:, 1]])[used]
    if len(np.unique(same)) < 2:
        return lambda likeness: np.full(len(likeness), 0.5)
    curve = LogisticRegression(C=100.0).fit(alike[used][:, None], same)

    def probability(likeness: Floats) -> Floats:
        probabilities: Floats = curve.predict_proba(likeness[:, None])[:, 1] if len(likeness) else np.empty(0)
        return probabilities

    return probability


def questions(
    parts: GroupParts, pairs: Ints, probability: Floats, links: Links, *, limit: int | None = None
) -> list[Question]:
    """Return the questions, the most valuable first; what is linked already is not asked again.

    Args:
        parts: Of all groups.
        pairs: (n, 2) pairs of parts.
        probability: (n,) that both show one individual.
        links: What is known.
        limit: How many at most.
    """
    together = connected(parts.part[links.must], len(parts.rows))
    apart = {frozenset(pair) for pair in parts.part[links.cannot].tolist()}
    size = np.bincount(parts.group, weights=parts.size)
    best: dict[tuple[int, int, bool], Question] = {}
    for (one, two), likely in zip(pairs.tolist(), probability.tolist(), strict=True):
        groups = sorted((int(parts.group[one]), int(parts.group[two])))
        same = groups[0] == groups[1]
        if together[one] == together[two] or frozenset((one, two)) in apart:
            continue
        first, second = parts.rows[one], parts.rows[two]
        changed = len(first) * len(second) if same else float(size[groups].prod())
        question = Question(
            "split" if same else "join",
            int(first[0]),
            int(second[0]),
            likely,
            (1 - likely if same else likely) * changed,
            tuple(first.tolist()),
            tuple(second.tolist()),
        )
        key = (one, two, True) if same else (groups[0], groups[1], False)
        if key not in best or best[key].worth < question.worth:
            best[key] = question
    ordered = sorted(best.values(), key=lambda q: (-q.worth, q.first, q.second))
    return ordered[:limit]


def number_interval(parts: GroupParts, pairs: Ints, probability: Floats, *, seed: int = 0) -> tuple[int, int]:
    """Return between how many individuals there are, by drawing the answers to questions 200 times.

    Low: no group is split, each joins the likeliest other one with its probability, and every picture in no group shows
    one of these; the 2.5 % quantile. High: no groups join, each part of a group stays with the others with its
    probability, and no picture in no group shows one of these: they make as many more as they would at a group's mean
    size; the 97.5 % quantile.
    """
    generator = np.random.default_rng(seed)
    groups = len(parts.rows) and int(parts.group.max()) + 1
    several = np.bincount(parts.group, weights=parts.size, minlength=groups) > 1
    grouped = several[parts.group]
    num_ungrouped, mean = int((~grouped).sum()), float(parts.size[grouped].sum() / max(1, several.sum()))
    same = parts.group[pairs[:, 0]] == parts.group[pairs[:, 1]]
    likeliest: dict[int, int] = {}
    between = np.flatnonzero(~same & grouped[pairs].all(1))
    for place in between[np.argsort(probability[between], kind="stable")].tolist():
        for part in pairs[place].tolist():
            likeliest[int(parts.group[part])] = place
    joins, splits = np.array(sorted(set(likeliest.values())), np.int64), np.flatnonzero(same)

    def drawn(places: Ints, nodes: Ints, count: int) -> int:
        edges = places[generator.random(len(places)) < probability[places]]
        return len(np.unique(connected(nodes[pairs[edges]], count)))

    low = [drawn(joins, parts.group, groups) for _ in range(DRAWS)]
    high = [drawn(splits, np.arange(len(parts.rows)), len(parts.rows)) for _ in range(DRAWS)]
    return (
        round(float(np.quantile(low, 0.025))) - num_ungrouped,
        round(float(np.quantile(high, 0.975)) - num_ungrouped + num_ungrouped / max(mean, 1.0)),
    )
