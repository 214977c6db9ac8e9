"""Rows of text turned into samples, for :class:`Table` and :class:`Folder`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from reseen.datasets.benchmarks.layout import describe
from reseen.errors import DataError
from reseen.samples import Box, Sample

BOX = ("left", "top", "width", "height")
COLUMNS = ("path", "identity", "camera", "split", "modality", "time", "track", "view", *BOX)
MODALITIES = ("visible", "infrared")


def read_table(path: Path) -> pd.DataFrame:
    """Return the known columns of a CSV or Parquet file as text, empty where a value is missing.

    Raises:
        DataError: The file is missing or damaged, or lacks a column.
    """
    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path)
        else:
            with path.open(encoding="utf-8-sig") as file:
                separator = max(",;\t", key=file.readline().count)
            table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"expected a table at {path}, found {describe(path.parent)} in its folder") from error
    except (OSError, ValueError) as error:
        raise DataError(f"expected a table of CSV or Parquet at {path}, got: {error}") from error
    table.columns = pd.Index([str(column).strip().lower() for column in table.columns])
    found = [column for column in table.columns if column in COLUMNS]
    if not {"path", "identity"} <= set(found) or len(set(found)) < len(found):
        every = ", ".join(table.columns)
        raise DataError(
            f"expected columns path and identity in {path}, and each column once, found {every}; rename them"
        )
    if table.empty:
        raise DataError(f"expected one row or more in {path}, found none")
    rows: pd.DataFrame = pd.DataFrame({column: _text(table[column]) for column in found})
    return rows


def _text(values: pd.Series[Any]) -> list[str]:
    """Return a column as text; one of integers with gaps comes from Parquet as 1.0, 2.0, nan."""
    if pd.api.types.is_float_dtype(values):
        return ["" if v != v else str(int(v)) if v.is_integer() else str(v) for v in values.tolist()]
    return [
        "" if missing else str(v).strip() for v, missing in zip(values.tolist(), values.isna().tolist(), strict=True)
    ]


def read_samples(rows: pd.DataFrame, *, root: Path, source: Path) -> list[Sample]:
    """Return a sample for each row of text.

    Args:
        rows: Columns path and identity and, where known, camera, modality, time, track, left, top, width, height, view;
            text throughout, empty where a row knows nothing.
        root: Where the paths start.
        source: Named in errors.

    Raises:
        DataError: A row has no path or no identity, a modality is unknown, or a number or crop cannot be read.
    """
    for column in ("path", "identity"):
        if (empty := rows[column] == "").any():
            raise DataError(f"expected {column} in every row of {source}, found none in row {int(empty.argmax()) + 1}")
    modalities = _labels(rows, "modality")
    if unknown := set(modalities) - {*MODALITIES, None}:
        found = ", ".join(sorted(map(repr, unknown)))
        raise DataError(f"expected modality {' or '.join(MODALITIES)} in {source}, found {found}")
    columns = zip(
        rows["path"].tolist(),
        _labels(rows, "identity"),
        _labels(rows, "camera"),
        modalities,
        _numbers(rows, "time", source),
        _labels(rows, "track"),
        _boxes(rows, source),
        _labels(rows, "view"),
        strict=True,
    )
    folder = str(root)
    return [Sample(os.path.join(folder, path), *others) for path, *others in columns]


def parse_labels(values: Sequence[str]) -> list[Any]:
    """Return text as integers where every value is one in plain form, else unchanged: 2 and 3, but "0002" and "3"."""
    plain = re.compile(r"-?(0|[1-9]\d*)\Z")
    return [int(v) for v in values] if all(map(plain.match, values)) else list(values)


def _labels(rows: pd.DataFrame, column: str) -> list[Any]:
    if column not in rows:
        return [None] * len(rows)
    values = rows[column].tolist()
    parsed = iter(parse_labels([v for v in values if v]))
    return [next(parsed) if v else None for v in values]


def _numbers(rows: pd.DataFrame, column: str, source: Path) -> list[float | None]:
    if column not in rows:
        return [None] * len(rows)
    values = pd.to_numeric(rows[column], errors="coerce")
    if (wrong := values.isna() & (rows[column] != "")).any():
        row = int(wrong.argmax())
        raise DataError(f"expected a number as {column} in {source}, found {rows[column].iloc[row]!r} in row {row + 1}")
    return [None if v != v else float(v) for v in values]


def _boxes(rows: pd.DataFrame, source: Path) -> list[Box | None]:
    boxes: list[Box | None] = []
    for row, sides in enumerate(zip(*(_numbers(rows, side, source) for side in BOX), strict=True), start=1):
        if sides == (None, None, None, None):
            boxes.append(None)
            continue
        # A box may start left of or above the picture, as detectors' boxes do, but it has a size.
        if None in sides or min(sides[2:]) < 1:
            found = ", ".join("nothing" if side is None else f"{side:g}" for side in sides)
            raise DataError(
                f"expected {', '.join(BOX)} of a crop in {source}, or none of them, found {found} in row {row}"
            )
        boxes.append(Box(*map(round, sides)))
    return boxes
