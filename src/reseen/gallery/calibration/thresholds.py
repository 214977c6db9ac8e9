"""Thresholds for a wanted rate of false positives, with their uncertainty.

Dimensions: N pairs, P probes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from reseen.gallery.calibration.calibration import Threshold
from reseen.gallery.calibration.pairs import Floats, LabelledPairs, Probes

RESAMPLES = 200


def pair_thresholds(pairs: LabelledPairs, rates: Sequence[float], seed: int) -> tuple[Threshold, ...]:
    """Return thresholds at rates of different pairs that are called the same."""
    different = ~pairs.same
    return thresholds(
        pairs.similarities[different],
        np.stack([pairs.first[different], pairs.second[different]], 1),
        rates,
        seed,
        detected=lambda threshold: float((pairs.similarities[pairs.same] >= threshold).mean()),
    )


def open_set_thresholds(probes: Probes, rates: Sequence[float], seed: int) -> tuple[Threshold, ...]:
    """Return thresholds at rates of strangers who are given a name.

    Each probe is taken once as a stranger, its own identity left out, and once as known: then it is detected if its own
    identity is the most alike and reaches the threshold.
    """
    known = ~np.isnan(probes.own)
    right = probes.own[known] > probes.other[known]
    return thresholds(
        probes.other,
        probes.identities[:, None],
        rates,
        seed,
        detected=lambda threshold: float((right & (probes.own[known] >= threshold)).mean()) if known.any() else 0.0,
    )


def thresholds(
    wrong: Floats, groups: NDArray[np.int64], rates: Sequence[float], seed: int, *, detected: Callable[[float], float]
) -> tuple[Threshold, ...]:
    """Return thresholds for similarities (N,) that should not be matches.

    The interval is a bootstrap over individuals (groups (N, 1 or 2)): pairs that share one are not independent.
    """
    generator = np.random.default_rng(seed)
    people, codes = np.unique(groups, return_inverse=True)
    codes = codes.reshape(groups.shape)
    order = np.argsort(-wrong, kind="stable")
    falling, codes = wrong[order], codes[order]
    reachable = [rate for rate in rates if rate * len(wrong) >= 1]
    resampled = np.empty((RESAMPLES, len(reachable)))
    for row in resampled:
        counts = np.bincount(generator.integers(len(people), size=len(people)), minlength=len(people))
        row[:] = [line(falling, rate, counts[codes].prod(1)) for rate in reachable]
    intervals = []
    for rate, column in zip(reachable, resampled.T, strict=True):
        threshold = line(falling, rate, np.ones(len(falling)))
        low, high = np.nanquantile(column, [0.025, 0.975])
        intervals.append(Threshold(rate, threshold, float(low), float(high), detected(threshold)))
    return tuple(intervals)


def line(falling: Floats, rate: float, weights: NDArray[np.float64] | NDArray[np.int64]) -> float:
    """Return the lowest threshold which at most ``rate`` of the weighted similarities, in falling order, reach."""
    total = weights.sum()
    if total == 0:
        return float("nan")
    over = np.cumsum(weights) > rate * total * (1 + 1e-12)
    return float(np.nextafter(falling[over.argmax()], np.inf))
