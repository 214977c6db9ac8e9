"""Report of an evaluation: figures, and the values of each query behind them.

Dimensions: Q queries.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reseen.description import html_table
from reseen.types import Protocol

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

DEFAULT_RANKS = 50
NORMAL_95 = 1.959963984540054


@dataclass(frozen=True, eq=False)
class Report:
    """Figures of an evaluation; with repeats, each is the mean over them.

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

    def __repr__(self) -> str:
        figures = ", ".join(f"{name} {value}" for name, value in self._figures())
        return f"Report({self.protocol}: {figures}; {self.num_queries:,} queries)"

    def _repr_html_(self) -> str:
        names, values = zip(*self._figures(), strict=True)
        return html_table(f"{self.num_queries:,} queries, protocol {self.protocol}", names, [values])

    def _figures(self) -> list[tuple[str, str]]:
        ranks = [(f"rank {rank}", self.cmc(rank)) for rank in (1, 5, 10)]
        return [(n, f"{100 * v:.1f}") for n, v in [("mAP", self.mean_ap), *ranks, ("mINP", self.mean_inp)]]

    def to_dict(self, *, ranks: int = DEFAULT_RANKS) -> dict[str, Any]:
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


def make_report(protocol: Protocol, table: pd.DataFrame, first_ranks: list[NDArray[np.float64]]) -> Report:
    """Return the report of the queries' figures: one row per query and repeat, and first ranks of each repeat."""
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
