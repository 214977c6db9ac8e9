"""Axes of charts: label, scale, limits and ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """Axis of a chart.

    Attributes:
        label: What is measured, with its unit.
        limits: Lowest and highest value shown; None for those of the data.
        log: Whether equal steps are equal factors; values at or below zero are left out.
        percent: Whether fractions are written as percentages.
    """

    label: str
    limits: tuple[float, float] | None = None
    log: bool = False
    percent: bool = False

    def write(self, value: float) -> str:
        """Return a value as its tick says it."""
        if self.percent:
            return f"{100 * value:.6g} %"
        if value and (abs(value) < 1e-3 or abs(value) >= 1e5):
            mantissa, exponent = f"{value:.2e}".split("e")
            return f"{float(mantissa):g}e{int(exponent)}"
        return f"{value:.6g}"


class Scale:
    """Values to pixels along one direction, with the ticks that belong there."""

    def __init__(self, axis: Axis, low: float, high: float, first: float, last: float) -> None:
        self.axis, self.low, self.high, self.first, self.last = axis, low, high, first, last

    def __call__(self, values: ArrayLike) -> Array:
        """Return where the values lie, in pixels; what is beyond an end lies at it."""
        turn = np.log10 if self.axis.log else np.asarray
        low, high = turn(self.low), turn(self.high)
        share = (turn(np.clip(np.asarray(values, float), self.low, self.high)) - low) / ((high - low) or 1.0)
        return np.asarray(self.first + share * (self.last - self.first))

    def ticks(self) -> list[float]:
        """Return the values to write along the axis: powers of ten, or steps of 1, 2 or 5."""
        if self.axis.log:
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            return [10.0**p for p in powers]
        rough = (self.high - self.low) / 5 or 1.0
        unit = 10.0 ** math.floor(math.log10(rough))
        step = min((unit * m for m in (1, 2, 5, 10)), key=lambda s: abs(math.log(s / rough)))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [n * step for n in range(first, last + 1)]


def scale(axis: Axis, values: Sequence[Array], first: float, last: float) -> Scale:
    """Return the scale of an axis from pixel ``first`` to ``last``, over its limits or over these values."""
    low, high = axis.limits or (0.0, 0.0)
    if axis.limits is None:
        joined = np.concatenate([*values, np.empty(0)])
        low, high = (float(joined.min()), float(joined.max())) if len(joined) else (0.1, 1.0)
        if low == high:
            low, high = (low / 10, high * 10) if axis.log else (low - 0.5, high + 0.5)
    return Scale(axis, low, high, first, last)
