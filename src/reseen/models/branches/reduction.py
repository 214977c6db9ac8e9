"""What ends every branch: fewer components, then a neck."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from reseen.models.backbones.base import Side
from reseen.models.necks import Necked, build_neck
from reseen.models.outputs import Outputs


class Reduction(nn.Module):
    """A linear layer without bias, then a neck.

    Args:
        channels: C, of the pooled vectors.
        dim: Components that are left.
        neck: As ``build_neck`` takes it.
        per_modality: As ``build_neck`` takes it.
    """

    def __init__(self, channels: int, dim: int, *, neck: str, per_modality: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, dim, bias=False)
        nn.init.kaiming_normal_(self.linear.weight, mode="fan_out")
        self.neck = build_neck(neck, dim, per_modality=per_modality)

    def forward(self, pooled: Tensor, side: Side) -> Necked:
        """Return feature and embedding (B, dim) from vectors (B, C)."""
        necked: Necked = self.neck(self.linear(pooled), side)
        return necked


def concatenate(branches: Mapping[str, Necked]) -> Outputs:
    """Return the outputs of a network of branches: all of them side by side, and each by its name."""
    return Outputs(
        torch.cat([b.feature for b in branches.values()], dim=1),
        torch.cat([b.embedding for b in branches.values()], dim=1),
        {name: b.embedding for name, b in branches.items()},
    )


def dims_of(branches: Mapping[str, int]) -> dict[str, int]:
    """Return the components of every output from those of every branch."""
    total = sum(branches.values())
    return {"feature": total, "embedding": total} | {f"branch.{name}": dim for name, dim in branches.items()}
