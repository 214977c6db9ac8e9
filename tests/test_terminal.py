import io
import logging
import sys

import pytest
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from reseen.cli import fail
from reseen.labels import visible
from reseen.terminal import LogHandler, Terminal
from reseen.training.progress import log_shown

NAME = "[/b] [red]Bob[/red] :dog: \x1b[31m\x07\u202e [link=file:///]x"


def test_lines_and_tables_show_names_as_they_are() -> None:
    file = io.StringIO()
    console = Terminal(file=file, width=200, force_terminal=True, color_system="truecolor")
    table = Table(NAME, title=NAME, caption=NAME)
    table.add_column(NAME)
    table.add_row(NAME, NAME)
    console.print(NAME)
    console.print(table)
    console.print(console.render_str(NAME, style="bold"), "\nnext")
    plain = Terminal(file=(drawn := io.StringIO()), width=200)
    plain.print(table)
    for text, count in ((file.getvalue(), 8), (drawn.getvalue(), 6)):
        assert text.count(visible(NAME)) == count
        assert NAME not in text
        assert "\x07" not in text
    assert "\x1b[31m" not in file.getvalue()  # colours of our own are let through, those in a name are not
    assert "\nnext" in file.getvalue()


def message(text: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("reseen", logging.INFO, "", 0, text, arguments, None)


def test_messages_show_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    LogHandler().emit(message("passed over %s\nand more", NAME))
    assert capsys.readouterr().out == f"passed over {visible(NAME)}\nand more\n"
    with pytest.raises(SystemExit):
        fail(1, NAME)
    assert capsys.readouterr().err == f"reseen: {visible(NAME)}\n"


def test_messages_of_a_script_show_names_as_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = logging.getLogger("reseen")
    monkeypatch.setattr(library, "handlers", [])
    monkeypatch.setattr(library, "propagate", False)
    with log_shown():
        library.info("passed over %s", NAME)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"passed over {visible(NAME)}\n")


def test_a_long_path_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    path = "/pictures" * 30
    Terminal().print(f"written: {path}")
    LogHandler().emit(message("passed over %s", path))
    assert capsys.readouterr().out == f"written: {path}\npassed over {path}\n"


def test_messages_stand_above_a_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", drawn := io.StringIO())
    console = Console(file=drawn, force_terminal=True, width=80)
    with Progress(console=console, auto_refresh=False) as bar:
        bar.add_task("training", total=2)
        bar.refresh()
        LogHandler().emit(message("epoch 1: mAP 40.3 %"))
    above, _, last = drawn.getvalue().rpartition("epoch 1: mAP 40.3 %")
    assert above.endswith("\x1b[2K")  # the bar's own line was cleared first ...
    assert "training" in last  # ... and drawn again below
