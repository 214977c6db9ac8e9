"""Heat maps: a figure for each combination of two settings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import ArrayLike

from reseen.reporting.axes import Axis
from reseen.reporting.plots import WIDTH, figure

_LEFT, _TOP, _PITCH = 84, 34, 30
_PALEST, _DEEPEST = 0.06, 0.6


def heat_map(
    title: str, rows: Sequence[str], columns: Sequence[str], values: ArrayLike, *, down: str, across: str, axis: Axis
) -> Markup:
    """Return a figure of cells, the highest value in the deepest colour and in bold.

    Args:
        title: Written above.
        rows: R names, from the top.
        columns: C names, from the left.
        values: (R, C); what is not finite is an empty cell.
        down: What the rows are.
        across: What the columns are.
        axis: What the values are.
    """
    cells = np.asarray(values, float)
    known = np.isfinite(cells)
    low, high = (float(cells[known].min()), float(cells[known].max())) if known.any() else (0.0, 1.0)
    width = (WIDTH - _LEFT - 4) / len(columns)
    label = f'<text class="label" x="{(_LEFT + WIDTH) / 2:.0f}" y="12">{escape(across)}</text>'
    drawn = [label, f'<text class="label" style="text-anchor:start" x="2" y="28">{escape(down)}</text>']
    for column, name in enumerate(columns):
        drawn.append(f'<text class="tick" x="{_LEFT + (column + 0.5) * width:.1f}" y="28">{escape(name)}</text>')
    for r, name in enumerate(rows):
        top = _TOP + r * _PITCH
        drawn.append(f'<text class="tick y" x="{_LEFT - 8}" y="{top + 19}">{escape(name)}</text>')
        for c in np.flatnonzero(known[r]).tolist():
            share = (cells[r, c] - low) / ((high - low) or 1.0)
            weight = ' font-weight="700"' if cells[r, c] == high else ""
            drawn.append(
                f'<rect class="area s1" style="opacity:{_PALEST + (_DEEPEST - _PALEST) * share:.3f}" rx="3" '
                f'x="{_LEFT + c * width + 1:.1f}" y="{top + 1}" width="{width - 2:.1f}" height="{_PITCH - 2}"/>'
                f'<text class="name" style="text-anchor:middle"{weight} x="{_LEFT + (c + 0.5) * width:.1f}" '
                f'y="{top + 19}">{escape(_axis_text(float(cells[r, c]), axis))}</text>'
            )
    described = f"{axis.label} by {down} and {across}: from {axis.write(round(low, 4))} to {axis.write(round(high, 4))}"
    height = _TOP + _PITCH * len(rows) + 4
    return figure(title, [], "".join(drawn), described, height=height, under=axis.label, kind="bars")


def _axis_text(value: float, axis: Axis) -> str:
    return f"{100 * value:.1f}" if axis.percent else axis.write(round(value, 4))
