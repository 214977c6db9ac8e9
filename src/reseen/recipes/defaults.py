"""Losses that are trained with where nothing is said, and the flags about single losses. Needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reseen.losses.base import Role

# Where a loss goes that is added: metric losses before the neck, classifiers after it.
OUTPUTS: dict[Role, str] = {"identity": "embedding", "metric": "feature", "auxiliary": "feature"}
# What is trained where nothing is said.
DEFAULT_LOSSES: dict[Role, str] = {"identity": "reseen.losses.IdentityLoss", "metric": "reseen.losses.AdaSPLoss"}
DEFAULT_TERMS: list[dict[str, Any]] = [
    {"loss": {"class_path": path}, "output": OUTPUTS[role], "weight": None} for role, path in DEFAULT_LOSSES.items()
]
# Flags and settings about single losses, and the role of the terms that they change.
LOSS_FLAGS: dict[str, Role] = {"loss": "metric", "identity_loss": "identity"}
