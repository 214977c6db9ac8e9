"""Folder layout of Market-1501, which later data sets share: three folders, identity and camera in file names."""

from __future__ import annotations

import re
from pathlib import Path

from reseen.datasets.benchmarks.layout import list_pictures, parse_name
from reseen.types import Sample

FOLDERS = ("bounding_box_train", "query", "bounding_box_test")

_NAME = re.compile(r"(-?\d+)_c(\d+)")


def read_market_folder(folder: Path) -> tuple[Sample, ...]:
    """Return a folder's pictures, sorted by name, without those of identity -1 ("junk": parts of bodies, of no use).

    Raises:
        DataError: A picture's name is of another form.
    """
    samples = []
    for name in list_pictures(folder):
        match = parse_name(_NAME, name, folder=folder, example="0002_c1s1_000451_03.jpg")
        if (identity := int(match[1])) != -1:
            samples.append(Sample(f"{folder}/{name}", identity, int(match[2])))
    return tuple(samples)
