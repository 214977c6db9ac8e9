"""The batches that the golden values belong to, drawn again from their seeds."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

DATA = json.loads((Path(__file__).parent / "data" / "golden.json").read_text())


@dataclass(frozen=True)
class Case:
    """Embeddings x (P * K, D) with labels y, class weights W (P, D), class centres, and a memory."""

    x: Tensor
    y: Tensor
    weight: Tensor
    centres: Tensor
    memory_x: Tensor
    memory_y: Tensor


@cache
def make_case(seed: int, P: int, K: int, D: int, sigma: float) -> Case:
    # The order of the draws is what makes these the batches of the golden values.
    rng = np.random.default_rng(seed)
    common = rng.standard_normal(D)
    centres = rng.standard_normal((P, D))
    noise = rng.standard_normal((P * K, D))
    y = np.repeat(np.arange(P), K)
    weight = rng.standard_normal((D, P)).T
    class_centres = rng.standard_normal((P, D)) / np.sqrt(D)
    memory_y = rng.integers(0, P, size=256)
    memory_noise = rng.standard_normal((256, D))

    def embeddings(labels: Any, noise: Any) -> Tensor:
        return torch.tensor(((common + centres[labels] + sigma * noise) / np.sqrt(D)).astype(np.float32))

    return Case(
        embeddings(y, noise),
        torch.tensor(y),
        torch.tensor(weight.copy()),
        torch.tensor(class_centres),
        embeddings(memory_y, memory_noise),
        torch.tensor(memory_y),
    )


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """Loss -> case -> ``"f32"`` or ``"f64"`` -> (value, length of the gradient)."""
    losses: dict[str, Any] = DATA["losses"]
    return losses


@pytest.fixture(scope="session")
def case() -> Callable[[str], Case]:
    return lambda name: make_case(**DATA["cases"][name])
