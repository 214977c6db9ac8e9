"""Losses of other libraries and user-defined losses, named by class path: ``--loss mine.MyLoss``."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from reseen.cli.environment import flag_values
from reseen.cli.yaml_files import read_yaml


def accept_losses(words: Sequence[str]) -> None:
    """Let modules that are named as losses, and are no ``Loss``, pass the parser as such.

    Whether one can be called with embeddings and labels is seen when the objective is made of it
    (`reseen.training.loss_adapter`).

    Args:
        words: A command line; the files behind its ``--config`` are looked into.
    """
    for path in _loss_paths(words):
        module, _, name = path.rpartition(".")
        if not module or module.split(".")[0] == "reseen":
            continue
        try:
            kind = getattr(importlib.import_module(module), name, None)
        except ImportError:
            continue  # The parser says so.
        from torch import nn  # Here, not above: where no such loss is named this takes time for nothing.

        from reseen.losses import Loss

        if isinstance(kind, type) and issubclass(kind, nn.Module) and not issubclass(kind, Loss):
            Loss.register(kind)


def _loss_paths(words: Sequence[str]) -> Iterator[str]:
    for flag, value in flag_values(words):
        last = flag.rpartition(".")[2].lstrip("-")
        if last == "config":
            yield from _within(read_yaml(Path(value)))
        elif last in ("loss", "terms"):
            try:
                yield from _within({last: yaml.safe_load(value)})
            except yaml.YAMLError:
                continue


def _within(settings: Any) -> Iterator[str]:
    """Give the class path of every setting of the name ``loss``, however deep."""
    if isinstance(settings, Mapping):
        for name, value in settings.items():
            if name == "loss":
                path = value.get("class_path") if isinstance(value, Mapping) else value
                if isinstance(path, str):
                    yield path
            yield from _within(value)
    elif isinstance(settings, list):
        for value in settings:
            yield from _within(value)
