"""A network and a data set so small that a run takes a moment, with everything in them that a resume could lose."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reseen.loading import IdentityBatchSampler
from reseen.losses import AdaSPLoss, IdentityLoss
from reseen.models import Backbone, Embedder, ModelSpec, SideInfo
from reseen.protocols import cross_camera
from reseen.training import BestScore, Schedule, Term, train
from reseen.types import Benchmark, Sample

HEIGHT, WIDTH = 16, 8


class Tiny(Backbone):
    """One convolution; batch norm and dropout, whose statistics and random numbers a resume must not lose."""

    channels = dim = 8
    dropout = 0.2

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 5, stride=2)
        self.bn = nn.BatchNorm2d(8)

    def forward(self, images: Tensor, side: SideInfo) -> Tensor:
        return nn.functional.dropout(self.bn(self.conv(images)).relu(), self.dropout, self.training)

    def pool(self, raw: Tensor) -> Tensor:
        return raw.mean((2, 3))


class Steady(Tiny):
    """The same for two ranks to agree on: nothing in it depends on a rank's part of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.Identity()  # type: ignore[assignment]

    dropout = 0.0


def paint(identity: int, number: int) -> NDArray[np.uint8]:
    colours = np.random.default_rng(identity).integers(0, 256, (2, 1, 3))
    noise = np.random.default_rng([identity, number]).normal(0, 40, (HEIGHT, WIDTH, 3))
    picture = np.repeat(np.repeat(colours, HEIGHT // 2, 0), WIDTH, 1) + noise
    return picture.clip(0, 255).astype(np.uint8)


def samples(identities: range, pictures: int = 6) -> tuple[Sample, ...]:
    return tuple(
        Sample(f"{i}_{n}", i, camera=n % 2, draw=partial(paint, i, n)) for i in identities for n in range(pictures)
    )


def data() -> Benchmark:
    test = samples(range(100, 106), 4)
    return Benchmark("tiny", samples(range(8)), test[::2], test[1::2], cross_camera)


def model(backbone: str = "Tiny", seed: int = 0, **changes: Any) -> Embedder:
    torch.manual_seed(seed)
    return Embedder(ModelSpec(f"tests.training.tiny.{backbone}", height=HEIGHT, width=WIDTH, **changes))


def terms() -> list[Term]:
    return [Term(IdentityLoss()), Term(AdaSPLoss(), output="feature", weight=0.5)]


def run(out: Path, **changes: Any) -> tuple[Embedder, BestScore]:
    """Train for 3 epochs of 6 steps; the keyword arguments are those of ``train``, or replace the first ones."""
    given: dict[str, Any] = {
        "data": data(),
        "model": model(),
        "terms": terms(),
        "batches": IdentityBatchSampler(4, 2),
        "schedule": Schedule(epochs=3, warmup=1, learning_rate=3.5e-4),
        "evaluate_every": 1,
        "log_every": 2,
        **changes,
    }
    best_score = train(out=out, **given)
    return given["model"], best_score


def same(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
