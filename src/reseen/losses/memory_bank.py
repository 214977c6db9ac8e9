"""Memory bank: a queue of past embeddings.

Dimensions: M slots, D components, N embeddings pushed at once.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.module_tracker import ModuleTracker

from reseen.geometry import MemoryCandidates


class MemoryBank(nn.Module):
    """Memory bank: a queue of fixed size, in which the newest embeddings overwrite the oldest.

    What is pushed is written at the next `recall`, or when the state is saved: until then the step's gradient still
    reads the slots. If it does then as well (see `keep_for`), a copy is written to, and the gradient reads what was
    there. An embedding that is not finite takes a slot, and is a candidate for nobody. The state is in buffers and thus
    saved, resumed and moved with the module.

    Args:
        memory_size: M.
        dim: D.

    Example:
        >>> memory = MemoryBank(memory_size=2, dim=1)
        >>> memory.push(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([7, 8, 9]))
        >>> memory.recall().labels  # the newest two
        tensor([8, 9])
    """

    embeddings: Tensor
    labels: Tensor
    norms: Tensor
    filled: Tensor
    modalities: Tensor
    position: Tensor

    def __init__(self, memory_size: int, dim: int):
        super().__init__()
        if memory_size < 1 or dim < 1:
            raise ValueError(f"expected memory_size and dim of at least 1, got {memory_size} and {dim}")
        self.register_buffer("embeddings", torch.zeros(memory_size, dim))
        self.register_buffer("labels", torch.zeros(memory_size, dtype=torch.int64))
        self.register_buffer("norms", torch.zeros(memory_size))
        self.register_buffer("filled", torch.zeros(memory_size, dtype=torch.bool))
        self.register_buffer("modalities", torch.zeros(memory_size, dtype=torch.bool))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))
        self.pending: tuple[Tensor, Tensor, Tensor | None] | None = None
        self.readers: set[object] = set()
        self.register_state_dict_pre_hook(_write)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(_forget_pending)  # type: ignore[no-untyped-call]

    def recall(self, same_identity: Literal["exclude", "keep"] = "exclude") -> MemoryCandidates:
        """Return the slots as candidates; those of the anchor's own identity count as positives, or not at all.

        Raises:
            RuntimeError: Called while gradients are made, as activation checkpointing does.
        """
        _require_forward_pass()
        _write(self)
        return MemoryCandidates(self.embeddings, self.labels, self.norms, self.filled, same_identity, self.modalities)

    def push(self, embeddings: Tensor, labels: Tensor, modalities: Tensor | None = None) -> None:
        """Remember embeddings (N, D) with labels (N,) and modalities (N,) bool; of more than M, the last M.

        Raises:
            ValueError: The embeddings are not (N, D).
            RuntimeError: As of `recall`.
        """
        _require_forward_pass()
        if embeddings.ndim != 2 or embeddings.shape[1] != self.embeddings.shape[1]:
            raise ValueError(f"expected embeddings (N, {self.embeddings.shape[1]}), got {tuple(embeddings.shape)}")
        _write(self)
        last = slice(-len(self.embeddings), None)
        self.pending = (
            embeddings.detach()[last].clone(),
            labels[last].clone(),
            None if modalities is None else modalities[last].clone(),
        )

    def keep_for(self, loss: Tensor) -> None:
        """Keep what was recalled as it is until the gradient of a loss (scalar), which reads it, is made."""
        if not loss.requires_grad or torch.compiler.is_compiling():
            return
        if (
            not self.training
        ):  # Nothing is written, perhaps for ever: one mark for all, at the price of a copy later on.
            self.readers.add(None)
            return
        reader, readers = object(), self.readers
        readers.add(reader)
        loss.register_hook(lambda _: readers.discard(reader))  # type: ignore[no-untyped-call]


def _require_forward_pass() -> None:
    if not torch.compiler.is_compiling() and ModuleTracker().is_bw:
        raise RuntimeError(
            "expected a memory to be called in the forward pass alone, got a call in the backward pass: activation "
            "checkpointing would compare a batch with itself; checkpoint the network, and call the loss outside"
        )


def _forget_pending(memory: MemoryBank, *_: Any) -> None:
    memory.pending = None


@torch.no_grad()
def _write(memory: MemoryBank, *_: Any) -> None:
    """Write what is pending; also called, with more arguments, before the state is saved."""
    if memory.pending is None:
        return
    embeddings, labels, modalities = memory.pending
    memory.pending = None
    if memory.readers:
        memory.readers = set()
        for name, buffer in memory.named_buffers():
            setattr(memory, name, buffer.clone())
    slots = (memory.position + torch.arange(len(labels), device=labels.device)) % len(memory.labels)
    embeddings = embeddings.to(memory.embeddings.dtype)
    norms = torch.linalg.vector_norm(embeddings, dim=1)
    finite = norms.isfinite()
    # Zeros in place of what is not finite: a product with it would be NaN, whatever its mask.
    memory.embeddings.index_copy_(0, slots, embeddings.masked_fill(~finite[:, None], 0))
    memory.norms.index_copy_(0, slots, norms.masked_fill(~finite, 0))
    memory.labels.index_copy_(0, slots, labels.to(memory.labels.dtype))
    memory.filled.index_copy_(0, slots, finite)
    if modalities is not None:
        memory.modalities.index_copy_(0, slots, modalities)
    memory.position.add_(len(labels)).remainder_(len(memory.labels))
