"""Calibrators: isotonic regression and Platt scaling, from similarities to probabilities.

Dimensions: N pairs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from reseen.gallery.calibration.calibration import Method
from reseen.gallery.calibration.pairs import Floats

Curve = tuple[Floats, Floats]
"""Knots and values, as in `Calibration`."""


def isotonic(similarities: Floats, same: NDArray[np.bool_], weights: Floats) -> Curve:
    """Fit the rising curve nearest to the labels: pool adjacent violators (Ayer et al., 1955).

    Returns:
        The pools' mean similarities and their shares of the same; one of a single kind counts half a pair of the other.
    """
    at, where = np.unique(similarities, return_inverse=True)
    mass, sums = np.bincount(where, weights), np.bincount(where, weights * same)
    pools: list[tuple[float, float, float]] = []  # mass, mass of the same, mass x similarity
    for pool in zip(mass.tolist(), sums.tolist(), (mass * at).tolist(), strict=True):
        pools.append(pool)
        while len(pools) > 1 and pools[-2][1] * pools[-1][0] >= pools[-1][1] * pools[-2][0]:
            last, before = pools.pop(), pools.pop()
            pools.append((last[0] + before[0], last[1] + before[1], last[2] + before[2]))
    weight, positive, moment = np.array(pools).T
    share = positive / weight
    half_same, half_different = (0.5 * float(weights[kind].max(initial=0)) for kind in (same, ~same))
    if share[0] == 0:
        share[0] = min([half_same / (weight[0] + half_same), *share[1:2]])
    if share[-1] >= 1 - 1e-12:
        share[-1] = max([*share[-2:-1], weight[-1] / (weight[-1] + half_different)])
    return moment / weight, share


def logistic(similarities: Floats, same: NDArray[np.bool_], weights: Floats) -> Curve:
    """Fit log odds = slope x similarity + intercept by Newton's method (Platt, 1999, with its softened labels).

    Returns:
        The log odds at similarity -1 and 1.
    """
    num_same, num_different = same.sum(), (~same).sum()
    target = np.where(same, (num_same + 1) / (num_same + 2), 1 / (num_different + 2))
    inputs = np.stack([similarities, np.ones_like(similarities)], 1)
    beta = np.zeros(2)

    def loss(beta: Floats) -> float:
        odds = inputs @ beta
        return float(weights @ (np.logaddexp(0, odds) - target * odds))

    for _ in range(100):
        p = 1 / (1 + np.exp(-inputs @ beta))
        gradient = inputs.T @ (weights * (p - target))
        hessian = (inputs * (weights * p * (1 - p))[:, None]).T @ inputs + 1e-12 * np.eye(2)
        step, size = np.linalg.solve(hessian, gradient), 1.0
        while size > 1e-8 and loss(beta - size * step) > loss(beta):
            size /= 2
        beta = beta - size * step
        if np.abs(size * step).max() < 1e-9:
            break
    ends = np.array([-1.0, 1.0])
    return ends, beta[0] * ends + beta[1]


FITS: dict[Method, Callable[[Floats, NDArray[np.bool_], Floats], Curve]] = {"isotonic": isotonic, "logistic": logistic}
