"""What words on a command line become."""

import contextlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

from reseen import losses
from reseen.cli import main
from reseen.cli.parser import WrongArgumentsError, parse
from reseen.errors import ReseenError

DRAWN = ["--data", "Synthetic", "--out", "unused"]


def metric_loss(arguments: list[str]) -> losses.Loss:
    """Return the metric loss that `reseen train` would train with."""
    (loss,) = (term.loss for term in parse("train", arguments)[1]["terms"] if term.loss.role == "metric")
    return loss


@pytest.mark.parametrize("before", [[], ["--config", "veri776/adasp"]])
@pytest.mark.parametrize("name", ["SupConLoss", "EasyPositiveLoss", "RankedListLoss", "MultiSimilarityLoss"])
def test_another_loss_begins_with_its_own_defaults(name: str, before: list[str]) -> None:
    loss = metric_loss([*before, *DRAWN, "--loss", name])
    assert type(loss).__name__ == name
    for parameter in inspect.signature(getattr(losses, name)).parameters.values():
        assert getattr(loss, parameter.name) == parameter.default


def test_an_argument_holds_for_the_class_it_was_given_to() -> None:
    assert metric_loss([*DRAWN, "--loss.temperature", "0.2"]).temperature == 0.2
    both = ["--loss", "SupConLoss", "--loss.temperature", "0.5"]
    assert metric_loss([*DRAWN, *both]).temperature == 0.5
    assert metric_loss(["--config", "veri776/adasp", *DRAWN, "--loss_weight", "1"]).temperature == 0.05


@pytest.mark.parametrize("flag", ["schedule", "batches", "model", "augmentation", "data", "terms"])
@pytest.mark.parametrize("name", ["a.json", "a.yaml", "a"])
def test_a_file_of_settings_imports_no_module(
    flag: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "canary.py").write_text("import os; os.mkdir('executed')\nclass Net: pass\n")
    (tmp_path / name).write_text(json.dumps({"class_path": "canary.Net"}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for words in ([f"--{flag}", name], [f"--{flag}={name}"]):
        with pytest.raises((WrongArgumentsError, ReseenError)):
            parse("train", [*DRAWN, *words])
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["study", "--help"]])
def test_an_output_without_room_is_one_line(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no device that is always full")
    with contextlib.suppress(OSError), open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit, match="1"):
            main(words)
    assert capsys.readouterr().err.startswith("reseen: expected room and permission for the output, got: No space")


def test_the_help_of_train_imports_nothing_that_it_does_not_need() -> None:
    code = """
import sys
from reseen.cli import main
try:
    main(["train", "--help"])
except SystemExit:
    heavy = {"accelerate", "captum", "jinja2", "matplotlib", "pandas", "scipy", "sklearn", "timm", "torchvision"}
    print("imported:", sorted(heavy & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "imported: []"
