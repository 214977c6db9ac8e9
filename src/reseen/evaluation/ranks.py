"""The ranks of positives by counting, without a ranked list and without a Q x G matrix.

A positive's rank is its place among the positives plus the number of negatives that come before it, so a tile of scores
is sorted row by row, each of the query's few positives is looked up in it, and the counts of all tiles are added. A
negative whose score in the tile is too near to the positive's is compared in float64
(:mod:`reseen.evaluation.rounding`).

Dimensions: q queries of a portion, P positives of the query that has most, g gallery entries of a tile, r some of its
rows.

Note:
    Ties: a negative with exactly the score of a positive comes before it. The figures therefore depend neither on the
    order of the gallery nor on how it is cut, and a network that gives every picture the same vector gains nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from reseen.evaluation.rounding import ErrorBound, full_precision
from reseen.evaluation.similarity import Codes, chunks
from reseen.evaluation.task import RetrievalTask
from reseen.evaluation.tiles import Tile, for_each_tile, positives, query_portions
from reseen.exact import Floats

# Scores that are copied and sorted at once, which stay near the core, and how wide: NumPy sorts up to 512 float32 in
# registers, in a quarter of the time for each that 513 take, and in a tenth of what 2,048 take.
SORT_CHUNK, SORT_WIDTH = 2**17, 2**9
# Positives that the bound is calibrated on in every portion.
CALIBRATION_POSITIVES = 2**8


@dataclass(frozen=True, eq=False)
class PositiveRanks:
    """The ranks of every query's positives, best first, counted from 1.

    Attributes:
        ranks: (P,), one query after the other.
        starts: (Q + 1,); query i has ``ranks[starts[i] : starts[i + 1]]``.
    """

    ranks: NDArray[np.intp]
    starts: NDArray[np.intp]

    @property
    def counts(self) -> NDArray[np.intp]:
        """Return the number of positives of each query, (Q,)."""
        return np.diff(self.starts)

    def first(self) -> Floats:
        """Return the rank of each query's first positive (Q,); NaN for a query without one."""
        return self._pick(self.starts[:-1])

    def last(self) -> Floats:
        """Return the rank of each query's last positive (Q,); NaN for a query without one."""
        return self._pick(self.starts[1:] - 1)

    def _pick(self, positions: NDArray[np.intp]) -> Floats:
        picked = np.full(len(positions), np.nan)
        picked[self.counts > 0] = self.ranks[positions[self.counts > 0]]
        return picked


def positive_ranks(task: RetrievalTask) -> PositiveRanks:
    """Return the ranks of every query's positives. Under ``task.across_ranks`` every process gets all of them."""
    counts = np.zeros(task.scores.shape[0], dtype=np.intp)
    portions = []
    for queries, of, before in negatives_before(task):
        # The more alike a positive, the fewer negatives come before it.
        order = np.lexsort((before, of))
        of, before = of[order], before[order]
        portions.append((queries[of], np.arange(len(of)) - np.searchsorted(of, of) + 1 + before))
        counts[queries] = np.bincount(of, minlength=len(queries))
    query, ranks = (np.concatenate(c) for c in zip(*portions, strict=True)) if portions else (np.zeros(0, np.intp),) * 2
    starts = np.concatenate([np.zeros(1, np.intp), np.cumsum(counts)])
    return PositiveRanks(ranks[np.argsort(query, kind="stable")], starts)


def negatives_before(task: RetrievalTask, *, ties: bool = True) -> Iterator[tuple[Codes, Codes, NDArray[np.intp]]]:
    """Yield the number of negatives before each positive, a portion of the queries at a time.

    Args:
        task: Queries, gallery and who is positive.
        ties: A negative with exactly the score of a positive comes before it.

    Yields:
        Rows of the query set (q,); for each of their positives the position in these (n,) and the number (n,).
    """
    bound = ErrorBound(task.scores)
    for queries in query_portions(task):
        with full_precision():
            of, gallery, tile = positives(task, queries)
            # A rank cannot compute the exact scores of positives which lie on another.
            chosen = slice(None) if task.across_ranks else np.argsort(-np.abs(tile))[:CALIBRATION_POSITIVES]
            exact = np.full(len(of), np.nan)
            exact[chosen] = task.scores.exact(queries[of[chosen]], gallery[chosen])
        of, gallery, tile, exact = _gathered(task, of, gallery, tile, exact)
        bound.learn(tile[~np.isnan(exact)], exact[~np.isnan(exact)])
        if len(of) or task.across_ranks:
            order = np.lexsort((-tile, of))
            of, gallery, tile, exact = of[order], gallery[order], tile[order], exact[order]
            yield queries, of, _counted(task, bound, queries, _Positives(of, gallery, tile, exact), ties)
        else:
            yield queries, of, of


def _gathered(task: RetrievalTask, *columns: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Return what all ranks have of some columns."""
    if not task.across_ranks:
        return columns
    parts = [columns] * dist.get_world_size()
    dist.all_gather_object(parts, columns)
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


class _Positives(NamedTuple):
    """Positives of some queries, those of a query together, best first.

    Attributes:
        of: (n,) position of the query.
        gallery: (n,) row of the gallery.
        tile: (n,) score in a tile.
        exact: (n,) exact score; NaN where it is not known yet.
    """

    of: Codes
    gallery: Codes
    tile: NDArray[Any]
    exact: Floats


def _counted(task: RetrievalTask, bound: ErrorBound, queries: Codes, found: _Positives, ties: bool) -> NDArray[np.intp]:
    """Return how many negatives come before each positive (n,)."""
    place = np.arange(len(found.of)) - np.searchsorted(found.of, found.of)

    def count() -> Tensor:
        counter = _Counter(bound, queries, found, place, ties)
        for_each_tile(task, queries, counter.count)
        return counter.before

    before = bound.until_it_holds(count)
    if task.across_ranks:
        dist.all_reduce(before)
    numbers: NDArray[np.intp] = before.cpu().numpy()[found.of, place]
    return numbers


class _Counter:
    """Counts the negatives before each positive of a portion (q, P), tile by tile, on several threads at once."""

    def __init__(self, bound: ErrorBound, queries: Codes, found: _Positives, place: Codes, ties: bool) -> None:
        of = found.of
        shape = len(queries), int(place.max(initial=0)) + 1
        self.bound, self.queries, self.ties = bound, queries, ties
        self.gallery, self.exact = np.zeros(shape, np.intp), np.full(shape, np.nan)
        self.gallery[of, place], self.exact[of, place] = found.gallery, found.exact
        self.limits = torch.full(shape, torch.inf, dtype=torch.from_numpy(found.tile).dtype)
        self.limits[torch.from_numpy(of), torch.from_numpy(place)] = torch.from_numpy(found.tile)
        self.before, self.adding = torch.zeros(shape, dtype=torch.int64), Lock()

    def count(self, tile: Tile) -> None:
        """Add the negatives of one tile, whose scores are overwritten."""
        scores = tile.scores
        with self.adding:
            # Where the tiles lie is known from the first of them.
            self.limits, self.before = self.limits.to(scores.device), self.before.to(scores.device)
        scores[tile.positive] = -torch.inf
        higher = self._higher(self.bound, scores, self.limits, np.arange(len(scores)), tile.columns.start)
        with self.adding:
            self.before += higher

    def _higher(self, bound: ErrorBound, scores: Tensor, limits: Tensor, rows: Codes, start: int) -> Tensor:
        """Return how many scores (r, g) of each row come before its limits (r, P), which fall."""
        low, high = bound.around(limits)
        higher, near = torch.zeros_like(limits, dtype=torch.int64), torch.zeros_like(limits, dtype=torch.bool)
        for part, columns in sort_blocks(scores):
            in_order = sort_rows(scores[part, columns])
            first, width = torch.searchsorted(in_order, low[part]), in_order.shape[1]
            reached = in_order.gather(1, first.clamp(max=width - 1))
            higher[part] += width - first
            near[part] |= (first < width) & (reached <= high[part])
        unsure = near.any(1).nonzero()[:, 0]
        if len(unsure):
            rest = _Unsure(scores[unsure], limits[unsure], near[unsure], rows[unsure.cpu().numpy()])
            higher[unsure] = self._decided(bound, rest, start)
        return higher

    def _decided(self, bound: ErrorBound, part: _Unsure, start: int) -> Tensor:
        """Return the same for rows in which some scores are too near to a limit."""
        limits = self._exact_limits(bound, part)
        # The nearest limit below a score, of all that it might reach.
        low, high = bound.around(part.limits.sort(dim=1).values)
        reached = torch.searchsorted(low, part.scores, right=True) - 1
        near = (reached >= 0) & (part.scores <= high.gather(1, reached.clamp(min=0)))
        row, column = near.nonzero().cpu().numpy().T
        queries = self.queries[part.rows]
        if bound.double is not None and 8 * len(row) > part.scores.numel():
            columns = slice(start, start + part.scores.shape[1])
            scores = bound.double.scores.rows(queries)(columns).masked_fill_(part.scores.isneginf(), -torch.inf)
            return self._higher(bound.double, scores, limits, part.rows, start)
        at = tuple(torch.from_numpy(index).to(limits.device) for index in (row, column))
        exact = bound.exact(queries[row], start + column, part.scores[at].cpu().numpy())
        scores = part.scores.double()
        scores[at] = torch.from_numpy(exact).to(limits.device)
        in_order = sort_rows(scores)
        return scores.shape[1] - torch.searchsorted(in_order, limits, right=not self.ties)

    def _exact_limits(self, bound: ErrorBound, part: _Unsure) -> Tensor:
        """Return the limits (r, P) in float64: exact where a score is near, as in the tile where none is."""
        row, place = part.near.nonzero().cpu().numpy().T
        portion_row = part.rows[row]
        unknown = np.isnan(self.exact[portion_row, place])
        at = portion_row[unknown], place[unknown]
        tile = self.limits[tuple(torch.from_numpy(index).to(self.limits.device) for index in at)].cpu().numpy()
        # Another thread may be at the same: it finds the same.
        self.exact[at] = self.bound.exact(self.queries[at[0]], self.gallery[at], tile)
        limits = part.limits.double()
        chosen = tuple(torch.from_numpy(index).to(limits.device) for index in (row, place))
        limits[chosen] = torch.from_numpy(self.exact[portion_row, place]).to(limits.device)
        return limits


@dataclass(frozen=True, eq=False)
class _Unsure:
    """Rows of a tile in which float32 cannot decide.

    Attributes:
        scores: (r, g).
        limits: (r, P), falling.
        near: (r, P) bool, limits with a score too near.
        rows: (r,) rows of the portion.
    """

    scores: Tensor
    limits: Tensor
    near: Tensor
    rows: Codes


def sort_blocks(tile: Tensor) -> Iterator[tuple[slice, slice]]:
    """Cut a tile into the rows and columns that are sorted at once; a GPU has it whole."""
    height, width = tile.shape
    if tile.device.type == "cpu":
        height, width = max(1, SORT_CHUNK // min(width, SORT_WIDTH)), SORT_WIDTH
    return ((rows, columns) for rows in chunks(len(tile), height) for columns in chunks(tile.shape[1], width))


def sort_rows(tile: Tensor) -> Tensor:
    """Return each row in rising order.

    NumPy sorts bare float32 with vector instructions, some thirty times as fast as torch, which also tracks indices.
    """
    if tile.device.type != "cpu":
        return tile.sort(dim=1).values
    return torch.from_numpy(np.sort(tile.numpy(), axis=1))
