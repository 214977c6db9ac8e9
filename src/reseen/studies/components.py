"""Ablation of a recipe: its parts, each on and off."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from reseen.reporting import Axis, Repeated, Section, bar_chart, charts
from reseen.studies.runner import Run, Study, StudyOptions
from reseen.studies.settings import changed
from reseen.types import Benchmark

RecipeParts = dict[str, dict[str, dict[str, Any]]]
RunsByState = dict[tuple[tuple[str, ...], str], list[Run]]  # states of the parts, loss -> its runs
ScoresByState = dict[tuple[str, ...], dict[str, Repeated]]  # states of the parts -> loss -> mAP


def components(
    data: Benchmark,
    options: StudyOptions,
    *,
    parts: RecipeParts | None = None,
    which: Literal["all", "without_one"] = "all",
    names: Sequence[str] = ("HardTripletLoss", "HELoss"),
    weights: dict[str, float] | None = None,
) -> None:
    """Train with every combination of parts of a recipe, and say what each part gives, and a loss beside each.

    Without --parts: AutoAugment, IBN and non-local blocks of a ResNet, as in the HE supplement (table E), each as the
    recipe has it. With IBN off, the weights of a network with IBN give way to timm's for ImageNet.

    Args:
        data: What to train and test on.
        options: The study's folder, seeds, recipe and settings.
        parts: Name -> settings, named as flags are, that turn it on, and those that turn it off, as in
            {"erasing": {"on": {"augmentation.erase": 0.5}, "off": {"augmentation.erase": null}}}. What belongs to a
            part, such as its weights, goes with it.
        which: Every combination, or as in the paper: nothing, all but one, all.
        names: Losses to train with, each beside the identity loss; gains are over the first. Arguments stand behind a
            name, as in HardTripletLoss(margin=null).
        weights: Weight of a loss beside the identity loss, by name; that of the settings, or its own, where absent.
    """
    study = Study(components, locals())
    chosen = default_parts(study.settings) if parts is None else parts
    if wrong := [name for name, states in chosen.items() if set(states) != {"on", "off"}]:
        raise ValueError(f"expected settings for on and for off of each part, got others for {', '.join(wrong)}")
    losses = study.losses(names, weights)
    groups: RunsByState = {}
    for states in _combinations(list(chosen), which):
        for loss, settings in losses.items():
            for name, state in states.items():
                settings = changed(settings, chosen[name][str(state)])
            groups[tuple(map(str, states.values())), loss] = study.train({**states, "loss": loss}, settings)
    study.perform()
    compared = study.differences(_pairs(groups, list(losses)))
    mean_aps: ScoresByState = {}
    for _, row in study.over_seeds(*chosen, "loss").iterrows():
        mean_aps.setdefault(tuple(row[name] for name in chosen), {})[row["loss"]] = row["mean_ap"]
    first, *others = losses
    columns = [*chosen, *losses, *(f"gain of {loss}" for loss in others)]
    cells: list[list[object]] = []
    for states_of, by_loss in mean_aps.items():
        gains = [f"{100 * (by_loss[loss].mean - by_loss[first].mean):+.1f}" for loss in others]
        cells.append([*states_of, *(by_loss[loss] for loss in losses), *gains])
    title = f"{data.name}: mAP"
    study.write(
        f"{', '.join(chosen)}: {data.name}",
        lead="Each part on and off: what does it give, and does a loss gain whichever are on?",
        sections=[
            study.scores(columns, cells, f"mAP {study.averaged}.", title=title, best=list(losses)),
            _effects(mean_aps, list(chosen), list(losses)) if which == "all" else None,
            study.noise(compared),
            study.published(*chosen, "loss"),
        ],
    )


def default_parts(settings: Mapping[str, Any]) -> RecipeParts:
    """Return the parts of the HE supplement's table E, as the settings have them."""
    model = settings.get("model") or {}
    resnet, augmentation = model.get("resnet") or {}, settings.get("augmentation") or {}
    # Weights of a network with IBN do not fit one without.
    of_ibn = resnet.get("ibn") is not None and model.get("weights") not in (None, "imagenet")
    plain = {"model.weights": "imagenet"} if of_ibn else {}
    return {
        "AutoAug": _part("augmentation.auto_augment", augmentation.get("auto_augment") or 0.1),
        "IBN": _part("model.resnet.ibn", resnet.get("ibn") or "a", off=plain),
        "non-local": _part("model.resnet.non_local", resnet.get("non_local") or "agw"),
    }


def _part(name: str, value: Any, *, off: Mapping[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    return {"on": {name: value}, "off": {name: None, **(off or {})}}


def _combinations(parts: Sequence[str], which: str) -> list[dict[str, str | int | float]]:
    """Return which parts are on: from nothing to everything."""
    every = [dict(zip(parts, states, strict=True)) for states in itertools.product(("off", "on"), repeat=len(parts))]
    counts = {"all": range(len(parts) + 1), "without_one": (0, len(parts) - 1, len(parts))}[which]
    on = [(list(states.values()).count("on"), states) for states in every]
    return [dict(states) for count, states in sorted(on, key=lambda pair: pair[0]) if count in counts]


def _pairs(groups: RunsByState, losses: Sequence[str]) -> list[tuple[list[Run], list[Run]]]:
    """Return each loss beside the first with the same parts on, then everything on beside all but one part."""
    gains = [(runs, groups[states, losses[0]]) for (states, loss), runs in groups.items() if loss != losses[0]]
    lacking = [key for key in groups if key[0].count("off") == 1]
    return gains + [(groups[("on",) * len(states), loss], groups[states, loss]) for states, loss in lacking]


def _effects(mean_aps: ScoresByState, parts: Sequence[str], losses: Sequence[str]) -> Section:
    """Return what each part gives, averaged over the states of the others."""
    gains = {loss: {part: _gain(mean_aps, place, loss) for place, part in enumerate(parts)} for loss in losses}
    every = [0.0, *(gain for of_parts in gains.values() for gain in of_parts.values())]
    axis = Axis("mAP gained, %", (min(every), max(every) or 0.001), percent=True)
    figures = [bar_chart(loss, of_parts, axis=axis) for loss, of_parts in gains.items()]
    note = "mAP with it minus mAP without, over all states of the others."
    return Section("What each part gives", charts(*figures), note)


def _gain(mean_aps: ScoresByState, place: int, loss: str) -> float:
    def level(state: str) -> float:
        return statistics.fmean(by_loss[loss].mean for states, by_loss in mean_aps.items() if states[place] == state)

    return round(level("on") - level("off"), 3)
