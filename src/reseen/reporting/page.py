"""One self-contained HTML page made of sections: what every report, comparison and study is written on.

A page holds its style, charts and pictures in itself: no script, no network, no second file. Whatever is not
``Markup`` is escaped, so names and paths from data may hold anything.
"""

from __future__ import annotations

import datetime
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from reseen.files import write_atomically

if TYPE_CHECKING:
    from jinja2 import Environment


@dataclass(frozen=True)
class Section:
    """A part of a page: its heading, one line below it, and what it shows."""

    heading: str
    body: Markup
    note: str = ""


@dataclass(frozen=True)
class Repeated:
    """A figure measured several times, written as mean ± sample standard deviation."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean of the values."""
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float:
        """Nought for a single value, of which there is no spread to know."""
        return statistics.stdev(self.values) if len(self.values) > 1 else 0.0


@dataclass(frozen=True)
class _Cell:
    text: str
    best: bool = False


def write_page(
    out: str | Path, title: str, *, sections: Sequence[Section | None], eyebrow: str = "", lead: str = ""
) -> Path:
    """Write a page and return its path; sections that are None are left out.

    The file appears complete or not at all. Missing folders are made.

    Raises:
        WriteError: The disk is full, or the place cannot be written.
    """
    text = render(
        "page.html",
        title=title,
        eyebrow=eyebrow,
        lead=lead,
        sections=[s for s in sections if s is not None],
        css=Markup(_templates().get_template("page.css").render()),
        version=metadata.version("reseen"),
        date=datetime.datetime.now().astimezone().strftime("%d %B %Y, %H:%M"),
    )
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode())
    return path


def render(template: str, **values: Any) -> Markup:
    """Return one of the templates filled in."""
    return Markup(_templates().get_template(template).render(values))


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    caption: str = "",
    percent: bool = False,
    best: Sequence[str] = (),
) -> Markup:
    """Return a table; the first column names the rows.

    Args:
        columns: Names of the columns.
        rows: Each as long as ``columns``: text, numbers, ``Repeated``, or None for an empty cell.
        caption: Says what is shown.
        percent: Write floating numbers times a hundred, with one decimal.
        best: Columns whose highest figure is set in bold.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"expected rows of {len(columns)} cells, got {len(row)} in {list(row)!r}")
    highest = {n: max((_level(row[n]) for row in rows), default=-math.inf) for n, c in enumerate(columns) if c in best}
    cells = [
        [_Cell(_text(cell, percent), n in highest and _level(cell) == highest[n]) for n, cell in enumerate(row)]
        for row in rows
    ]
    return render("table.html", columns=columns, rows=cells, caption=caption)


def facts(values: Mapping[str, object], *, files: Mapping[str, str] | None = None) -> Markup:
    """Return names with their values, those that are None left out, and longer texts folded away below them."""
    texts = {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in values.items() if v is not None}
    return render("facts.html", facts=texts, files=files or {})


def charts(*figures: Markup) -> Markup:
    """Return charts side by side, as many as the screen has room for."""
    kind = "charts pairs" if len(figures) in (2, 4) else "charts"
    return Markup('<div class="{}">{}</div>').format(kind, Markup("").join(figures))


def percent(fraction: float) -> str:
    """Return 0.8567 as ``85.7``: the field writes its scores in percent without the sign."""
    return f"{100 * fraction:.1f}"


def _level(cell: object) -> float:
    if isinstance(cell, Repeated):
        return cell.mean
    return float(cell) if isinstance(cell, (int, float)) else -math.inf


def _text(cell: object, in_percent: bool) -> str:
    def number(value: float) -> str:
        return percent(value) if in_percent else f"{value:.4g}"

    if cell is None:
        return ""
    if isinstance(cell, Repeated):
        return f"{number(cell.mean)} ± {number(cell.deviation)}" if len(cell.values) > 1 else number(cell.mean)
    if isinstance(cell, float):
        return number(cell)
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # Not needed to show what a verb takes.

    return Environment(
        loader=PackageLoader("reseen.reporting"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
