"""Recipes compared with the settings that were published: published_settings.csv against each file."""

from __future__ import annotations

import csv
import functools
import inspect
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import yaml

from reseen import losses
from reseen.models import ModelSpec
from reseen.recipes.costs import training_pictures
from reseen.recipes.files import FOLDER, settings_of
from reseen.recipes.objective import kind_of, role_of
from reseen.training import Schedule

TABLE = FOLDER / "published_settings.csv"
DEFAULTS = {"model": ModelSpec(), "schedule": Schedule()}
ABSENT = object()
STEPS = 0.03  # Lengths given in steps stand in recipes as epochs, rounded, and samplers' epochs differ a little.


@dataclass(frozen=True)
class Setting:
    """A setting as it was published, and as a recipe has it.

    Attributes:
        recipe: The recipe.
        name: As a flag, ``schedule.epochs``; of losses by role, ``metric.temperature``; ``batch``, pictures in one;
            ``warmup_steps`` and ``freeze_steps``; ``warmup_share`` and ``milestones_share`` of the whole training.
        published: What was published.
        here: What the recipe has.
        source: Where it was published.
        why: Why the recipe has another value; empty where it should have the same.
    """

    recipe: str
    name: str
    published: Any
    here: Any
    source: str
    why: str

    @property
    def differs(self) -> bool:
        """Whether the recipe has another value."""
        return not _alike(self.name, self.published, self.here)

    @property
    def accounted(self) -> bool:
        """Whether it is as the table says: the same, or another for a reason."""
        return self.differs == bool(self.why)


def compared_settings(recipe: str) -> list[Setting]:
    """Return what was published of a recipe's settings beside what the recipe has; of several sources the last counts.

    Raises:
        RunError: There is no such recipe.
    """
    settings = settings_of(recipe)
    by_name: dict[str, Setting] = {}
    for patterns, published, source, why in _table():
        if any(fnmatch(recipe, pattern) for pattern in patterns):
            for name, value in published.items():
                by_name[name] = Setting(recipe, name, value, _value(settings, name, value), source, why)
    return list(by_name.values())


@functools.cache
def _table() -> list[tuple[list[str], dict[str, Any], str, str]]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        return [(r["recipes"].split(), yaml.safe_load(r["settings"]), r["source"], r["why"]) for r in rows]


def _value(settings: Mapping[str, Any], name: str, published: Any) -> Any:
    """Return what a recipe has for a name of the table."""
    group, _, key = name.partition(".")
    schedule, batches = settings["schedule"], settings["batches"]
    batch = batches["identities"] * batches["images"] * (2 if batches.get("by_modality") else 1)
    if group in ("identity", "metric", "auxiliary"):
        values = list(_of_role(settings["terms"], group, key))
        return None if not values else values[0] if all(value == values[0] for value in values) else values
    if name == "batch":
        return batch
    if name in ("warmup_steps", "freeze_steps"):
        steps = (training_pictures(settings["data"]) or math.nan) / batch
        length = schedule.get(name.removesuffix("_steps"), 0) * steps
        # What is frozen is so for whole epochs.
        return published if name == "freeze_steps" and abs(length - published) < steps else round(length)
    if name == "warmup_share":
        return schedule["warmup"] / schedule["epochs"]
    if name == "milestones_share":
        return [milestone / schedule["epochs"] for milestone in schedule["milestones"]]
    return _at(settings, name)


def _of_role(terms: list[Mapping[str, Any]], role: str, key: str) -> Iterator[Any]:
    """Give, for each term of a role, its loss's class, an argument of it, or the term's weight or output."""
    for term in terms:
        if role_of(term) != role:
            continue
        loss = term["loss"]
        while isinstance(loss, Mapping) and (inner := (loss.get("init_args") or {}).get("loss")):
            loss = inner
        arguments = {} if isinstance(loss, str) else loss.get("init_args") or {}
        usual = inspect.signature(getattr(losses, kind_of(loss))).parameters
        if key in ("weight", "output"):
            yield term[key]
        else:
            yield kind_of(loss) if not key else arguments.get(key, usual[key].default if key in usual else None)


def _at(settings: Mapping[str, Any], name: str) -> Any:
    """Return the value at a dotted name; where it is not said, the default of the network or schedule, else None."""
    here: Any = settings
    default: Any = None
    for depth, part in enumerate(name.split(".")):
        if isinstance(here, Mapping) and "class_path" in here:
            here = here.get("init_args")
        default = getattr(default, part, None) if depth else DEFAULTS.get(part)
        here = here[part] if isinstance(here, Mapping) and part in here else ABSENT
    return default if here is ABSENT else here


def _alike(name: str, first: Any, second: Any) -> bool:
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(_alike(name, *pair) for pair in zip(first, second, strict=True))
    if isinstance(first, (int, float)) and isinstance(second, (int, float)) and not isinstance(first, bool):
        tolerance = STEPS if name.endswith(("_steps", "_share")) else 1e-6
        return math.isclose(first, second, rel_tol=tolerance)
    return bool(first == second)
