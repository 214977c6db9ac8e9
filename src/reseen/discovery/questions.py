"""Most valuable questions to a person: which two groups to join, which group to split.

A group's parts are what each camera sees of it, or two halves where one camera saw all of it. Once answers say that
these are one individual, each of them is looked into in the same way, and so on down to single pictures and tracks:
whoever answers on and on ends at the truth. Two parts of a group are as alike as the mean cosine of their pictures,
parts of two groups as that of all pictures of both. The probability that two parts show one individual is a curve of
that: the gallery's calibration where there is one, or else a logistic one fitted to the groups themselves, whose own
parts stand for one individual and the nearest parts of other groups for two. What is known of other pairs corrects it.

Dimensions: N pictures, D components, P parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.special import expit, logit

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
    def group_means(self) -> Floats:
        """Mean vector of each group (G, D)."""
        groups = int(self.group.max(initial=-1)) + 1
        sums = np.zeros((groups, self.means.shape[1]))
        np.add.at(sums, self.group, self.means * self.size[:, None])
        means: Floats = sums / np.bincount(self.group, weights=self.size, minlength=groups)[:, None]
        return means

    @cached_property
    def part(self) -> Ints:
        """The part of each picture (N,)."""
        part = np.empty(int(self.size.sum()), np.int64)
        for number, rows in enumerate(self.rows):
            part[rows] = number
        return part


def parts_of(vectors: Floats, labels: Ints, cameras: Ints | None, unit: Ints | None = None) -> GroupParts:
    """Return the parts of all groups, the largest of a group first.

    Args:
        vectors: (N, D) of unit length.
        labels: (N,), -1 for pictures in no group.
        cameras: (N,) codes, or None.
        unit: (N,) which pictures are known to show one individual; None where nothing is known.
    """
    unit = np.arange(len(labels)) if unit is None else unit
    rows, owner = [], []
    for number, own in enumerate(_groups(labels)):
        for part in pieces_of(vectors, own, cameras, unit):
            rows.append(_central_first(vectors, part))
            owner.append(number)
    means = np.stack([vectors[part].mean(0) for part in rows]) if rows else np.empty((0, vectors.shape[1]))
    return GroupParts(rows, np.array(owner, np.int64), means)


def _groups(labels: Ints) -> list[Ints]:
    """Return the pictures of each group; those in none are groups of one, behind the others."""
    ungrouped = np.flatnonzero(labels < 0)
    group = labels.copy()
    group[ungrouped] = labels.max(initial=-1) + 1 + np.arange(len(ungrouped))
    return np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1]) if len(labels) else []


def divided(vectors: Floats, rows: Ints, cameras: Ints | None) -> list[Ints]:
    """Return what each camera sees of some pictures, or two halves where one camera saw them all."""
    codes = np.zeros(len(rows), np.int64) if cameras is None else cameras[rows]
    if len(rows) > 1 and len(np.unique(codes)) == 1:
        codes = halves(vectors[rows])
    return [rows[codes == code] for code in np.unique(codes)]


def pieces_of(vectors: Floats, rows: Ints, cameras: Ints | None, unit: Ints) -> list[Ints]:
    """Return what of a group is not known to be one individual: the rows of each piece, the largest first.

    Args:
        vectors: (N, D) of unit length.
        rows: Of the group's pictures.
        cameras: (N,) codes, or None.
        unit: (N,) which pictures are known to show one individual.

    Returns:
        The group's parts, those that hang together by units as one; where all do, the parts of the parts, likewise,
        and so on. One piece, if all of the group is known to be one individual.
    """
    parts = divided(vectors, rows, cameras)
    while True:
        pieces = _hanging_together(parts, unit)
        several = [len(np.unique(unit[part])) > 1 for part in parts]
        if len(pieces) > 1 or not any(several):
            return sorted(pieces, key=lambda piece: (-len(piece), int(piece.min())))
        parts = [piece for part, more in zip(parts, several, strict=True)
                 for piece in (pieces_of(vectors, part, cameras, unit) if more else [part])]  # fmt: skip


def _hanging_together(pieces: Sequence[Ints], unit: Ints) -> list[Ints]:
    """Return pieces, those that share a unit as one."""
    number = np.repeat(np.arange(len(pieces)), [len(piece) for piece in pieces])
    rows = np.concatenate(pieces)
    known, place = np.unique(unit[rows], return_inverse=True)
    found = connected(np.stack([number, len(pieces) + place], axis=1), len(pieces) + len(known))[: len(pieces)]
    return [rows[found[number] == each] for each in np.unique(found)]


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


def pairs_to_judge(parts: GroupParts, cannot: Ints | None = None) -> tuple[Ints, Floats]:
    """Return pairs of parts (n, 2) and how alike they are (n,).

    Args:
        parts: Of all groups.
        cannot: (C, 2) pairs of pictures known to show two individuals: their groups are not compared.

    Returns:
        The largest part of each group with its others, and each part with the nearest of other groups.
    """
    count, means = len(parts.rows), parts.means.astype(np.float32)
    first = np.searchsorted(parts.group, parts.group)  # Parts stand by groups.
    inside = np.stack([first, np.arange(count)], axis=1)
    blocks = [inside[first != np.arange(count)]]
    apart = _groups_apart(parts, cannot)
    for start in range(0, count if count > 1 else 0, CHUNK):
        rows = slice(start, min(start + CHUNK, count))
        likeness = means[rows] @ means.T
        likeness[parts.group[rows, None] == parts.group] = -np.inf
        if apart is not None:
            likeness[apart[parts.group[rows]][:, parts.group].toarray()] = -np.inf
        near = np.argpartition(-likeness, min(NEAREST, count) - 1, axis=1)[:, :NEAREST]
        row = np.repeat(np.arange(rows.start, rows.stop), near.shape[1])
        other = np.isfinite(np.take_along_axis(likeness, near, axis=1)).reshape(-1)
        blocks.append(np.sort(np.stack([row, near.reshape(-1)], axis=1)[other], axis=1))
    pairs = np.unique(np.concatenate([np.empty((0, 2), np.int64), *blocks]), axis=0)
    return pairs, alikeness(parts, pairs)


def alikeness(parts: GroupParts, pairs: Ints, *, wholes: bool = True) -> Floats:
    """Return how alike pairs of parts are (n,): those of one group, or the two groups if they are of two.

    Without ``wholes`` the parts themselves are compared in either case.
    """
    alike, whole = np.empty(len(pairs)), parts.group_means
    for start in range(0, len(pairs), CHUNK):
        one, two = pairs[start : start + CHUNK].T
        inside = (parts.group[one] == parts.group[two])[:, None] | (not wholes)
        first, second = (np.where(inside, parts.means[p], whole[parts.group[p]]) for p in (one, two))
        alike[start : start + CHUNK] = (first * second).sum(1)
    return alike


def _groups_apart(parts: GroupParts, cannot: Ints | None) -> Any:
    """Return which groups are known to be apart, sparse; None where none are."""
    if cannot is None or not len(cannot):
        return None
    one, two = parts.group[parts.part[cannot]].T
    count = int(parts.group.max()) + 1
    ends = (np.concatenate([one, two]), np.concatenate([two, one]))
    return sparse.csr_array((np.ones(2 * len(cannot), bool), ends), shape=(count, count))


def fit_probability(parts: GroupParts, pairs: Ints, alike: Floats) -> Probability:
    """Return the logistic curve of the groups as they are; `undecided` where there is nothing to fit to."""
    from sklearn.linear_model import LogisticRegression

    used = (parts.size > 1)[pairs].all(1)
    same = (parts.group[pairs[:, 0]] == parts.group[pairs[:, 1]])[used]
    if len(np.unique(same)) < 2:
        return undecided
    curve = LogisticRegression(C=100.0).fit(alike[used][:, None], same)

    def probability(likeness: Floats) -> Floats:
        probabilities: Floats = curve.predict_proba(likeness[:, None])[:, 1] if len(likeness) else np.empty(0)
        return probabilities

    return probability


def undecided(likeness: Floats) -> Floats:
    """Return a half everywhere."""
    return np.full(len(likeness), 0.5)


def corrected(
    curve: Probability, parts: GroupParts, pairs: Ints, alike: Floats, asked: GroupParts, links: Links
) -> Floats:
    """Return the probabilities (n,) of pairs, corrected by what is known of others.

    Of each kind of question (is a group one, are two groups, is a group and a picture in none) the log-odds are moved
    by what makes the answers that there are likeliest, with a normal prior of variance 4: groups are one far oftener
    than parts of two groups as alike.

    Args:
        curve: From likeness to probability.
        parts: Of all groups.
        pairs: (n, 2) pairs of parts.
        alike: (n,) of them.
        asked: Parts of the groups as they would be without links: known pairs are judged by these.
        links: What is known.
    """
    known = np.concatenate([links.must, links.cannot])
    ends, same = asked.part[known], np.arange(len(known)) < len(links.must)
    ends, same = ends[ends[:, 0] != ends[:, 1]], same[ends[:, 0] != ends[:, 1]]
    before = _log_odds(curve(alikeness(asked, ends)))
    odds, kind, kind_before = _log_odds(curve(alike)), _kind(parts, pairs), _kind(asked, ends)
    for each in np.unique(kind_before):
        odds[kind == each] += _shift(before[kind_before == each], same[kind_before == each])
    probability: Floats = expit(odds)
    return probability


def _log_odds(probability: Floats) -> Floats:
    odds: Floats = logit(np.clip(probability, 1e-6, 1 - 1e-6))
    return odds


def _kind(parts: GroupParts, pairs: Ints) -> Ints:
    """Return of each pair of parts (n,) whether it is of one group (0), of two (1), or of one and a picture in none."""
    group = parts.group[pairs]
    several = np.bincount(parts.group, weights=parts.size) > 1
    kind: Ints = np.where(group[:, 0] == group[:, 1], 0, 2 - several[group].all(1))
    return kind


def _shift(odds: Floats, same: NDArray[np.bool_]) -> float:
    """Return what to add to log-odds (n,) for the answers to be likeliest: by Newton's method, which is convex here."""
    shift = 0.0
    for _ in range(20):
        likely = expit(odds + shift)
        shift -= (shift / 4 + (likely - same).sum()) / (1 / 4 + (likely * (1 - likely)).sum())
    return float(shift)


def questions(parts: GroupParts, pairs: Ints, probability: Floats, *, limit: int | None = None) -> list[Question]:
    """Return the questions, the most valuable first.

    Args:
        parts: Of all groups.
        pairs: (n, 2) pairs of parts of which nothing is known.
        probability: (n,) that both show one individual.
        limit: How many at most.
    """
    size = np.bincount(parts.group, weights=parts.size)
    best: dict[tuple[int, int, bool], Question] = {}
    for (one, two), likely in zip(pairs.tolist(), probability.tolist(), strict=True):
        groups = sorted((int(parts.group[one]), int(parts.group[two])))
        same = groups[0] == groups[1]
        first, second = parts.rows[one], parts.rows[two]
        changed = len(second) * (size[groups[0]] - len(second)) if same else float(size[groups].prod())
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
