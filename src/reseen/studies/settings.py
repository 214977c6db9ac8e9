"""Settings of a study's trainings, as plain values: shared ones, and changes by condition."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from reseen import losses
from reseen.recipes import objective, settings_of
from reseen.recipes.defaults import DEFAULT_TERMS, LOSS_FLAGS, OUTPUTS
from reseen.recipes.objective import role_of

Settings = dict[str, Any]

# Flags about the only metric loss, and the part of its term that they change.
OF_TERM = {"loss_weight": "weight", "loss_output": "output"}


def shared(data: Any, *, recipe: str | None = None, settings: Mapping[str, Any] | None = None) -> Settings:
    """Return what all trainings of a study share: a recipe, changed by settings, on the study's own data.

    Args:
        data: The data set, as plain values.
        recipe: Its name; None for none.
        settings: Anything that ``reseen train --config`` takes; what they say of single losses changes the terms.

    Raises:
        RunError: There is no such recipe.
    """
    settings = {**(settings or {}), "data": data}
    of_losses = {name: settings.pop(name) for name in (*LOSS_FLAGS, *OF_TERM) if name in settings}
    return changed(merged({} if recipe is None else settings_of(recipe), settings), of_losses)


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

    ``loss`` is the metric loss of the terms, ``identity_loss`` their identity loss, ``loss_weight`` and
    ``loss_output`` those of the only metric loss. A loss given by its name keeps the arguments that it has in the
    settings.

    Raises:
        ValueError: What has no parts is asked for one, there is no such term, or several where one is meant.
    """
    result: Settings = dict(settings)
    for name, value in changes.items():
        flag, *deeper = name.split(".")
        if flag in LOSS_FLAGS:
            new = named_loss(value, result) if isinstance(value, str) and not deeper else value
            change = partial(_changed_loss, names=deeper, value=new, whole=name)
            result["terms"] = objective.with_loss(terms_of(result), LOSS_FLAGS[flag], change)
        elif name in OF_TERM:
            result["terms"] = objective.with_value(terms_of(result), OF_TERM[name], value)
        else:
            result = _with(result, [flag, *deeper], value, name)
    return result


def _changed_loss(loss: Any, *, names: Sequence[str], value: Any, whole: str) -> Any:
    if not names:
        return value
    if loss is None:
        raise ValueError(f"expected settings with a loss to change {whole}, got none")
    return _with({"class_path": loss} if isinstance(loss, str) else loss, names, value, whole)


def _with(settings: Mapping[str, Any], names: Sequence[str], value: Any, whole: str) -> Settings:
    name, *deeper = names
    if "class_path" in settings and name not in ("class_path", "init_args"):
        arguments = settings.get("init_args") or {}
        return {**settings, "init_args": _with(arguments, names, value, whole)}
    if not deeper:
        return {**settings, name: value}
    group = settings.get(name)
    group = {"class_path": group} if name == "candidates" and isinstance(group, str) else group
    if group is not None and not isinstance(group, Mapping):
        raise ValueError(f"expected a group of settings at {name} of {whole}, got {group!r}; name what has parts")
    return {**settings, name: _with(group or {}, deeper, value, whole)}


def with_loss(settings: Mapping[str, Any], name: str, *, weight: float | None = None, alone: bool = False) -> Settings:
    """Return settings that train with a loss: beside the identity loss, or alone.

    The loss takes the place of every metric loss of the terms; auxiliary losses stay.

    Args:
        settings: As for ``reseen train``.
        name: As in `named_loss`; IdentityLoss for the settings' own identity loss by itself.
        weight: Its weight; None for the one that the settings have.
        alone: Without the identity loss and auxiliary ones.

    Raises:
        ValueError: There is no such loss.
    """
    if name == "IdentityLoss":
        return {**settings, "terms": [term for term in terms_of(settings) if role_of(term) == "identity"]}
    new = {"loss": named_loss(name, settings), **({} if weight is None else {"weight": weight})}
    terms = terms_of(settings)
    if not any(role_of(term) == "metric" for term in terms):
        terms.append({"output": OUTPUTS["metric"], "role": "metric"})
    rest = [term for term in terms if not alone or role_of(term) == "metric"]
    return {**settings, "terms": [{**term, **new} if role_of(term) == "metric" else term for term in rest]}


def terms_of(settings: Mapping[str, Any]) -> list[Settings]:
    """Return the losses of settings, each with its output and weight: those that are trained where none are said."""
    terms = settings.get("terms")
    return [dict(term) for term in (DEFAULT_TERMS if terms is None else terms)]


def named_loss(name: str, settings: Mapping[str, Any]) -> Settings:
    """Return the settings of a loss that is given by its name.

    Args:
        name: Of a class of ``reseen.losses``, or package.Class; with arguments as in ``FIDILoss(beta=0.7)``.
        settings: Where they have a loss of this class, its arguments hold as far as none are given.

    Raises:
        ValueError: There is no such loss, or its arguments are not plain values with names.
    """
    path, arguments = _parsed(name)
    if "." not in path:
        if path not in losses.__all__:
            raise ValueError(f"expected a loss among {', '.join(losses.__all__)}, or package.Class, got {path!r}")
        path = f"reseen.losses.{path}"
    same = (t["loss"] for t in terms_of(settings) if isinstance(t["loss"], Mapping) and _is(t["loss"], path))
    arguments = {**(next(same, {}).get("init_args") or {}), **arguments}
    return {"class_path": path, **({"init_args": arguments} if arguments else {})}


def _is(loss: Mapping[str, Any], path: str) -> bool:
    own_path = str(loss["class_path"])
    return path in (own_path, f"reseen.losses.{own_path}")


def _parsed(name: str) -> tuple[str, Settings]:
    """Return path and arguments of ``package.Class(argument=value)``; YAML's null, true and false are values too."""
    path, bracket, rest = name.partition("(")
    if not bracket:
        return name, {}
    try:
        call = ast.parse(f"_({rest}", mode="eval").body
        if not isinstance(call, ast.Call) or call.args or not all(k.arg for k in call.keywords):
            raise ValueError
        return path, {str(k.arg): _value(k.value) for k in call.keywords}
    except (SyntaxError, ValueError):
        raise ValueError(f"expected a loss with arguments as in FIDILoss(beta=0.7), got {name!r}") from None


def _value(node: ast.expr) -> Any:
    words = {"null": None, "true": True, "false": False}
    if isinstance(node, ast.Name):
        return words.get(node.id, node.id)
    return ast.literal_eval(node)


def title_of(loss: str, *, alone: bool) -> str:
    """Return how a loss stands in tables: beside the identity loss (CE), or alone."""
    path, bracket, arguments = loss.partition("(")
    name = path.rpartition(".")[2].removesuffix("Loss") + bracket + arguments
    return ("identity loss" if alone else "CE alone") if name == "Identity" else name if alone else f"CE + {name}"
