"""Loss terms as plain values, as recipes and ``config.yaml`` have them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reseen import losses
from reseen.losses.base import Role
from reseen.recipes.defaults import OUTPUTS

Settings = dict[str, Any]
Terms = Sequence[Mapping[str, Any]]


def role_of(term: Mapping[str, Any]) -> Role:
    """Return the role of a term: the one that it names, or that of its loss's class, within any wrappers.

    Args:
        term: Plain values; ``loss`` is a class's name, or ``{class_path: ..., init_args: ...}``.

    Raises:
        ValueError: There is no such class.
    """
    role: Role = term.get("role") or _role_of_loss(term["loss"])
    return role


def weight_of(term: Mapping[str, Any]) -> float:
    """Return the weight of a term: the one that it names, or its loss's own where pictures show no vehicles.

    Args:
        term: As for `role_of`.

    Raises:
        ValueError: There is no such class.
    """
    loss, weight = term["loss"], term.get("weight")
    while weight is None and isinstance(loss, Mapping) and _arguments(loss).get("loss"):
        loss = _arguments(loss)["loss"]
    kind = _class(_path(loss))
    # No arguments are needed to ask: the weight is the class's.
    return float(weight) if weight is not None else getattr(object.__new__(kind), "default_weight", lambda: 1.0)()


def with_loss(terms: Terms, role: Role, change: Callable[[Any], Any]) -> list[Settings]:
    """Return terms with another loss wherever one of a role stands; outputs and weights stay.

    Args:
        terms: Plain values.
        role: Which terms are meant.
        change: From a loss, as plain values, to the one in its place; None is for none, and given where no term has the
            role.

    Raises:
        ValueError: Different losses have the role, so that one cannot stand for all of them.
    """
    chosen = [term for term in terms if role_of(term) == role]
    kinds = sorted({name_of(term["loss"]) for term in chosen})
    if len(kinds) > 1:
        raise ValueError(f"expected one {role} loss to change, got {', '.join(kinds)}; say all losses with --terms")
    if not chosen:
        added = {"output": OUTPUTS[role], "loss": change(None), "weight": None, "role": role}
        return [*map(dict, terms), *([_concise(added)] if added["loss"] is not None else [])]
    changed = [{**term, "loss": change(term["loss"]), "role": role} if term in chosen else dict(term) for term in terms]
    return [_concise(term) for term in changed if term["loss"] is not None]


def with_value(terms: Terms, key: str, value: Any, role: Role = "metric") -> list[Settings]:
    """Return terms with another ``weight`` or ``output`` of the only term of a role.

    Raises:
        ValueError: There is no such term, or there are several.
    """
    chosen = [term for term in terms if role_of(term) == role]
    if len(chosen) != 1:
        names = ", ".join(f"{name_of(term['loss'])} on {term.get('output', 'embedding')}" for term in chosen) or "none"
        raise ValueError(
            f"expected one term with a {role} loss to change its {key}, got {names}; say all losses with --terms"
        )
    return [{**term, key: value} if term in chosen else dict(term) for term in terms]


def name_of(loss: str | Mapping[str, Any]) -> str:
    """Return a loss's name and, in brackets, that of the one inside: ``CrossModal(ExpATLoss)``."""
    inside = _arguments(loss).get("loss")
    return f"{kind_of(loss)}({name_of(inside)})" if isinstance(inside, (str, Mapping)) else kind_of(loss)


def kind_of(loss: str | Mapping[str, Any]) -> str:
    """Return the name of a loss's class, without its module."""
    return _path(loss).rpartition(".")[2]


def _path(loss: str | Mapping[str, Any]) -> str:
    return loss if isinstance(loss, str) else str(loss["class_path"])


def _arguments(loss: str | Mapping[str, Any]) -> Mapping[str, Any]:
    return {} if isinstance(loss, str) else loss.get("init_args") or {}


def _concise(term: Settings) -> Settings:
    """Return a term without a role that its loss has by itself."""
    bare = {key: value for key, value in term.items() if key != "role"}
    return bare if role_of(bare) == term.get("role") else term


def _role_of_loss(loss: str | Mapping[str, Any]) -> Role:
    kind, wrapped = _class(_path(loss)), _arguments(loss).get("loss")
    if issubclass(kind, losses.Wrapper) and wrapped:
        return _role_of_loss(wrapped)
    role: Role = getattr(kind, "role", "metric")
    return role


def _class(path: str) -> type:
    module, _, name = path.rpartition(".")
    kind = getattr(losses, name, None)
    if kind is None or module not in ("", "reseen.losses", getattr(kind, "__module__", "")):
        try:
            kind = getattr(importlib.import_module(module), name) if module else None
        except (ImportError, AttributeError):
            kind = None
    if not isinstance(kind, type):
        raise ValueError(f"expected a loss among {', '.join(losses.__all__)}, or package.Class, got {path!r}")
    return kind
