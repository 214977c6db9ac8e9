"""Every pair loss against a slow loop over its equation, on unequal batches, across modalities and with a memory.

The loops know nothing of masks, matrices or offsets: each anchor comes with the lists of its positives and negatives.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from reseen.losses import (
    AcrossRanks,
    AdaSPLoss,
    CircleLoss,
    CrossBatchMemory,
    CrossModal,
    EasyPositiveLoss,
    ExpATLoss,
    FIDILoss,
    HardContrastiveLoss,
    HardTripletLoss,
    HELoss,
    Loss,
    MultiSimilarityLoss,
    NPairLoss,
    RankedListLoss,
    SPHLoss,
    SPLHLoss,
    SupConLoss,
    WeightedTripletLoss,
)


@dataclass
class Anchor:
    x: np.ndarray
    label: int
    positives: list[np.ndarray]
    negatives: list[np.ndarray]
    itself: bool

    def distances(self, others: Sequence[np.ndarray]) -> list[float]:
        return [float(np.sqrt(((self.x - o) ** 2).sum())) for o in others]

    def cosines(self, others: Sequence[np.ndarray]) -> list[float]:
        return [float(self.x @ o / math.sqrt((self.x @ self.x) * (o @ o))) for o in others]

    def chords(self, others: Sequence[np.ndarray]) -> list[float]:
        return [math.sqrt(2 - 2 * s) for s in self.cosines(others)]


def lse(values: Sequence[float]) -> float:
    return math.log(sum(math.exp(v - max(values)) for v in values)) + max(values) if values else -math.inf


def softplus(x: float) -> float:
    return max(x, 0) + math.log1p(math.exp(-abs(x)))


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def triplet(anchors: list[Anchor], term: Callable[[float], float]) -> float:
    return mean(
        [
            term(max(a.distances(a.positives), default=0) - min(a.distances(a.negatives))) if a.negatives else 0.0
            for a in anchors
        ]
    )


def weighted_triplet(anchors: list[Anchor]) -> float:
    def soft(d: list[float], sign: int) -> float:
        return sum(v * math.exp(sign * v) for v in d) / sum(math.exp(sign * v) for v in d) if d else 0.0

    return mean(
        [
            softplus(soft(a.distances(a.positives) + [0.0] * a.itself, 1) - soft(a.distances(a.negatives), -1))
            for a in anchors
            if a.negatives
        ]
    ) * mean([float(bool(a.negatives)) for a in anchors])


def contrastive(anchors: list[Anchor]) -> float:
    return mean(
        [
            max(a.chords(a.positives), default=0) + max(0, 1 - min(a.chords(a.negatives), default=math.inf))
            for a in anchors
        ]
    )


def fidi(anchors: list[Anchor], alpha: float = 1.05, beta: float = 0.5, sigmoid: bool = False) -> float:
    def divergence(u: float, k: float) -> float:
        return u * math.log(alpha * u / ((alpha - 1) * u + k)) if u > 0 else 0.0

    def pair(d: float, k: float) -> float:
        u = 2 / (1 + math.exp(beta * d)) if sigmoid else math.exp(-beta * d)
        return divergence(u, k) + divergence(k, u)

    return mean(
        [pair(d, 1) for a in anchors for d in a.distances(a.positives)]
        + [pair(d, 0) for a in anchors for d in a.distances(a.negatives)]
    )


def exp_at(anchors: list[Anchor], exp_mean: bool = False) -> float:
    exponents = [
        max(0, max(max(a.cosines(a.negatives)), 0) - min(a.cosines(a.positives)) + 1)
        for a in anchors
        if a.positives and a.negatives
    ]
    if not exponents:
        return 0.0
    return math.exp(mean(exponents)) if exp_mean else mean([math.exp(h) for h in exponents])


def elastic(anchors: list[Anchor], metric: str = "euclidean") -> float:
    """The least over all boundaries that can be the best: the cost is convex and bends only at the distances."""

    def of(a: Anchor, others: list[np.ndarray]) -> list[float]:
        return a.distances(others) if metric == "euclidean" else [-s for s in a.cosines(others)]

    def cost(t: float, p: list[float], n: list[float]) -> float:
        return sum(max(d - t, 0) for d in p) + sum(max(t - d, 0) for d in n)

    terms = []
    for a in anchors:
        p, n = of(a, a.positives), of(a, a.negatives)
        terms.append(min(cost(t, p, n) for t in p + n) if p and n else 0.0)
    return mean(terms)


def sparse(anchors: list[Anchor], kind: str, t: float = 0.04) -> float:
    terms = []
    for label in {a.label for a in anchors}:
        members = [a for a in anchors if a.label == label and (a.positives or a.itself)]
        if not members:
            continue
        negative = t * lse([s / t for a in members for s in a.cosines(a.negatives)])
        rows = [[-s / t for s in a.cosines(a.positives) + [1.0] * a.itself] for a in members]
        hardest = -t * lse([v for row in rows for v in row])
        least_hard = t * lse([-lse(row) for row in rows])
        w = 2 * hardest * least_hard / (hardest + least_hard) if hardest > 0 else 0.0
        positive = {"h": hardest, "lh": least_hard, "ada": w * hardest + (1 - w) * least_hard}[kind]
        terms.append(softplus((negative - positive) / t) if negative > -math.inf else 0.0)
    return mean(terms)


def circle(anchors: list[Anchor], m: float = 0.25, g: float = 128) -> float:
    terms = []
    for a in anchors:
        p = [-g * max(1 + m - s, 0) * (s - (1 - m)) for s in a.cosines(a.positives)]
        n = [g * max(s + m, 0) * (s - m) for s in a.cosines(a.negatives)]
        terms.append(softplus(lse(p) + lse(n)) if p and n else 0.0)
    return mean(terms)


def multi_similarity(anchors: list[Anchor]) -> float:
    terms = []
    for a in anchors:
        p, n = a.cosines(a.positives), a.cosines(a.negatives)
        kept_p = [s for s in p if n and s < max(n) + 0.1]
        kept_n = [s for s in n if p and s > min(p) - 0.1]
        pull = math.log(1 + sum(math.exp(-2 * (s - 0.5)) for s in kept_p)) / 2
        push = math.log(1 + sum(math.exp(40 * (s - 0.5)) for s in kept_n)) / 40
        terms.append(pull + push)
    return mean(terms)


def sup_con(anchors: list[Anchor], t: float = 0.07) -> float:
    return mean(
        [
            mean([lse([s / t for s in a.cosines(a.positives + a.negatives)]) - s / t for s in a.cosines(a.positives)])
            for a in anchors
            if a.positives
        ]
    )


def easy_positive(anchors: list[Anchor]) -> float:
    best = [(max(a.cosines(a.positives)), max(a.cosines(a.negatives))) for a in anchors if a.positives and a.negatives]
    return mean([softplus((n - p) / 0.1) for p, n in best if p > 0 and n > 0])


def n_pair(anchors: list[Anchor], num: int = 15) -> float:
    terms = []
    for a in anchors:
        p, n = a.distances(a.positives), sorted(a.distances(a.negatives))[:num]
        terms.append(math.log(1 + sum(math.exp(max(p) - d) for d in n)) if p and n else 0.0)
    return mean(terms)


def ranked_list(anchors: list[Anchor]) -> float:
    terms = []
    for a in anchors:
        p = [d - 0.8 for d in a.chords(a.positives) if d > 0.8]
        n = [1.2 - d for d in a.chords(a.negatives) if d < 1.2]
        weights = [math.exp(10 * v) for v in n]
        terms.append(mean(p) + (sum(w * v for w, v in zip(weights, n, strict=True)) / sum(weights) if n else 0.0))
    return mean(terms)


LOOPS: dict[str, tuple[Callable[[], Loss], Callable[[list[Anchor]], float]]] = {
    "triplet": (lambda: HardTripletLoss(0.3), lambda a: triplet(a, lambda z: max(z + 0.3, 0))),
    "soft triplet": (lambda: HardTripletLoss(None), lambda a: triplet(a, softplus)),
    "weighted triplet": (WeightedTripletLoss, weighted_triplet),
    "contrastive": (HardContrastiveLoss, contrastive),
    "fidi": (FIDILoss, fidi),
    "fidi, others": (lambda: FIDILoss(2.0, 1.0), lambda a: fidi(a, 2.0, 1.0)),
    "fidi, sigmoid": (lambda: FIDILoss(2.0, 1.0, "sigmoid"), lambda a: fidi(a, 2.0, 1.0, sigmoid=True)),
    "expAT": (ExpATLoss, exp_at),
    "expAT, code": (lambda: ExpATLoss(form="exp_mean"), lambda a: exp_at(a, exp_mean=True)),
    "HE": (HELoss, elastic),
    "HE, cosine": (lambda: HELoss("cosine"), lambda a: elastic(a, "cosine")),
    "SP-H": (SPHLoss, lambda a: sparse(a, "h")),
    "SP-LH": (SPLHLoss, lambda a: sparse(a, "lh")),
    "AdaSP": (AdaSPLoss, lambda a: sparse(a, "ada")),
    "circle": (CircleLoss, circle),
    "multi-similarity": (MultiSimilarityLoss, multi_similarity),
    "SupCon": (SupConLoss, sup_con),
    "easy positive": (EasyPositiveLoss, easy_positive),
    "n-pair": (NPairLoss, n_pair),
    "n-pair of 2": (lambda: NPairLoss(2), lambda a: n_pair(a, 2)),
    "ranked list": (RankedListLoss, ranked_list),
}

D = 5


@pytest.fixture(params=LOOPS)
def both(request: pytest.FixtureRequest) -> tuple[Loss, Callable[[list[Anchor]], float]]:
    make, loop = LOOPS[request.param]
    return make(), loop


def batch(counts: Sequence[int], seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))[
        torch.randperm(sum(counts), generator=generator)
    ]
    centres = torch.randn(len(counts), D, dtype=torch.float64, generator=generator) + 0.5
    return centres[y] + 0.8 * torch.randn(len(y), D, dtype=torch.float64, generator=generator), y


def anchors_of(x: Tensor, y: Tensor) -> list[Anchor]:
    rows = list(zip(x.detach().numpy(), y.tolist(), strict=True))
    return [
        Anchor(
            own,
            label,
            [o for j, (o, other) in enumerate(rows) if other == label and j != i],
            [o for o, other in rows if other != label],
            itself=True,
        )
        for i, (own, label) in enumerate(rows)
    ]


BATCHES = {
    "unequal": (5, 2, 3, 1),
    "one identity": (4,),
    "all different": (1, 1, 1, 1),
    "one each but one": (3, 1, 1, 1, 1, 1),
    "one row": (1,),
}


@pytest.mark.parametrize("which", BATCHES)
def test_any_batch(both: tuple[Loss, Callable[[list[Anchor]], float]], which: str) -> None:
    loss, loop = both
    for seed in range(3):
        x, y = batch(BATCHES[which], seed)
        assert loss(x, y).item() == pytest.approx(loop(anchors_of(x, y)), rel=1e-10, abs=1e-12)


def crossing(x: Tensor, y: Tensor, infrared: Tensor, direction: bool) -> list[Anchor]:
    rows = list(zip(x.detach().numpy(), y.tolist(), infrared.tolist(), strict=True))
    return [
        Anchor(
            own,
            label,
            [o for o, other, theirs in rows if other == label and theirs != mine],
            [o for o, other, theirs in rows if other != label and theirs != mine],
            itself=False,
        )
        for own, label, mine in rows
        if mine == direction
    ]


def test_across_modalities(both: tuple[Loss, Callable[[list[Anchor]], float]]) -> None:
    loss, loop = both
    for seed in range(3):
        x, y = batch((5, 2, 4, 1, 1), seed)
        infrared = torch.rand(len(y), generator=torch.Generator().manual_seed(seed)) > 0.5
        expected = 2 * loop(crossing(x, y, infrared, False)) + 3 * loop(crossing(x, y, infrared, True))
        value = CrossModal(loss, visible=2, infrared=3)(x, y, modalities=infrared)
        assert value.item() == pytest.approx(expected, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("same_identity", ["exclude", "keep"])
def test_with_a_memory(both: tuple[Loss, Callable[[list[Anchor]], float]], same_identity: str) -> None:
    loss, loop = both
    remembering = CrossBatchMemory(loss, 8, D, same_identity=same_identity).double()
    past: list[tuple[np.ndarray, int]] = []
    for seed in range(5):
        x, y = batch((3, 1, 2), seed)
        anchors = anchors_of(x, y)
        for a in anchors:
            a.negatives += [o for o, label in past if label != a.label]
            a.positives += [o for o, label in past if label == a.label and same_identity == "keep"]
        assert remembering(x, y).item() == pytest.approx(loop(anchors), rel=1e-10, abs=1e-12)
        past = (past + list(zip(x.numpy(), y.tolist(), strict=True)))[-8:]


def test_with_a_memory_across_modalities(both: tuple[Loss, Callable[[list[Anchor]], float]]) -> None:
    """Whichever wrapper stands outside."""
    loss, loop = both
    wrapped = [
        AcrossRanks(CrossBatchMemory(CrossModal(loss), 8, D)),
        CrossModal(AcrossRanks(CrossBatchMemory(loss, 8, D))),
        CrossBatchMemory(CrossModal(AcrossRanks(loss)), 8, D),
    ]
    for each in wrapped:
        each.double()
        past: list[tuple[np.ndarray, int, bool]] = []
        for seed in range(4):
            x, y = batch((4, 3, 2), seed)
            infrared = torch.rand(len(y), generator=torch.Generator().manual_seed(seed)) > 0.5
            expected = 0.0
            for direction in (False, True):
                anchors = crossing(x, y, infrared, direction)
                for a in anchors:
                    a.negatives += [o for o, label, theirs in past if label != a.label and theirs != direction]
                expected += loop(anchors)
            assert each(x, y, modalities=infrared).item() == pytest.approx(expected, rel=1e-10, abs=1e-12)
            past = (past + list(zip(x.numpy(), y.tolist(), infrared.tolist(), strict=True)))[-8:]
