"""Readers of the folders and lists of published data sets: sorted, case-insensitive, with exact errors."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from reseen.errors import DataError, describe
from reseen.pictures import is_picture
from reseen.types import Sample

logger = logging.getLogger(__name__)


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
    raise DataError(f"expected {', '.join(entries)} in {root}{also}; found {describe(root)}; check the root")


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
        raise DataError(f"expected the list {path}, found {describe(path.parent)}") from error
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


def compare_counts(name: str, published: Mapping[str, tuple[int, int]], parts: Mapping[str, Sequence[Sample]]) -> None:
    """Log one warning where (pictures, identities) of a part differ from the published ones."""
    found = {part: (len(samples), len({s.identity for s in samples})) for part, samples in parts.items()}
    differing = [
        f"{part} {found[part][0]:,} pictures of {found[part][1]:,} identities instead of {pictures:,} of {identities:,}"
        for part, (pictures, identities) in published.items()
        if found[part] != (pictures, identities)
    ]
    if differing:
        logger.warning("%s is not as published, nor will its scores be: %s", name, "; ".join(differing))
