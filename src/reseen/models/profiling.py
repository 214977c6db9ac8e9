"""Profiling of models: parameters, multiply-accumulates, images a second."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from reseen.models.embedder import Embedder
from reseen.models.mode import eval_mode, train_mode


@dataclass(frozen=True)
class Complexity:
    """Cost of a model for one picture.

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
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode  # It imports Triton where there is one.

    images, modalities = _blank(model, batch)
    with eval_mode(model):
        # Attention in one kernel is not counted everywhere; its products one by one are.
        with _without_gradients(model), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            model.embed(images[:1], modalities=modalities[:1])
        seconds = []
        for _ in range(repeats + 1):
            start = time.perf_counter()
            # Reading a number waits for the device.
            model.embed(images, modalities=modalities).sum().item()
            seconds.append(time.perf_counter() - start)
    return Complexity(
        sum(p.numel() for p in model.parameters()), counter.get_total_flops(), batch / min(seconds[1:]), batch
    )


def kept_bytes(model: Embedder) -> int:
    """Return the activation memory of one picture in a training step, in bytes of float32.

    Counted, not measured: the tensors that the network saves for its gradient, its parameters apart.
    """
    images, modalities = _blank(model, 2)  # batch norm wants two
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    sizes: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    state = {name: value.clone() for name, value in model.named_buffers()}
    saving = torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor)
    with train_mode(model), torch.enable_grad(), saving:
        outputs = model(images, modalities=modalities)
    for name, value in model.named_buffers():
        value.copy_(state[name])
    del outputs
    return sum(size for place, size in sizes.items() if place not in parameters) // len(images)


@contextlib.contextmanager
def _without_gradients(model: nn.Module) -> Iterator[None]:
    """Let no parameter want a gradient: the counter looks for that of a parameter that goes through a layer."""
    wanting = [p for p in model.parameters() if p.requires_grad]
    try:
        for parameter in wanting:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in wanting:
            parameter.requires_grad_(True)


def _blank(model: Embedder, batch: int) -> tuple[Tensor, Tensor]:
    """Return black, visible pictures (B, 3, H, W) and their modalities (B,), where the model is."""
    device = model.pixels.mean.device
    images = torch.zeros(batch, 3, *model.pixels.size, dtype=torch.uint8, device=device)
    return images, torch.zeros(batch, dtype=torch.int64, device=device)
