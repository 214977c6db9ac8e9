"""Schedule of a training: epochs, learning rates and optimiser."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from reseen.losses import Loss
from reseen.training.objective import Objective

DEFAULT_LEARNING_RATE = 3.5e-3
DEFAULT_EPOCHS = 30
MIN_STEPS, MIN_STEPS_PRETRAINED = 1_000, 500


@dataclass(frozen=True)
class Schedule:
    """Epochs, learning rates and optimiser. Lengths are in epochs and may be fractions; rates change every step.

    Attributes:
        epochs: Passes over the training identities; None for as many as the data asks for: 30, and more where 30 are
            fewer than 1,000 steps (500 from pretrained weights).
        optimizer: ``adam`` (decay as part of the gradient, as the field has it), ``adamw`` (apart from it) or ``sgd``.
        learning_rate: Highest learning rate, after the warm-up; None for 0.0035, with sgd
            0.035, and a tenth of that for pretrained weights.
        momentum: Momentum of ``sgd``.
        nesterov: Nesterov momentum for ``sgd``.
        weight_decay: Weight decay.
        decay_vectors: Apply weight decay to biases and the scales of norms too.
        decay_biases: With ``decay_vectors``, apply it to biases; false: to the scales of norms only.
        pretrained_factor: Learning rate of the backbone's pretrained weights, relative to the rest.
        layer_decay: Learning rate of each layer of the backbone, relative to the layer after it: 0.65 to 0.9 for large
            pretrained transformers; None for one rate. For networks of timm.
        bias_factor: Learning rate of biases, relative to the rest.
        loss_factor: Learning rate of classifiers and proxies, relative to the rest.
        warmup: Epochs of linear warm-up, from ``warmup_factor``.
        warmup_factor: Learning rate at the start of the warm-up, relative to ``learning_rate``: a hundredth in
            strong-baseline, a tenth in fast-reid, a third in expAT's code.
        cosine_after: Epoch at which the cosine decay to ``final_factor`` begins; the highest rate until then.
        final_factor: Learning rate at the end of the cosine, relative to ``learning_rate``.
        milestones: Epochs at which the learning rate falls to a tenth, in place of the cosine; None for the cosine.
        freeze: Whole epochs for which the backbone's pretrained weights stay frozen.
        clip: Largest norm of the network's gradient; None for no limit.
        accumulation: Batches whose gradients are averaged into one step.
    """

    epochs: int | None = None
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float | None = None
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 5e-4
    decay_vectors: bool = True
    decay_biases: bool = True
    pretrained_factor: float = 1.0
    layer_decay: float | None = None
    bias_factor: float = 1.0
    loss_factor: float = 1.0
    warmup: float = 2.0
    warmup_factor: float = 0.01
    cosine_after: float = 0.0
    final_factor: float = 0.01
    milestones: tuple[float, ...] | None = None
    freeze: int = 0
    clip: float | None = None
    accumulation: int = 1

    def __post_init__(self) -> None:
        if (self.epochs is not None and self.epochs < 1) or self.accumulation < 1:
            raise ValueError(f"expected at least 1 epoch and 1 batch a step, got {self.epochs} and {self.accumulation}")
        if not (self.learning_rate is None or self.learning_rate > 0) or not 0 <= self.weight_decay < math.inf:
            raise ValueError(
                f"expected a learning rate above 0 and a weight decay from 0 on, "
                f"got {self.learning_rate} and {self.weight_decay}"
            )
        if self.layer_decay is not None and not 0 < self.layer_decay <= 1:
            raise ValueError(f"expected a layer_decay above 0, up to 1, got {self.layer_decay}")
        if not 0 < self.warmup_factor <= 1:
            raise ValueError(f"expected a warm-up from a factor above 0, up to 1, got {self.warmup_factor}")

    def resolved(self, *, steps_per_epoch: int, pretrained: bool) -> Schedule:
        """Return the schedule with numbers for what it leaves to the data and the model.

        Args:
            steps_per_epoch: Steps of an epoch.
            pretrained: Whether the backbone has pretrained weights.
        """
        values: dict[str, Any] = {}
        if self.epochs is None:
            least = MIN_STEPS_PRETRAINED if pretrained else MIN_STEPS
            values["epochs"] = max(DEFAULT_EPOCHS, -(-least // steps_per_epoch))
        if self.learning_rate is None:
            values["learning_rate"] = DEFAULT_LEARNING_RATE * (10 if self.optimizer == "sgd" else 1)
            values["pretrained_factor"] = self.pretrained_factor * (0.1 if pretrained else 1.0)
        return dataclasses.replace(self, **values)

    @property
    def length(self) -> int:
        """Epochs; where they are left to the data, those of much data."""
        return DEFAULT_EPOCHS if self.epochs is None else self.epochs

    def factor(self, epoch: float) -> float:
        """Return the learning rate at a time, in epochs from 0, relative to ``learning_rate``."""
        start = self.warmup_factor
        rise = 1.0 if epoch >= self.warmup else start + (1 - start) * epoch / self.warmup
        if self.milestones is not None:
            return float(rise * 0.1 ** sum(epoch >= m for m in self.milestones))
        done = max(0.0, epoch - self.cosine_after) / max(self.length - self.cosine_after, 1e-9)
        return rise * (self.final_factor + (1 - self.final_factor) * (1 + math.cos(math.pi * min(done, 1.0))) / 2)

    def optimizers(self, objective: Objective) -> list[torch.optim.Optimizer]:
        """Return the optimiser of the network and its losses, and one for losses that want a rate of their own.

        Every group's ``full_rate`` is what ``set_rates`` multiplies with ``factor``.
        """
        if self.learning_rate is None:
            known = self.resolved(steps_per_epoch=1, pretrained=objective.model.pretrained)
            return known.optimizers(objective)
        apart = own_rates(objective)
        taken = {id(p) for group in apart for p in group["params"]}
        groups = self._groups(objective, taken)
        if self.optimizer == "sgd":
            optimizers: list[torch.optim.Optimizer] = [
                torch.optim.SGD(groups, momentum=self.momentum, nesterov=self.nesterov)
            ]
        else:
            optimizers = [{"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[self.optimizer](groups)]
        return [*optimizers, torch.optim.SGD(apart)] if apart else optimizers

    def set_rates(self, optimizer: torch.optim.Optimizer, epoch: float) -> None:
        """Set the learning rates of a time; a group without ``full_rate`` keeps its own."""
        for group in optimizer.param_groups:
            if "full_rate" in group:
                group["lr"] = group["full_rate"] * self.factor(epoch)

    def _groups(self, objective: Objective, taken: set[int]) -> list[dict[str, Any]]:
        """Return the parameters that are not taken, grouped by learning rate and decay."""
        assert self.learning_rate is not None
        pretrained = {id(p) for p in objective.model.pretrained_parameters()}
        factors = self._layer_factors(objective)
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in objective.named_parameters():
            if not parameter.requires_grad or id(parameter) in taken:
                continue
            rate = self.learning_rate
            rate *= self.pretrained_factor if id(parameter) in pretrained else 1.0
            rate *= factors.get(id(parameter), 1.0)
            is_bias = name.endswith(".bias")
            rate *= self.bias_factor if is_bias else 1.0
            rate *= self.loss_factor if name.startswith("losses.") else 1.0
            decays = (parameter.ndim > 1 or self.decay_vectors) and (self.decay_biases or not is_bias)
            decay = self.weight_decay if decays else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
        return [
            {"params": parameters, "lr": rate, "full_rate": rate, "weight_decay": decay}
            for (rate, decay), parameters in groups.items()
        ]

    def _layer_factors(self, objective: Objective) -> dict[int, float]:
        """Return the factor of each of the backbone's parameters, by its id."""
        if self.layer_decay is None:
            return {}
        backbone = objective.model.network.backbone
        layers = backbone.layers()
        last = max(layers.values())
        return {
            id(parameter): self.layer_decay ** (last - layers[name])
            for name, parameter in backbone.named_parameters()
            if name in layers
        }


def own_rates(objective: Objective) -> list[dict[str, Any]]:
    """Return the parameters of losses that ask for plain SGD at a rate of their own, which no weight may change."""
    groups = []
    for loss, weight in zip(objective.losses, objective.weights.tolist(), strict=True):
        for module in loss.modules():
            parameters = list(module.parameters(recurse=False))
            rate = getattr(module, "learning_rate", None) if isinstance(module, Loss) else None
            if rate is not None and parameters and weight:
                groups.append({"params": parameters, "lr": rate / weight})
    return groups
