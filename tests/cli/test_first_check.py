"""What is said of wrong flags before anything slow is imported is what the parser would say."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.test_mistakes import MISTAKES
from tests.commands.test_verbs import failing

from reseen.cli import COMMANDS, mistakes, parser
from reseen.cli.first_check import definition, flags_of, wrong_flag
from reseen.cli.loss_flags import loss_flags
from reseen.studies import summaries

VERBS = [*(name for name in COMMANDS if name != "study"), *(f"study {name}" for name in summaries())]
FOUND_AT_ONCE = (
    "--height",
    "--schedule.epoch ",
    "--model.height",
    "--evaluate_every",
    "--lr",
    "--resume",
    "--batchsize",
)


@pytest.mark.parametrize("name", VERBS)
def test_the_flags_read_from_the_source_are_those_of_the_parser(name):
    verb = parser.verb(name)
    flags = [f"--{flag}" for flag, _ in flags_of(definition(*parser.place_of(name)))]
    options = mistakes._parameters(verb).get("options")
    expected = mistakes.flags_of(verb)
    if options is not None:
        at = expected.index("--options")
        expected[at : at + 1 + len(mistakes.flags_of(options.annotation))] = mistakes.flags_of(options.annotation)
    assert flags == expected


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_found_at_once_is_answered_as_the_parser_answers_it(words, capsys, monkeypatch):
    name, *rest = words.split()
    line = None if name == "trian" else wrong_flag(*parser.place_of(name), rest)
    if any(flag in words for flag in FOUND_AT_ONCE):
        assert line is not None
    if line is not None:
        monkeypatch.setattr(parser, "wrong_flag", lambda *_: None)
        assert failing(capsys, *words.split())[1].startswith(f"reseen: {line}")


@pytest.mark.parametrize(
    "words",
    [
        "--terms+ Term --terms.loss FIDILoss",
        "--loss.beta 0.7 --loss FIDILoss --loss_weight 1",
        "--schedule.epochs null --seed 3 --model.neck own --schedule.learning_rate 1e-3 --resume yes",
        "--data Table --data.anything 3 --candidates.momentum 0.9",
        "--help",
        "--data.help Table",
        "--print_config=skip_null",
        "--config market1501/bot --schedule some.yaml",
    ],
)
def test_what_may_be_right_is_left_to_the_parser(words):
    assert wrong_flag("reseen.commands.train", "train", words.split()) is None


def test_words_behind_two_dashes_are_no_flags():
    assert parser.parse("search", ["g", "--", "--who.jpg"])[0] == ["g", Path("--who.jpg")]


def test_the_functions_read_are_those_of_the_flags():
    assert [name for name, _ in flags_of(definition("reseen.cli.loss_flags", "loss_flags"))] == [
        flag.removeprefix("--") for flag in mistakes.flags_of(loss_flags)
    ]


@pytest.mark.parametrize("words", ["train --rates 1", "train --schedule.epochs three", "study losses --seed 3"])
def test_a_wrong_flag_is_found_without_torch(words):
    code = (
        "import sys; from reseen.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print('torch' in sys.modules, file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code, *words.split()], capture_output=True, text=True)
    assert run.returncode == 2
    *_, line, loaded = run.stderr.splitlines()
    assert "expected" in line
    assert loaded == "False"
