"""Flags of every verb: which classes a file may name, and how pictures are read."""

import errno
import json
import os
from pathlib import Path

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from PIL import Image

from reseen import checkpoint
from reseen.cli import COMMANDS, main
from reseen.cli.environment import environment_variables, split_common_flags, typed_classes
from reseen.cli.parser import verb
from reseen.embedding.parts import open_embeddings
from reseen.errors import ReseenError, TrustError
from reseen.losses import Loss
from reseen.models import Embedder, ModelSpec
from reseen.studies import summaries
from reseen.trust import CLASS_KEYS, named_classes, require_trusted
from reseen.types import Benchmark

FOREIGN = "import pathlib\npathlib.Path({ran!r}).touch()\nclass Net: pass\ndef net(): pass\n"


@pytest.fixture
def untrusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path of imports whose module leaves a file when it is imported."""
    monkeypatch.delenv("RESEEN_TRUST")
    (tmp_path / "foreign.py").write_text(FOREIGN.format(ran=str(tmp_path / "RAN")))
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def run(untrusted: Path) -> Path:
    """A run whose backbone is of another package."""
    torch.manual_seed(0)
    (untrusted / "run").mkdir()
    checkpoint.save(untrusted / "run" / "last.safetensors", Embedder(ModelSpec("tests.training.tiny.Tiny", 16, 8)))
    for person in ("ann", "bob"):
        (untrusted / "people" / person).mkdir(parents=True)
        for number in range(2):
            Image.effect_noise((8, 16), 50).convert("RGB").save(untrusted / "people" / person / f"{number}.png")
    return untrusted / "run"


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words])
    line = capsys.readouterr().err.strip()
    assert stopped.value.code in (1, 2)
    assert line.startswith("reseen: ")
    assert "\n" not in line
    return line


def test_a_models_package_is_trusted_where_it_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = ("--pictures", run.parent / "people")
    for words in (
        ("embed", run, *pictures, "--out", run / "out"),
        ("index", run / "gallery", "--model", run, *pictures),
        ("compare", run.parent / "people/ann/0.png", run.parent / "people/bob/0.png", "--model", run),
        ("evaluate", run, "--data", "Synthetic"),
        ("export", run, run / "model.onnx"),
    ):
        line = refused(capsys, *words)
        assert "got tests.training.tiny.Tiny" in line
        assert "--trust tests" in line
    words = ["embed", str(run), *map(str, pictures), "--out", str(run / "out")]
    main([*words, "--trust", "tests"])
    assert len(open_embeddings(run / "out").paths) == 4
    assert "RESEEN_TRUST" not in os.environ


def broken(run: Path) -> Path:
    path = run.parent / "people" / "ann" / "1.png"
    path.write_bytes(path.read_bytes()[:60])
    return path


@pytest.mark.parametrize("what", ["pictures", "data"])
def test_a_broken_picture_stops_an_embedding_or_is_left_out(
    run: Path, what: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    path, people = broken(run), run.parent / "people"
    given = ["--pictures", str(people)]
    if what == "data":
        people.joinpath("list.csv").write_text(
            "path,identity,split\n"
            + "".join(
                f"{who}/{n}.png,{who},{part}\n" for who in ("ann", "bob") for n, part in ((0, "query"), (1, "gallery"))
            )
        )
        given = ["--data", "Table", "--data.path", str(people / "list.csv"), "--parts", "[gallery]"]
    words = ["embed", str(run), *given, "--out", str(run / "out"), "--trust", "tests"]
    assert str(path) in refused(capsys, *words)
    main([*words, "--unreadable", "skip"])
    assert "1 of " in caplog.text
    assert "cannot be read and are left out" in caplog.text
    found = open_embeddings(run / "out" if what == "pictures" else run / "out" / "gallery")
    assert str(path) not in list(found.paths)
    assert len(found.paths) == (3 if what == "pictures" else 1)


def test_a_broken_picture_stops_indexing_or_is_counted(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = broken(run)
    (run.parent / "people" / "._1.png").write_bytes(b"no picture")
    (run.parent / "people" / "paper.pdf").write_bytes(b"no picture")
    words = ["index", str(run / "gallery"), "--model", str(run), "--pictures", str(run.parent / "people")]
    assert str(path) in refused(capsys, *words, "--trust", "tests")
    main([*words, "--trust", "tests", "--unreadable", "skip"])
    assert "3 pictures, 3 of them new, 1 unreadable skipped; 3 in" in capsys.readouterr().out
    (run.parent / "people" / "list.csv").write_text("path,identity\nann/0.png,ann\nann/1.png,ann\nbob/0.png,bob\n")
    words[-2:] = ["--table", str(run.parent / "people" / "list.csv")]
    main([*words, "--trust", "tests", "--unreadable", "skip"])
    assert "2 pictures, 0 of them new, 1 unreadable skipped; 3 in" in capsys.readouterr().out


DATA: list[object] = [
    "foreign.Net",
    {"class_path": "foreign.Net"},
    {"class_path": "foreign.net", "init_args": {"root": "x"}},
    {"class_path": "Subset", "init_args": {"source": "foreign.Net"}},
    {"class_path": "reseen.datasets.Subset", "init_args": {"source": {"class_path": "foreign.Net"}}},
    {"class_path": "Joined", "init_args": {"sources": ["Synthetic", "foreign.Net"]}},
    {"class_path": "Joined", "init_args": {"sources": [{"class_path": "foreign.Net"}], "test": "Synthetic"}},
    {"class_path": "Joined", "init_args": {"sources": ["Synthetic"], "test": "foreign.Net"}},
]


@pytest.mark.parametrize("data", DATA)
def test_the_data_of_a_foreign_run_runs_no_code(run: Path, data: object, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "config.yaml").write_text(yaml.safe_dump({"data": data}))
    line = refused(capsys, "evaluate", run, "--trust", "tests")
    assert "config.yaml, got foreign.Net" in line.replace("foreign.net", "foreign.Net")
    assert not (run.parent / "RAN").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": "foreign.Net"},
        {"loss": {"class_path": "foreign.Net"}},
        {"loss": {"class_path": "AcrossRanks", "init_args": {"loss": {"class_path": "foreign.Net"}}}},
        {"identity_loss": "foreign.net"},
        {"candidates": "foreign.Net"},
        {"terms": [{"on": "feature", "loss": {"class_path": "foreign.Net"}, "weight": 1}]},
        {"model": {"backbone": "foreign.Net"}},
        {"model.backbone": "foreign.Net"},
        {"data": "foreign.Net"},
        {"data.class_path": "foreign.Net"},
        {"model": {"backbone": "timm:hf_hub:owner/name"}},
    ],
)
def test_a_foreign_configuration_runs_no_code(
    untrusted: Path, settings: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    path = untrusted / "config.yaml"
    path.write_text(yaml.safe_dump({"data": "Synthetic", "out": "run", **settings}))
    for words in (["--config", str(path)], [f"--config={path}"]):
        assert "expected classes of this library in" in refused(capsys, "train", *words).replace(
            "a network of timm's own", "classes of this library"
        )
    assert not (untrusted / "RAN").exists()
    assert not (untrusted / "run").exists()


def test_a_configuration_in_a_configuration_is_not_read(untrusted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (untrusted / "inner.yaml").write_text("loss: foreign.Net\n")
    (untrusted / "outer.yaml").write_text(f"data: Synthetic\nconfig: {untrusted / 'inner.yaml'}\nout: run\n")
    assert "expected settings alone in" in refused(capsys, "train", "--config", untrusted / "outer.yaml")
    (untrusted / "inner.yaml").write_text("backbone: foreign.Net\n")
    (untrusted / "outer.yaml").write_text(f"data: Synthetic\nmodel: {untrusted / 'inner.yaml'}\nout: run\n")
    for words in (["--config", untrusted / "outer.yaml"], ["--model", untrusted / "inner.yaml", "--data", "Synthetic"]):
        assert "got foreign.Net" in refused(capsys, "train", "--out", "run", *words)
    assert not (untrusted / "RAN").exists()


def test_a_configuration_cannot_trust_itself(untrusted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (untrusted / "config.yaml").write_text("trust: foreign\nloss: foreign.Net\ndata: Synthetic\nout: run\n")
    assert "expected classes of this library" in refused(capsys, "train", "--config", untrusted / "config.yaml")
    assert not (untrusted / "RAN").exists()


def test_what_is_typed_is_trusted_and_what_is_a_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "evil.safetensors").touch()
    words = ["embed", "evil.net", "--model", str(tmp_path / "evil.safetensors"), "--loss", "mine.Loss", "--out=a/b.c"]
    words += ["--terms", '[{loss: {class_path: their.sub.Loss}, "on": feature}]', "--model.backbone=own.Net"]
    assert list(typed_classes(words)) == ["mine.Loss", "their.sub.Loss", "own.Net"]
    values, rest = split_common_flags(
        [*words, "--trust", "one", "--trust=two.three", "--unchecked", "true", "--scale", "type"]
    )
    assert rest == words
    assert set(values["RESEEN_TRUST"].split(",")) >= {"one", "two.three", "mine.Loss", "their.sub.Loss", "own.Net"}
    assert (values["RESEEN_UNCHECKED"], values["RESEEN_SCALE"]) == ("1", "type")
    for wrong in (["--trust", "a b"], ["--scale", "wide"], ["--max_pixels", "many"], ["--trust"]):
        with pytest.raises(ReseenError):
            split_common_flags(wrong)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_full_or_read_only_disk_is_one_line_wherever_it_is_met(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(tmp_path / "metrics.jsonl"))

    monkeypatch.setattr("reseen.commands.recipes.recipes", full)
    assert f"{tmp_path}/metrics.jsonl, got: {os.strerror(number)}" in refused(capsys, "recipes")


def test_the_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESEEN_SCALE", "range")
    monkeypatch.delenv("RESEEN_MAX_PIXELS", raising=False)
    with pytest.raises(KeyError), environment_variables({"RESEEN_SCALE": "type", "RESEEN_MAX_PIXELS": "5"}):
        raise KeyError(os.environ["RESEEN_SCALE"], os.environ["RESEEN_MAX_PIXELS"])
    assert os.environ["RESEEN_SCALE"] == "range"
    assert "RESEEN_MAX_PIXELS" not in os.environ


def test_every_setting_that_names_a_class_is_known() -> None:
    """Every parameter, of a verb or of a class that a file may name, whose value is made from a class's name."""
    verbs = [verb(name) for name in COMMANDS if name != "study"] + [verb(f"study {name}") for name in summaries()]
    classes = [found for base in (Loss, Benchmark) for found in below(base) if found.__module__.startswith("reseen.")]
    found: set[str] = set()
    for function in (*verbs, *(kind.__init__ for kind in classes)):
        parser = ArgumentParser(exit_on_error=False)
        parser.add_function_arguments(function, as_positional=False, fail_untyped=False)
        for action in parser._actions:
            if any(word in str(getattr(action, "_typehint", "")) for word in ("Benchmark", "Loss", "CandidateSource")):
                found.add(action.dest.rpartition(".")[2])
    assert found - {"terms", "help"} <= CLASS_KEYS  # a term's loss is found below it
    assert {"data", "loss", "sources", "test", "source", "candidates"} <= found


def below(base: type) -> list[type]:
    return [found for kind in base.__subclasses__() for found in (kind, *below(kind))]


def test_names_are_found_however_settings_are_nested() -> None:
    round_about: dict[str, object] = {"loss": "a.B"}
    round_about["again"] = [round_about, {"self": round_about}]
    bomb: object = "x.y"
    for _ in range(60):
        bomb = {"one": bomb, "two": bomb}
    assert list(named_classes(round_about)) == ["a.B"]
    assert list(named_classes({"data": "c.D", "bomb": bomb})) == ["c.D"]
    assert sorted(
        named_classes(json.loads('{"sources+": ["a.B", {"class_path": "c.D"}], "x": [[{"loss": "e.F"}]]}'))
    ) == [*("a.B", "c.D", "e.F")]


def test_what_is_trusted() -> None:
    names = ["AdaSPLoss", "osnet_x0_25", "timm:vit_tiny_patch16_224.augreg_in21k", "reseen.losses.AdaSPLoss", "a.b.C"]
    require_trusted(names, source="file", trust=["a"])
    require_trusted(names, source="file", trust=["a.b.C"])
    for trust in ([], ["a.b.c"], ["a.b.C.d"], ["A"], ["b"], ["reseen"]):
        with pytest.raises(TrustError, match=r"in file, got a\.b\.C"):
            require_trusted(names, source="file", trust=trust)
    with pytest.raises(TrustError):
        require_trusted(["reseen_evil.Net"], source="file")
