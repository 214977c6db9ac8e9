"""Catalogue of published models: a YAML file a family under ``entries/``, with what its models have in common.

Nothing here fetches anything but `fetch_entry`, and that only what it is asked for.
"""

from __future__ import annotations

import difflib
import functools
import logging
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml

from reseen.errors import CheckpointError
from reseen.zoo.fetching import obtain

logger = logging.getLogger(__name__)

DEFAULT = "osnet_ain_x1_0_msmt17"
"""The model of the verbs that are given none."""


@dataclass(frozen=True)
class Figure:
    """Published score of a model, in percent.

    Attributes:
        data: Of the test; ``A to B`` for training on A and test on B.
        mean_ap: None where only a rank was published.
        rank_1: None likewise.
    """

    data: str
    mean_ap: float | None
    rank_1: float | None


@dataclass(frozen=True)
class Entry:
    """Published model: where its files are, how it is built, and what its authors say of it.

    Attributes:
        name: By which it is loaded.
        family: The project that published it.
        shows: What it tells apart: ``person``, ``vehicle``, ``animal`` or ``any``.
        trained_on: Data of its training.
        address: Of its file; of its first file where it has two.
        sha256: What the file hashes to, where that was published or seen; None where not.
        kind: ``torch`` for weights; ``openvino`` for an IR, whose second file has the ending ``.bin``.
        spec: Fields of a ``ModelSpec``, or of an OpenVINO model's input.
        millions: Parameters, in millions.
        gmacs: Multiply-accumulates of one picture, in 10^9.
        code_licence: Licence of the authors' code.
        weights_licence: Licence of the weights and terms of the data behind them.
        figures: Scores as published.
        source: Where files and scores are from.
        citation: Of the paper.
        loaded: Whether its file was loaded while this library was written; otherwise its names and shapes were.
        note: What else to know.
    """

    name: str
    family: str
    shows: str
    trained_on: str
    address: str
    spec: dict[str, Any]
    millions: float
    gmacs: float
    code_licence: str
    weights_licence: str
    source: str
    citation: str
    kind: Literal["torch", "openvino"] = "torch"
    sha256: str | None = None
    sha256_bin: str | None = None
    figures: tuple[Figure, ...] = field(default=())
    loaded: bool = False
    note: str = ""

    @property
    def files(self) -> list[tuple[str, str, str | None]]:
        """Address, name and digest of each file."""
        if self.kind == "openvino":
            address = self.address.removesuffix(".xml")
            return [
                (self.address, f"{self.name}.xml", self.sha256),
                (f"{address}.bin", f"{self.name}.bin", self.sha256_bin),
            ]
        suffix = ".safetensors" if self.address.partition("@")[0].endswith(".safetensors") else ".pth"
        return [(self.address, f"{self.name}{suffix}", self.sha256)]


@functools.cache
def entries() -> dict[str, Entry]:
    """Return all entries, by name."""
    by_name: dict[str, Entry] = {}
    for file in sorted(resources.files(__package__).joinpath("entries").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".yaml"):
            content = yaml.load(file.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            for name, own in content.pop("models").items():
                values = {"name": name, **content, **own, "spec": content.get("spec", {}) | own.get("spec", {})}
                values["figures"] = tuple(Figure(*figure) for figure in values.get("figures", ()))
                by_name[name] = Entry(**values)
    return by_name


def find(name: str) -> Entry | None:
    """Return the entry of a name; None where there is none of it."""
    return entries().get(name)


def near(name: str) -> list[str]:
    """Return the names that are most like one."""
    return difflib.get_close_matches(name, entries(), n=3)


def entry(name: str) -> Entry:
    """Return the entry of a name.

    Raises:
        CheckpointError: There is none of it; the nearest are named.
    """
    if (known := find(name)) is None:
        hint = f", or did you mean {' or '.join(close)}?" if (close := near(name)) else ""
        raise CheckpointError(f"expected the name of a published model, got {name!r}; reseen models lists them{hint}")
    return known


def fetch_entry(entry: Entry) -> Path:
    """Return the file of an entry, the first where there are two beside each other.

    Raises:
        CheckpointError: It cannot be had, or is not what was published.
        WriteError: The cache cannot be written.
    """
    paths = [obtain(address, name, digest=digest) for address, name, digest in entry.files]
    logger.info("%s: licence of the weights: %s", entry.name, entry.weights_licence)
    return paths[0]
