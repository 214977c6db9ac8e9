"""A small benchmark of made-up pictures, embedded by made-up models."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from reseen.evaluation import evaluate
from reseen.protocols import cross_camera
from reseen.reporting import Outcome
from reseen.types import Benchmark, Embeddings, Sample

IDENTITIES, CAMERAS, SHOTS = 8, 2, 3


def draw(red: int, green: int, *, height: int = 32, width: int = 16) -> NDArray[np.uint8]:
    picture = np.full((height, width, 3), 90, np.uint8)
    picture[8:24, 4:12] = (red, green, 60)
    picture.flags.writeable = False  # as of a decoder that keeps its pictures
    return picture


def drawn(identity: int | str, camera: int, shot: int, *, modality: str | None = None) -> Sample:
    number = identity if isinstance(identity, int) else 3
    name = f"{identity}_{camera}_{shot}.png"
    return Sample(
        name, identity, camera, modality, draw=partial(draw, 25 * number + 20, (80 * camera + 9 * shot) % 256)
    )


def embedded(samples: tuple[Sample, ...], *, noise: float, seed: int) -> Embeddings:
    """Give each numbered identity a direction of its own, those with other names the first one, and noise to all."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.eye(IDENTITIES + 1)[[s.identity if isinstance(s.identity, int) else 0 for s in samples]]
    return Embeddings.of(centres + noise * torch.randn(centres.shape, generator=generator), samples)


def found(benchmark: Benchmark, *, noise: float = 0.6, seed: int = 0) -> Outcome:
    query = embedded(benchmark.query, noise=noise, seed=seed)
    gallery = embedded(benchmark.gallery, noise=noise, seed=seed + 1)
    return Outcome(evaluate(query, gallery, benchmark.protocol), query, gallery)


@pytest.fixture
def benchmark() -> Benchmark:
    samples = [drawn(i, c, n) for i in range(1, IDENTITIES + 1) for c in range(1, CAMERAS + 1) for n in range(SHOTS)]
    query = tuple(s for s in samples if s.path.endswith("_0.png"))
    return Benchmark("Drawn", (), query, tuple(s for s in samples if s not in query), cross_camera)


@pytest.fixture
def search() -> Callable[..., Outcome]:
    return found


@pytest.fixture
def draw_sample() -> Callable[..., Sample]:
    return drawn


@pytest.fixture
def outcome(benchmark: Benchmark) -> Outcome:
    return found(benchmark)
