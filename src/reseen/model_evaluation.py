"""Evaluation of a model on a benchmark: embeds its pictures and scores the search; several ranks share the work.

Dimensions: N pictures, D components.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from reseen.distributed import num_ranks, on_all_ranks, on_first_rank, rank
from reseen.embedding.model import embed
from reseen.errors import RunError, one_line
from reseen.evaluation import Report, Reranking, evaluate, evaluate_further
from reseen.files import require_file, write_atomically
from reseen.models import Embedder
from reseen.sealed import seal, unseal
from reseen.types import Benchmark, Embeddings, Protocol, Sample

if TYPE_CHECKING:
    from pandas import DataFrame

PER_QUERY_CHECKSUM = "per_query_crc32"


class Outcome(NamedTuple):
    """Result of `evaluate_model`: report, embeddings and re-ranking.

    Attributes:
        report: What ``evaluate`` found.
        query: Embeddings of the benchmark's query, in its order.
        gallery: Embeddings of the benchmark's gallery, in its order.
        reranking: As given to ``evaluate``.
        further: What ``evaluate_further`` found.
    """

    report: Report
    query: Embeddings
    gallery: Embeddings
    reranking: Reranking | None = None
    further: Sequence[Report] = ()

    def save(self, folder: Path, **more: Any) -> None:
        """Write the figures to report.json, with more facts, and the queries to per_query.csv, for `read_results`.

        Each is written all or nothing. How long training took stays as the file has it already, unless it is given.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "report.json"
        try:
            require_file(path)
            before = unseal(path.read_bytes())
            further = {k: before[k] for k in ("training_seconds",) if k in before}
        except (OSError, ValueError):  # There is none, or it is damaged and about to be replaced.
            further = {}
        figures = self.report.to_dict()
        if self.further:
            figures["further"] = [report.to_dict() for report in self.further]
        queries = self.report.per_query.to_csv(index=False).encode()
        write_atomically(folder / "per_query.csv", queries)
        facts = {**figures, **further, **more, PER_QUERY_CHECKSUM: f"{zlib.crc32(queries):08x}"}
        write_atomically(path, seal(facts, indent=2).encode())


def read_results(folder: Path) -> tuple[dict[str, Any], DataFrame]:
    """Return what `Outcome.save` wrote: report.json's facts, and a row for each query.

    Raises:
        RunError: A file is not there, or damaged.
    """
    try:
        for name in ("report.json", "per_query.csv"):
            require_file(folder / name)
        facts = unseal((folder / "report.json").read_bytes())
        queries = (folder / "per_query.csv").read_bytes()
        if facts.pop(PER_QUERY_CHECKSUM, None) not in (None, f"{zlib.crc32(queries):08x}"):
            raise ValueError("a per_query.csv that is not as it was written")
        from pandas import read_csv  # Here, not above: training, which evaluates too, reads no results.

        return facts, read_csv(io.BytesIO(queries))
    except (OSError, ValueError) as error:
        raise RunError(
            f"expected whole results in {folder} (report.json, per_query.csv), got: {one_line(error)}; remove them and "
            "evaluate the run again, or start the study again"
        ) from error


def evaluate_model(
    model: Embedder,
    benchmark: Benchmark,
    *,
    reranking: Reranking | None = None,
    further: bool = True,
    batch_size: int = 64,
    num_workers: int = 0,
    mirrored: bool = False,
    progress: bool = False,
) -> Outcome:
    """Embed a benchmark's query and gallery and evaluate the search.

    Under ``torch.distributed`` every rank calls this with the same model and benchmark. Each embeds whole batches of
    its own and scores its part of the gallery; re-ranking, drawn galleries and further settings, which need everything
    in one place, are done by the first rank. Every rank returns the same figures as a single process would.

    Args:
        model: Its mode is left as it was.
        benchmark: Has a query and a gallery.
        reranking: Improves the scores or the vectors first, as in ``k_reciprocal()``.
        further: Evaluate the benchmark's further settings too.
        batch_size: Pictures at a time.
        num_workers: Processes that read pictures.
        mirrored: Average the vectors of each picture and of its mirror image.
        progress: Draw a bar, on the first rank.

    Raises:
        DataError: A picture cannot be read, or no query has a match.
    """

    def embedded(samples: Sequence[Sample]) -> Embeddings:
        part = share(len(samples), batch_size)
        vectors = on_all_ranks(
            lambda: (
                embed(
                    model,
                    samples[part],
                    batch_size=batch_size,
                    num_workers=num_workers,
                    mirrored=mirrored,
                    progress=progress and rank() == 0,
                ).vectors
            )
        )
        return Embeddings.of(torch.cat(vectors), samples)

    query, gallery = embedded(benchmark.query), embedded(benchmark.gallery)
    report = _evaluate(query, gallery, benchmark.protocol, reranking)
    others = further and benchmark.further
    further_reports = (
        on_first_rank(lambda: evaluate_further(benchmark, query, gallery, reranking=reranking)) if others else []
    )
    return Outcome(report, query, gallery, reranking, further_reports)


def _evaluate(query: Embeddings, gallery: Embeddings, protocol: Protocol, reranking: Reranking | None) -> Report:
    if num_ranks() == 1 or reranking is not None or protocol.draws is not None:
        return on_first_rank(lambda: evaluate(query, gallery, protocol, reranking=reranking))
    parts = query[share(len(query))], gallery[share(len(gallery))]
    return evaluate(*parts, protocol, across_ranks=True)


def share(count: int, size: int = 1) -> slice:
    """Return this rank's part of ``count`` rows, cut between batches of ``size``, which stay those of one process."""
    rows = -(-count // (size * num_ranks())) * size
    return slice(rank() * rows, (rank() + 1) * rows)
