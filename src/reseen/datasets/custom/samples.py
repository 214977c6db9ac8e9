"""Samples from folders, whose names may tell who a picture shows, and from tables: user data, labelled or not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from reseen.errors import DataError, contents_of
from reseen.labels import UNKNOWN
from reseen.pictures import find_pictures
from reseen.tables import TextTable, read_table, require_files
from reseen.types import MODALITIES, Sample

OPTIONAL = ("camera", "split", "modality", "time", "track", "view")
GROUPS = ("identity", *OPTIONAL)


class UserSamples(NamedTuple):
    """Samples, and the split of each in small letters where the source says."""

    samples: list[Sample]
    splits: list[str] | None


def folder_samples(
    root: Path, *, pattern: str | None = None, required: Sequence[str] = (), others: Literal["error", "skip"] = "error"
) -> UserSamples:
    """Return the pictures below a folder; the identity of one that shows nobody known is ``unknown``.

    Args:
        root: The folder.
        pattern: Regular expression with any of `GROUPS`, looked for in each path from the folder; None where paths say
            nothing.
        required: Groups that the pattern must have.
        others: Pictures that do not match the pattern: stop (error) or ignore them (skip).

    Raises:
        DataError: There is no picture, or one does not match or says what cannot be.
        ValueError: The pattern is no regular expression, or has other groups.
    """
    compiled = None if pattern is None else _compile(pattern, required)
    if not root.is_dir():
        raise DataError(f"expected a folder of pictures at {root}, found {contents_of(root)}")
    names = find_pictures(root)
    kept = [name for name in names if compiled.search(name)] if compiled and others == "skip" else names
    if not kept:
        wanted = f"pictures that match {pattern}" if compiled else "pictures"
        raise DataError(
            f"expected {wanted} in {root}, found {names[0] if names else contents_of(root)}; check the path"
        )
    columns = {} if compiled is None else _columns(kept, compiled, root)
    return _samples(TextTable(root, {"path": kept, **columns}), root)


def table_samples(path: Path, *, root: Path | None = None, required: Sequence[str] = ()) -> UserSamples:
    """Return the pictures of a table; the identity of one that shows nobody known is ``unknown``.

    Args:
        path: CSV or Parquet, with a column ``path`` and, where known, `GROUPS` and a box.
        root: The folder that paths start from; None for the table's own.
        required: Further columns that it must have.

    Raises:
        DataError: The table cannot be read, lacks a column, or names a picture that is not there.
    """
    optional = [name for name in GROUPS if name not in required]
    rows = read_table(path, required=("path", *required), optional=optional, boxes=True)
    read = _samples(rows, path.parent if root is None else root)
    require_files(dict.fromkeys(sample.path for sample in read.samples), source=path)
    return read


def _compile(pattern: str, required: Sequence[str]) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"expected a regular expression as pattern, got {pattern!r}: {error}") from error
    groups = set(compiled.groupindex)
    if not groups or set(required) - groups or groups - set(GROUPS):
        known = ", ".join(name for name in GROUPS if name not in required)
        wanted = f"the group {', '.join(required)}, and {known} if known" if required else f"groups among {known}"
        got = ", ".join(compiled.groupindex) or "no named group"
        raise ValueError(f"expected a pattern with {wanted}, got {got} in {pattern!r}")
    return compiled


def _columns(names: list[str], pattern: re.Pattern[str], root: Path) -> dict[str, list[str]]:
    """Return what a pattern reads from each of some names, by group."""
    matches = [pattern.search(name) for name in names]
    if None in matches:
        raise DataError(
            f"expected pictures in {root} to match {pattern.pattern}, found {names[matches.index(None)]}; "
            f"mend the pattern, or ignore such pictures with others=skip"
        )
    matched = [match.groupdict("") for match in matches if match]
    return {group: [groups[group] for groups in matched] for group in pattern.groupindex}


def _samples(rows: TextTable, root: Path) -> UserSamples:
    if unknown := set(rows.texts("modality")) - {*MODALITIES, ""}:
        others = ", ".join(sorted(map(repr, unknown)))
        raise DataError(f"expected modality {' or '.join(MODALITIES)} in {rows.source}, found {others}")
    columns = zip(
        rows.paths(root),
        [UNKNOWN if identity is None else identity for identity in rows.identities()],
        rows.labels("camera"),
        [modality or None for modality in rows.texts("modality")],
        rows.numbers("time"),
        rows.labels("track"),
        rows.boxes(),
        rows.labels("view"),
        strict=True,
    )
    splits = [split.lower() for split in rows.texts("split")] if "split" in rows else None
    return UserSamples([Sample(*column) for column in columns], splits)
