"""Fit of a calibration to labelled pairs: probabilities and thresholds.

Dimensions: N pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from reseen.errors import GalleryError
from reseen.gallery.calibration.calibration import Bin, Calibration, Fit, Method
from reseen.gallery.calibration.calibrators import FITS
from reseen.gallery.calibration.pairs import Floats, LabelledPairs, Probes
from reseen.gallery.calibration.thresholds import open_set_thresholds, pair_thresholds

RATES = (0.1, 0.01, 0.001)
FOLDS = 5
UNFAMILIAR = 0.01
"""Share of the gallery's own pictures that are less similar to everybody else than what is called familiar."""
MIN_PAIRS = 10
"""Fewer pairs of either kind than this say nothing."""


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
    for name, share in (("a prior", prior), *(("rates", rate) for rate in rates)):
        if not 0 < share < 1:
            raise ValueError(f"expected {name} between 0 and 1, got {share:g}")
    num_same, num_different = int(pairs.same.sum()), int((~pairs.same).sum())
    if min(num_same, num_different) < MIN_PAIRS:
        raise GalleryError(
            f"expected at least {MIN_PAIRS} labelled pairs of one individual and {MIN_PAIRS} of two, found {num_same} "
            f"and {num_different}; name more items, or mark more matches as right and wrong"
        )
    promised = {method: predict_held_out(pairs, method, prior=prior, seed=seed) for method in get_args(Method)}
    fits = tuple(fit_scores(method, *outcome) for method, outcome in promised.items())
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
        familiar=None if probes is None or not len(probes.other) else float(np.quantile(probes.other, UNFAMILIAR)),
    )


def balanced(same: NDArray[np.bool_], prior: float) -> Floats:
    """Return weights (N,) that add to one, of which the pairs of one individual have ``prior``."""
    weights: Floats = np.where(same, prior / max(1, same.sum()), (1 - prior) / max(1, (~same).sum()))
    return weights


def predict_held_out(
    pairs: LabelledPairs, method: Method, *, prior: float, seed: int
) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """Return probabilities, truths and weights of pairs touching individuals that the curve was fitted without."""
    generator = np.random.default_rng(seed)
    people, codes = np.unique(np.concatenate([pairs.first, pairs.second]), return_inverse=True)
    fold = generator.permutation(len(people)) % FOLDS
    first, second = fold[codes[: len(pairs)]], fold[codes[len(pairs) :]]
    folds = []
    for number in range(FOLDS):
        test = (first == number) | (second == number)
        fitted = pairs.same[~test]
        if not (fitted.any() and (~fitted).any() and test.any()):
            continue
        knots, values = FITS[method](pairs.similarities[~test], fitted, balanced(fitted, prior))
        value = np.interp(pairs.similarities[test], knots, values)
        probability = 1 / (1 + np.exp(-value)) if method == "logistic" else value
        folds.append((probability, pairs.same[test]))
    if not folds:
        raise GalleryError(
            "expected labelled pairs of several individuals, found too few to check one part against another"
        )
    probability, same = (np.concatenate(columns) for columns in zip(*folds, strict=True))
    # A pair of two individuals may have been held out twice; the weights make up for it.
    return probability, same, balanced(same, prior)


def fit_scores(method: Method, probability: Floats, same: NDArray[np.bool_], weights: Floats) -> Fit:
    """Return the scores of probabilities (N,) against what was true."""
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
