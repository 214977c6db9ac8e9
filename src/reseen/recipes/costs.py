"""Cost of a recipe: parameters, operations and activations are counted, memory and GPU hours estimated."""

from __future__ import annotations

import csv
import dataclasses
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reseen.models import Embedder, ModelSpec, complexity, kept_bytes
from reseen.recipes.files import FOLDER, names, settings_of
from reseen.recipes.published_rows import published_data

TABLE = FOLDER / "costs.csv"
MEASURED = FOLDER / "measured_costs.csv"  # There once `python -m benchmarks gpu --keep` has run on a GPU.


@dataclass(frozen=True)
class NetworkCost:
    """Counted cost of a network.

    Attributes:
        parameters: How many numbers it has, classifiers of losses not counted.
        flops: Multiplications and additions for one picture, forward.
        kept_bytes: What a training step keeps of one picture for the way back, in float32.
    """

    parameters: int
    flops: int
    kept_bytes: int


@dataclass(frozen=True)
class Cost:
    """Cost of a recipe.

    Attributes:
        network: Counted.
        memory: Bytes on one GPU that holds the whole batch, an estimate: weights, gradients and what the optimiser
            keeps, and the values kept for the way back, half of these in mixed precision.
        flops: Of the whole training, an estimate; None where the number of training pictures is not known. A step
            takes three times the forward pass, one more for a momentum encoder.
    """

    network: NetworkCost
    memory: float
    flops: float | None

    def hours(self, teraflops: float) -> float | None:
        """Return how long the training takes, an estimate.

        Args:
            teraflops: How many 10^12 operations a second the hardware keeps up.
        """
        return None if self.flops is None else self.flops / teraflops / 1e12 / 3600


@dataclass(frozen=True)
class MeasuredCost:
    """Cost of a recipe's training step, measured on a GPU.

    Attributes:
        recipe: Its name.
        precision: ``fp16`` or ``bf16``.
        hardware: The GPU.
        pictures_per_second: Of whole steps.
        outside: Share of a step that is not the network's, from 0 to 1.
        memory: Bytes at most.
    """

    recipe: str
    precision: str
    hardware: str
    pictures_per_second: float
    outside: float
    memory: int

    def hours(self, settings: Mapping[str, Any]) -> float | None:
        """Return how long a training with these settings takes; None where its number of pictures is not known."""
        seen = training_pictures(settings["data"])
        return seen and float(seen * settings["schedule"]["epochs"] / self.pictures_per_second / 3600)


def measured_costs(recipe: str) -> list[MeasuredCost]:
    """Return what was measured of a recipe; nothing where it has not been."""
    if not MEASURED.is_file():
        return []
    kinds = {"pictures_per_second": float, "outside": float, "memory": int}
    with MEASURED.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["recipe"] == recipe]
    return [MeasuredCost(**{name: kinds.get(name, str)(value) for name, value in row.items()}) for row in rows]


def cost_of(settings: Mapping[str, Any]) -> Cost:
    """Return what a recipe with these settings costs.

    Raises:
        ValueError: It names no network.
    """
    network = network_cost(spec_of(settings))
    schedule, batches = settings["schedule"], settings["batches"]
    momentum_encoder = settings.get("candidates") is not None
    numbers_each = {"sgd": 3}.get(schedule.get("optimizer", "adam"), 4) + momentum_encoder
    pictures = batches["identities"] * batches["images"] * (2 if batches.get("by_modality") else 1)
    half = settings.get("precision", "fp32") != "fp32"
    memory = 4 * numbers_each * network.parameters + pictures * network.kept_bytes * (0.5 if half else 1)
    seen = training_pictures(settings["data"])
    passes = 3 + momentum_encoder
    return Cost(network, memory, seen and passes * network.flops * seen * float(schedule["epochs"]))


def training_pictures(data: Mapping[str, Any]) -> int | None:
    """Return how many pictures a data set has to train on, by its settings; None where that is not published."""
    return published_data(data).counts.get("train", (None,))[0]


def spec_of(settings: Mapping[str, Any]) -> ModelSpec:
    """Return a recipe's network."""
    return ModelSpec.from_dict(dict(settings["model"]))


def network_cost(spec: ModelSpec) -> NetworkCost:
    """Return what a network costs: as kept in costs.csv, or counted now, which takes some seconds."""
    return counted_networks().get(network_label(spec)) or counted_cost(spec)


def counted_cost(spec: ModelSpec) -> NetworkCost:
    """Build a network without its first weights, and count."""
    model = Embedder(spec, pretrained=False)
    cost = complexity(model, batch=1, repeats=1)
    return NetworkCost(cost.parameters, cost.flops, kept_bytes(model))


def network_label(spec: ModelSpec) -> str:
    """Return a network in words: its backbone, its size, and all that is not as usual; first weights aside."""
    backbone = re.sub(r"^(timm:\w+)\..*", r"\1", spec.backbone)  # timm's tag behind the dot names first weights
    options = _unusual(dataclasses.replace(spec, backbone="", weights=None), ModelSpec(backbone=""))
    return ", ".join([backbone, f"{spec.height} x {spec.width}", *options])


def _unusual(settings: Any, usual: Any, prefix: str = "") -> list[str]:
    options = []
    for field in dataclasses.fields(settings):
        value, other = getattr(settings, field.name), getattr(usual, field.name)
        if field.name in ("height", "width") or value == other:
            continue
        name = f"{prefix}{field.name}"
        written = len(value) if isinstance(value, tuple) else value
        options += _unusual(value, other, f"{name}.") if dataclasses.is_dataclass(value) else [f"{name} {written}"]
    return options


@functools.cache
def counted_networks() -> dict[str, NetworkCost]:
    """Return the recipes' networks as counted before, by their label."""
    if not TABLE.is_file():
        return {}
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {row.pop("network"): NetworkCost(**{key: int(value) for key, value in row.items()}) for row in rows}


def to_keep() -> dict[str, ModelSpec]:
    """Return the networks of all recipes, by their label."""
    specs = [spec_of(settings_of(name)) for name in names()]
    return {network_label(spec): spec for spec in specs}


def write_costs() -> None:
    """Write costs.csv for the recipes' networks; those that stand in it already are not counted again."""
    costs = {name: network_cost(spec) for name, spec in sorted(to_keep().items())}
    columns = [field.name for field in dataclasses.fields(NetworkCost)]
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["network", *columns])
        rows.writerows([name, *dataclasses.astuple(cost)] for name, cost in costs.items())
    counted_networks.cache_clear()
