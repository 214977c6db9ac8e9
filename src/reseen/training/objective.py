"""The training objective: a weighted sum of loss terms, each on one output of the network.

Dimensions: B pictures, T terms.
"""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import filter as matching

import torch
from torch import Tensor, nn

from reseen.losses import AdaSPLoss, ClassifierLoss, IdentityLoss, Loss, PairLoss
from reseen.losses.base import Role
from reseen.models import Embedder, Outputs
from reseen.training.candidate_source import CandidateSource
from reseen.training.loss_adapter import LossAdapter, as_loss
from reseen.types import ObjectKind


@dataclass(frozen=True)
class Term:
    """A loss, the output it is taken on, and its weight in the sum.

    Attributes:
        loss: Any loss, also of another library: a module with ``forward(embeddings, labels)``.
        output: ``feature`` (before the neck, where metric losses belong), ``embedding`` (after it, where the classifier
            belongs), a branch, or a pattern such as ``branch.*``: then each output that matches has the loss, with
            the weight, and a classifier of its own. Names with a ``+`` between them, as in
            ``branch.part_2_1+branch.part_2_2``, are one output: these side by side.
        weight: Factor in the sum; None for the loss's own (`Loss.default_weight`): 0.1 for AdaSP on persons, 0.5 on
            vehicles, 1 for most.
        role: ``identity`` for a classifier, ``metric`` for a loss that compares pictures, ``auxiliary`` for one beside
            these; None for what the loss's class says. It changes no value: flags and studies find terms by it.
    """

    loss: Loss
    output: str = "embedding"
    weight: float | None = None
    role: Role | None = None

    def weighted(self, kind: ObjectKind | None = None) -> Term:
        """Return the term with a number for its weight, where pictures show objects of a kind."""
        if self.weight is not None:
            return self
        own = self.loss.default_weight(kind) if hasattr(self.loss, "default_weight") else 1.0
        return dataclasses.replace(self, weight=own)


def default_terms() -> list[Term]:
    """Return the terms of a training that names none: a classifier on the embedding, a metric loss before the neck."""
    return [Term(IdentityLoss()), Term(AdaSPLoss(), "feature")]


class Objective(nn.Module):
    """A network and its terms, as one module: ranks average the gradients of both.

    Args:
        model: The network.
        terms: At least one.
        num_identities: How many classes a loss with a classifier has.

    Attributes:
        names: T names, such as ``AdaSPLoss on feature``.
        weights: (T,).

    Raises:
        ValueError: There is no term, one is on an output that the network does not have, or a loss does not fit.
    """

    weights: Tensor

    def __init__(self, model: Embedder, terms: Sequence[Term], num_identities: int) -> None:
        super().__init__()
        if not terms:
            raise ValueError("expected at least one term, got none; give a loss to train with")
        self.model = model
        self.losses = nn.ModuleList()
        self.outputs: list[str] = []
        weights = []
        for term in terms:
            outputs = outputs_of(term.output, model.dims)
            copies = [copy.deepcopy(term.loss) for _ in outputs[1:]]
            for loss, output in zip([term.loss, *copies], outputs, strict=True):
                dim = dim_of(output, model.dims)
                size(loss, num_identities, dim)
                self.losses.append(as_loss(loss, dim=dim, num_identities=num_identities))
                self.outputs.append(output)
                weights.append(term.weighted().weight)
        self.register_buffer("weights", torch.tensor(weights), persistent=False)
        self.names = distinct(
            f"{loss_name(loss)} on {output}" for loss, output in zip(self.losses, self.outputs, strict=True)
        )

    @property
    def pair_outputs(self) -> list[str]:
        """Names of the outputs that a loss over pairs is taken on."""
        over_pairs = (any(isinstance(part, PairLoss) for part in loss.modules()) for loss in self.losses)
        return list(dict.fromkeys(name for name, is_one in zip(self.outputs, over_pairs, strict=True) if is_one))

    def forward(
        self, images: Tensor, labels: Tensor, modalities: Tensor | None, source: CandidateSource, **places: Tensor
    ) -> Tensor:
        """Return the terms' values (T,), without their weights.

        Args:
            images: (B, 3, H, W) uint8.
            labels: (B,) int64, from 0.
            modalities: (B,) int64, 0 visible and 1 infrared; None where there is one kind only.
            source: Says what the batch is compared with.
            **places: Cameras and views, (B,) each, for a network that takes them.
        """
        outputs = self.model(images, modalities=modalities, **places)
        candidates = source.candidates(outputs, images, labels, modalities)
        values = []
        for loss, name in zip(self.losses, self.outputs, strict=True):
            extra = {"modalities": modalities.bool()} if loss.takes_modalities and modalities is not None else {}
            values.append(loss(output(outputs, name), labels, candidates.get(name), **extra))
        return torch.stack(values)


def outputs_of(pattern: str, names: Collection[str]) -> list[str]:
    """Return the outputs that a term is taken on: all that its pattern matches, or the one that it joins with ``+``.

    Raises:
        ValueError: The network has no such output.
    """
    parts = pattern.split("+")
    outputs = matching(names, pattern) if len(parts) == 1 else [pattern] * (set(parts) <= set(names))
    if not outputs:
        raise ValueError(f"expected a term on one of {', '.join(names)}, got {pattern!r}")
    return outputs


def output(outputs: Outputs, name: str) -> Tensor:
    """Return the output of a name: ``feature``, ``embedding``, ``branch.NAME``, or several joined by ``+``."""
    if "+" in name:
        return torch.cat([output(outputs, part) for part in name.split("+")], dim=1)
    vectors: Tensor = outputs.branches[name[7:]] if name.startswith("branch.") else getattr(outputs, name)
    return vectors


def dim_of(name: str, dims: Mapping[str, int]) -> int:
    """Return how many components an output has; of several joined by ``+``, all together."""
    return sum(dims[part] for part in name.split("+"))


def size(loss: nn.Module, num_identities: int, dim: int) -> None:
    """Make the parameters of a loss, or of one that it wraps, which wait for the number of identities."""
    for module in loss.modules():
        if isinstance(module, ClassifierLoss) and module.weight is None:
            module.build(num_identities, dim)


def loss_name(loss: nn.Module) -> str:
    """Return a loss's name and, in brackets, that of the one inside: ``AcrossRanks(HELoss)``."""
    if isinstance(loss, LossAdapter):
        return loss_name(loss.module)
    inside = getattr(loss, "loss", None)
    return f"{type(loss).__name__}({loss_name(inside)})" if isinstance(inside, Loss) else type(loss).__name__


def distinct(names: Iterable[str]) -> list[str]:
    """Return the names, with a number behind each that came before."""
    seen: Counter[str] = Counter()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return numbered


def synchronise_batch_norm(objective: Objective, device: torch.device) -> None:
    """Let the batch norm of a network take its statistics of all ranks' parts of a batch; weights keep their names.

    Raises:
        ValueError: It is on a CPU, for which torch has none.
    """
    if device.type == "cpu":
        raise ValueError("expected GPUs to synchronise batch norm, got CPUs; leave sync_batch_norm out")
    nn.SyncBatchNorm.convert_sync_batchnorm(objective)  # type: ignore[no-untyped-call]
