"""Losses of other libraries, and of one's own, that are called with embeddings and labels alone.

Dimensions: B pictures, D components.
"""

from __future__ import annotations

import copy
import inspect

import torch
from torch import Tensor, nn

from reseen.geometry import Candidates
from reseen.losses import Loss


class LossAdapter(Loss):
    """Calls a module as ``loss(embeddings, labels)``; it compares a batch with itself, whatever the candidates.

    Args:
        module: Its forward gives a scalar from embeddings (B, D) and labels (B,).
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, embeddings: Tensor, labels: Tensor, candidates: Candidates | None = None) -> Tensor:
        """Return the module's loss; see `Loss.forward`."""
        value: Tensor = self.module(embeddings, labels)
        return value


class FromPML(Loss):
    """A loss of pytorch-metric-learning, with a miner or without, as the loss of a term.

    Candidates that a source brings become its ``ref_emb`` and ``ref_labels``; live ones among which the anchors are go
    in as the batch itself.

    Args:
        loss: From ``pytorch_metric_learning.losses``.
        miner: From ``pytorch_metric_learning.miners``; its pairs are the loss's ``indices_tuple``.
    """

    def __init__(self, loss: nn.Module, miner: nn.Module | None = None) -> None:
        super().__init__()
        self.loss = loss
        self.miner = miner

    def forward(self, embeddings: Tensor, labels: Tensor, candidates: Candidates | None = None) -> Tensor:
        """Return the loss; see `Loss.forward`.

        Raises:
            ValueError: The candidates are a memory or all ranks' batches, which such a loss has no place for.
        """
        references: dict[str, Tensor] = {}
        if candidates is not None and candidates.embeddings is not embeddings:
            if candidates.stored or candidates.offset is not None:
                raise ValueError(
                    "expected candidates apart from the batch for a loss of pytorch-metric-learning, got a memory or "
                    "several ranks' batches; use its own CrossBatchMemory, or a loss of reseen"
                )
            references = {"ref_emb": candidates.embeddings, "ref_labels": candidates.labels}
        pairs = None if self.miner is None else self.miner(embeddings, labels, **references)
        value: Tensor = self.loss(embeddings, labels, pairs, **references)
        return value


def as_loss(module: nn.Module, *, dim: int, num_identities: int) -> Loss:
    """Return a loss as it is, or any other module that is one behind an adapter, tried on a small batch first.

    Args:
        module: A ``Loss``, or any module with ``forward(embeddings, labels)``.
        dim: D.
        num_identities: Labels are below this.

    Raises:
        ValueError: It cannot be called so, or gives no scalar.
    """
    if Loss in type(module).__mro__ and _takes(module, 3):
        return module  # type: ignore[return-value]
    name = type(module).__name__
    if not _takes(module, 2):
        raise ValueError(
            f"expected a loss with forward(embeddings, labels), got {name} with "
            f"forward{inspect.signature(module.forward)}; write a module around it that has"
        )
    labels = torch.arange(8) // 2 % num_identities
    try:
        with torch.random.fork_rng(devices=[]):
            value = copy.deepcopy(module)(torch.randn(8, dim, requires_grad=True), labels)
    except Exception as error:  # Whatever the module does with what it does not take.
        line = str(error).partition("\n")[0]
        raise ValueError(
            f"expected {name} to take embeddings (8, {dim}) and labels (8,), got {type(error).__name__}: {line}"
        ) from error
    if not (isinstance(value, Tensor) and value.ndim == 0 and value.is_floating_point()):
        got = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise ValueError(f"expected one number, a loss, from {name}, got {got}; take its mean")
    return LossAdapter(module)


def _takes(module: nn.Module, count: int) -> bool:
    """Return whether a module's forward can be called with so many arguments by their place."""
    named = {"modalities": None} if getattr(module, "takes_modalities", False) else {}
    try:
        inspect.signature(module.forward).bind(*[None] * count, **named)
    except TypeError:
        return False
    return True
