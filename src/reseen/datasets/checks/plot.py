"""Plot of a data set: pictures per identity and camera, and their sizes."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reseen.datasets.checks.check import PARTS, DataCheck, order
from reseen.files import write_atomically

COLORS = {"train": "#4477aa", "query": "#ee6677", "gallery": "#228833"}


def plot(checked: DataCheck, path: str | Path) -> None:
    """Draw a check into a file, of the kind that its ending names (.png, .svg, .pdf).

    Raises:
        WriteError: The file cannot be written.
        ValueError: Nothing of that kind can be drawn.
    """
    figure = Figure(figsize=(13, 4), layout="constrained")
    figure.suptitle(f"{checked.name}, {checked.protocol}")
    identities, cameras, sizes = figure.subplots(1, 3)
    _draw_identities(identities, checked)
    _draw_cameras(cameras, checked)
    _draw_sizes(sizes, checked)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=120, format=Path(path).suffix.removeprefix(".") or "png")
    write_atomically(Path(path), drawn.getvalue())


def _draw_identities(axes: Axes, checked: DataCheck) -> None:
    counts = {
        part: checked.pictures[checked.pictures.part == part].groupby("identity", sort=False).size() for part in PARTS
    }
    counts = {part: values for part, values in counts.items() if len(values)}
    most = max(int(values.max()) for values in counts.values())
    axes.hist(
        [values.to_numpy() for values in counts.values()],
        bins=list(np.arange(0.5, most + 1.5 + most // 30, 1 + most // 30)),
        color=[COLORS[part] for part in counts],
        label=list(counts),
    )
    axes.set(xlabel="pictures of an identity", ylabel="identities")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()


def _draw_cameras(axes: Axes, checked: DataCheck) -> None:
    cameras = sorted({camera for camera in checked.pictures.camera if camera is not None}, key=order)
    counts = Counter(zip(checked.pictures.part, checked.pictures.camera, strict=True))
    below = [0] * len(cameras)
    for part in PARTS:
        heights = [counts[part, camera] for camera in cameras]
        axes.bar(range(len(cameras)), heights, bottom=below, color=COLORS[part], label=part)
        below = [b + h for b, h in zip(below, heights, strict=True)]
    if len(cameras) <= 20:
        labels = [name if len(name) <= 12 else f"…{name[-11:]}" for name in map(str, cameras)]
        axes.set_xticks(range(len(cameras)), labels, rotation=90 if max(map(len, labels), default=0) > 4 else 0)
    axes.set_ylim(0, 1.05 * max(below, default=1))
    axes.set(xlabel="camera" if cameras else "cameras unknown", ylabel="pictures")


def _draw_sizes(axes: Axes, checked: DataCheck) -> None:
    readable = checked.pictures[checked.pictures.fault == ""]
    for part in PARTS:
        rows = readable[readable.part == part]
        axes.scatter(rows.width, rows.height, s=8, alpha=0.4, color=COLORS[part], linewidths=0)
    axes.set(xlabel="width (pixels)", ylabel="height (pixels)")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
