"""What only a GPU can tell: every recipe's step at its real size, and evaluation and re-ranking at Market-1501's.

For each recipe in fp16 and bf16: pictures a second of its step, the share of it outside the network (losses, memory
bank, keys of a momentum encoder), and the most memory that it took; and whether the step makes the host wait for the
GPU. Pictures, labels and first weights are drawn, classifiers have 1,000 identities. What does not fit is named.
Without a GPU it refuses with one line. ``make gpu`` runs it behind the tests.
"""

from __future__ import annotations

import argparse
import copy
import csv
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from benchmarks.evaluation import MARKET, drawn
from benchmarks.memory import fastest

from reseen.cli.parser import parse
from reseen.evaluation import evaluate
from reseen.evaluation.reranking import k_reciprocal
from reseen.models import Embedder, ModelSpec
from reseen.protocols import cross_camera
from reseen.recipes import costs, names
from reseen.recipes.costs import MeasuredCost
from reseen.recipes.files import settings_of as file_settings
from reseen.training import BatchCandidates, Objective
from reseen.types import Embeddings

IDENTITIES = 1_000
TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
STEPS = 5  # timed, after two that are not


@dataclass(frozen=True)
class Step:
    """A recipe's step: its batch and what is done with it.

    Attributes:
        batch: Pictures.
        alone: The network's forward and backward pass and the optimiser's step.
        whole: The same with the losses and what they are compared with.
        waits: Whether the host may have to wait for the GPU, as where each modality has layers of its own.
    """

    batch: int
    alone: Callable[[], None]
    whole: Callable[[], None]
    waits: bool


def settings_of(recipe: str) -> dict[str, Any]:
    """Return what ``reseen train --config RECIPE`` is called with, on drawn data in place of its own."""
    both = recipe.startswith(("sysu_mm01/", "regdb/", "demo_infrared"))
    data = ["--data", "Synthetic", "--data.modality", "both" if both else "visible", "--data.num_cameras", "3"]
    return parse("train", ["--config", recipe, *data, "--out", "unused"])[1]


def step_key(recipe: str) -> str:
    """Return the settings of a recipe that its step depends on; where two have the same, the step is the same."""
    settings = file_settings(recipe)
    parts = {name: settings.get(name) for name in ("model", "terms", "batches", "candidates")}
    return json.dumps([parts, settings.get("schedule", {}).get("optimizer")], sort_keys=True)


def step_of(recipe: str, precision: str, device: torch.device, spec: ModelSpec | None = None) -> Step:
    """Build a recipe's network, losses and optimiser on a device, and return its step.

    Args:
        recipe: Its name.
        precision: ``fp16``, with a scaled gradient, or ``bf16``.
        device: Where.
        spec: Another network than the recipe's.
    """
    settings = settings_of(recipe)
    spec = dataclasses.replace(spec or settings["model"], weights=None)
    sampler, schedule = settings["batches"], settings["schedule"]
    per_identity = sampler.images * (2 if sampler.by_modality else 1)
    batch = sampler.identities * per_identity
    images = torch.randint(0, 256, (batch, 3, spec.height, spec.width), dtype=torch.uint8, device=device)
    rows = torch.arange(batch, device=device)
    labels, modalities = rows // per_identity, rows % 2 if sampler.by_modality else None
    side = {name: rows * 0 for name in ("cameras", "views") if getattr(spec.vit, name)}

    torch.manual_seed(0)
    model = Embedder(spec, pretrained=False)
    objective = Objective(model, copy.deepcopy(settings["terms"]), IDENTITIES).to(device).train()
    optimizers = schedule.optimizers(objective)
    candidates = copy.deepcopy(settings["candidates"]) or BatchCandidates()
    candidates.setup(model, objective.pair_outputs)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")  # type: ignore[attr-defined]
    slope = torch.randn(batch, model.dims["embedding"], device=device)

    def updated(loss: torch.Tensor) -> None:
        scaler.scale(loss).backward()
        for optimizer in optimizers:
            if any(p.grad is not None for group in optimizer.param_groups for p in group["params"]):
                scaler.step(optimizer)
        scaler.update()
        for optimizer in optimizers:
            optimizer.zero_grad()

    def alone() -> None:
        with torch.autocast(device.type, dtype=TYPES[precision]):
            outputs = model(images, modalities=modalities, **side)
        updated((outputs.embedding * slope).sum() * 1e-6)

    def whole() -> None:
        with torch.autocast(device.type, dtype=TYPES[precision]):
            values = objective(images, labels, modalities, candidates, **side)
        updated(objective.weights @ values)
        candidates.on_step_end(model)

    of_two_streams = spec.modalities.stems or spec.modalities.norms
    return Step(batch, alone, whole, waits=precision == "fp16" or of_two_streams)


def measured(recipe: str, precision: str, device: torch.device, spec: ModelSpec | None = None) -> MeasuredCost:
    """Return what a recipe's step took."""
    step = step_of(recipe, precision, device, spec)

    def timed(work: Callable[[], None]) -> Callable[[], None]:
        def waited() -> None:
            work()
            if device.type == "cuda":
                torch.cuda.synchronize()

        return waited

    for _ in range(2):
        timed(step.alone)()
        timed(step.whole)()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    alone, whole = fastest(timed(step.alone), timed(step.whole), repeats=STEPS)
    memory = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    if device.type == "cuda" and not step.waits:
        torch.cuda.set_sync_debug_mode("error")
        try:
            step.whole()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    hardware = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    return MeasuredCost(recipe, precision, hardware, step.batch / whole, max(0.0, 1 - alone / whole), memory)


def recipes(chosen: Sequence[str], minutes: float) -> Iterator[MeasuredCost]:
    """Measure recipes in both precisions while there is time, printing each; say which failed and which are left.

    A step that an earlier recipe has too, as of the same network on other data, is measured once.
    """
    started, device = perf_counter(), torch.device("cuda")
    same: dict[str, list[str]] = {}
    for recipe in chosen:
        same.setdefault(step_key(recipe), []).append(recipe)
    print(f"  {'recipe':40}{'':6}{'pictures/s':>12}{'outside':>9}{'GB':>7}")
    for number, (recipe, *others) in enumerate(same.values()):
        if perf_counter() - started > 60 * minutes:
            print(f"  no time left for {len(same) - number} steps, from {recipe} on: raise --minutes")
            return
        if others:
            print(f"  as {recipe}: {', '.join(others)}")
        for precision in TYPES:
            torch.cuda.empty_cache()
            try:
                cost = measured(recipe, precision, device)
            except (RuntimeError, ValueError) as error:
                print(f"  {recipe:40}{precision:6} FAILED: {str(error).splitlines()[0][:100]}", flush=True)
                continue
            gigabytes = cost.memory / 1e9
            print(
                f"  {recipe:40}{precision:6}{cost.pictures_per_second:12.0f}{cost.outside:9.1%}{gigabytes:7.1f}",
                flush=True,
            )
            for name in (recipe, *others):
                yield dataclasses.replace(cost, recipe=name)


def write(measured_costs: Sequence[MeasuredCost], path: Path) -> None:
    """Write what was measured as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow([field.name for field in dataclasses.fields(MeasuredCost)])
        for cost in measured_costs:
            speed, outside = round(cost.pictures_per_second), round(cost.outside, 3)
            rows.writerow(dataclasses.astuple(dataclasses.replace(cost, pictures_per_second=speed, outside=outside)))


def searching(sizes: tuple[int, int, int], device: torch.device) -> dict[str, float]:
    """Return the seconds of the bare product of two sets, of their evaluation, and of k-reciprocal re-ranking."""
    Q, G, D = sizes
    query, gallery = (
        Embeddings(each.vectors.to(device), each.identities, cameras=each.cameras)
        for each in (drawn(Q, D, identities=750, seed=0), drawn(G, D, identities=750, seed=1))
    )
    every = torch.cat([query.vectors, gallery.vectors])

    def product(left: torch.Tensor, right: torch.Tensor) -> Callable[[], None]:
        def work() -> None:
            float((left @ right.T)[-1, -1])

        return work

    works = {
        "product": product(query.vectors, gallery.vectors),
        "evaluation": lambda: evaluate(query, gallery, cross_camera),
        "product of all with all": product(every, every),
        "k-reciprocal": lambda: evaluate(query, gallery, cross_camera, reranking=k_reciprocal()),
    }
    return dict(zip(works, fastest(*works.values(), repeats=2), strict=True))


def require_gpu() -> None:
    """Exit with one line where there is no GPU."""
    if not torch.cuda.is_available():
        sys.exit("expected a GPU that torch can use, found none; on one, docs/gpu.md says what this runs")


def main(arguments: Sequence[str] | None = None) -> None:
    if arguments is None and not torch.cuda.is_available():
        print("  no GPU that torch can use: not run")  # among all benchmarks
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", action="append", help="of this name only; all if not given")
    parser.add_argument("--minutes", type=float, default=14, help="no recipe is begun after so many")
    parser.add_argument("--keep", action="store_true", help="write what was measured where `reseen recipes` reads it")
    parser.add_argument("--only_check", action="store_true", help="say whether there is a GPU, and no more")
    chosen = parser.parse_args(arguments or [])
    require_gpu()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}")
    if chosen.only_check:
        return
    found = searching(MARKET, torch.device("cuda"))
    print(
        f"{' x '.join(f'{size:,}' for size in MARKET)}: {', '.join(f'{name} {s:.3f} s' for name, s in found.items())}"
    )
    of_papers = [name for name in names() if "/" in name]
    kept = {(cost.recipe, cost.precision): cost for name in of_papers for cost in costs.measured_costs(name)}
    for cost in recipes(chosen.recipe or of_papers, chosen.minutes):
        kept[cost.recipe, cost.precision] = cost
        if chosen.keep:  # at once, for a run that is cut off
            write(list(kept.values()), costs.MEASURED)
    if chosen.keep:
        print(f"wrote {costs.MEASURED}")


if __name__ == "__main__":
    main(sys.argv[1:])
