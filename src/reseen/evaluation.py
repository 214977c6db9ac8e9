"""From two sets of embeddings and a protocol to a report.

Dimensions: Q queries, G gallery pictures, D components, R ranks of the cumulative match curve.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch.distributed as dist
from numpy.typing import NDArray

from reseen.errors import DataError
from reseen.metrics.counting import positive_ranks
from reseen.metrics.ranking import average_precision, inverse_negative_penalty
from reseen.metrics.single_shot import first_ranks_over_draws
from reseen.protocols.search import gallery_of_all_ranks, search
from reseen.samples import Benchmark, Embeddings, Protocol, Sample, Trial
from reseen.scores import Reranking

log = logging.getLogger(__name__)

MOST_RANKS = 50
NORMAL_95 = 1.959963984540054


@dataclass(frozen=True, eq=False)
class Report:
    """What an evaluation found; with repeats, every figure is the mean over them.

    Attributes:
        protocol: The protocol's name.
        rule: What the protocol applied, in words.
        mean_ap: Mean average precision, from 0 to 1.
        mean_inp: Mean inverse negative penalty, from 0 to 1.
        num_queries: Queries that count in one repeat.
        num_skipped: Queries left out of one repeat because nothing in the gallery matches them.
        interval: Low and high end of the 95 % confidence interval of ``mean_ap`` over queries: mean ± 1.96 s / √n,
            where s is the deviation of the queries' average precisions and n their number.
        first_ranks: For each repeat, the rank of the first positive of each query that counts, (Q,) or (Q, draws).
        per_query: One row per query and repeat: ``repeat, query`` (its row), ``path, identity, camera,
            average_precision, inverse_negative_penalty, first_rank, num_positives``; NaN where it was left out.
        deviation: Deviation over repeats of ``mean_ap``, ``mean_inp`` and ``rank_1``; None without repeats.
    """

    protocol: str
    rule: str
    mean_ap: float
    mean_inp: float
    num_queries: int
    num_skipped: int
    interval: tuple[float, float]
    first_ranks: tuple[NDArray[np.float64], ...]
    per_query: pd.DataFrame
    deviation: dict[str, float] | None = None

    def cmc(self, rank: int) -> float:
        """Return the share of queries with a positive among the first ``rank`` places, from 0 to 1."""
        if rank < 1:
            raise ValueError(f"expected a rank from 1, got {rank}")
        return math.fsum(float((first <= rank).mean()) for first in self.first_ranks) / len(self.first_ranks)

    def to_dict(self, *, ranks: int = MOST_RANKS) -> dict[str, Any]:
        """Return the figures as they stand in ``report.json``; ``cmc`` is a list from rank 1."""
        return {
            "mean_ap": self.mean_ap,
            "mean_inp": self.mean_inp,
            "cmc": [self.cmc(rank) for rank in range(1, ranks + 1)],
            "num_queries": self.num_queries,
            "num_skipped": self.num_skipped,
            "protocol": self.protocol,
            "rule": self.rule,
            "interval": list(self.interval),
            "repeats": len(self.first_ranks),
            "deviation": self.deviation,
        }


def evaluate(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    *,
    reranking: Reranking | None = None,
    across_ranks: bool = False,
) -> Report:
    """Search the gallery with every query and report how well it went.

    Pictures are compared by the cosine of their vectors, whatever the vectors' length. The work is done where the
    query's vectors are; the gallery's may stay elsewhere, as in a mapped file, and are read a few thousand at a time.
    A query without a match is left out and counted. How ties are broken: :mod:`reseen.metrics.counting`.

    Args:
        query: What is searched with.
        gallery: What is searched in.
        protocol: Who is positive, negative or neither, and by which measure.
        reranking: Improves the scores or the vectors first, as in ``k_reciprocal()``.
        across_ranks: Every process of ``torch.distributed`` calls this with its own part of query and gallery (cut in
            the order of the ranks), and each gets the figures of the whole, the same to the last bit as from one.

    Raises:
        DataError: No query has a match; the protocol needs what the data lacks; a vector is not finite.
        ValueError: ``reranking`` is asked for across ranks.
    """
    if across_ranks and (reranking is not None or protocol.draws is not None):
        raise ValueError("expected one process for re-ranking and for drawn galleries: gather the embeddings first")
    whole, mine = gallery, slice(0, len(gallery))
    if across_ranks:
        query = _of_all_ranks(query)
        whole, mine = gallery_of_all_ranks(gallery)
    tables, first_ranks = [], []
    for repeat, trial in enumerate([None] if protocol.trials is None else protocol.trials(query, whole)):
        table, first = _one_repeat(*_part(query, gallery, trial, mine), protocol, reranking, across_ranks)
        table.insert(0, "repeat", repeat)
        table.insert(1, "query", np.arange(len(query)) if trial is None else trial.query)
        tables.append(table)
        first_ranks.append(first)
    return _report(protocol, pd.concat(tables, ignore_index=True), first_ranks)


def evaluate_further(
    benchmark: Benchmark, query: Embeddings, gallery: Embeddings, *, reranking: Reranking | None = None
) -> list[Report]:
    """Return the reports of a benchmark's further settings, from the embeddings of its own query and gallery.

    Args:
        benchmark: Whose ``further`` is evaluated.
        query: Embeddings of ``benchmark.query``, in its order.
        gallery: Embeddings of ``benchmark.gallery``, in its order.
        reranking: As in :func:`evaluate`.

    Raises:
        DataError: As in :func:`evaluate`.
    """
    if not benchmark.further:
        return []
    rows = {sample: row for row, sample in enumerate((*benchmark.query, *benchmark.gallery))}
    both = Embeddings.joined([query, gallery])

    def part(samples: Sequence[Sample]) -> Embeddings:
        return both[np.array([rows[sample] for sample in samples], dtype=np.intp)]

    return [
        evaluate(part(other.query), part(other.gallery), other.protocol, reranking=reranking)
        for other in benchmark.further
    ]


def _part(query: Embeddings, gallery: Embeddings, trial: Trial | None, mine: slice) -> tuple[Embeddings, Embeddings]:
    """Return the query and this process' gallery in one repeat."""
    if trial is None:
        return query, gallery
    here = trial.gallery[(trial.gallery >= mine.start) & (trial.gallery < mine.stop)]
    return query[trial.query], gallery[here - mine.start]


def _one_repeat(
    query: Embeddings, gallery: Embeddings, protocol: Protocol, reranking: Reranking | None, across_ranks: bool
) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Return the table of the queries, and the first ranks of those that count."""
    ready = search(query, gallery, protocol, reranking=reranking, across_ranks=across_ranks)
    positives = positive_ranks(ready)
    counted = positives.counts > 0
    if not counted.any():
        raise DataError(
            f"none of {len(query)} queries has a match in the gallery of {len(gallery)} under {protocol.name} "
            f"({protocol.rule}): check that identities are written alike in both, and the cameras"
        )
    if protocol.draws is not None:
        first = first_ranks_over_draws(ready, draws=protocol.draws, seed=protocol.seed)
    elif protocol.unique_identities:
        first = positive_ranks(ready.by_identity()).first()
    else:
        first = positives.first()
    table = pd.DataFrame(
        {
            "path": query.paths,
            "identity": query.identities,
            "camera": query.cameras,
            "average_precision": average_precision(positives, protocol.average_precision),
            "inverse_negative_penalty": inverse_negative_penalty(positives),
            "first_rank": positives.first(),
            "num_positives": positives.counts,
        }
    )
    return table, first[counted]


def _report(protocol: Protocol, table: pd.DataFrame, first_ranks: list[NDArray[np.float64]]) -> Report:
    counted = table.dropna(subset="average_precision")
    by_repeat = [part for _, part in counted.groupby("repeat")]
    mean_aps = [_mean(part["average_precision"]) for part in by_repeat]
    mean_inps = [_mean(part["inverse_negative_penalty"]) for part in by_repeat]
    rank_1 = [float((first <= 1).mean()) for first in first_ranks]
    num_queries = round(len(counted) / len(first_ranks))
    num_skipped = round((len(table) - len(counted)) / len(first_ranks))
    if num_skipped:
        log.info("%d of %d queries have no match and are left out", num_skipped, num_queries + num_skipped)
    deviations = {"mean_ap": mean_aps, "mean_inp": mean_inps, "rank_1": rank_1}
    return Report(
        protocol=protocol.name,
        rule=protocol.rule,
        mean_ap=_mean(mean_aps),
        mean_inp=_mean(mean_inps),
        num_queries=num_queries,
        num_skipped=num_skipped,
        interval=_interval(_mean(mean_aps), counted.groupby("query")["average_precision"].mean().to_numpy()),
        first_ranks=tuple(first_ranks),
        per_query=table,
        deviation={k: float(np.std(v, ddof=1)) for k, v in deviations.items()} if len(first_ranks) > 1 else None,
    )


def _interval(mean: float, per_query: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % interval of a mean over queries, within 0 and 1; all of it where there is one query only."""
    if len(per_query) < 2:
        return 0.0, 1.0
    centre = _mean(per_query)
    half = NORMAL_95 * math.sqrt(_mean((per_query - centre) ** 2) / (len(per_query) - 1))
    return max(0.0, mean - half), min(1.0, mean + half)


def _mean(values: Iterable[float]) -> float:
    """Return the mean, the same whatever the order: what several processes hold comes in another order."""
    listed = list(values)
    return math.fsum(listed) / len(listed)


def _of_all_ranks(embeddings: Embeddings) -> Embeddings:
    parts = [embeddings] * dist.get_world_size()
    dist.all_gather_object(parts, embeddings)
    return Embeddings.joined(parts)
