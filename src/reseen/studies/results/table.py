"""Tables of a study: files that depend on the results alone, and rows over the repeats of a condition."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from markupsafe import Markup
from rich.table import Table as Grid

from reseen.files import write_atomically
from reseen.reporting import Repeated
from reseen.terminal import Terminal

FIGURES = {"mean_ap": "mAP", "rank_1": "rank 1"}


def write_csv(table: pd.DataFrame, path: Path) -> Path:
    """Write a table, complete or not at all, and return its path.

    What differs from one doing of the same study to the next, such as seconds or dates, does not belong in it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, table.to_csv(index=False).encode())
    return path


def over_seeds(results: pd.DataFrame, by: Sequence[str], *, figures: Sequence[str] = tuple(FIGURES)) -> pd.DataFrame:
    """Return one row for each condition, in the order of the results.

    Args:
        results: One row per run.
        by: Columns that name a condition.
        figures: Columns to collect.

    Returns:
        The columns of ``by``, and each figure as ``Repeated`` over the runs of the condition.
    """
    groups = [(dict(zip(by, key, strict=True)), group) for key, group in results.groupby(list(by), sort=False)]
    rows = [{**names, **{f: Repeated(tuple(group[f].astype(float))) for f in figures}} for names, group in groups]
    table: pd.DataFrame = pd.DataFrame(rows)
    return table


def cell_text(cell: object) -> str:
    """Return a share of one, single or repeated, as the field writes it: in percent without the sign."""
    if isinstance(cell, Repeated):
        return cell_text(cell.mean) + (f" ± {100 * cell.deviation:.1f}" if len(cell.values) > 1 else "")
    return f"{100 * cell:.1f}" if isinstance(cell, float) else "" if cell is None else str(cell)


def show(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "") -> None:
    """Print a table to the terminal; floating numbers are shares of one."""
    grid = Grid(*columns, title=title)
    for row in rows:
        grid.add_row(*map(cell_text, row))
    Terminal().print(grid)


def downloads(*files: str) -> Markup:
    """Return links to files beside a study's page."""
    links = Markup(", ").join(Markup('<a href="{0}">{0}</a>').format(file) for file in files)
    return Markup("<p>Also as {}.</p>").format(links)
