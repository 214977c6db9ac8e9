"""One bit of a file turned over, as disks do: what is read is right, or refused, and never silently other."""

import csv
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from reseen.embedding import open_embeddings
from reseen.errors import ReseenError
from tests.faults.house import House
from tests.faults.verbs import do, done
from tests.studies.small import SYNTHETIC

Count = Callable[[str, str], None]
Reading = Callable[[House, Path], Any]
REFUSED = "refused"
FLIPS = 7


class WrongEndingError(AssertionError):
    """A verb ended neither well nor with a line."""


def printed(*words: object, out: Path | None = None) -> Any:
    """Run a verb; return what it printed and wrote, or that it refused."""
    outcome = do(words, before=lambda: os.environ.update(COLUMNS="1000"))  # a line of the log is then one
    if fault := outcome.fault():
        raise WrongEndingError(fault)
    if outcome.status:
        return REFUSED
    said = [line for line in outcome.out.splitlines() if "passed over" not in line and "━" not in line]
    return "\n".join(said) if out is None else out.read_bytes()


def compared(house: House, model: Path) -> Any:
    first, second = sorted(house.pictures.iterdir())[:2]
    return printed("compare", first, second, "--model", model)


def searched(house: House, gallery: Path, *more: object) -> Any:
    """Return all answers to some searches, and every item."""
    labels = printed("label", gallery, "--out", gallery / "labels.csv", out=gallery / "labels.csv")
    found = printed("search", gallery, house.pictures, "--model", house.onnx, "--k", 40, *more)
    return REFUSED if REFUSED in (labels, found) else (labels, found)


def resumed(run: Path) -> Any:
    """Return what an extended run ends with."""
    words = ["train", "--config", run / "config.yaml", "--out", run, "--resume", "true", "--schedule.epochs", "3"]
    return printed(*words, out=run / "last.safetensors")


def evaluated(run: Path) -> Any:
    """Return the scores of a run on its own data; a warning counts as refused."""
    outcome = do(["evaluate", run, "--out", run / "scores"])
    if fault := outcome.fault():
        raise WrongEndingError(fault)
    if outcome.status or "config.yaml" in outcome.out:
        return REFUSED
    with (run / "scores" / "per_query.csv").open() as file:
        return [*csv.reader(file)]


def opened(folder: Path) -> Any:
    """Return a folder of embeddings as it is read."""
    try:
        found = open_embeddings(folder)
    except ReseenError:
        return REFUSED
    columns = (found.paths, found.identities, found.cameras)
    return found.vectors.numpy().tobytes(), [None if c is None else list(c) for c in columns]


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished study of one run."""
    out = tmp_path_factory.mktemp("study") / "study"
    done(studying(out))
    return out


def studying(out: Path) -> list[object]:
    """Return the words of a study that takes a moment."""
    settings = """{"model": {"backbone": "tests.training.tiny.Tiny", "height": 16, "width": 8}, "tensorboard": false,
      "batches": {"identities": 2, "images": 2}, "schedule": {"epochs": 1}, "evaluate_every": null}"""
    words = ["study", "losses", "--out", out, *SYNTHETIC, "--names", "[HardTripletLoss,AdaSPLoss]", "--seeds", "2"]
    return [*words, "--settings", settings, "--jobs", "1"]


@dataclass(frozen=True)
class Kind:
    """Files of one kind.

    Attributes:
        of: What of the house they are in.
        file: Which.
        read: Reads them in a copy of it.
    """

    of: str
    file: str
    read: Reading


KINDS = {
    "weights": Kind("run", "last.safetensors", lambda h, f: compared(h, f)),
    "best weights": Kind("run", "best.safetensors", lambda h, f: compared(h, f / "best.safetensors")),
    "training state": Kind("run", "state/last.pt", lambda h, f: resumed(f)),
    "configuration": Kind("run", "config.yaml", lambda h, f: evaluated(f)),
    "exported model": Kind("colours.onnx", "", lambda h, f: compared(h, f)),
    "gallery's database": Kind("gallery", "truth.sqlite", searched),
    "index: vectors": Kind("gallery", "index-1/vectors.npy", searched),
    "index: columns": Kind("gallery", "index-1/columns.npz", searched),
    "index: facts": Kind("gallery", "index-1/index.json", searched),
    "index: lists": Kind("listed", "index-1/lists.faiss", lambda h, f: searched(h, f, "--approximate_above", 100)),
    "embeddings": Kind("vectors", "parts/00000000.parquet", lambda h, f: opened(f)),
    "embeddings: description": Kind("vectors", "embedding.json", lambda h, f: opened(f)),
    "study: report.json": Kind(
        "study", "runs/*/report.json", lambda h, f: printed(*studying(f), out=f / "results.csv")
    ),
    "study: per_query.csv": Kind(
        "study", "runs/*/per_query.csv", lambda h, f: printed(*studying(f), out=f / "differences.csv")
    ),
    "study: study.yaml": Kind("study", "study.yaml", lambda h, f: printed(*studying(f), out=f / "results.csv")),
}


def flipped(kind: Kind, whole: Path, house: House, folder: Path, chance: Random) -> tuple[Any, str]:
    """Turn over a bit in a copy; return what is then read, and which bit it was."""
    copy = house.copy(str(whole), folder / whole.name)
    file = sorted(copy.glob(kind.file))[0] if kind.file else copy
    content = bytearray(file.read_bytes())
    place, bit = chance.randrange(len(content)), chance.randrange(8)
    content[place] ^= 1 << bit
    file.write_bytes(content)
    return kind.read(house, copy), f"bit {bit} of byte {place:,} of {len(content):,}"


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_right_or_refused(name: str, house: House, study: Path, tmp_path: Path, count: Count) -> None:
    kind, chance = KINDS[name], Random(name)
    whole = study if kind.of == "study" else house.root / kind.of
    if kind.of == "listed":
        whole = listed(house, tmp_path / "listed")
    right = kind.read(house, house.copy(str(whole), tmp_path / f"whole-{whole.name}"))
    assert right != REFUSED
    wrong = []
    for number in range(FLIPS):
        (folder := tmp_path / str(number)).mkdir()
        try:
            found, place = flipped(kind, whole, house, folder, chance)
        except WrongEndingError as error:
            found, place = "neither", str(error)
        count(f"flips: {name}", found if found == REFUSED else "right" if found == right else "lost")
        if found not in (REFUSED, right):
            wrong.append(place)
    assert not wrong


def listed(house: House, folder: Path) -> Path:
    """Make a gallery with lists for approximate search."""
    import numpy as np

    from reseen.embedding import load
    from reseen.gallery import Gallery

    fingerprint = load(house.onnx).fingerprint
    with Gallery(folder, fingerprint, approximate_above=100) as gallery:
        vectors = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
        gallery.add(vectors, identities=[n % 40 for n in range(400)], sources=[str(n) for n in range(400)])
        gallery.compact()
    return folder
