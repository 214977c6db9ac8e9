"""What huge pages of memory give to training on a CPU: Linux with glibc only.

Activations are large and short-lived, so that a plain allocation has the kernel clear them page by page at every step.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from unittest.mock import patch

import numpy as np
import torch
from benchmarks.memory import fastest, use_all_cores

from reseen.losses import AdaSPLoss, IdentityLoss
from reseen.models import Embedder, ModelSpec
from reseen.training import BatchCandidates, Objective, Term

HUGE = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
SPECS = [
    ("osnet_x0_25", 128, 64),
    ("timm:resnet18", 128, 64),
    ("timm:resnet50", 128, 64),
    ("osnet_x1_0", 256, 128),
    ("timm:resnet50", 256, 128),
]
BATCH, REPEATS, ROUNDS = 64, 3, 2


def training_step(name: str, height: int, width: int) -> Callable[[], None]:
    """Return a network's training step."""
    use_all_cores()
    images, labels = torch.randint(0, 256, (BATCH, 3, height, width), dtype=torch.uint8), torch.arange(BATCH) // 4
    model = Embedder(ModelSpec(name, height, width), pretrained=False)
    objective = Objective(model, [Term(IdentityLoss()), Term(AdaSPLoss())], BATCH // 4).train()
    optimizer = torch.optim.Adam(objective.parameters())

    def step() -> None:
        objective(images, labels, None, BatchCandidates()).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def seconds_of_step(name: str, height: int, width: int) -> float:
    """Return the least time of a network's training step."""
    return fastest(training_step(name, height, width), repeats=REPEATS)[0]


def in_new_process(
    environment: dict[str, str],
    seconds: Callable[[str, int, int], float] = seconds_of_step,
    specs: Sequence[tuple[str, int, int]] = SPECS,
) -> list[float]:
    """Return the times of networks; what memory is made of, and how threads wait, is settled when a process starts."""
    with patch.dict(os.environ, environment), ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return list(process.map(seconds, *zip(*specs, strict=True)))


def main() -> None:
    least = np.min([(in_new_process({}), in_new_process(HUGE)) for _ in range(ROUNDS)], axis=0)
    for (name, height, width), plain, huge in zip(SPECS, *least, strict=True):
        print(
            f"  {name} {height}x{width}: {BATCH / plain:.0f} images/s in training, {BATCH / huge:.0f} with huge pages, "
            f"{plain / huge:.2f} times as fast"
        )


if __name__ == "__main__":
    main()
