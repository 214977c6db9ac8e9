"""Ranks of positives, by counting: without a ranked list and without a Q x G matrix.

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
from torch.nn.functional import pad

from reseen.evaluation.rounding import ErrorBound, full_precision
from reseen.evaluation.similarity import Codes
from reseen.evaluation.task import RetrievalTask
from reseen.evaluation.tiles import Tile, positives, query_portions, tile_columns, tile_function
from reseen.exact import Floats
from reseen.parallel import parallel_for
from reseen.slicing import chunks

# Scores that are copied and sorted at once, few enough for the cache, and how wide: NumPy sorts up to 512 float32 in
# registers, in a quarter of the time for each that 513 take, and in a seventh of what 2,048 take.
SORT_CHUNK, SORT_WIDTH = 2**19, 2**9
# Up to so many limits a row, and one score in so many, are looked at one by one where float32 cannot decide.
FEW_LIMITS, FEW_SCORES = 4, 8
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


def negatives_before(
    task: RetrievalTask, *, ties: bool = True, only_last: bool = False
) -> Iterator[tuple[Codes, Codes, NDArray[np.intp]]]:
    """Yield the number of negatives before each positive, a portion of the queries at a time.

    Args:
        task: Queries, gallery and who is positive.
        ties: A negative with exactly the score of a positive comes before it.
        only_last: The number is wanted for a query's last positive; for any other, whether it is above 0.

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
            yield queries, of, _count_ranks(task, bound, queries, _Positives(of, gallery, tile, exact), ties, only_last)
        else:
            yield queries, of, of


def _gathered(task: RetrievalTask, *columns: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Return what all ranks have of some columns."""
    return tuple(np.concatenate(column) for column in zip(*task.on_ranks(columns), strict=True))


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


def _count_ranks(
    task: RetrievalTask, bound: ErrorBound, queries: Codes, found: _Positives, ties: bool, only_last: bool
) -> NDArray[np.intp]:
    """Return how many negatives come before each positive (n,)."""
    place = np.arange(len(found.of)) - np.searchsorted(found.of, found.of)
    for attempt in bound.attempts():
        with attempt:
            counter = (_LastCounter if only_last else _Counter)(bound, queries, found, place, ties)
            counter.count_all(task)
    if task.across_ranks:
        dist.all_reduce(counter.before)
    numbers: NDArray[np.intp] = counter.before.cpu().numpy()[found.of, place]
    return numbers


class _Counter:
    """Counts the negatives before each positive of a portion (q, P), tile by tile, on several threads at once."""

    def __init__(self, bound: ErrorBound, queries: Codes, found: _Positives, place: Codes, ties: bool) -> None:
        of = found.of
        shape = len(queries), int(place.max(initial=0)) + 1
        self.bound, self.queries, self.ties = bound, queries, ties
        self.gallery, self.exact = np.zeros(shape, np.intp), np.full(shape, np.nan)
        self.gallery[of, place], self.exact[of, place] = found.gallery, found.exact
        self.tile = np.full(shape, np.inf, found.tile.dtype)
        self.tile[of, place] = found.tile
        self.low, self.high = bound.around(self.tile, self.exact)
        self.before, self.adding = torch.zeros(shape, dtype=torch.int64), Lock()

    def count_all(self, task: RetrievalTask) -> None:
        """Add the negatives of the whole gallery."""
        tile_of, columns = tile_function(task, self.queries), tile_columns(task, self.queries, threads=True)
        parallel_for(lambda part: self.count(tile_of(part)), columns, threads=task.scores.parallel)

    def count(self, tile: Tile) -> None:
        """Add the negatives of one tile, whose scores are overwritten."""
        scores, device = tile.scores, tile.scores.device
        scores[tile.positive] = -torch.inf
        # What another thread learns meanwhile is for the next tile.
        low, high = (torch.from_numpy(end.copy()).to(device) for end in (self.low, self.high))
        higher = self._higher(self.bound, scores, (low, high), np.arange(len(scores)), tile.columns.start)
        with self.adding:
            # Where the tiles lie is known from the first of them.
            self.before = self.before.to(device) + higher

    def _higher(
        self, bound: ErrorBound, scores: Tensor, window: tuple[Tensor, Tensor], rows: Codes, start: int
    ) -> Tensor:
        """Return how many scores (r, g) of some rows of the portion come before each of its limits (r, P).

        Args:
            bound: Of the scores.
            scores: (r, g) scores of a tile.
            window: Below and above which scores are certainly lower and higher than the limits, (r, P) each.
            rows: (r,) rows of the portion.
            start: The gallery row of the first column.
        """
        pieces = _pieces(scores)
        higher = torch.empty((*pieces.shape[:2], window[0].shape[1]), dtype=torch.int64, device=scores.device)
        near = torch.empty_like(higher, dtype=torch.bool)
        for part in chunks(len(pieces), max(1, SORT_CHUNK // pieces[0].numel())):
            low, high = (end[part, None].expand(-1, pieces.shape[1], -1) for end in window)
            higher[part], near[part] = self._look_up(sort_rows(pieces[part]), low, high, rows[part])
        total = higher.sum(1)
        if near.any():
            self._decide(total, near, bound, scores, pieces, window, rows, start)
        return total

    def _look_up(self, in_order: Tensor, low: Tensor, high: Tensor, rows: Codes) -> tuple[Tensor, Tensor]:
        """Return how many of each piece's rising scores (r, n, w) are not below `low`, and if one is within `high`."""
        first, most = _num_below(in_order, low), in_order.shape[-1]
        reached = in_order.gather(-1, first.clamp(max=most - 1))
        return most - first, (first < most) & (reached <= high)

    def _decide(
        self,
        higher: Tensor,
        near: Tensor,
        bound: ErrorBound,
        scores: Tensor,
        pieces: Tensor,
        window: tuple[Tensor, Tensor],
        rows: Codes,
        start: int,
    ) -> None:
        """Correct the numbers (r, P) of what is not lower than the windows; near (r, n, P): pieces with some within."""
        row, piece, place = near.nonzero(as_tuple=True)
        if len(row) <= FEW_LIMITS * int(near.any(2).sum()):
            inside = pieces[row, piece]
            low, high = (end[row, place, None] for end in window)
            pair, column = ((inside >= low) & (inside <= high)).nonzero(as_tuple=True)
            if FEW_SCORES * len(pair) <= inside.numel():
                tile = inside[pair, column].cpu().numpy()
                columns = (piece[pair] * pieces.shape[2] + column).cpu().numpy()
                row_of, place_of, pair_of = (index.cpu().numpy() for index in (row, place, pair))
                limits = self._exact_limits(rows[row_of], place_of)[pair_of]
                exact = bound.exact(self.queries[rows[row_of[pair_of]]], start + columns, tile)
                after = pair[torch.from_numpy(exact < limits if self.ties else exact <= limits).to(pair.device)]
                higher.index_put_((row[after], place[after]), -torch.ones_like(after), accumulate=True)
                return
        unsure = near.any(1)
        row_of, place_of = unsure.nonzero().cpu().numpy().T
        some = unsure.any(1)
        self._exact_limits(rows[row_of], place_of)
        higher[some] = self._higher_of_many(bound, scores[some], rows[some.cpu().numpy()], start)

    def _higher_of_many(self, bound: ErrorBound, scores: Tensor, rows: Codes, start: int) -> Tensor:
        """Return how many scores (r, g) come before each limit (r, P) where much is too near, by sorting in float64."""
        known = self.exact[rows]
        limits = np.where(np.isnan(known), self.tile[rows], known)
        # The nearest limit below a score, of all that it might reach.
        ends = bound.around(torch.from_numpy(np.sort(limits, axis=1)).to(scores.dtype).numpy())
        low, high = (torch.from_numpy(end).to(scores.device) for end in ends)
        reached = torch.searchsorted(low, scores.contiguous(), right=True) - 1
        near = (reached >= 0) & (scores <= high.gather(1, reached.clamp(min=0)))
        row, column = near.nonzero().cpu().numpy().T
        queries = self.queries[rows]
        if bound.double is not None and FEW_SCORES * len(row) > scores.numel():
            columns = slice(start, start + scores.shape[1])
            scores = bound.double.scores.rows(queries)(columns).masked_fill_(scores.isneginf(), -torch.inf)
            low, high = (torch.from_numpy(end).to(scores) for end in bound.double.around(limits, known))
            return self._higher(bound.double, scores, (low, high), rows, start)
        at = tuple(torch.from_numpy(index).to(scores.device) for index in (row, column))
        exact = bound.exact(queries[row], start + column, scores[at].cpu().numpy())
        scores = scores.double()
        scores[at] = torch.from_numpy(exact).to(scores.device)
        found = torch.searchsorted(sort_rows(scores), torch.from_numpy(limits).to(scores), right=not self.ties)
        return scores.shape[1] - found

    def _exact_limits(self, rows: Codes, place: Codes) -> Floats:
        """Return the exact scores (n,) of some positives of the portion, and keep them for the tiles to come."""
        unknown = np.isnan(self.exact[rows, place])
        at = rows[unknown], place[unknown]
        # Another thread may be at the same: it finds the same.
        exact = self.bound.exact(self.queries[at[0]], self.gallery[at], self.tile[at])
        self.low[at], self.high[at] = self.bound.around(self.tile[at], exact)
        self.exact[at] = exact
        found: Floats = self.exact[rows, place]
        return found


class _LastCounter(_Counter):
    """Counts the negatives before each query's last positive; before any other at least one, where there are some."""

    def __init__(self, bound: ErrorBound, queries: Codes, found: _Positives, place: Codes, ties: bool) -> None:
        super().__init__(bound, queries, found, place, ties)
        worst = np.isfinite(self.tile) & (self.tile <= self.tile.min(axis=1, keepdims=True) + bound.window)
        self._exact_limits(*(worst & (worst.sum(axis=1, keepdims=True) > 1)).nonzero())
        scores = np.where(np.isnan(self.exact), self.tile, self.exact)
        self.last = torch.from_numpy(np.where(worst, scores, np.inf).argmin(axis=1))

    def _look_up(self, in_order: Tensor, low: Tensor, high: Tensor, rows: Codes) -> tuple[Tensor, Tensor]:
        top, last = in_order[..., -1:], self.last[rows].to(in_order.device)[:, None, None].expand(-1, low.shape[1], -1)
        higher, near = (top > high).long(), (top >= low) & (top <= high)
        found = super()._look_up(in_order, low.gather(-1, last), high.gather(-1, last), rows)
        for column, values in zip((higher, near), found, strict=True):
            column.scatter_(-1, last, values)
        # A highest score that is too near to a positive's is looked up for all of them.
        unsure = near.scatter(-1, last, False).any(-1)
        if unsure.any():
            higher[unsure], near[unsure] = super()._look_up(in_order[unsure], low[unsure], high[unsure], rows)
        return higher, near


def _pieces(scores: Tensor) -> Tensor:
    """Return scores (r, g) as (r, n, w), each row cut into pieces that are sorted alone; what is missing is -inf."""
    width = min(SORT_WIDTH, scores.shape[1]) if scores.device.type == "cpu" else scores.shape[1]
    missing = -scores.shape[1] % width
    return (pad(scores, (0, missing), value=-torch.inf) if missing else scores).reshape(len(scores), -1, width)


def sort_rows(tile: Tensor) -> Tensor:
    """Return each row (..., g) in rising order.

    NumPy sorts bare float32 with vector instructions, some thirty times as fast as torch, which also tracks indices.
    """
    if tile.device.type != "cpu":
        return tile.sort(dim=-1).values
    return torch.from_numpy(np.sort(tile.numpy(), axis=-1))


def _num_below(in_order: Tensor, limits: Tensor) -> Tensor:
    """Return how many of each row's rising numbers (..., w) are below each of its limits (..., P).

    All limits take each step of the search together, in a third of the time of torch's on a CPU, one limit at a time,
    of whose branches a processor foresees every other one.
    """
    if in_order.device.type != "cpu":
        return torch.searchsorted(in_order, limits.contiguous())
    numbers, sought, left = in_order.numpy().reshape(-1), limits.numpy(), in_order.shape[-1]
    first = np.arange(0, len(numbers), left).reshape(*sought.shape[:-1], 1)
    at = np.repeat(first, sought.shape[-1], axis=-1)
    while left:
        half = (left + 1) // 2
        at += half * (numbers[half - 1 :].take(at) < sought)
        left -= half
    return torch.from_numpy(at - first)
