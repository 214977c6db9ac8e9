"""What every network gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor


class Outputs(NamedTuple):
    """What the losses of a training step attach to.

    Attributes:
        feature: (B, D), before the neck.
        embedding: (B, D), after the neck; what is searched with.
        branches: Name -> (B, d) of each branch, after its neck; empty for networks with one branch.
    """

    feature: Tensor
    embedding: Tensor
    branches: Mapping[str, Tensor]
