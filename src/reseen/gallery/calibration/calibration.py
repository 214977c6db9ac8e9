"""Calibration kept with a gallery: probabilities of similarities, thresholds, and when to answer "none of these"."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reseen.errors import GalleryError

Method = Literal["isotonic", "logistic"]


@dataclass(frozen=True, slots=True)
class Fit:
    """Scores of one calibrator on individuals that it had not seen.

    Attributes:
        method: Which way.
        log_loss: Mean of -log of the probability given to what was true; lower is better.
        brier: Mean squared error of the probability.
        ece: Expected calibration error: mean distance of promised and observed share over ten bins of probability.
    """

    method: Method
    log_loss: float
    brier: float
    ece: float


@dataclass(frozen=True, slots=True)
class Bin:
    """One point of the reliability diagram.

    Attributes:
        promised: Mean probability given.
        observed: Share that was the same individual.
        weight: Share of all pairs.
    """

    promised: float
    observed: float
    weight: float


@dataclass(frozen=True, slots=True)
class Threshold:
    """Threshold of similarity at a wanted rate of false positives.

    Attributes:
        rate: The wanted rate.
        threshold: A similarity of at least this is a match.
        low: Lower end of the threshold's 95 % interval, from resampled individuals.
        high: Its upper end.
        detected: Share of true matches that reach it.
    """

    rate: float
    threshold: float
    low: float
    high: float
    detected: float


@dataclass(frozen=True)
class Calibration:
    """Calibration of a gallery: the probability of a similarity, and thresholds.

    Attributes:
        method: The way with the lower cross-validated log loss.
        similarities: Knots of the curve, ascending.
        values: Probability at each knot; for the logistic curve, its logarithm of odds. Straight lines between.
        prior: How likely two pictures showed the same individual before they were looked at.
        num_same: Pairs of one individual used.
        num_different: Pairs of two individuals used.
        fits: How well each way did, cross-validated over individuals.
        reliability: The diagram of the way chosen, cross-validated.
        pairs: Thresholds for "are these two the same?", at rates of different pairs that are called the same.
        open_set: Thresholds for "who of these is it, or none?", at rates of strangers who are given a name.
        familiar: 99 % of the gallery's own pictures have a picture of somebody else at least as similar as this; None
            where that was not measured.
    """

    method: Method
    similarities: tuple[float, ...]
    values: tuple[float, ...]
    prior: float
    num_same: int
    num_different: int
    fits: tuple[Fit, ...]
    reliability: tuple[Bin, ...]
    pairs: tuple[Threshold, ...]
    open_set: tuple[Threshold, ...]
    familiar: float | None = None

    def probability(self, similarity: ArrayLike, *, prior: float | None = None) -> NDArray[np.float64]:
        """Return the probability that two pictures of this similarity show the same individual.

        Args:
            similarity: Any shape.
            prior: How likely it was before, where that is not the calibration's own `prior`.
        """
        value = np.interp(np.asarray(similarity, np.float64), self.similarities, self.values)
        probability = 1 / (1 + np.exp(-value)) if self.method == "logistic" else value
        if prior is None:
            return probability
        odds = prior / (1 - prior) / (self.prior / (1 - self.prior))
        shifted: NDArray[np.float64] = probability * odds / (probability * odds + 1 - probability)
        return shifted

    def unfamiliar(self, similarity: float) -> bool:
        """Return whether a query whose most similar picture is no more similar than this is unlike all of the gallery.

        Then it may not show what the gallery shows at all, and a probability learnt from the gallery means nothing.
        """
        return self.familiar is not None and similarity < self.familiar

    def open_set_threshold(self, rate: float) -> Threshold:
        """Return the threshold at which this share of strangers is given a name.

        Raises:
            GalleryError: There is none for this rate.
        """
        for threshold in self.open_set:
            if np.isclose(threshold.rate, rate):
                return threshold
        known = ", ".join(f"{t.rate:g}" for t in self.open_set) or "none: too few pairs were labelled"
        raise GalleryError(
            f"expected a rate the gallery is calibrated for ({known}), got {rate:g}; run `reseen calibrate`"
        )

    def to_json(self) -> str:
        """Write the calibration as JSON text."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """Read what `to_json` wrote.

        Raises:
            GalleryError: It is something else.
        """
        kinds = {"fits": Fit, "reliability": Bin, "pairs": Threshold, "open_set": Threshold}
        try:
            fields = json.loads(text)
            fields |= {name: tuple(kind(**row) for row in fields[name]) for name, kind in kinds.items()}
            fields |= {name: tuple(fields[name]) for name in ("similarities", "values")}
            return cls(**fields)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise GalleryError(
                "expected the calibration of a gallery, found a damaged one; run `reseen calibrate` anew"
            ) from None


def as_percent(probability: float) -> str:
    """Return a probability as people read it: ``3.6 %``, ``98 %``, ``over 99.9 %``."""
    if probability > 0.999:
        return "over 99.9 %"
    if probability < 0.0995:
        return f"{100 * probability:.2g} %"
    return f"{100 * probability:.0f} %" if probability < 0.985 else f"{100 * probability:.1f} %"
