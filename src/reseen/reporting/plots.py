"""Small charts as inline SVG: lines, bars and histograms, drawn for a column of 360 pixels.

A chart keeps its size and pages lay several side by side, so that its text is as large on a phone as on a wide screen.
Colours are the page's own (``--series-1`` ...), light and dark; every series also has its own dashes, and the values
stand in words in the chart's label for those who cannot see it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import ArrayLike

from reseen.reporting.axes import Array, Axis, Scale, scale

WIDTH, HEIGHT = 360, 214
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 20, 10, 38
_DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 3")
_COLORS = 5
_MAX_POINTS = 240


@dataclass(frozen=True)
class Series:
    """One line of a chart: its name, and y (N,) at x (N,); what is not finite is a gap.

    Attributes:
        spread: (N,) half the height of a band around the line, as a deviation; None for no band.
    """

    name: str
    x: ArrayLike
    y: ArrayLike
    spread: ArrayLike | None = None


def line_chart(title: str, series: Sequence[Series], *, x: Axis, y: Axis, note: str = "") -> Markup:
    """Return a figure of lines, with a mark at each point where there are few, and a note below the title."""
    lines = [_points(s, x=x, y=y) for s in series]
    across = scale(x, [line[0] for line in lines], _LEFT, WIDTH - _RIGHT)
    ends = [part for _, values, spread in lines for part in (values - spread, values + spread)]
    up = scale(y, ends, HEIGHT - _BOTTOM, _TOP)
    drawn = []
    for number, (at, values, spread) in enumerate(lines):
        dots = np.stack([across(at), up(values)], axis=1)
        if spread.any():
            edge = np.concatenate([up(values + spread), up(values - spread)[::-1]])
            band = np.stack([np.concatenate([dots[:, 0], dots[::-1, 0]]), edge], axis=1)
            drawn.append(f'<path class="band {_color(number)}" d="{_path(band)}Z"/>')
        drawn.append(f'<path class="line {_color(number)}"{_dash(number)} d="{_path(dots)}"/>')
        if len(dots) <= 12:
            drawn += [f'<circle class="dot {_color(number)}" cx="{a:.1f}" cy="{b:.1f}" r="2.6"/>' for a, b in dots]
    described = "; ".join(_describe(s.name, line, x=x, y=y) for s, line in zip(series, lines, strict=True))
    return figure(title, [s.name for s in series], _grid(across, up) + "".join(drawn), described, under=note)


def histogram(title: str, edges: ArrayLike, counts: Mapping[str, ArrayLike], *, x: Axis, share_of: str) -> Markup:
    """Return a figure of step areas over bins with edges (B + 1,), each area scaled to a total of one.

    Args:
        title: Written above.
        edges: (B + 1,) rising.
        counts: Name -> counts (B,), of any total.
        x: What the bins are of.
        share_of: What each area is a share of, as ``pairs``.
    """
    at = np.repeat(np.asarray(edges, float), 2)
    shares = {name: np.asarray(c, float) / max(np.sum(c), 1) for name, c in counts.items()}
    top = max((float(s.max(initial=0)) for s in shares.values()), default=0) or 1.0
    share = Axis(f"share of {share_of}", limits=(0, top * 1.05), percent=True)
    across, up = scale(x, [at], _LEFT, WIDTH - _RIGHT), scale(share, [], HEIGHT - _BOTTOM, _TOP)
    drawn = []
    for number, values in enumerate(shares.values()):
        steps = np.concatenate([[0], np.repeat(values, 2), [0]])
        path = _path(np.stack([across(at), up(steps)], axis=1))
        drawn.append(f'<path class="area {_color(number)}" d="{path}Z"/>')
        drawn.append(f'<path class="line {_color(number)}"{_dash(number)} d="{path}"/>')
    middles = (at[::2][1:] + at[::2][:-1]) / 2
    described = "; ".join(
        f"{f'{name}: ' if name else ''}{int(np.sum(counts[name])):,} in all, mean {float(middles @ values):.3g}"
        for name, values in shares.items()
    )
    return figure(title, list(shares), _grid(across, up) + "".join(drawn), described, under=share.label)


def bar_chart(
    title: str, values: Mapping[str, float], *, axis: Axis, spread: Mapping[str, float] | None = None
) -> Markup:
    """Return a figure of horizontal bars, each under its name, so that names may be long.

    Args:
        title: Written above.
        values: Name -> length.
        axis: What the lengths are of; bars begin at the lower limit, or at zero.
        spread: Name -> half the width of the whisker at the bar's end, as a deviation.
    """
    spread = spread or {}
    ends = np.array([0.0] + [v + spread.get(name, 0.0) for name, v in values.items()])
    axis = (
        axis if axis.limits else Axis(axis.label, (ends.min(), ends.max() if ends.any() else 1.0), percent=axis.percent)
    )
    across = scale(axis, [], 2, WIDTH - 96)
    rows, pitch = [], 34
    for number, (name, value) in enumerate(values.items()):
        top, zero = 4 + number * pitch, across(max(0.0, across.low))
        begin, end = sorted((zero, across(value)))
        written = axis.write(round(value, 4)) + (f" ± {_plain(axis, spread[name])}" if name in spread else "")
        rows.append(
            f'<text class="name" x="2" y="{top + 9}">{escape(name)}</text>'
            f'<rect class="bar" x="{begin:.1f}" y="{top + 14}" width="{max(end - begin, 1):.1f}" height="10" rx="2"/>'
            f'<text class="value" x="{WIDTH - 2}" y="{top + 23}">{escape(written)}</text>'
        )
        if name in spread:
            low, high = across(value - spread[name]), across(value + spread[name])
            rows.append(f'<path class="whisker" d="M{low:.1f} {top + 19}H{high:.1f}"/>')
    described = axis.label + ": " + "; ".join(f"{name} {axis.write(round(v, 4))}" for name, v in values.items())
    return figure(title, [], "".join(rows), described, height=8 + pitch * len(values), under=axis.label, kind="bars")


def _points(series: Series, *, x: Axis, y: Axis) -> tuple[Array, Array, Array]:
    """Return x, y and spread where all are finite, the means of neighbours where there are more than can be seen."""
    at, values = np.asarray(series.x, float), np.asarray(series.y, float)
    spread = np.zeros_like(values) if series.spread is None else np.asarray(series.spread, float)
    finite = np.isfinite(at) & np.isfinite(values) & np.isfinite(spread)
    finite &= (at > 0 if x.log else True) & (values > 0 if y.log else True)
    columns = at[finite], values[finite], spread[finite]
    if len(columns[0]) <= _MAX_POINTS:
        return columns
    parts = [np.array([p.mean() for p in np.array_split(c, _MAX_POINTS)]) for c in columns]
    return parts[0], parts[1], parts[2]


def _grid(across: Scale, up: Scale) -> str:
    parts = []
    for tick in up.ticks():
        at = float(up(tick))
        parts.append(f'<path class="grid" d="M{_LEFT} {at:.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="tick y" x="{_LEFT - 6}" y="{at + 3.8:.1f}">{escape(up.axis.write(tick))}</text>')
    parts.append(f'<path class="base" d="M{_LEFT} {HEIGHT - _BOTTOM}H{WIDTH - _RIGHT}"/>')
    for tick in across.ticks():
        at = float(across(tick))
        parts.append(f'<path class="base" d="M{at:.1f} {HEIGHT - _BOTTOM}v4"/>')
        text = escape(across.axis.write(tick))
        parts.append(f'<text class="tick" x="{at:.1f}" y="{HEIGHT - _BOTTOM + 16}">{text}</text>')
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(f'<text class="label" x="{middle:.0f}" y="{HEIGHT - 4}">{escape(across.axis.label)}</text>')
    return "".join(parts)


def figure(
    title: str,
    names: Sequence[str],
    drawn: str,
    described: str,
    *,
    height: int = HEIGHT,
    under: str = "",
    kind: str = "plot",
) -> Markup:
    """Return what was drawn, ``WIDTH`` wide, under its title and the names' legend, and described in words."""
    legend = "".join(
        f'<span class="key"><svg width="22" height="8" aria-hidden="true"><path class="line {_color(n)}"{_dash(n)} '
        f'd="M1 4H21"/></svg>{escape(name)}</span>'
        for n, name in enumerate(names)
        if len(names) > 1
    )
    note = f'<span class="under">{escape(under)}</span>' if under else ""
    label = f"{escape(title)}. {escape(described)}"
    return Markup(
        f'<figure class="chart"><figcaption><b>{escape(title)}</b>{note}{legend}</figcaption>'
        f'<svg class="{kind}" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">{drawn}</svg></figure>'
    )


def _describe(name: str, line: tuple[Array, ...], *, x: Axis, y: Axis) -> str:
    name = f"{name}, " if name else ""
    if not len(line[0]):
        return f"{name}no values"
    first, last = (f"{y.write(round(float(line[1][n]), 4))} at {x.write(float(line[0][n]))}" for n in (0, -1))
    return f"{name}{y.label} by {x.label}: from {first} to {last}"


def _plain(axis: Axis, value: float) -> str:
    return axis.write(round(value, 4)).removesuffix(" %")


def _path(points: Array) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in points) if len(points) else "M0 0"


def _color(number: int) -> str:
    return f"s{number % _COLORS + 1}"


def _dash(number: int) -> str:
    dashes = _DASHES[(number + number // _COLORS) % len(_DASHES)]  # colours come again with other dashes
    return f' stroke-dasharray="{dashes}"' if dashes else ""
