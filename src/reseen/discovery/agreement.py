"""Agreement of two groupings of the same pictures."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Agreement(NamedTuple):
    """How far groups are those of the truth, or of another grouping.

    Attributes:
        ari: Adjusted Rand index (Hubert and Arabie, 1985): 1 for the same groups, 0 for what chance gives.
        v_measure: Harmonic mean of homogeneity and completeness (Rosenberg and Hirschberg, 2007), 0 to 1.
    """

    ari: float
    v_measure: float


def agreement(true: Sequence[str], labels: Sequence[str]) -> Agreement:
    """Return the agreement of two groupings of N pictures; a picture alone in its group is a group of one."""
    from sklearn.metrics import adjusted_rand_score, v_measure_score

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The number of unique classes")  # Most pictures may stand alone.
        return Agreement(float(adjusted_rand_score(true, labels)), float(v_measure_score(true, labels)))


def alone(labels: Iterable[int]) -> list[str]:
    """Return labels of groups as text, in which each -1 is a group of its own."""
    return [f"alone {row}" if label == -1 else str(label) for row, label in enumerate(labels)]
