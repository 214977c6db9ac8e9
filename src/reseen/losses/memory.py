"""Embeddings of the past, kept in slots.

Dimensions: M slots, D components, N embeddings pushed at once.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from reseen.geometry import Stored


class Memory(nn.Module):
    """A ring of slots: the newest embeddings overwrite the oldest.

    What is pushed is written at the next `recall`, or when the state is saved: until then the step's gradient still
    reads the slots. The state is in buffers and thus saved, resumed and moved with the module.

    Args:
        slots: M.
        dim: D.
    """

    embeddings: Tensor
    labels: Tensor
    norms: Tensor
    filled: Tensor
    modalities: Tensor
    position: Tensor

    def __init__(self, slots: int, dim: int):
        super().__init__()
        if slots < 1 or dim < 1:
            raise ValueError(f"expected slots and dim of at least 1, got {slots} and {dim}")
        self.register_buffer("embeddings", torch.zeros(slots, dim))
        self.register_buffer("labels", torch.zeros(slots, dtype=torch.int64))
        self.register_buffer("norms", torch.zeros(slots))
        self.register_buffer("filled", torch.zeros(slots, dtype=torch.bool))
        self.register_buffer("modalities", torch.zeros(slots, dtype=torch.bool))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))
        self.pending: tuple[Tensor, Tensor, Tensor | None] | None = None
        self.register_state_dict_pre_hook(_write)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(_forget_pending)  # type: ignore[no-untyped-call]

    def recall(self, same_identity: Literal["exclude", "keep"] = "exclude") -> Stored:
        """Return the slots as candidates; those of the anchor's own identity count as positives, or not at all."""
        _write(self)
        return Stored(self.embeddings, self.labels, self.norms, self.filled, same_identity, self.modalities)

    def push(self, embeddings: Tensor, labels: Tensor, modalities: Tensor | None = None) -> None:
        """Remember embeddings (N, D) with labels (N,) and modalities (N,) bool; of more than M, the last M."""
        if embeddings.ndim != 2 or embeddings.shape[1] != self.embeddings.shape[1]:
            raise ValueError(f"expected embeddings (N, {self.embeddings.shape[1]}), got {tuple(embeddings.shape)}")
        _write(self)
        last = slice(-len(self.embeddings), None)
        self.pending = (
            embeddings.detach()[last].clone(),
            labels[last].clone(),
            None if modalities is None else modalities[last].clone(),
        )


def _forget_pending(memory: Memory, *_: Any) -> None:
    memory.pending = None


@torch.no_grad()
def _write(memory: Memory, *_: Any) -> None:
    """Write what is pending; also called, with more arguments, before the state is saved."""
    if memory.pending is None:
        return
    embeddings, labels, modalities = memory.pending
    memory.pending = None
    slots = (memory.position + torch.arange(len(labels), device=labels.device)) % len(memory.labels)
    embeddings = embeddings.to(memory.embeddings.dtype)
    memory.embeddings.index_copy_(0, slots, embeddings)
    memory.norms.index_copy_(0, slots, torch.linalg.vector_norm(embeddings, dim=1))
    memory.labels.index_copy_(0, slots, labels.to(memory.labels.dtype))
    memory.filled.index_fill_(0, slots, True)
    if modalities is not None:
        memory.modalities.index_copy_(0, slots, modalities)
    memory.position.add_(len(labels)).remainder_(len(memory.labels))
