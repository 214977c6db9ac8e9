"""Recipes made small for tests: what the command line makes of one, its network and pictures, and its first step."""

from __future__ import annotations

import copy
import dataclasses
import functools
from typing import Any

import torch

from reseen.cli.parser import parse
from reseen.loading import ImageDataset, number_modalities
from reseen.models import Embedder, ModelSpec
from reseen.recipes import names
from reseen.training import BatchCandidates, Objective, Term

RECIPES = names()
# The smallest picture that leaves every network a map of 4 x 2 positions.
HEIGHT, WIDTH = 64, 32
IDENTITIES, PICTURES = 3, 2


def spectra(name: str) -> str:
    return "both" if name.startswith(("sysu_mm01/", "regdb/", "demo_infrared")) else "visible"


@functools.cache
def parsed(name: str) -> dict[str, Any]:
    """What `reseen train --config NAME` is called with, on drawn pictures."""
    drawn = ["--data", "Synthetic", "--data.modality", spectra(name), "--data.height", str(HEIGHT)]
    counts = ["num_train_identities", "num_test_identities", "num_cameras", "images_per_camera"]
    for count, number in zip(counts, (IDENTITIES, 1, 3, PICTURES), strict=True):
        drawn += [f"--data.{count}", str(number)]
    return parse("train", ["--config", name, *drawn, "--out", "unused"])[1]


def terms(name: str) -> list[Term]:
    found: list[Term] = parsed(name)["terms"]
    return found


def tiny(name: str) -> ModelSpec:
    """The recipe's network for tiny pictures, without its first weights."""
    return dataclasses.replace(parsed(name)["model"], height=HEIGHT, width=WIDTH, weights=None)


@functools.lru_cache(maxsize=1)
def network(spec: ModelSpec) -> Embedder:
    torch.manual_seed(0)
    return Embedder(spec)


@functools.cache
def pictures(modality: str) -> ImageDataset:
    """The training pictures of all recipes with these modalities, unvaried and drawn once."""
    name = next(name for name in RECIPES if spectra(name) == modality)
    return ImageDataset(parsed(name)["data"].train, lambda picture: picture, size=(HEIGHT, WIDTH))


def first_step(name: str) -> dict[str, float]:
    """Return the terms' values of a recipe's first step, on pictures of random numbers, and the gradient's norm."""
    settings, samples = parsed(name), pictures(spectra(name)).samples
    torch.manual_seed(0)
    model = Embedder(tiny(name)).train()
    objective = Objective(model, terms(name), IDENTITIES)
    candidates = copy.deepcopy(settings["candidates"] or BatchCandidates())
    candidates.setup(model, objective.pair_outputs)
    images = torch.randint(0, 256, (len(samples), 3, HEIGHT, WIDTH), dtype=torch.uint8)
    identities = sorted({sample.identity for sample in samples})
    labels = torch.tensor([identities.index(sample.identity) for sample in samples])
    places = model.side_info(samples, known=True)
    values = objective(images, labels, number_modalities(samples), candidates, **places)
    (objective.weights @ values).backward()
    gradients = [parameter.grad for parameter in objective.parameters() if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    return {**dict(zip(objective.names, values.tolist(), strict=True)), "gradient": norm.item()}
