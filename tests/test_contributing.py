"""The examples of CONTRIBUTING.md run: modules in a package ``mine``, their tests, and the commands in order."""

import importlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reseen.gallery import Gallery
from tests.serving.conftest import Colours

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MODULES = dict(re.findall(r"```python\n# (mine/\w+\.py)\n(.*?)```", PAGE, flags=re.DOTALL))
COMMANDS = re.findall(r"^reseen (?:.*\\\n)*.*$", "".join(re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)), re.M)
SMALL = [
    *("--model.height", "64", "--model.width", "32", "--batches.identities", "3", "--batches.images", "2"),
    *("--schedule.epochs", "1", "--evaluate_every", "1"),
]
SMALL_DATA = [f"--data.{name}={value}" for name, value in {
    "num_train_identities": 4, "num_test_identities": 3, "num_cameras": 2, "images_per_camera": 2, "height": 32,
}.items()]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def mine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the package ``mine`` and the pictures of its data set, in which the commands are called."""
    folder = tmp_path_factory.mktemp("contributing")
    (folder / "mine").mkdir()
    (folder / "barn").mkdir()
    for path, code in MODULES.items():
        (folder / path).write_text(code, encoding="utf-8")
    for cow in range(8):
        for camera in range(2):
            for number in range(2):
                pixels = np.random.default_rng([cow, camera, number]).integers(0, 256, (32, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / "barn" / f"{cow}_{camera}_{number}.jpg")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]


def test_every_row_of_the_table_has_its_section_and_example() -> None:
    anchors = re.findall(r"^\| \[.*?\]\(#(.*?)\)", PAGE, flags=re.MULTILINE)
    sections = {
        title.lower().replace(" ", "-"): text
        for title, text in re.findall(r"^### (.*?)\n(.*?)(?=^##|\Z)", PAGE, re.M | re.S)
    }
    assert sorted(anchors) == sorted(sections)
    assert all("```python\n# " in text for text in sections.values())


def test_the_commands_and_the_loss_s_own_test_run(mine: Path) -> None:
    """In one process of their own: a subclass of ``Loss`` stays known to the parser for as long as a process lives."""
    lines = []
    for command in COMMANDS:
        _, *words = shlex.split(command.replace("\\\n", " "))
        if words[0] == "train":
            words += [*SMALL, *(SMALL_DATA if "Synthetic" in words else [])]
        lines.append(f"main({words})")
    assert len(lines) > 6
    code = ["from reseen.cli import main", "from mine.test_margin import *", *lines]
    code.append("test_the_loss_is_that_of_a_slow_loop()")
    done = subprocess.run([sys.executable, "-c", "\n".join(code)], cwd=mine, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for run in ("margin", "barn", "tiny", "halves"):
        assert (mine / "runs" / run / "last.safetensors").is_file()
    assert json.loads((mine / "runs" / "margin" / "report.json").read_text())["reranking"] == "mine.centred.centred"


def test_the_backend_keeps_a_gallery() -> None:
    pytest.importorskip("reseen.gallery.backends.base")
    importlib.import_module("mine.use_temporary")
    with Gallery("temporary://again") as gallery:
        gallery.add(np.eye(3, dtype=np.float32), identities=["a", "b", "c"])
        assert len(gallery) == 3


def test_the_authentication_takes_the_place_of_the_server_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastapi.testclient import TestClient

    from reseen.serving import app

    monkeypatch.setattr(app, "BearerToken", importlib.import_module("mine.api_key").BearerToken)
    with Gallery(tmp_path / "gallery") as gallery:
        client = TestClient(app.create_app(gallery, Colours(), token="secret", read_token="peek"))
        assert client.get("/facts").status_code == 401
        assert client.get("/facts", headers={"Authorization": "Bearer secret"}).status_code == 401
        for key, read, write in (("secret", 200, 404), ("peek", 200, 403), ("wrong", 401, 401)):
            assert client.get("/facts", headers={"X-API-Key": key}).status_code == read
            assert client.delete(f"/items/{'0' * 32}", headers={"X-API-Key": key}).status_code == write
        assert "X-API-Key" in client.get("/openapi.json").text
