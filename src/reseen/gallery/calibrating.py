"""From labelled pairs to probabilities and thresholds.

Dimensions: N pairs, P probes, B resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from reseen.errors import GalleryError
from reseen.gallery.decisions import Bin, Calibration, Fit, Method, Threshold

Floats = NDArray[np.float64]
Curve = tuple[Floats, Floats]
"""Knots and values, as in `Calibration`."""

RATES = (0.1, 0.01, 0.001)
FOLDS = 5
RESAMPLES = 200
FEWEST = 10
"""Fewer pairs of either kind than this say nothing."""


@dataclass(frozen=True, eq=False)
class LabelledPairs:
    """Pairs of pictures of which it is known whether they show the same individual.

    Attributes:
        similarities: (N,).
        same: (N,) bool.
        first: (N,) integers, who is on the first picture; whoever shares a number is resampled and held out together.
        second: (N,) who is on the second.
    """

    similarities: Floats
    same: NDArray[np.bool_]
    first: NDArray[np.int64]
    second: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.same)

    def then(self, more: LabelledPairs) -> LabelledPairs:
        """Return these pairs and more."""
        return LabelledPairs(*(np.concatenate([getattr(self, n), getattr(more, n)]) for n in self.__dataclass_fields__))


@dataclass(frozen=True, eq=False)
class Probes:
    """Searches of which the answer is known, for open-set identification.

    Attributes:
        own: (P,) similarity of the best picture of the probe's own identity; NaN where there is no other one.
        other: (P,) similarity of the best picture of anybody else.
        identities: (P,) integers, who is on the probe.
    """

    own: Floats
    other: Floats
    identities: NDArray[np.int64]


def calibrate(
    pairs: LabelledPairs,
    probes: Probes | None = None,
    *,
    prior: float = 0.5,
    rates: Sequence[float] = RATES,
    seed: int = 0,
) -> Calibration:
    """Turn labelled pairs into a calibration.

    Isotonic regression and the logistic curve (Platt) are both cross-validated over individuals, and the one with the
    lower log loss is fitted to all pairs.

    Args:
        pairs: At least ten of one individual and ten of two.
        probes: For open-set identification; None leaves it out.
        prior: How likely two pictures show the same individual before one looks at them. Labelled pairs are mostly of
            different ones, only because there are more of these; the two kinds are weighted to this share.
        rates: Of false positives, to draw thresholds at. One that the number of pairs cannot show is left out.
        seed: Of folds and resamples.

    Raises:
        GalleryError: There are too few pairs of either kind.
        ValueError: The prior or a rate is not between 0 and 1.
    """
    if not 0 < prior < 1 or not all(0 < rate < 1 for rate in rates):
        raise ValueError(f"expected prior and rates between 0 and 1, got {prior} and {list(rates)}")
    num_same, num_different = int(pairs.same.sum()), int((~pairs.same).sum())
    if min(num_same, num_different) < FEWEST:
        raise GalleryError(
            f"expected at least {FEWEST} labelled pairs of one individual and {FEWEST} of two, found {num_same} and "
            f"{num_different}; name more items, or mark more matches as right and wrong"
        )
    promised = {method: held_out(pairs, method, prior=prior, seed=seed) for method in get_args(Method)}
    fits = tuple(score(method, *found) for method, found in promised.items())
    best = min(fits, key=lambda fit: fit.log_loss).method
    knots, values = FITS[best](pairs.similarities, pairs.same, balanced(pairs.same, prior))
    return Calibration(
        method=best,
        similarities=tuple(knots.tolist()),
        values=tuple(values.tolist()),
        prior=prior,
        num_same=num_same,
        num_different=num_different,
        fits=fits,
        reliability=reliability(*promised[best]),
        pairs=pair_thresholds(pairs, rates, seed),
        open_set=() if probes is None else open_set_thresholds(probes, rates, seed),
    )


def balanced(same: NDArray[np.bool_], prior: float) -> Floats:
    """Return weights (N,) that add to one, of which the pairs of one individual have ``prior``."""
    weights: Floats = np.where(same, prior / max(1, same.sum()), (1 - prior) / max(1, (~same).sum()))
    return weights


def isotonic(similarities: Floats, same: NDArray[np.bool_], weights: Floats) -> Curve:
    """Fit the rising curve nearest to the labels: pool adjacent violators (Ayer et al., 1955).

    Returns:
        The pools' mean similarities and their shares of the same, held off 0 and 1 by half a pair.
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
    edge = 0.5 / len(same)
    return moment / weight, np.clip(positive / weight, edge, 1 - edge)


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


def held_out(
    pairs: LabelledPairs, method: Method, *, prior: float, seed: int
) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """Return probabilities, truths and weights of pairs touching individuals that the curve was fitted without."""
    generator = np.random.default_rng(seed)
    people, codes = np.unique(np.concatenate([pairs.first, pairs.second]), return_inverse=True)
    fold = generator.permutation(len(people)) % FOLDS
    first, second = fold[codes[: len(pairs)]], fold[codes[len(pairs) :]]
    found = []
    for number in range(FOLDS):
        test = (first == number) | (second == number)
        fitted = pairs.same[~test]
        if not (fitted.any() and (~fitted).any() and test.any()):
            continue
        knots, values = FITS[method](pairs.similarities[~test], fitted, balanced(fitted, prior))
        value = np.interp(pairs.similarities[test], knots, values)
        probability = 1 / (1 + np.exp(-value)) if method == "logistic" else value
        found.append((probability, pairs.same[test]))
    if not found:
        raise GalleryError(
            "expected labelled pairs of several individuals, found too few to check one part against another"
        )
    probability, same = (np.concatenate(columns) for columns in zip(*found, strict=True))
    # A pair of two individuals may have been held out twice; the weights make up for it.
    return probability, same, balanced(same, prior)


def score(method: Method, probability: Floats, same: NDArray[np.bool_], weights: Floats) -> Fit:
    """Return how well probabilities (N,) foretold what was true."""
    safe = np.clip(probability, 1e-12, 1 - 1e-12)
    return Fit(
        method,
        log_loss=float(-weights @ np.log(np.where(same, safe, 1 - safe))),
        brier=float(weights @ (probability - same) ** 2),
        ece=float(sum(b.weight * abs(b.promised - b.observed) for b in reliability(probability, same, weights))),
    )


def reliability(probability: Floats, same: NDArray[np.bool_], weights: Floats, bins: int = 10) -> tuple[Bin, ...]:
    """Return promised and observed shares in bins of equal width that hold anything."""
    where = np.minimum((probability * bins).astype(int), bins - 1)
    mass = np.bincount(where, weights, bins)
    promised, observed = (np.bincount(where, weights * values, bins) for values in (probability, same))
    return tuple(
        Bin(float(promised[b] / mass[b]), float(observed[b] / mass[b]), float(mass[b])) for b in np.flatnonzero(mass)
    )


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
    """Draw the line through similarities (N,) that should not be matches.

    The interval is a bootstrap over individuals (groups (N, 1 or 2)): pairs that share one are not independent.
    """
    generator = np.random.default_rng(seed)
    people, codes = np.unique(groups, return_inverse=True)
    codes = codes.reshape(groups.shape)
    order = np.argsort(-wrong, kind="stable")
    falling, codes = wrong[order], codes[order]
    shown = [rate for rate in rates if rate * len(wrong) >= 1]
    resampled = np.empty((RESAMPLES, len(shown)))
    for row in resampled:
        counts = np.bincount(generator.integers(len(people), size=len(people)), minlength=len(people))
        row[:] = [line(falling, rate, counts[codes].prod(1)) for rate in shown]
    found = []
    for rate, column in zip(shown, resampled.T, strict=True):
        threshold = line(falling, rate, np.ones(len(falling)))
        low, high = np.nanquantile(column, [0.025, 0.975])
        found.append(Threshold(rate, threshold, float(low), float(high), detected(threshold)))
    return tuple(found)


def line(falling: Floats, rate: float, weights: NDArray[np.float64] | NDArray[np.int64]) -> float:
    """Return the lowest threshold which at most ``rate`` of the weighted similarities, in falling order, reach."""
    total = weights.sum()
    if total == 0:
        return float("nan")
    over = np.cumsum(weights) > rate * total * (1 + 1e-12)
    return float(np.nextafter(falling[over.argmax()], np.inf))
