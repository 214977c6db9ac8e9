"""Which positive pairs dense and sparse sampling draw, and how many of them are harmful.

AdaSP supplement (arXiv:2303.18247), section 1. A harmful pair shows one identity and yet nothing in common, such as a
front and a back.

Dimensions: B blocks, each one identity in one batch; M instances of it; T = M(M - 1)/2 pairs of different instances.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
Mask = NDArray[np.bool_]

ALL, DENSE, EASY = "every pair", "each image's hardest", "each image's easiest"
SPH, SPLH, ADASP = "SP-H", "SP-LH", "AdaSP"


def harmful_shares(similarity: Reals, harmful: Mask) -> dict[str, Reals]:
    """Return for each sampling which share (B,) of what it draws from a block is harmful.

    ``every pair`` is dense without mining (SupCon); ``each image's hardest`` what the supplement calls dense
    (batch-hard triplet); ``SP-H`` the hardest of all; ``SP-LH`` the least hard among each image's hardest; ``AdaSP``
    these two by its weights.

    Args:
        similarity: (B, M, M) symmetric, M of 2 or more; the diagonal is not looked at.
        harmful: (B, M, M) symmetric; likewise.
    """
    itself = np.eye(similarity.shape[1], dtype=bool)
    by_hardness = np.where(itself, np.inf, similarity)
    hardest = _at(harmful, by_hardness.argmin(2))
    levels = by_hardness.min(2)
    sp_h, sp_lh = _at(hardest, levels.argmin(1)), _at(hardest, levels.argmax(1))
    high, low = levels.max(1), levels.min(1)
    weight = np.where(low > 0, 2 * low * high / np.where(low > 0, low + high, 1), 0)
    return {
        ALL: harmful[:, ~itself].mean(1),
        DENSE: hardest.mean(1),
        EASY: _at(harmful, np.where(itself, -np.inf, similarity).argmax(2)).mean(1),
        SPH: sp_h.astype(float),
        SPLH: sp_lh.astype(float),
        ADASP: weight * sp_h + (1 - weight) * sp_lh,
    }


def _at(values: Mask, places: NDArray[np.intp]) -> Mask:
    taken: Mask = np.take_along_axis(values, places[..., None], -1)[..., 0]
    return taken


def how_often_less_alike(similarity: Reals, harmful: Mask) -> float:
    """Return in how many cases a harmful pair is less alike than another one of its block, as a share of all cases.

    The supplement assumes 1; 0.5 means that likeness does not tell. NaN where no block has pairs of both kinds.

    Args:
        similarity: (B, M, M) symmetric.
        harmful: (B, M, M) symmetric.
    """
    first, second = np.triu_indices(similarity.shape[1], 1)
    cases = less = 0.0
    for alike, bad in zip(similarity[:, first, second], harmful[:, first, second], strict=True):
        below = np.searchsorted(np.sort(alike[bad]), alike[~bad], side="left")
        up_to = np.searchsorted(np.sort(alike[bad]), alike[~bad], side="right")
        less += (below.sum() + up_to.sum()) / 2  # as alike as one another: half a case
        cases += bad.sum() * (~bad).sum()
    return less / cases if cases else math.nan


def if_least_alike(harmful: Mask) -> dict[str, float]:
    """Return what is drawn from these blocks (B, M, M) if harmful pairs are less alike than all others.

    An image then has a harmful hardest pair if it is in any harmful pair, so that SP-LH draws one only where no image
    is without.
    """
    touched: Mask = np.any(harmful & ~np.eye(harmful.shape[1], dtype=bool), axis=2)
    return {
        DENSE: float(touched.mean()),
        SPH: float(touched.any(axis=1).mean()),
        SPLH: float(touched.all(axis=1).mean()),
    }


def expected(instances: int, untouched: Callable[[int], Fraction]) -> dict[str, float]:
    """Return what is drawn if harmful pairs are less alike than all others and chance alone says which they are.

    Args:
        instances: M.
        untouched: j -> the probability that j given images are in no harmful pair; see the two below.
    """
    # That no image is untouched, by inclusion and exclusion. Fractions, since terms a billion times as large cancel.
    none = sum((-1) ** j * math.comb(instances, j) * untouched(j) for j in range(instances + 1))
    return {DENSE: float(1 - untouched(1)), SPH: float(1 - untouched(instances)), SPLH: float(none)}


def with_count(instances: int, pairs: int) -> dict[str, float]:
    """Return what is expected to be drawn where so many of the T pairs are harmful, each choice as probable."""
    total = math.comb(math.comb(instances, 2), pairs)
    return expected(instances, lambda j: Fraction(math.comb(math.comb(instances - j, 2), pairs), total))


def with_share(instances: int, share: float) -> dict[str, float]:
    """Return what is expected to be drawn where each pair is harmful with this probability, whatever the others are."""
    total, other = math.comb(instances, 2), 1 - Fraction(share)
    return expected(instances, lambda j: other ** (total - math.comb(instances - j, 2)))


def simulated(instances: int, pairs: int, *, blocks: int, rng: np.random.Generator) -> tuple[Reals, Mask]:
    """Return similarities and harmful pairs (B, M, M) of blocks made up as the supplement assumes.

    So many pairs of each block are harmful, chosen at random, and less alike than all others.
    """
    first, second = np.triu_indices(instances, 1)
    chosen = rng.random((blocks, len(first))).argsort(1) < pairs
    values = 0.5 * rng.random(chosen.shape) + 0.5 * ~chosen
    similarity, harmful = np.ones((blocks, instances, instances)), np.zeros((blocks, instances, instances), bool)
    similarity[:, first, second] = similarity[:, second, first] = values
    harmful[:, first, second] = harmful[:, second, first] = chosen
    return similarity, harmful


@dataclass(frozen=True)
class Situations:
    """The terms of equations S1 to S3, counted.

    K counts entries of a block's matrix, in which a pair stands twice: with pairs instead, K < M would not keep SP
    from harmful ones (four images and two pairs that touch them all).

    Attributes:
        rare: U/N, the share of the blocks with K < M.
        rare_dense: E_I^D, harmful pairs that dense sampling draws from one of these.
        sparse: E_II^SP, from one of the others SP-LH.
        otherwise_dense: E_*^D, from those of the others where SP-LH draws none, dense sampling.
        instances: M.
    """

    rare: float
    rare_dense: float
    sparse: float
    otherwise_dense: float
    instances: int

    @property
    def share_sparse(self) -> float:
        """P_SP by equation S2."""
        return (1 - self.rare) * self.sparse

    @property
    def share_dense(self) -> float:
        """P_D by equation S3, which takes it that dense sampling draws M harmful pairs wherever SP-LH draws one."""
        often = self.sparse + self.otherwise_dense * (1 - self.sparse) / self.instances
        return self.rare * self.rare_dense / self.instances + (1 - self.rare) * often


def situations(similarity: Reals, harmful: Mask) -> Situations:
    """Return the terms of equations S1 to S3 for blocks (B, M, M)."""
    instances = harmful.shape[1]
    rare = (harmful & ~np.eye(instances, dtype=bool)).sum((1, 2)) < instances
    shares = harmful_shares(similarity, harmful)
    dense, sparse = instances * shares[DENSE], shares[SPLH]
    return Situations(
        rare=float(rare.mean()),
        rare_dense=_mean(dense[rare]),
        sparse=_mean(sparse[~rare]),
        otherwise_dense=_mean(dense[~rare & (sparse == 0)]),
        instances=instances,
    )


def _mean(values: Reals) -> float:
    return float(values.mean()) if len(values) else 0.0
