"""Terminal output in which names and paths are escaped, never taken for markup."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from reseen.labels import visible

LAYOUT = "\n\t"
"""Control characters that lines of our own may hold."""


class Terminal(Console):
    """A console without markup, emoji codes and guessed colours, on which control characters are escaped.

    Args:
        options: Those of rich's ``Console``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"highlight": False, "markup": False, "emoji": False, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """Return text as rich draws it; lines, and the cells, headers and titles of tables come through here."""
        return super().render_str(visible(text, keep=LAYOUT), **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does, but leave breaking lines to the terminal: a path stays whole in a file or a pipe."""
        if all(isinstance(printed, str | Text) for printed in objects):
            options = {"soft_wrap": True, **options}
        super().print(*objects, **options)


class LogHandler(logging.Handler):
    """Prints the library's log messages, one line each, with control characters escaped.

    They go to what ``sys.stdout`` is at that moment, by which rich keeps them above a progress bar.

    Args:
        errors: To ``sys.stderr`` in its place.
    """

    def __init__(self, *, errors: bool = False) -> None:
        super().__init__()
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record's line."""
        try:
            file = sys.stderr if self._errors else sys.stdout
            print(visible(self.format(record), keep=LAYOUT), file=file, flush=True)
        except Exception:
            self.handleError(record)


def plain_table(headers: Sequence[str | Column], rows: Iterable[Sequence[str]], *, title: str | None = None) -> Table:
    """Return a table without lines, its title above its left edge."""
    table = Table(*headers, title=title, title_justify="left", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    return table
