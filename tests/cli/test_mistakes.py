"""Mistakes at the command line, and the one line that each is answered with."""

import re
from pathlib import Path

import pytest
import yaml
from tests.commands.test_verbs import TINY, failing

from reseen.cli import fail, main
from reseen.cli.parser import parse
from reseen.cli.runs import data_of
from reseen.errors import RunError

DRAWN = "--data Synthetic --out X"

MISTAKES = {
    f"train --loss AdaSP {DRAWN}": "got AdaSP; did you mean AdaSPLoss?",
    f"train --loss none {DRAWN}": "package.Class, or null for --loss, got none; did you mean null?",
    f"train --loss.betta 0.3 --loss FIDILoss {DRAWN}": "got --loss.betta; did you mean --loss.beta?",
    f"train --loss CrossModal --loss.loss HELos {DRAWN}": "for --loss.loss, got HELos; did you mean HELoss?",
    f"train --loss CrossModal --loss.loss FIDILoss --loss.loss.betta 3 {DRAWN}": "did you mean --loss.loss.beta?",
    f"train --loss WeightedTripletLoss --loss.margin 3 {DRAWN}": "of WeightedTripletLoss (none), got --loss.margin",
    f"train --loss HELoss --loss.metric cosin {DRAWN}": "euclidean, cosine for --loss.metric, got cosin; did you mean",
    f"train --loss FromPML --loss.loss AdaSP {DRAWN}": "expected package.Class for --loss.loss, got AdaSP",
    f"train --identity_loss.smoothin 3 {DRAWN}": "did you mean --identity_loss.smoothing?",
    f"train --config market1501/bot --loss AdaSP {DRAWN}": "got AdaSP; did you mean AdaSPLoss?",
    f"train --loss.temperature warm {DRAWN}": "expected a number for --loss.temperature, got warm",
    f"train --loss mine.MyLoss {DRAWN}": "got mine.MyLoss (No module named 'mine'); a file mine.py in the folder",
    f"train --loss json.dumps {DRAWN}": "expected package.Class, a Loss, for --loss, got json.dumps",
    f"train --loss json.nothing {DRAWN}": "module 'json' has no attribute 'nothing'",
    f"train --loss_weight heavy {DRAWN}": " for --loss_weight, got heavy",
    f"train --candidates Moreid {DRAWN}": "did you mean MoReID?",
    f"train --terms foo {DRAWN}": "expected a list in brackets, each settings of a Term, or null for --terms, got foo",
    f"train --terms+ Term --terms.loss AdaSP {DRAWN}": "for --terms.loss, got AdaSP; did you mean AdaSPLoss?",
    f"train --terms+ Term --terms.lss HELoss {DRAWN}": "Term (loss, output, weight, role), got --terms.lss; did you",
    f"train --height 128px {DRAWN}": "got --height; did you mean --model.height?",
    f"train --model.height 128px {DRAWN}": "expected a whole number for --model.height, got 128px; did you mean 128?",
    f"train --model.neck foo {DRAWN}": (
        "expected one of own, bnneck, common, rectified, rectified_bnneck, none for --model.neck, got foo"
    ),
    f"train --model.weights {DRAWN}": "expected a value after --model.weights, got none",
    "train --data Tabel --data.path p.csv --out X": "got Tabel; did you mean Table?",
    "train --data people.csv --out X": "got people.csv; did you mean --data Table --data.path people.csv?",
    "train --data pictures/people.csv --out X": "did you mean --data Table --data.path pictures/people.csv?",
    "train --data . --out X": "expected a data set's name for --data, got .; did you mean --data Folder --data.root .?",
    "train --data Subset --data.source Tabel --out X": "for --data.source, got Tabel; did you mean Table?",
    "train --data Subset --data.source p.csv --out X": "did you mean --data.source Table --data.source.path p.csv?",
    "train --data Subset --data.source.path p.csv --out X": "expected a data set before --data.source.path, as in",
    "train --data Joined --data.sources+ Tabel --out X": "for --data.sources, got Tabel; did you mean Table?",
    "adapt --spec.heigth 3 --data Synthetic --out X": "got --spec.heigth; did you mean --spec.height?",
    "study losses --data Tabel --out X": "got Tabel; did you mean Table?",
    "train people.csv": "got the word people.csv; did you mean --data Table --data.path people.csv?",
    "train --data Table --out X": "expected --data.path for Table, got none",
    "train --data Table --data.pth p.csv --out X": "got --data.pth; did you mean --data.path?",
    "train --data.path p.csv --out X": "expected a data set before --data.path, as in --data Table, got none",
    f"train --data.height tall {DRAWN}": "expected a whole number for --data.height, got tall",
    "train --data Synthetic": "expected --out, got none",
    "train --out": "expected a value after --out, got none",
    f"train --schedule.epoch 3 {DRAWN}": "got --schedule.epoch; did you mean --schedule.epochs?",
    f"train --schedule.epochs three {DRAWN}": "expected a whole number or null for --schedule.epochs, got three",
    f"train --schedule.milestones 3 {DRAWN}": "each a number, or null for --schedule.milestones, got 3; did you mean "
    "[3]?",
    f"train --schedule foo {DRAWN}": "expected a YAML file of settings for --schedule, got foo",
    f"train --epochs 3 {DRAWN}": "did you mean --schedule.epochs?",
    f"train --lr 0.1 {DRAWN}": "did you mean --schedule.learning_rate?",
    f"train --batch_size 64 {DRAWN}": "did you mean --batches.identities?",
    f"train --evaluate-every 3 {DRAWN}": "did you mean --evaluate_every?",
    f"train --evaluate_every never {DRAWN}": "expected a whole number or null for --evaluate_every, got never; did you "
    "mean null?",
    f"train --augmentation.flip 0.5x {DRAWN}": "expected a number or null for --augmentation.flip, got 0.5x",
    f"train --resume maybe {DRAWN}": "expected true or false for --resume, got maybe",
    f"train --seed 1.5 {DRAWN}": "expected a whole number for --seed, got 1.5",
    f"train -o Y {DRAWN}": "expected a flag of this verb, got -o",
    "evaluate": "expected RUN, got none",
    "evaluate runs/no extra": "expected RUN and then flags, got the word extra",
    "evaluate runs/no --batchsize 3": "did you mean --batch_size?",
    "evaluate runs/no --reranking k-reciprocal": "got k-reciprocal; did you mean k_reciprocal?",
    "evaluate runs/no --data Table": "expected --data.path for Table, got none",
    "embed runs/no --out X --parts test": "each one of train, query, gallery, or null for --parts, got test; did you "
    "mean [test]?",
    "calibrate g --rates 0.1": "expected a list in brackets, each a number, or null for --rates, got 0.1; did you mean "
    "[0.1]?",
    "index g --picture p": "did you mean --pictures?",
    "trian --data Synthetic": "did you mean train?",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_answered_with_what_was_meant(words, capsys):
    status, line = failing(capsys, *words.split())
    assert status == 2
    assert MISTAKES[words] in line
    for word in ("<class", "typing.", "Union", "NestedArg", "Parser key", "LazyInstance"):
        assert word not in line


def metric_loss(words):
    """Return the metric loss that a command line trains with, wherever the settings have it."""
    settings = parse("train", words)[1]
    return settings["loss"] if "loss" in settings else settings["terms"][-1].loss


def test_flags_may_stand_in_any_order():
    for words in (["--loss.beta", "0.7", *DRAWN.split(), "--loss", "FIDILoss"], ["--loss.beta=0.7", "--loss=FIDILoss"]):
        loss = metric_loss([*words, *DRAWN.split()])
        assert (type(loss).__name__, loss.beta) == ("FIDILoss", 0.7)
    words = ["--data.num_train_identities", "3", "--out", "X", "--data.height", "32", "--data", "Synthetic"]
    data = parse("train", words)[1]["data"]
    assert len({sample.identity for sample in data.train}) == 3


BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
FILES = {
    "": "got nothing",
    "- 1": "got a list",
    "word": "got a single value",
    "a: [1": "in line 1",
    "a: &a [*a]": "got an alias, which is not taken, in line 1",
    BOMB: "got an alias, which is not taken, in line 2",
    "seed: 1\nseed: 2": "got seed twice in line 2",
    "a: " + "[" * 5000: "too deep",
    "a:\n" + "- " * 5000 + "1": "too deep to read",
    "a: 1\n" * 250_000: "got 1.2 MB; settings",
    f"a: {'1' * 5000}": "got Exceeds the limit",
}


@pytest.mark.parametrize("content", FILES, ids=range(len(FILES)))
def test_a_file_of_settings_is_read_with_care(content, tmp_path, capsys):
    (tmp_path / "config.yaml").write_text(content)
    for words in (["train", "--config"], ["train", *DRAWN.split(), "--model"]):
        status, line = failing(capsys, *words, tmp_path / "config.yaml")
        assert status == 1
        assert FILES[content] in line
    with pytest.raises(RunError, match="expected settings by name in"):
        data_of(tmp_path)


@pytest.mark.parametrize("content", ["seed: 1", "data: 3", "data: [1]", "data: {class_path: Nothing}"])
def test_a_configuration_without_its_data_is_one_line(content, tmp_path):
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(RunError, match="expected data that can be named again") as said:
        data_of(tmp_path)
    assert len(str(said.value).splitlines()) == 1
    assert "<class" not in str(said.value)


def test_bytes_are_no_settings(tmp_path, capsys):
    (tmp_path / "config.yaml").write_bytes(b"\xff\xfe\x00")
    assert "no text in UTF-8" in failing(capsys, "train", "--config", tmp_path / "config.yaml")[1]


MINE = """
import torch
from torch import nn

class MyLoss(nn.Module):
    def __init__(self, margin: float = 0.3):
        super().__init__()
        self.margin = margin

    def forward(self, embeddings, labels):
        distance = torch.cdist(embeddings, embeddings)
        same = labels[:, None] == labels
        return torch.relu(self.margin + distance[same].mean() - distance[~same].mean())

class Three(nn.Module):
    def forward(self, embeddings, labels, weights):
        return (embeddings.sum(1) * weights).mean()

class Many(nn.Module):
    def forward(self, embeddings, labels):
        return embeddings.sum(1)
"""


@pytest.fixture
def in_own_folder(tmp_path, monkeypatch):
    """A folder with a module in it, where one stands; the module has another name each time, as modules stay loaded."""
    name = f"mine_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("/nowhere")  # so that what the verb adds is taken back
    return name


SMALL = ["--data.num_train_identities", "4", "--data.num_test_identities", "3", "--data.height", "32"]


@pytest.mark.parametrize("how", ["flag", "file"])
def test_a_loss_of_ones_own_trains_by_its_name(how, in_own_folder, tmp_path):
    words = ["--loss.margin", "0.5", "--loss", f"{in_own_folder}.MyLoss"]
    if how == "file":
        loss = {"class_path": f"{in_own_folder}.MyLoss", "init_args": {"margin": 0.5}}
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"loss": loss}))
        words = ["--config", "mine.yaml", "--trust", in_own_folder]
    main(["train", *DRAWN.split(), *SMALL, *TINY, *words])
    config = (tmp_path / "X" / "config.yaml").read_text()
    assert f"class_path: {in_own_folder}.MyLoss" in config
    assert "margin: 0.5" in config
    assert '"MyLoss on feature"' in (tmp_path / "X" / "metrics.jsonl").read_text()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "Three",
            "a loss with forward(embeddings, labels), got Three with forward(embeddings, labels, weights); write",
        ),
        ("Many", "expected one number, a loss, from Many, got torch.float32 (8,); take its mean"),
    ],
)
def test_a_loss_that_does_not_fit_is_refused_before_the_first_batch(name, said, in_own_folder, tmp_path, capsys):
    status, line = failing(capsys, "train", *DRAWN.split(), *SMALL, *TINY, "--loss", f"{in_own_folder}.{name}")
    assert status == 1
    assert said in line
    assert not (tmp_path / "X").exists()


def test_a_word_that_would_fill_the_screen_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        fail(1, f"expected a number, got {'9' * 100_000}; mend the line")
    line = capsys.readouterr().err
    assert line.startswith("reseen: expected a number, got 999")
    assert line.endswith("999; mend the line\n")
    assert len(line) < 500


@pytest.mark.parametrize("name", ["seed", "batches", "schedule.momentum", "augmentation", "workers"])
def test_null_in_a_file_where_there_is_no_null_is_a_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The parser itself lets it pass, into the verb."""
    group, _, inside = name.partition(".")
    settings = {"data": "Synthetic", "out": str(tmp_path / "run"), group: {inside: None} if inside else None}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(SystemExit):
        main(["train", "--config", str(tmp_path / "c.yaml")])
    assert re.search(rf"^reseen: expected .* for --{name}, got null; see reseen train --help$", capsys.readouterr().err)


def test_a_number_beyond_all_is_no_hint(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "run", "--batch_size", "9" * 5000])
    assert "expected a whole number for --batch_size, got 999" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["batches", "augmentation", "schedule"])
def test_a_value_for_a_group_of_settings_is_a_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The parser itself lets it pass: the group then has its defaults, or ends in a traceback."""
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"data": "Synthetic", "out": str(tmp_path / "run"), name: 0.5}))
    with pytest.raises(SystemExit):
        main(["train", "--config", str(tmp_path / "c.yaml")])
    line = f"reseen: expected settings by name for --{name}, got 0.5; see reseen train --help\n"
    assert capsys.readouterr().err.endswith(line)
