"""Settings of ``reseen train`` as plain values: what all runs of a study share, and what sets one apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reseen import losses
from reseen.losses import IdentityLoss
from reseen.recipes import settings_of

Settings = dict[str, Any]

CLASSES = ("loss", "identity_loss", "scheme")  # may be given by name alone, where nothing else is said of them

# What `reseen train` takes where nothing is said.
USUAL = {
    "loss": {"class_path": "reseen.losses.AdaSPLoss"},
    "identity_loss": {"class_path": "reseen.losses.IdentityLoss"},
}


def shared(resolved: Mapping[str, Any] | None, *, recipe: str | None, settings: Mapping[str, Any] | None) -> Settings:
    """Return what all runs of a study share: a recipe, changed by settings, on the study's own data.

    Args:
        resolved: All settings of the study as plain values; its ``data`` is taken.
        recipe: Its name; None for none.
        settings: Anything that ``reseen train --config`` takes.

    Raises:
        RunError: There is no such recipe.
    """
    base: Settings = {} if recipe is None else settings_of(recipe)
    return merged(base, {**(settings or {}), "data": (resolved or {})["data"]})


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Settings:
    """Return settings with changes, group by group; a class with its arguments is replaced as a whole."""
    result: Settings = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        grouped = isinstance(value, Mapping) and isinstance(old, Mapping) and "class_path" not in value
        result[key] = merged(old, value) if grouped else value  # type: ignore[arg-type]
    return result


def changed(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> Settings:
    """Return settings with changes named as flags are: ``loss.temperature`` is the argument of the loss's class.

    Where the settings have terms, ``loss.temperature`` is that of every metric loss there.

    Raises:
        ValueError: What has no parts is asked for one, or terms for what they do not share.
    """
    result: Settings = dict(settings)
    for name, value in changes.items():
        if result.get("terms") and name.split(".")[0] in (*USUAL, "loss_weight", "loss_on"):
            result["terms"] = [_with_term(term, name, value) for term in result["terms"]]
            continue
        named = name in USUAL and isinstance(value, str)
        result = _with(result, name.split("."), {"class_path": _class_path(value)} if named else value, name)
    return result


def _with_term(term: Mapping[str, Any], name: str, value: Any) -> Settings:
    if not name.startswith("loss."):
        raise ValueError(f"expected settings with one metric loss to change {name}, got a list of terms")
    return dict(term) if is_identity(term["loss"]) else _with(term, name.split("."), value, name)


def _with(settings: Mapping[str, Any], names: Sequence[str], value: Any, whole: str) -> Settings:
    name, *deeper = names
    if "class_path" in settings and name not in ("class_path", "init_args"):
        arguments = settings.get("init_args") or {}
        return {**settings, "init_args": _with(arguments, names, value, whole)}
    if not deeper:
        return {**settings, name: value}
    group = settings.get(name, USUAL.get(name))
    group = {"class_path": group} if name in CLASSES and isinstance(group, str) else group
    if group is not None and not isinstance(group, Mapping):
        raise ValueError(f"expected a group of settings at {name} of {whole}, got {group!r}; name what has parts")
    return {**settings, name: _with(group or {}, deeper, value, whole)}


def with_loss(settings: Mapping[str, Any], name: str, *, weight: float | None = None, alone: bool = False) -> Settings:
    """Return settings that train with a loss: beside the identity loss, or alone.

    Where the settings have terms, the loss takes the place of every metric loss there.

    Args:
        settings: As for ``reseen train``.
        name: Of a class of ``reseen.losses``, or package.Class; IdentityLoss for that one by itself.
        weight: Its weight; None for the one that the settings have.
        alone: Without the identity loss.

    Raises:
        ValueError: There is no such loss.
    """
    loss = None if name == "IdentityLoss" else {"class_path": _class_path(name)}
    weighed = {} if weight is None else {"weight": weight}
    if (terms := settings.get("terms")) is not None:
        metric = [{**t, "loss": loss, **weighed} for t in terms if not is_identity(t["loss"])] if loss else []
        return {**settings, "terms": ([] if alone else [t for t in terms if is_identity(t["loss"])]) + metric}
    result = {**settings, "loss": loss, **({} if weight is None else {"loss_weight": weight})}
    return {**result, "identity_loss": None} if alone else result


def is_identity(loss: str | Mapping[str, Any]) -> bool:
    """Return whether settings of a loss are those of a classifier."""
    path = loss if isinstance(loss, str) else str(loss["class_path"])
    found = getattr(losses, path.rpartition(".")[2], None)
    return isinstance(found, type) and issubclass(found, IdentityLoss)


def _class_path(name: str) -> str:
    if "." in name:
        return name
    if name not in losses.__all__:
        raise ValueError(f"expected a loss among {', '.join(losses.__all__)}, or package.Class, got {name!r}")
    return f"reseen.losses.{name}"
