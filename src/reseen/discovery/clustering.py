"""Clustering of sparse distances by DBSCAN or HDBSCAN, with must-links and cannot-links.

Dimensions: N pictures, C clusters.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from reseen.discovery.links import Ints, Links, connected

Sparse = Any
Floats = NDArray[np.float64]
STEPS = tuple(round(0.3 + 0.05 * step, 2) for step in range(9))
"""Radii that are tried where none is given."""


@dataclass(frozen=True)
class Clustering:
    """How pictures are grouped into individuals.

    Attributes:
        method: ``dbscan`` groups what lies within ``eps``; ``hdbscan`` finds a radius for each group.
        eps: Jaccard distance up to which two pictures are neighbours, for ``dbscan``; null to try 0.3 to 0.7 and take
            the radius with the highest silhouette (mean over all pictures, 0 for those left out): no labels needed.
        min_samples: Pictures within ``eps``, itself included, that make a picture the core of a group; the fewest
            pictures of an individual. 2 where each camera took one picture of everybody.
        k1: Neighbours that have to be mutual, about as many as an individual has pictures, at most 30 or so.
        k2: Neighbours over which a picture's code is averaged.
        camera_means: Take each camera's mean vector off first: what all pictures of a camera share, its light and its
            background, otherwise makes groups of one camera. To be turned off where cameras see other individuals.
    """

    method: Literal["dbscan", "hdbscan"] = "dbscan"
    eps: float | None = None
    min_samples: int = 4
    k1: int = 15
    k2: int = 4
    camera_means: bool = True

    def __post_init__(self) -> None:
        if self.method not in ("dbscan", "hdbscan"):
            raise ValueError(f"expected method dbscan or hdbscan, got {self.method!r}")
        if self.eps is not None and not 0 < self.eps < 1:
            raise ValueError(f"expected eps between 0 and 1, or null, got {self.eps:g}")
        if self.min_samples < 2:
            raise ValueError(f"expected min_samples of 2 or more, got {self.min_samples}")
        if self.eps is not None and self.method == "hdbscan":
            raise ValueError("expected eps with dbscan alone, got one for hdbscan, which finds its own; leave it out")


@dataclass(frozen=True)
class RadiusTrial:
    """What one radius gave.

    Attributes:
        eps: The radius.
        num_clusters: Groups found.
        num_left_out: Pictures in none.
        silhouette: Mean over all pictures, 0 for those left out.
    """

    eps: float
    num_clusters: int
    num_left_out: int
    silhouette: float


@dataclass(frozen=True, eq=False)
class Clusters:
    """Groups of pictures.

    Attributes:
        labels: (N,) from 0, numbered by size, the largest first; -1 for pictures in no group.
        silhouettes: (N,) of each picture, 0 for those in no group.
        eps: The radius chosen; None by HDBSCAN.
        trials: What each radius gave.
        unlinked: (N,) labels as they would be if nothing were known of pairs, in any order; None if not kept.
    """

    labels: Ints
    silhouettes: Floats
    eps: float | None
    trials: tuple[RadiusTrial, ...] = ()
    unlinked: Ints | None = None

    @property
    def count(self) -> int:
        """How many groups there are."""
        return int(self.labels.max(initial=-1)) + 1

    @property
    def silhouette(self) -> float:
        """Mean over all pictures."""
        return float(self.silhouettes.mean()) if len(self.silhouettes) else 0.0


def cluster(distances: Sparse, options: Clustering, links: Links, names: Sequence[str]) -> Clusters:
    """Group pictures.

    Args:
        distances: (N, N) sparse, as of `KReciprocal.neighbour_distances`: pairs that are absent are at distance 1.
        options: Method and radius.
        links: Are respected, whatever the distances.
        names: (N,) for errors.

    Raises:
        DataError: The links contradict one another.
    """
    links.require_consistent(names)
    graph = _with_own(distances)
    if options.method == "hdbscan":
        raw = _hdbscan(graph, options.min_samples)
        labels = numbered_by_size(respecting(raw, distances, links, within=1.0))
        return Clusters(labels, silhouettes(distances, labels), None, unlinked=raw)
    candidates, trials = [], []
    for eps in STEPS if options.eps is None else (options.eps,):
        raw = _dbscan(graph, eps, options.min_samples)
        labels = numbered_by_size(respecting(raw, distances, links, within=eps))
        candidates.append(Clusters(labels, silhouettes(distances, labels), eps, unlinked=raw))
        trials.append(RadiusTrial(eps, candidates[-1].count, int((labels < 0).sum()), candidates[-1].silhouette))
    best = max(range(len(candidates)), key=lambda n: (trials[n].silhouette, -trials[n].eps))
    return dataclasses.replace(candidates[best], trials=tuple(trials))


def silhouettes(distances: Sparse, labels: Ints) -> Floats:
    """Return the silhouette (N,) of each picture, -1 to 1, by sparse distances whose absent pairs are at 1.

    ``(b - a) / max(a, b)``: a the mean distance to the others of its group, b to those of the nearest other group
    (Rousseeuw, 1987). 0 for pictures in no group, and for groups of one.

    Note:
        Where there is one group only, b is 1, the distance of strangers; the paper leaves it undefined.
    """
    N, C = len(labels), int(labels.max(initial=-1)) + 1
    rows = np.flatnonzero(labels >= 0)
    values = np.zeros(N)
    if not C:
        return values
    size = np.bincount(labels[rows], minlength=C)
    member = sparse.csr_array((np.ones(len(rows), np.float32), (rows, labels[rows])), shape=(N, C))
    likeness = sparse.csr_array((1 - distances.data, distances.indices, distances.indptr), shape=distances.shape)
    shared = (likeness @ member)[rows].tocoo()
    row, group = shared.coords
    own = group == labels[rows][row]
    to_own, to_other = np.zeros(len(rows)), np.zeros(len(rows))
    to_own[row[own]] = shared.data[own]
    np.maximum.at(to_other, row[~own], shared.data[~own] / size[group[~own]])
    a, b = 1 - to_own / np.maximum(size[labels[rows]] - 1, 1), 1 - to_other
    score = (b - a) / np.maximum(np.maximum(a, b), np.finfo(np.float32).tiny)
    values[rows] = np.where(size[labels[rows]] > 1, score, 0)
    return values


def respecting(labels: Ints, distances: Sparse, links: Links, *, within: float) -> Ints:
    """Return labels (N,) that respect links: must-linked groups are joined, groups with a cannot-link are split.

    A track is in the group that most of its pictures are in, before anything is joined: if one picture of a long track
    looks like somebody else, the two are not one for that.

    A group is split by joining its pictures anew, the nearest pair first and up to a distance of ``within``, and
    refusing every join that would put two linked by a cannot-link together.
    """
    N = len(labels)
    labels = of_tracks(labels, connected(links.tracks, N)) if len(links.tracks) else labels
    unit = links.units(N)
    size = np.bincount(unit, minlength=N)
    clustered = np.flatnonzero(labels >= 0)
    # Units and clusters are nodes of one graph; whatever hangs together is a group.
    pairs = np.stack([unit[clustered], N + labels[clustered]], axis=1)
    group = connected(pairs, N + int(labels.max(initial=-1)) + 1)[unit]
    group = np.where((labels >= 0) | (size[unit] > 1) | np.isin(group, group[clustered]), group, -1)
    first, second = links.cannot.T
    broken = np.unique(group[first[(group[first] == group[second]) & (group[first] >= 0)]])
    refused: dict[int, set[int]] = {}
    for one, other in unit[links.cannot].tolist() if len(broken) else ():
        refused.setdefault(one, set()).add(other)
        refused.setdefault(other, set()).add(one)
    free = int(group.max(initial=-1)) + 1
    for number in broken:
        rows = np.flatnonzero(group == number)
        parts = _merge_again(distances[rows][:, rows].tocoo(), unit[rows], refused, within)
        alone = np.bincount(parts, minlength=len(rows))[parts] == 1
        group[rows] = np.where(alone, -1, free + parts)
        free += len(rows)
    return group


def of_tracks(labels: Ints, track: Ints) -> Ints:
    """Return labels (N,) by which all pictures of a track (N,) are where most of them are, -1 for no group included."""
    pairs, count = np.unique(np.stack([track, labels], axis=1), axis=0, return_counts=True)
    order = np.lexsort((-count, pairs[:, 0]))
    first = order[np.unique(pairs[order, 0], return_index=True)[1]]
    most: Ints = np.empty(int(track.max(initial=-1)) + 1, np.int64)
    most[pairs[first, 0]] = pairs[first, 1]
    return most[track]


def _merge_again(edges: Sparse, unit: Ints, refused: dict[int, set[int]], within: float) -> Ints:
    """Return the part (n,) of each picture of one group: single linkage that refuses what must not be joined."""
    part = {int(u): [int(u)] for u in unit}  # The units of each part, by the unit that it is named by.
    part_of = {u: u for u in part}
    foes = {u: set(refused.get(u, ())) for u in part}
    row, column = edges.coords
    near = (row < column) & (edges.data <= within)
    for edge in np.flatnonzero(near)[np.argsort(edges.data[near], kind="stable")]:
        one, other = (part_of[int(unit[end[edge]])] for end in (row, column))
        if one == other or not foes[one].isdisjoint(part[other]):
            continue
        if len(part[one]) < len(part[other]):
            one, other = other, one
        for each in part[other]:
            part_of[each] = one
        part[one] += part.pop(other)
        foes[one] |= foes.pop(other)
    labels: Ints = np.unique([part_of[int(u)] for u in unit], return_inverse=True)[1].astype(np.int64)
    return labels


def numbered_by_size(labels: Ints) -> Ints:
    """Return labels numbered by size, the largest first, then by their first picture; -1 stays."""
    values, first, inverse, count = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -count, values < 0))
    place = np.empty(len(values), np.int64)
    place[order] = np.arange(len(values))
    place[values < 0] = -1
    renumbered: Ints = place[inverse]
    return renumbered


def _with_own(distances: Sparse) -> Sparse:
    """Return the distances with a diagonal of stored zeros, each row from the nearest on, as scikit-learn has them."""
    N = distances.shape[0]
    row = np.repeat(np.arange(N), np.diff(distances.indptr))
    row, column = np.concatenate([row, np.arange(N)]), np.concatenate([distances.indices, np.arange(N)])
    data = np.concatenate([distances.data, np.zeros(N, distances.data.dtype)])
    order = np.argsort(row + 0.5 * data, kind="stable")  # Distances are below 1: within a row, by distance.
    start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=N))])
    return sparse.csr_matrix((data[order], column[order], start), shape=(N, N))


def _dbscan(graph: Sparse, eps: float, min_samples: int) -> Ints:
    from sklearn.cluster import DBSCAN

    if not graph.shape[0]:
        return np.empty(0, np.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=sparse.SparseEfficiencyWarning)
        warnings.filterwarnings("ignore", message="Precomputed sparse input was not sorted")
        labels: Ints = DBSCAN(eps=eps, min_samples=min_samples, metric="precomputed").fit_predict(graph)
    return labels.astype(np.int64)


def _hdbscan(graph: Sparse, min_samples: int) -> Ints:
    """Return the groups of HDBSCAN (Campello et al., 2013).

    scikit-learn wants every picture to have ``min_samples`` stored pairs and all to hang together: pairs of
    neighbouring rows that are not stored, and hence at distance 1, are stored with it. That changes no distance.
    """
    from sklearn.cluster import HDBSCAN

    N = graph.shape[0]
    if min_samples >= N:
        return np.full(N, -1)
    row = np.tile(np.arange(N), min_samples)
    column = (row + np.repeat(np.arange(1, min_samples + 1), N)) % N
    row, column = np.concatenate([row, column]), np.concatenate([column, row])
    # One less than the distance, so that what is not stored, nought, stands for 1.
    below = sparse.csr_array((graph.data - 1, graph.indices, graph.indptr), shape=graph.shape).tocoo()
    extra = sparse.coo_array((np.zeros(len(row), below.data.dtype), (row, column)), shape=graph.shape)
    places = np.concatenate([below.coords[0] * N + below.coords[1], extra.coords[0] * N + extra.coords[1]])
    values = np.concatenate([below.data, extra.data])
    points, first = np.unique(places, return_index=True)
    # The minimum spanning tree takes a stored 0 for no pair at all.
    lengths = np.maximum(values[first].astype(np.float64) + 1, np.finfo(np.float32).eps)
    whole = sparse.csr_matrix((lengths, np.divmod(points, N)), shape=(N, N))
    model = HDBSCAN(min_samples=min_samples, min_cluster_size=min_samples, metric="precomputed", copy=True)
    labels: Ints = model.fit_predict(whole)
    return labels.astype(np.int64)
