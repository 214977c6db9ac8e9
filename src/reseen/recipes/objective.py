"""Losses in settings: the terms of an objective as plain values, as recipes and ``config.yaml`` have them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from reseen import losses
from reseen.losses.base import Role

Settings = dict[str, Any]


def role_of(term: Mapping[str, Any]) -> Role:
    """Return the role of a term: the one that it names, or that of its loss's class, within any wrappers.

    Args:
        term: Plain values; ``loss`` is a class's name, or ``{class_path: ..., init_args: ...}``.

    Raises:
        ValueError: There is no such class.
    """
    role: Role = term.get("role") or _role_of_loss(term["loss"])
    return role


def _role_of_loss(loss: str | Mapping[str, Any]) -> Role:
    path, arguments = (loss, {}) if isinstance(loss, str) else (loss["class_path"], loss.get("init_args") or {})
    kind = _class(str(path))
    wrapped = arguments.get("loss")
    if issubclass(kind, losses.Wrapper) and wrapped:
        return _role_of_loss(wrapped)
    role: Role = getattr(kind, "role", "metric")
    return role


def _class(path: str) -> type:
    module, _, name = path.rpartition(".")
    found = getattr(losses, name, None)
    if found is None or module not in ("", "reseen.losses", getattr(found, "__module__", "")):
        try:
            found = getattr(importlib.import_module(module), name) if module else None
        except (ImportError, AttributeError):
            found = None
    if not isinstance(found, type):
        raise ValueError(f"expected a loss among {', '.join(losses.__all__)}, or package.Class, got {path!r}")
    return found
