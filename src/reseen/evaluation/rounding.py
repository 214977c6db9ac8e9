"""Exact scores by an adaptive filter: float32 tiles decide what they can, float64 decides the rest.

The score of a pair is defined in float64, one pair at a time, in one order of additions (:mod:`reseen.exact`). A tile
of a matrix product is off by a rounding error that depends on the processor, the number of threads and the tile's
shape. :class:`ErrorBound` says by how much at most, so that only the few pairs within it are computed again.

Note:
    The strict bound on a float32 product of D components, D * 2**-24, is a hundred times what is ever seen, and so is,
    ten times, the probabilistic one (Higham and Mary, SIAM J. Sci. Comput. 41, 2019). The bound is therefore calibrated
    on the run's own tiles: ``MARGIN`` times the largest error among a thousand pairs and more, the most alike among
    them, and never less than the rounding of one number. Under that model, in which roundings are independent and the
    error of a pair is sub-Gaussian, the largest of a thousand errors is beyond three standard deviations and the
    bound beyond nine: it fails for a pair with a probability below 1e-17. Every pair computed again is checked
    against it, and one that is beyond it starts the portion again with a wider one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from reseen.evaluation.similarity import Codes, Scores
from reseen.exact import MARGIN, Floats

# Queries and gallery entries of the tile that a bound is calibrated on, and how many of each row's pairs are used.
CALIBRATION_QUERIES, CALIBRATION_ENTRIES, CALIBRATION_PAIRS = 64, 1024, 8
_BACKENDS: tuple[Any, ...] = (torch.backends.cuda.matmul, getattr(torch.backends.mkldnn, "matmul", None))
_SETTING = Lock()
_num_inside, _before = 0, [""]


class BoundExceededError(Exception):
    """A tile's score is farther from the exact one than was thought possible; the bound has been widened."""


class ErrorBound:
    """Bound on how far the scores of a tile are from the exact ones.

    Args:
        scores: What makes the tiles; also gives the exact scores.

    Attributes:
        value: The bound.
    """

    def __init__(self, scores: Scores) -> None:
        self.scores, self.value = scores, scores.rounding
        if min(scores.shape):
            with full_precision():
                self._calibrate()

    def _calibrate(self) -> None:
        Q, G = self.scores.shape
        query = np.unique(np.linspace(0, Q - 1, CALIBRATION_QUERIES).astype(np.intp))
        gallery = np.unique(np.linspace(0, G - 1, CALIBRATION_ENTRIES).astype(np.intp))
        tile = self.scores.rows(query)(gallery).cpu().numpy()
        alike = np.argsort(-np.abs(np.where(np.isneginf(tile), 0, tile)), axis=1, kind="stable")
        column = np.concatenate([alike[:, :CALIBRATION_PAIRS], alike[:, -CALIBRATION_PAIRS:]], axis=1).reshape(-1)
        row = np.repeat(np.arange(len(query)), len(column) // len(query))
        self.learn(tile[row, column], self.scores.exact(query[row], gallery[column]))

    @property
    def window(self) -> float:
        """Return how far apart two scores of tiles are whose order is certain."""
        return 2 * self.value

    @cached_property
    def double(self) -> ErrorBound | None:
        """Return the bound of the same scores in float64 tiles, or None where there are none."""
        double = self.scores.double()
        return None if double is self.scores else ErrorBound(double)

    def learn(self, tile: NDArray[Any], exact: Floats) -> None:
        """Widen the bound to ``MARGIN`` times the largest error of some pairs (n,)."""
        self.value = max(self.value, MARGIN * _largest_error(tile, exact))

    def exact(self, query: Codes, gallery: Codes, tile: NDArray[Any]) -> Floats:
        """Return the exact scores (n,) of pairs.

        Args:
            query: (n,) rows of the query.
            gallery: (n,) rows of the gallery.
            tile: (n,) their scores in a tile.

        Raises:
            BoundExceededError: One of these was off by more than the bound.
        """
        exact = self.scores.exact(query, gallery)
        if _largest_error(tile, exact) > self.value:
            self.learn(tile, exact)
            raise BoundExceededError
        return exact

    def around(self, tile: NDArray[Any], exact: Floats | None = None) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return below and above which a tile's score is certainly lower and higher than the scores of some pairs.

        Args:
            tile: Their scores in a tile, of any shape.
            exact: Their exact scores, of the same shape, which halve the distance; NaN where one is not known.
        """
        known = np.full(tile.shape, np.nan) if exact is None else exact
        off = np.where(np.isnan(known), self.window, self.value)
        scores = np.where(np.isnan(known), tile, known)
        low, high = (ends.astype(tile.dtype) for ends in (scores - off, scores + off))
        return np.nextafter(low, -tile.dtype.type(np.inf)), np.nextafter(high, tile.dtype.type(np.inf))

    def attempts(self) -> Iterator[AbstractContextManager[None]]:
        """Yield the context of one more attempt at some work, as long as its pairs widen the bound."""
        done = False

        @contextmanager
        def attempt() -> Iterator[None]:
            nonlocal done
            with suppress(BoundExceededError), full_precision():
                yield
                done = True

        while not done:
            yield attempt()


def _largest_error(tile: NDArray[Any], exact: Floats) -> float:
    finite = np.isfinite(tile)
    return float(np.abs(tile[finite] - exact[finite]).max(initial=0))


@contextmanager
def full_precision() -> Iterator[None]:
    """Context manager in which float32 matrix products are float32 throughout: no TF32, bfloat16 or autocast.

    Torch's setting is global; it is restored when the last of several threads leaves.
    """
    global _num_inside, _before
    with _SETTING:
        if not _num_inside:
            _before = _set_precision(["ieee"] * len(_BACKENDS))
        _num_inside += 1
    try:
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False), torch.no_grad():
            yield
    finally:
        with _SETTING:
            _num_inside -= 1
            if not _num_inside:
                _set_precision(_before)


def _set_precision(wanted: list[str]) -> list[str]:
    """Set each backend's precision of float32 products, and return what it was."""
    before = [str(getattr(backend, "fp32_precision", "")) for backend in _BACKENDS]
    if all(before):
        for backend, precision in zip(_BACKENDS, wanted, strict=True):
            backend.fp32_precision = precision
        return before
    # Before torch 2.9 there was one word for all backends.
    whole = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest" if wanted[0] == "ieee" else wanted[0])
    return [whole] * len(_BACKENDS)
