"""Help texts of flags: plain words behind them, and no types of Python."""

import re

import pytest

from reseen.cli import main
from reseen.cli.help import with_plain_notes


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Pictures. (type: int, default: 64)", "Pictures. (default: 64)"),
        ("Mirror. (type: bool, default: False)", "Mirror. (default: false)"),
        ("A run. (required, type: <class 'Path'>)", "A run. (required)"),
        ("Out (a folder). (type: Path | null, default: null)", "Out (a folder)."),
        ("Camera. (type: str | int, default: )", "Camera."),
        ("By. (type: Literal['a', 'fast-reid'], default: a)", "By. (one of a, fast-reid; default: a)"),
        ("How. (type: Union[Literal['k_reciprocal'], null], default: null)", "How. (one of k_reciprocal)"),
        (
            "Data. (type: Benchmark | null, default: null, known subclasses: reseen.Benchmark,\n reseen.data.Table)",
            "Data. (one of Table)",
        ),
        ("What it takes (all of it).", "What it takes (all of it)."),
    ],
)
def test_notes_are_in_plain_words(written: str, shown: str) -> None:
    assert with_plain_notes(written) == shown


def test_choices_that_the_flag_lists_are_not_said_twice() -> None:
    assert with_plain_notes("By. (type: Literal['a', 'b'], default: a)", choices_shown=True) == "By. (default: a)"


@pytest.mark.parametrize(
    "words",
    [
        *("train --help", "evaluate --help", "search --help", "index --help", "embed --help", "study losses --help"),
        *("train --data.help Table", "train --loss.help FIDILoss"),
    ],
)
def test_no_type_of_python_is_shown(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(words.split())
    shown = capsys.readouterr().out
    assert "default: " in shown
    assert not re.search(r"type: |Literal|Union|<class|\| null|``|\bTrue\b|\bFalse\b", shown)
