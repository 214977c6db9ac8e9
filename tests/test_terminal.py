import io
import logging

import pytest
from rich.table import Table

from reseen.cli import fail
from reseen.labels import visible
from reseen.terminal import Terminal, VisibleFormatter

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


def test_messages_show_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.LogRecord("reseen", logging.INFO, "", 0, "passed over %s\nand more", (NAME,), None)
    assert VisibleFormatter("%(message)s").format(record) == f"passed over {visible(NAME)}\nand more"
    with pytest.raises(SystemExit):
        fail(1, NAME)
    assert capsys.readouterr().err == f"reseen: {visible(NAME)}\n"
