"""What is said of wrong flags before anything slow is imported is what the parser would say."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import get_args

import jsonargparse
import pytest
from tests.cli.test_mistakes import DRAWN, MISTAKES
from tests.commands.test_verbs import failing

from reseen import datasets, losses, training
from reseen.cli import COMMANDS, mistakes, parser
from reseen.cli.first_check import missing, wrong_flag
from reseen.cli.loss_flags import loss_flags
from reseen.cli.sources import Group, Named, class_names, class_of, definition, flags_of
from reseen.models import ModelSpec
from reseen.studies import summaries
from reseen.types import Benchmark

VERBS = [*(name for name in COMMANDS if name != "study"), *(f"study {name}" for name in summaries())]
LEFT_TO_THE_PARSER = {
    *("train people.csv", "train --out", "evaluate runs/no extra"),
    *("train --data Table --out X", "evaluate runs/no --data Table", "trian --data Synthetic"),
    *(f"train --{words} {DRAWN}" for words in ("model.weights", "schedule foo", "schedule.milestones 3", "seed 1.5")),
    *(f"train --{words} {DRAWN}" for words in ("loss mine.MyLoss", "loss json.dumps", "loss json.nothing")),
    *(f"train {words} {DRAWN}" for words in ("--loss FromPML --loss.loss AdaSP", "--terms foo", "-o Y")),
    *("evaluate runs/no --reranking k-reciprocal", "embed runs/no --out X --parts test", "calibrate g --rates 0.1"),
}


@pytest.fixture(autouse=True)
def _trust_nobody(monkeypatch):
    monkeypatch.delenv("RESEEN_TRUST")


def first_check(line):
    """Return what the first check says of a command line."""
    verb, *words = line.split()
    name = f"study {words.pop(0)}" if verb == "study" else verb
    return wrong_flag(*parser.place_of(name), words) or missing(*parser.place_of(name), words)


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


@pytest.mark.parametrize("words", [words for words in MISTAKES if words not in LEFT_TO_THE_PARSER])
def test_a_mistake_found_at_once_is_answered_as_the_parser_answers_it(words, capsys, monkeypatch):
    line = first_check(words)
    assert line is not None
    monkeypatch.setattr(parser, "wrong_flag", lambda *_: None)
    monkeypatch.setattr(parser, "missing", lambda *_: None)
    assert failing(capsys, *words.split())[1].startswith(f"reseen: {line}")


@pytest.mark.parametrize("words", [*VERBS, "search g", "report --force yes", "train --data.path x --seed 3"])
def test_what_is_missing_is_said_as_the_parser_says_it(words, capsys, monkeypatch):
    line = first_check(words)
    monkeypatch.setattr(parser, "wrong_flag", lambda *_: None)
    monkeypatch.setattr(parser, "missing", lambda *_: None)
    if line is None:
        parser.parse(words, [])
    else:
        assert failing(capsys, *words.split())[1].startswith(f"reseen: {line}")


@pytest.mark.parametrize(
    "words",
    [
        "--terms+ Term --terms.loss FIDILoss",
        "--loss.beta 0.7 --loss FIDILoss --loss_weight 1",
        "--schedule.epochs null --seed 3 --model.neck own --schedule.learning_rate 1e-3 --resume yes",
        "--loss mine.MyLoss --loss.anything 3 --data mine.Data --data.anything 3",
        "--candidates mine.Candidates --candidates.momentum 0.9",
        "--data Table --data Synthetic --data.path p.csv",  # The last one counts.
        "--loss AdaSP --loss FIDILoss",
        "--loss.betta 3 --loss null",
        "--loss.init_args.beta 3 --loss.class_path FIDILoss",
        "--loss LossAdapter",  # Public in its module alone.
        "--loss PairLoss",  # Abstract: there the parser says something else.
        "--terms [{loss:FIDILoss}] --loss.beta 3",
        "--terms+ Term --terms.loss FIDILoss --terms+ Term --terms.loss HELoss --terms.loss.metric cosine",
        "--config settings.yaml --loss.beta 3 --data.path p.csv",
        "--data Market1501 --config table.yaml --data.path p.csv",
        "--data {class_path:Table}",
        "--loss AdaSP --rates 3 --help",
        "--loss AdaSP -h",
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


BASES = {losses.Loss: losses, losses.PairLoss: losses, Benchmark: datasets, training.CandidateSource: training}


def subclasses(base):
    """Return the classes of the library that are imported, derive from a base and can be made."""
    found = [base]
    for kind in found:
        found += [below for below in kind.__subclasses__() if below not in found]
    return [kind for kind in found if kind.__module__.startswith("reseen.") and not inspect.isabstract(kind)]


@pytest.mark.parametrize("base", BASES)
def test_the_classes_read_from_the_source_are_those_that_can_be_named(base):
    public = {name for package in BASES.values() for name in package.__all__}
    names = class_names(definition(base.__module__, base.__name__))
    assert sorted(names) == sorted({kind.__name__ for kind in subclasses(base)} & public)


KINDS = [ModelSpec, training.Term, *(kind for base in BASES for kind in subclasses(base))]


@pytest.mark.parametrize("kind", KINDS)
def test_the_arguments_read_from_the_source_are_those_of_the_parser(kind):
    arguments = dict(flags_of(definition(kind.__module__, kind.__name__)))
    typed = jsonargparse.ArgumentParser()
    typed.add_class_arguments(kind, fail_untyped=False)
    flags = {name for name, argument in arguments.items() if argument is not Group}
    assert flags == set(vars(typed.get_defaults().as_flat()))
    for name, parameter in inspect.signature(kind, eval_str=True).parameters.items():
        if arguments.get(name) not in (None, Group) and not isinstance(arguments[name], Named):
            assert arguments[name] == parameter.annotation


PLAIN = {int: "3", float: "0.5", bool: "yes", str: "a"}


def all_arguments(flag, kind, name):
    """Return words that name a class and give each of its arguments something that it takes."""
    words = [flag, name]
    for argument, type_ in flags_of(class_of(name, kind.base)):
        inside = f"{flag.replace('+', '')}.{argument}"
        if isinstance(type_, Named) and class_names(type_.base):
            words += [f"{inside}{'+' if type_.several else ''}", class_names(type_.base)[-1]]
        elif type_ in PLAIN:
            words += [inside, PLAIN[type_]]
        else:
            words += [inside, next((str(part) for part in get_args(type_) if isinstance(part, str)), "null")]
    return words


@pytest.mark.parametrize("name", VERBS)
def test_every_class_of_the_library_passes_with_all_of_its_arguments(name):
    owners = [definition(*parser.place_of(name))]
    if name == "train":
        owners.append(definition("reseen.cli.loss_flags", "loss_flags"))
    named = {flag: kind for owner in owners for flag, kind in flags_of(owner) if isinstance(kind, Named)}
    if name == "train":
        assert list(named) == ["data", "terms", "candidates", "loss", "identity_loss"]
    for flag, kind in named.items():
        for known in class_names(kind.base):
            words = all_arguments(f"--{flag}{'+' if kind.several else ''}", kind, known)
            assert wrong_flag(*parser.place_of(name), words) is None


def test_where_other_packages_are_trusted_their_classes_are_left_to_the_parser(monkeypatch):
    assert first_check("train --loss Mine") is not None
    monkeypatch.setenv("RESEEN_TRUST", "people.csv,nowhere")  # No packages, but words with dots in them.
    assert first_check("train --loss Mine") is not None
    monkeypatch.setenv("RESEEN_TRUST", "tests")
    assert first_check("train --loss Mine --data Synthetic --out X") is None
    assert first_check("train --rates 1") is not None


@pytest.mark.parametrize(
    "words",
    [
        *("train --rates 1", "train --schedule.epochs three", "study losses --seed 3", "train", "search gallery"),
        *("train --loss AdaSP", "train --loss.betta 3", "train --candidates MoRID", "train --terms.loss AdaSP"),
        *("train --data Tabel", "train --data people.csv", "train --data Table --data.pathh people.csv"),
    ],
)
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
