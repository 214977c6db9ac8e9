"""Samples from the rows of a text table, for :class:`Table` and :class:`Folder`."""

from __future__ import annotations

from pathlib import Path

from reseen.errors import DataError
from reseen.labels import UNKNOWN
from reseen.tables import TextTable
from reseen.types import MODALITIES, Sample

OPTIONAL = ("camera", "split", "modality", "time", "track", "view")


def read_samples(table: TextTable, *, root: Path) -> list[Sample]:
    """Return a sample for each row; the identity of one that shows nobody known is ``unknown``.

    Args:
        table: Columns path and identity and, where known, those of `OPTIONAL` and a box.
        root: Where the paths start.

    Raises:
        DataError: A row has no path, a modality is unknown, or a number or crop cannot be read.
    """
    if unknown := set(table.texts("modality")) - {*MODALITIES, ""}:
        found = ", ".join(sorted(map(repr, unknown)))
        raise DataError(f"expected modality {' or '.join(MODALITIES)} in {table.source}, found {found}")
    columns = zip(
        table.paths(root),
        [UNKNOWN if identity is None else identity for identity in table.identities()],
        table.labels("camera"),
        [modality or None for modality in table.texts("modality")],
        table.numbers("time"),
        table.labels("track"),
        table.boxes(),
        table.labels("view"),
        strict=True,
    )
    return [Sample(*column) for column in columns]


def splits_of(table: TextTable) -> list[str] | None:
    """Return the split of each row in small letters; None where the table does not say."""
    return [split.lower() for split in table.texts("split")] if "split" in table else None
