"""Labelled pairs and probes that a calibration is fitted to.

Dimensions: N pairs, P probes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


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
