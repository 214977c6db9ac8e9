"""What huge pages of memory give to training on a CPU: Linux with glibc only.

Activations are large and short-lived, so that a plain allocation has the kernel clear them page by page at every step.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import torch
from benchmarks.memory import fastest, use_all_cores

from reseen.losses import AdaSPLoss, IdentityLoss
from reseen.models import Embedder, ModelSpec
from reseen.training import Objective, Plain, Term

HUGE = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
SPECS = [
    ("osnet_x0_25", 128, 64),
    ("timm:resnet18", 128, 64),
    ("timm:resnet50", 128, 64),
    ("osnet_x1_0", 256, 128),
    ("timm:resnet50", 256, 128),
]
BATCH, REPEATS, ROUNDS = 64, 3, 2


def seconds_of_steps() -> list[float]:
    """Return the least time of a training step of each network, in this process."""
    use_all_cores()
    images = {(h, w): torch.randint(0, 256, (BATCH, 3, h, w), dtype=torch.uint8) for _, h, w in SPECS}
    labels = torch.arange(BATCH) // 4
    found = []
    for name, height, width in SPECS:
        model = Embedder(ModelSpec(name, height, width), pretrained=False)
        objective = Objective(model, [Term(IdentityLoss()), Term(AdaSPLoss())], BATCH // 4).train()
        optimizer = torch.optim.Adam(objective.parameters())

        def step(objective: Objective, optimizer: torch.optim.Adam, size: tuple[int, int]) -> None:
            objective(images[size], labels, None, Plain()).sum().backward()
            optimizer.step()
            optimizer.zero_grad()

        found += fastest(lambda o=objective, s=optimizer, hw=(height, width): step(o, s, hw), repeats=REPEATS)  # type: ignore[misc]
    return found


def main() -> None:
    least = {"plain": [float("inf")] * len(SPECS), "huge": [float("inf")] * len(SPECS)}
    for _ in range(ROUNDS):
        for kind, more in (("plain", {}), ("huge", HUGE)):
            # What memory is made of is settled when a process starts.
            command = [
                sys.executable,
                "-c",
                "from benchmarks import huge_pages as h; print(h.json.dumps(h.seconds_of_steps()))",
            ]
            answer = subprocess.run(command, env={**os.environ, **more}, stdout=subprocess.PIPE, check=True, text=True)
            least[kind] = [min(pair) for pair in zip(least[kind], json.loads(answer.stdout), strict=True)]
    for (name, height, width), plain, huge in zip(SPECS, least["plain"], least["huge"], strict=True):
        print(
            f"  {name} {height}x{width}: {BATCH / plain:.0f} images/s in training, {BATCH / huge:.0f} with huge pages, "
            f"{plain / huge:.2f} times as fast"
        )


if __name__ == "__main__":
    main()
