"""Malformed inputs, through the command line: well or one line, nothing executed, no traceback, always an end."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from reseen import serving
from reseen.commands import train
from tests.faults.corpus import Case, cases
from tests.faults.house import House
from tests.faults.verbs import do

ALL = cases()
CANARY = 'import os; os.mkdir("EXECUTED")\nclass Net: pass\n'


def quick() -> None:
    """Let a verb that was given something valid end, rather than train for days or serve for ever."""
    train.training.train = lambda *a, resume=False, **k: original(*a, resume=resume, **k) if resume else None  # type: ignore[assignment]
    train.evaluate_model = lambda *a, **k: None  # type: ignore[assignment]
    serving.run = lambda *a, **k: None  # type: ignore[assignment]


original = train.training.train


def ended_well(case: Case, house: House, folder: Path, count: Callable[[str, str], None]) -> None:
    (folder / "work").mkdir()
    (folder / "canary.py").write_text(CANARY)
    outcome = do(case.words(house, folder / "work"), folder=folder, before=quick)
    fault = outcome.fault(refused=not case.taken)
    if fault is None and (folder / "EXECUTED").exists():
        fault = "executed the module that it names"
    count(f"corpus: {case.kind}", "lost" if fault else "right" if outcome.status == 0 else "refused")
    assert fault is None, f"{case.kind}, {case.name}: {fault}"


def some() -> list[Case]:
    """Return one of each kind, and those that would run something or never end."""
    kinds = {case.kind: [other for other in ALL if other.kind == case.kind] for case in ALL}
    worst = ("--schedule a.json", "backbone os.abort", "foreign class", "bomb", "a pipe that nobody writes to")
    chosen = [Random(kind).choice(found) for kind, found in kinds.items()]
    return [*chosen, *(case for case in ALL if case.name in worst and case not in chosen)]


def test_there_are_five_hundred() -> None:
    assert len({(case.kind, case.name) for case in ALL}) == len(ALL) >= 500


@pytest.mark.parametrize("case", some(), ids=lambda case: f"{case.kind}, {case.name}")
def test_some(case: Case, house: House, tmp_path: Path, count: Callable[[str, str], None]) -> None:
    ended_well(case, house, tmp_path, count)


@pytest.mark.slow
@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case.kind}, {case.name}")
def test_every(case: Case, house: House, tmp_path: Path, count: Callable[[str, str], None]) -> None:
    ended_well(case, house, tmp_path, count)
