"""Evaluation: from two sets of embeddings and a protocol to a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reseen.distributed import on_all_ranks
from reseen.errors import DataError
from reseen.evaluation.precision import average_precision, inverse_negative_penalty
from reseen.evaluation.ranks import positive_ranks
from reseen.evaluation.report import Report, make_report
from reseen.evaluation.similarity import Reranking
from reseen.evaluation.single_shot import first_ranks_over_draws
from reseen.evaluation.task import build_task, gallery_of_all_ranks
from reseen.types import Benchmark, Embeddings, Protocol, Sample, Trial

if TYPE_CHECKING:
    import pandas as pd


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
    A query without a match is left out and counted. How ties are broken: :mod:`reseen.evaluation.ranks`.

    Args:
        query: What is searched with.
        gallery: What is searched in.
        protocol: Who is positive, negative or neither, and by which measure.
        reranking: Improves the scores or the vectors first, as in ``k_reciprocal()``.
        across_ranks: Every process of ``torch.distributed`` calls this with its own part of query and gallery (cut in
            the order of the ranks), and each gets the figures of the whole, the same to the last bit as from one.

    Raises:
        DataError: No query has a match; the protocol needs what the data lacks; a vector is not finite.
        ValueError: ``reranking`` is asked for across ranks; or a side is a matrix, for `evaluate_matrix`.

    Example:
        >>> from reseen.protocols import cross_camera
        >>> from reseen.types import Sample
        >>> query = Embeddings.of(torch.eye(2), [Sample("a.jpg", 0, camera=1), Sample("b.jpg", 1, camera=1)])
        >>> entries = [Sample("c.jpg", 0, camera=2), Sample("d.jpg", 1, camera=2), Sample("e.jpg", 2, camera=2)]
        >>> gallery = Embeddings.of(torch.eye(2)[[0, 1, 0]], entries)
        >>> report = evaluate(query, gallery, cross_camera)  # the stranger e is as alike to a as c is, and comes first
        >>> report.mean_ap, report.cmc(1)
        (0.75, 0.5)
    """
    import pandas as pd

    for side in (query, gallery):
        if not isinstance(side, Embeddings):
            raise ValueError(
                f"expected Embeddings(vectors, identities, cameras) of query and gallery, got {type(side).__name__}; "
                "reseen.evaluation.evaluate_matrix takes a matrix of distances or similarities"
            )
    if across_ranks and (reranking is not None or protocol.draws is not None):
        raise ValueError("expected one process for re-ranking and for drawn galleries: gather the embeddings first")
    whole, mine = gallery, slice(0, len(gallery))
    if across_ranks:
        part = query
        query = Embeddings.joined(on_all_ranks(lambda: part))
        whole, mine = gallery_of_all_ranks(gallery)
    tables, first_ranks = [], []
    for repeat, trial in enumerate([None] if protocol.trials is None else protocol.trials(query, whole)):
        table, first = _one_repeat(*_part(query, gallery, trial, mine), protocol, reranking, across_ranks)
        table.insert(0, "repeat", repeat)
        table.insert(1, "query", np.arange(len(query)) if trial is None else trial.query)
        tables.append(table)
        first_ranks.append(first)
    return make_report(protocol, pd.concat(tables, ignore_index=True), first_ranks)


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
    import pandas as pd

    task = build_task(query, gallery, protocol, reranking=reranking, across_ranks=across_ranks)
    positives = positive_ranks(task)
    counted = positives.counts > 0
    if not counted.any():
        raise DataError(
            f"none of {len(query)} queries has a match in the gallery of {len(gallery)} under {protocol.name} "
            f"({protocol.rule}): check that identities are written alike in both, and the cameras"
        )
    if protocol.draws is not None:
        first = first_ranks_over_draws(task, draws=protocol.draws, seed=protocol.seed)
    elif protocol.unique_identities:
        first = positive_ranks(task.by_identity()).first()
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
