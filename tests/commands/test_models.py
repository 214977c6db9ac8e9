"""`reseen models`, and the model of a verb that is given none."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from reseen.cli import main
from reseen.models import Embedder, ModelSpec
from reseen.zoo import DEFAULT, entries


@pytest.fixture(autouse=True)
def _mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESEEN_MODELS", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


def pictures(folder: Path) -> list[str]:
    for name, colour in (("a.jpg", "red"), ("b.jpg", "blue")):
        Image.new("RGB", (20, 40), colour).save(folder / name)
    return ["a.jpg", "b.jpg"]


def test_all_models_are_listed_and_chosen_among(capsys: pytest.CaptureFixture[str]) -> None:
    main(["models"])
    said = capsys.readouterr().out
    assert all(name in said for name in entries())
    main(["models", "--shows", "vehicle", "--family", "transreid", "--trained_on", "veri776"])
    said = capsys.readouterr().out
    assert "transreid_vit_veri776" in said
    assert "market1501" not in said
    assert f"3 of {len(entries())} models" in said
    main(["models", "--smaller", "0.2"])
    assert "person-reidentification-retail-0288" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--shows", "cat"], "expected one of person, vehicle, animal, any or null for --shows, got cat"),
        (["--trained_on", "cats"], "expected filters that some model passes, got none; leave one out; families: AGW, "),
    ],
)
def test_a_filter_that_nothing_passes_is_one_line(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["models", *words])
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_the_list_needs_no_torch() -> None:
    listing = """
import sys
for name in ("torch", "torchvision", "timm"):
    sys.modules[name] = None  # importing it fails
from reseen.cli import main
main(["models", "--family", "AGW"])
"""
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=False, timeout=120)
    assert f"4 of {len(entries())} models" in done.stdout, done.stderr


def test_one_model_is_shown_with_licences_and_source(capsys: pytest.CaptureFixture[str]) -> None:
    main(["models", DEFAULT])
    said = capsys.readouterr().out
    for word in ("MIT", "research only", "43.3 / 70.1 on MSMT17 to Market-1501", "MODEL_ZOO.md", f"{DEFAULT}.pth"):
        assert word in said
    assert "not loaded here" in said
    with pytest.raises(SystemExit) as leaving:
        main(["models", "osnet_ain_x1_0"])
    assert leaving.value.code == 1
    assert "did you mean osnet_" in capsys.readouterr().err


def test_no_model_is_the_default_one_and_the_verb_says_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.models.weights.test_published_names import made, osnet

    torch.save(made(osnet("osnet_ain_x1_0", 4101)), tmp_path / f"{DEFAULT}.pth")
    main(["compare", *pictures(tmp_path)])
    said = " ".join(capsys.readouterr().out.split())
    assert f"no model given: taking {DEFAULT}" in said
    assert "similarity" in said
    main(["index", "seen", "--pictures", "."])
    main(["search", "seen", "a.jpg", "--k", "1"])
    assert "a.jpg" in capsys.readouterr().out


def test_a_default_that_cannot_be_had_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["compare", *pictures(tmp_path)])
    error = capsys.readouterr().err
    assert error.startswith(f"reseen: expected {DEFAULT}.pth in {tmp_path}")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("search seen a.jpg", "expected a gallery at seen, found none"),
        ("compare a.jpg b.jpg --gallery seen", "expected a gallery at seen, found none"),
        ("compare a.jpg none.jpg", "expected a picture at none.jpg, found no such file"),
        ("index seen --pictures none", "expected pictures in none, found none"),
        ("index other://place --pictures .", "expected a folder or one of milvus://"),
        ("serve other://place", "expected a folder or one of milvus://"),
    ],
)
def test_what_is_not_there_is_said_before_a_model_is_fetched(
    words: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures(tmp_path)
    with pytest.raises(SystemExit):
        main(words.split())
    assert told in capsys.readouterr().err
    assert not (tmp_path / "seen").exists()


def test_a_missing_extra_is_said_before_a_model_is_fetched(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(SystemExit):
        main(["export", DEFAULT, "model.onnx"])
    assert "run: pip install 'reseen[export]'" in capsys.readouterr().err


def test_a_model_is_exported_by_name_with_its_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx")
    name = "osnet_x0_25_market1501"
    torch.save(Embedder(ModelSpec("osnet_x0_25", neck="none")).network.backbone.state_dict(), tmp_path / f"{name}.pth")
    main(["export", name, "model.onnx", "--card", "README.md"])
    card = (tmp_path / "README.md").read_text()
    assert "osnet_x0_25, 256 x 128 pixels, 512 numbers" in card
    assert "none with the run" in card
    assert 'reseen.load("model.onnx")' in card
