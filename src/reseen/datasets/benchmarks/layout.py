"""Readers of the folders and lists of published data sets: sorted, case-insensitive, with exact errors."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from reseen.errors import DataError, contents_of
from reseen.pictures import is_picture
from reseen.types import Sample

# Market-1501 has the identity and the camera of a picture in its name, and so have later data sets.
MARKET_FOLDERS = ("bounding_box_train", "query", "bounding_box_test")
_MARKET_NAME = re.compile(r"(-?\d+)_c(\d+)")
TrainQueryGallery = tuple[tuple[Sample, ...], tuple[Sample, ...], tuple[Sample, ...]]


def find_root(root: str | Path, *, entries: Sequence[str], inside: Sequence[str] = ()) -> Path:
    """Return the folder that holds the entries: ``root`` itself, or the first of its folders ``inside`` that does.

    Raises:
        DataError: None does; the message names what was looked for and what was found.
    """
    root = Path(root).expanduser()
    for folder in (root, *(root / name for name in inside)):
        if all((folder / entry).exists() for entry in entries):
            return folder
    also = "".join(f", or in its folder {name}" for name in inside)
    raise DataError(f"expected {', '.join(entries)} in {root}{also}; found {contents_of(root)}; check the root")


def list_folders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted."""
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))


def list_pictures(folder: Path) -> list[str]:
    """Return the names of the pictures in a folder, sorted; other files (Thumbs.db, ._0001.jpg) are ignored."""
    return sorted(filter(is_picture, os.listdir(folder)))


def read_lines(path: Path) -> list[str]:
    """Return the lines of a list that are not blank, stripped.

    Raises:
        DataError: The list is missing or is no text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"expected the list {path}, found {contents_of(path.parent)}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"expected a list of text in {path}, found bytes that are not UTF-8") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_pairs(path: Path) -> list[tuple[str, int]]:
    """Return the lines ``picture identity`` of a list.

    Raises:
        DataError: The list is missing, or a line is of another form.
    """
    pairs = []
    for number, line in enumerate(read_lines(path), start=1):
        picture, _, identity = line.rpartition(" ")
        if not picture or not identity.lstrip("-").isdigit():
            raise DataError(f"expected lines 'picture identity' in {path}, found {line!r} (line {number})")
        pairs.append((picture.strip(), int(identity)))
    return pairs


def read_matlab(path: Path) -> dict[str, NDArray[Any]]:
    """Return the variables of a MATLAB file.

    Raises:
        DataError: The file is missing or damaged.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        variables: dict[str, NDArray[Any]] = loadmat(path)
    except (OSError, ValueError, TypeError, NotImplementedError, MatReadError) as error:
        raise DataError(f"expected a MATLAB file at {path}, got: {error}") from error
    return variables


def parse_name(pattern: re.Pattern[str], name: str, *, folder: Path, example: str) -> re.Match[str]:
    """Return the match of a picture's name.

    Raises:
        DataError: The name is of another form.
    """
    match = pattern.match(name)
    if match is None:
        raise DataError(f"expected pictures named like {example} in {folder}, found {name}; move it elsewhere")
    return match


def read_market_layout(
    root: str | Path, *, inside: Sequence[str], further: Sequence[str] = ()
) -> tuple[Path, TrainQueryGallery]:
    """Return the folder of a data set laid out as Market-1501, and its three parts.

    Args:
        root: The folder of the three parts, or the one above it.
        inside: Names that it may have there.
        further: What else has to be in it.
    """
    folder = find_root(root, entries=[*MARKET_FOLDERS, *further], inside=inside)
    train, query, gallery = (read_market_folder(folder / part) for part in MARKET_FOLDERS)
    return folder, (train, query, gallery)


def read_market_folder(folder: Path) -> tuple[Sample, ...]:
    """Return a folder's pictures, sorted by name, without those of identity -1 ("junk": parts of bodies, of no use).

    Raises:
        DataError: A picture's name is of another form.
    """
    samples = []
    for name in list_pictures(folder):
        match = parse_name(_MARKET_NAME, name, folder=folder, example="0002_c1s1_000451_03.jpg")
        if (identity := int(match[1])) != -1:
            samples.append(Sample(f"{folder}/{name}", identity, int(match[2])))
    return tuple(samples)
