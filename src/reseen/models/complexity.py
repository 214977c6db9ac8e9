"""What a network costs: parameters, arithmetic, and time on the machine at hand."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from reseen.models.embedder import Embedder


@dataclass(frozen=True)
class Complexity:
    """What one picture costs.

    Attributes:
        parameters: How many numbers the network has, classifiers of losses not counted.
        flops: Multiplications and additions of convolutions and matrix products for one picture; twice the
            multiply-accumulates that papers give.
        images_per_second: Embedded on this machine, at the best of the batches timed.
        batch: Pictures in each of these batches.
    """

    parameters: int
    flops: int
    images_per_second: float
    batch: int


@torch.no_grad()
def complexity(model: Embedder, *, batch: int = 16, repeats: int = 3) -> Complexity:
    """Measure a model in evaluation, on the device where it is; its mode is put back afterwards.

    Args:
        model: Any.
        batch: Pictures at a time.
        repeats: Batches timed, after one that is not; the fastest counts.
    """
    device = model.pixels.mean.device
    images = torch.zeros(batch, 3, *model.pixels.size, dtype=torch.uint8, device=device)
    modalities = torch.zeros(batch, dtype=torch.int64, device=device)
    was = model.training
    model.eval()
    with FlopCounterMode(display=False) as counter:
        model.embed(images[:1], modalities=modalities[:1])
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        # Reading a number waits for the device.
        model.embed(images, modalities=modalities).sum().item()
        seconds.append(time.perf_counter() - start)
    model.train(was)
    return Complexity(
        sum(p.numel() for p in model.parameters()), counter.get_total_flops(), batch / min(seconds[1:]), batch
    )
