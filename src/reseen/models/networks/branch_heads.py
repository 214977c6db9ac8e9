"""Heads of branches: a linear layer to fewer components, then a neck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from reseen.models.backbones.base import SideInfo
from reseen.models.layers.necks import Necked
from reseen.models.networks.base import HeadOptions, Outputs


class BranchHead(nn.Module):
    """A linear layer without bias, then a neck.

    Args:
        channels: C, of the pooled vectors.
        dim: Components that are left.
        options: Neck; ``own`` is ``rectified``, which all three papers have.
    """

    def __init__(self, channels: int, dim: int, options: HeadOptions) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, dim, bias=False)
        nn.init.kaiming_normal_(self.linear.weight, mode="fan_out")
        self.neck = options.build_neck(dim, own="rectified")

    def forward(self, pooled: Tensor, side: SideInfo) -> Necked:
        """Return feature and embedding (B, dim) from vectors (B, C)."""
        necked: Necked = self.neck(self.linear(pooled), side)
        return necked


class BranchHeads(nn.Module):
    """Heads of all branches of a network, in the order of their names.

    Args:
        channels: C, of the pooled vectors.
        dims: Name of a branch -> components that are left.
        options: As for ``BranchHead``.

    Attributes:
        dims: Name of an output -> its components, as ``Embedder`` has it.
    """

    def __init__(self, channels: int, dims: Mapping[str, int], options: HeadOptions) -> None:
        super().__init__()
        total = sum(dims.values())
        self.dims = {"feature": total, "embedding": total} | {f"branch.{name}": dim for name, dim in dims.items()}
        self.names = tuple(dims)
        # A list, since exported code cannot name a module ``global``.
        self.each = nn.ModuleList([BranchHead(channels, dim, options) for dim in dims.values()])

    def forward(self, pooled: Sequence[Tensor], side: SideInfo) -> Outputs:
        """Return the outputs from one (B, C) for each branch: all of them side by side, and each by its name."""
        necked: list[Necked] = [reduce(vectors, side) for reduce, vectors in zip(self.each, pooled, strict=True)]
        return Outputs(
            torch.cat([n.feature for n in necked], dim=1),
            torch.cat([n.embedding for n in necked], dim=1),
            {name: n.embedding for name, n in zip(self.names, necked, strict=True)},
        )
