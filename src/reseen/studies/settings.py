"""Settings of ``reseen train`` as plain values: what all trainings of a study share, and what sets one apart."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from reseen import losses
from reseen.recipes import settings_of
from reseen.recipes.objective import role_of

Settings = dict[str, Any]

CLASSES = ("loss", "identity_loss", "scheme")  # may be given by name alone, where nothing else is said of them

# What `reseen train` takes where nothing is said.
DEFAULTS = {
    "loss": {"class_path": "reseen.losses.AdaSPLoss"},
    "identity_loss": {"class_path": "reseen.losses.IdentityLoss"},
}
# The settings that say the same as a list of terms, shorter.
SHORT_FORM = ("loss", "loss_weight", "loss_output", "identity_loss")


def shared(data: Any, *, recipe: str | None = None, settings: Mapping[str, Any] | None = None) -> Settings:
    """Return what all trainings of a study share: a recipe, changed by settings, on the study's own data.

    Args:
        data: The data set, as plain values.
        recipe: Its name; None for none.
        settings: Anything that ``reseen train --config`` takes.

    Raises:
        RunError: There is no such recipe.
    """
    base: Settings = {} if recipe is None else settings_of(recipe)
    return merged(base, {**(settings or {}), "data": data})


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

    Where the settings have terms, ``loss`` stands for every metric loss there, ``identity_loss`` for every identity
    loss, ``loss_weight`` and ``loss_output`` for the weight and the output of the only metric loss. A loss given by its
    name keeps the arguments that it has in the settings.

    Raises:
        ValueError: What has no parts is asked for one, there is no such term, or several where one is meant.
    """
    result: Settings = dict(settings)
    for name, value in changes.items():
        if name in DEFAULTS and isinstance(value, str):
            value = named_loss(value, result)
        if result.get("terms") and name.partition(".")[0] in SHORT_FORM:
            result["terms"] = _changed_terms(result["terms"], name, value)
        else:
            result = _with(result, name.split("."), value, name)
    return result


def _changed_terms(terms: Sequence[Mapping[str, Any]], name: str, value: Any) -> list[Mapping[str, Any]]:
    head, *deeper = name.split(".")
    role = "identity" if head == "identity_loss" else "metric"
    chosen = [term for term in terms if role_of(term) == role]
    if not chosen or (head in ("loss_weight", "loss_output") and len(chosen) > 1):
        raise ValueError(f"expected settings with one {role} loss to change {name}, got terms with {len(chosen)}")
    if value is None and not deeper:
        return [term for term in terms if term not in chosen]
    path = [{"loss_weight": "weight", "loss_output": "output"}.get(head, "loss"), *deeper]
    return [_with(term, path, value, name) if term in chosen else term for term in terms]


def _with(settings: Mapping[str, Any], names: Sequence[str], value: Any, whole: str) -> Settings:
    name, *deeper = names
    if "class_path" in settings and name not in ("class_path", "init_args"):
        arguments = settings.get("init_args") or {}
        return {**settings, "init_args": _with(arguments, names, value, whole)}
    if not deeper:
        return {**settings, name: value}
    group = settings.get(name, DEFAULTS.get(name))
    group = {"class_path": group} if name in CLASSES and isinstance(group, str) else group
    if group is not None and not isinstance(group, Mapping):
        raise ValueError(f"expected a group of settings at {name} of {whole}, got {group!r}; name what has parts")
    return {**settings, name: _with(group or {}, deeper, value, whole)}


def with_loss(settings: Mapping[str, Any], name: str, *, weight: float | None = None, alone: bool = False) -> Settings:
    """Return settings that train with a loss: beside the identity loss, or alone.

    Where the settings have terms, the loss takes the place of every metric loss there; auxiliary losses stay.

    Args:
        settings: As for ``reseen train``.
        name: As in `named_loss`; IdentityLoss for the settings' own identity loss by itself.
        weight: Its weight; None for the one that the settings have.
        alone: Without the identity loss and auxiliary ones.

    Raises:
        ValueError: There is no such loss.
    """
    loss = None if name == "IdentityLoss" else named_loss(name, settings)
    short = settings.get("terms") is None
    metric = settings.get("loss", DEFAULTS["loss"])
    if short and (metric is None or role_of({"loss": metric}) == "metric"):
        result = {**settings, "loss": loss, **({} if weight is None else {"loss_weight": weight})}
        return {**result, "identity_loss": None} if alone and loss else result
    terms = terms_of(settings)
    if not any(role_of(term) == "metric" for term in terms):
        terms.append({"output": "feature", "loss": DEFAULTS["loss"]})
    kept = ("identity",) if loss is None else ("metric",) if alone else ("identity", "metric", "auxiliary")
    named = {"loss": loss} if weight is None else {"loss": loss, "weight": weight}
    terms = [{**t, **named} if role_of(t) == "metric" else t for t in terms if role_of(t) in kept]
    return {**{key: value for key, value in settings.items() if not (short and key in SHORT_FORM)}, "terms": terms}


def terms_of(settings: Mapping[str, Any]) -> list[Settings]:
    """Return the losses of settings as terms, whether they are said so or in the short form."""
    if (terms := settings.get("terms")) is not None:
        return [dict(term) for term in terms]
    loss, identity = (settings.get(name, default) for name, default in DEFAULTS.items())
    on, weight = settings.get("loss_output", "feature"), settings.get("loss_weight", 1.0)
    found = [{"loss": identity, "output": "embedding"}] if identity else []
    return [*found, {"loss": loss, "output": on, "weight": weight}] if loss else found


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
    given = str(loss["class_path"])
    return path in (given, f"reseen.losses.{given}")


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
