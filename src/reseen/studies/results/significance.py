"""Significance of a difference between two ways of training, paired over seeds and queries.

Both ways answer the same queries, and the n-th training of both starts from the same seed. Other seeds and other
queries would have given other figures; the test takes both into account at once, as trials with several readers and
several cases do (Dorfman, Berbaum and Metz 1992; degrees of freedom of Hillis, Statistics in Medicine 26, 2007).

Dimensions: S seeds, Q queries.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats


@dataclass(frozen=True)
class Difference:
    """A mean difference and how sure it is.

    Attributes:
        mean: Of the first minus the second.
        low: Lower end of the interval that holds the true one with 95 % confidence ...
        high: ... and its upper end.
        probability: Of a mean at least as far from zero where there is no difference.
    """

    mean: float
    low: float
    high: float
    probability: float

    def cells(self) -> list[str]:
        """Return mean, low and high, in percent with their sign, and the probability: columns of a table."""
        signed = [f"{100 * value:+.1f}" for value in (self.mean, self.low, self.high)]
        return [*signed, "< 0.001" if self.probability < 0.001 else f"{self.probability:.3f}"]


def paired(first: Sequence[pd.DataFrame], second: Sequence[pd.DataFrame]) -> Difference:
    """Return by how much the mean average precision of one way of training is above that of another.

    Args:
        first: ``per_query`` of its S runs, in the order of their seeds.
        second: Of the other way, with the same seeds and the same queries.

    Raises:
        ValueError: There are not as many seeds of both, or no query in common.
    """
    if len(first) != len(second):
        raise ValueError(f"expected as many seeds of both, got {len(first)} and {len(second)}")
    columns = [_by_query(one) - _by_query(other) for one, other in zip(first, second, strict=True)]
    differences = pd.concat(columns, axis=1).dropna().to_numpy().T
    if differences.shape[1] < 2:
        raise ValueError(f"expected two queries or more that count in both, got {differences.shape[1]}")
    return crossed(differences)


def crossed(differences: NDArray[np.float64]) -> Difference:
    """Return the mean of differences (S, Q) with its interval, seeds and queries both being a random choice.

    Note: With one seed only the queries are; nothing is then said of other seeds.
    """
    S, Q = differences.shape
    mean = float(differences.mean())
    of_queries = S * float(differences.mean(0).var(ddof=1))
    if S == 1:
        variance, freedom = of_queries / Q, float(Q - 1)
    else:
        of_seeds = Q * float(differences.mean(1).var(ddof=1))
        rest = differences - differences.mean(1, keepdims=True) - differences.mean(0, keepdims=True) + mean
        of_rest = float((rest**2).sum()) / ((S - 1) * (Q - 1))
        total = of_seeds + max(of_queries - of_rest, 0.0)
        variance = total / (S * Q)
        freedom = total**2 / (of_seeds**2 / (S - 1)) if of_seeds > 0 else math.inf
    if variance == 0:
        return Difference(mean, mean, mean, float(mean == 0))
    error = math.sqrt(variance)
    half = float(stats.t.ppf(0.975, freedom)) * error
    return Difference(mean, mean - half, mean + half, float(2 * stats.t.sf(abs(mean) / error, freedom)))


def _by_query(table: pd.DataFrame) -> pd.Series[float]:
    precision: pd.Series[float] = table.groupby("query")["average_precision"].mean()
    return precision
