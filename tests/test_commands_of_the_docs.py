"""Every `reseen` command of README and docs runs, page by page, on miniatures of the data that the pages name.

The shell itself takes the blocks apart, with a function in place of each program: variables, loops and quotes mean
what they mean to a reader. Trainings are short, studies pretend theirs, what cannot run here is at least parsed.
"""

import csv
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from reseen import checkpoint
from reseen.cli import main
from reseen.cli.parser import parse
from reseen.models import Embedder, ModelSpec
from reseen.studies.runner import engine
from tests.commands.test_gallery_verbs import person
from tests.datasets.miniatures import MINIATURES, picture
from tests.studies.conftest import started
from tests.test_docs import PAGES, ROOT, blocks

__all__ = ["started"]
pytestmark = pytest.mark.slow

OTHERS = (
    "make",
    "python",
    "pip",
    "sudo",
    "cp",
    "curl",
    "torchrun",
    "accelerate",
    "trtexec",
    "rm",
    "cat",
    "docker",
    "milvus-lite",
)
SEPARATOR, END = "\x1f", "\x1e\n"
SMALL = [
    *("--batches.identities", "2", "--batches.images", "2", "--schedule.epochs", "1"),
    *("--model.height", "32", "--model.width", "16", "--evaluate_every", "1"),
]
SMALL_MODEL = ["--model.height", "32", "--model.width", "16"]
SMALL_DATA = [f"--data.{name}={value}" for name, value in {
    "num_train_identities": 4, "num_test_identities": 3, "images_per_camera": 2, "height": 32,
}.items()]  # fmt: skip
PKU, VEHICLES, WEIGHTS = "pku_reid", "vehicles/images/train", "osnet_x0_25_msmt17.pth"
ONLY_PARSED = {
    "a.jpg": "it fetches a published model",
    "seen": "the same",
    "dinov2": "the same",
    "serve": "it serves until it is stopped; tests/serving",
    "--config": "a recipe wants hours; tests/recipes takes steps of each",
    "their_run": "a run of somebody else's package",
    "video": "the tutorial's video is not ours; tests/commands has one",
    "square": "that video's gallery",
    "manifest.parquet": "it wants Ray; tests/embedding",
    "--joint": "four pictures are too few to group; tests/adaptation",
    "milvus": "it wants a server; tests/gallery and tests/serving",
}


def commands(page: Path) -> list[list[str]]:
    """Return the words of each `reseen` command of a page, as its shell blocks would call it."""
    record = f'reseen() {{ for word in "$@"; do printf "%s{SEPARATOR}" "$word"; done; printf "{END}"; }}\n'
    nothing = "".join(f"{name}() {{ :; }}\n" for name in OTHERS)
    variables = f"PKU={PKU} VEHICLES={VEHICLES} WEIGHTS={WEIGHTS} TOKEN=token\n"
    found = []
    for block in blocks(page, "sh", "bash"):
        if block.startswith("--"):
            continue  # flags alone
        done = subprocess.run(["bash", "-c", record + nothing + variables + block], capture_output=True, text=True)
        assert done.returncode == 0, f"{block}\n{done.stderr}"
        found += [line.split(SEPARATOR)[:-1] for line in done.stdout.split(END) if line]
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the pages name."""
    place = tmp_path_factory.mktemp("docs")
    people = [(f"{i:03d}", camera, n) for i in range(16) for camera in (1, 2) for n in range(3)]
    (place / PKU).mkdir()
    with (place / "people.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "identity", "camera", "modality"])
        for identity, camera, number in people:
            name = f"{PKU}/{identity}_{camera:02d}_{number}.jpg"
            Image.fromarray(person(int(identity), 7 * camera + number)).save(place / name)
            rows.writerow([name, identity, camera, ("visible", "infrared")[number % 2]])
    shutil.copy(place / "people.csv", place / "cows.csv")
    shutil.copy(place / "people.csv", place / "pku.csv")
    for number in range(104):
        for camera in (1, 2):
            picture(place / VEHICLES / f"bus_{number:04d}_cam{camera}.jpg")
    for number in range(6):
        for seed in range(4):
            for folder, name in (("enrolled", str(17 + number)), ("cows", f"cow {number}"), ("folder", "a")):
                path = place / folder / name / f"{number}_{seed}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(person(number, seed)).save(path)
    shutil.copytree(place / "enrolled", place / "some" / "of" / "yours")
    (place / "site").mkdir()
    for identity, camera, number in people:
        Image.fromarray(person(int(identity), 7 * camera + number)).save(
            place / "site" / f"{identity}_cam{camera}_{number}.jpg"
        )
    for name in ("who", "a", "b"):
        Image.fromarray(person(0, 99)).save(place / f"{name}.jpg")
    for name, folders in {
        "Market1501": ("Market-1501-v15.09.15", "A"),
        "MSMT17": ("MSMT17_V2", "B"),
        "DukeMTMCReID": ("DukeMTMC-reID", "B"),
        "VeRi776": ("VeRi",),
        "RegDB": ("RegDB",),
        "SYSUMM01": ("SYSU-MM01",),
    }.items():
        for folder in folders:
            (place / folder).mkdir(exist_ok=True)
            root = MINIATURES[name](place / folder)["root"]
            for entry in () if root == place / folder else list(root.iterdir()):
                entry.rename(place / folder / entry.name)
    torch.manual_seed(0)
    torch.save(Embedder(ModelSpec("osnet_x0_25", 32, 16)).network.backbone.state_dict(), place / WEIGHTS)
    shutil.copy(place / WEIGHTS, place / "osnet.pth")
    checkpoint.save(place / "osnet.safetensors", Embedder(ModelSpec("tests.training.tiny.Tiny", 32, 16)))
    shutil.copy(place / "osnet.safetensors", place / "model.safetensors")
    return place


@pytest.fixture(scope="module")
def trained(place: Path) -> Path:
    """A run of that folder, under the names that the pages give to runs they do not train."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        tiny = ["--model.backbone", "tests.training.tiny.Tiny"]
        main(["train", "--data", "Table", "--data.path", "people.csv", "--out", "ready", *SMALL, *tiny])
        main(["export", "ready", "model.onnx"])
    return place / "ready"


NAMES = ("runs/first", "runs/second", "runs/triplet", "runs/fidi", "runs/cows")
OF_STUDIES = [
    f"runs/fidelity_{data}/runs/CE_+_{loss}-{seed}"
    for data in ("pku", "synthetic")
    for loss in ("HardTriplet", "FIDI")
    for seed in range(3)
]


@pytest.fixture
def here(place: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of its own for each page, with all of that in it."""
    for entry in place.iterdir():
        (tmp_path / entry.name).symlink_to(entry)
    for name in (*NAMES, *OF_STUDIES):
        shutil.copytree(trained, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pretended(started: list[str], trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of studies end at once, with figures made up and the weights of another run."""
    start = engine._start

    def start_with_weights(folder: Path, run: engine.Run, **options: Any) -> Any:
        process = start(folder, run, **options)
        shutil.copy(trained / "last.safetensors", folder / run.name)
        return process

    monkeypatch.setattr(engine, "_start", start_with_weights)


def fitted(words: list[str], here: Path) -> list[str]:
    """Return a command with what makes it short, and a run's folder that is free."""
    verb = words[0]
    if verb in ("train", "study") and "--out" in words:
        shutil.rmtree(here / words[words.index("--out") + 1], ignore_errors=True)
    if verb == "train":
        words = [*words, *SMALL, *(SMALL_DATA if "Synthetic" in words else [])]
    if words[1:2] == ["harmful-pairs"]:
        words = [*words, "--identities", "2", "--num_batches", "3", "--draws", "10", "--instances", "[2]", *SMALL_MODEL]
    if "Synthetic" in words and verb in ("check-data", "study"):
        words = [*words, *SMALL_DATA]
    if verb in ("calibrate", "search", "compare", "export") and ("--out" in words or verb == "export"):
        words = [*words, "--force", "true"]
    return words


def reason(words: list[str]) -> str | None:
    """Return why a command is not run."""
    return next((why for word, why in ONLY_PARSED.items() if any(word in given for given in words)), None)


@pytest.mark.parametrize(
    "page", [p for p in PAGES if p.name != "CONTRIBUTING.md"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_the_commands_of_a_page_run(
    page: Path, here: Path, pretended: None, capsys: pytest.CaptureFixture[str]
) -> None:
    for typed in commands(page):
        words = [word.removeprefix("/data/") for word in typed]
        if any("..." in word for word in words) or words[:1] in ([], ["VERB"]):
            continue  # the reader's own words go there
        if reason(words) is not None:
            if not {"video", "their_run"} & {word for word in ONLY_PARSED if any(word in given for given in words)}:
                parse(words[0], words[1:])
            continue
        ids = [name for name in words if name == "ID,ID"]
        if ids:
            main(["label", "gallery", "--out", "all.csv"])
            listed = list(csv.DictReader((here / "all.csv").read_text().splitlines()))
            words = [f"{listed[0]['id']},{listed[1]['id']}" if word == "ID,ID" else word for word in words]
        assert status_of(fitted(words, here)) == 0, f"{words}\n{capsys.readouterr().err}"


def status_of(words: list[str]) -> int:
    """Return the exit status of a command."""
    try:
        main(words)
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


def test_the_shell_gives_what_a_reader_would_type() -> None:
    page = ROOT / "docs" / "studies" / "rankings.md"
    outs = [words[words.index("--out") + 1] for words in commands(page) if "--out" in words]
    assert [out for out in outs if re.search(r"pku_\d", out)] == [f"runs/rankings_pku_{seed}" for seed in range(3)]
    assert np.unique([words[0] for words in commands(ROOT / "README.md")]).tolist() == [
        "check-data",
        "compare",
        "evaluate",
        "index",
        "report",
        "search",
        "train",
    ]
