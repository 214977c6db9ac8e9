"""Pictures to embed, by rows: a Parquet manifest, read as it is needed, or samples in memory. Needs no torch.

Dimensions: N rows, n rows of a part.
"""

from __future__ import annotations

import bisect
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from reseen.errors import DataError, one_line
from reseen.labels import parse_label
from reseen.storage import StorageFolder, is_url
from reseen.tables import BOXES, as_text, as_text_table, form_of_boxes
from reseen.types import Sample

OPTIONAL = ("identity", "camera", "modality", "track", "view", "time")
LABELS = ("identity", "camera", "track")
ADDED = ("row", "digest", "vector")
"""What a part has beside the manifest's columns: the row's number, the digest of its pixels, and its vector."""
READ_AT_ONCE = 8192
"""Rows that are decoded at once."""


@dataclass(frozen=True)
class Piece:
    """Rows of a manifest.

    Attributes:
        table: n rows, all columns.
        samples: What each shows; None where the row itself is unfit.
        faults: Why not, by the row's place in the piece.
    """

    table: pa.Table
    samples: Sequence[Sample | None]
    faults: dict[int, str]


class Manifest(ABC):
    """Base class of what is embedded: N rows, of which any few can be had.

    Attributes:
        name: Where they are from.
        fingerprint: Names the rows as the manifest has them.
        as_text: Label columns in which integers are written as text.
    """

    name: str
    fingerprint: str
    as_text: tuple[str, ...]

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def piece(self, start: int, stop: int) -> Piece:
        """Return the rows from one to before another."""


class SampleManifest(Manifest):
    """Samples in memory, as a data set has them.

    Args:
        samples: N samples; a column of integers beside text is written as text.

    Raises:
        ValueError: Of a column of integers and text, some would not be told apart as text.
    """

    name = "the samples"

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples
        self.as_text = tuple(name for name in (*LABELS, "modality") if _is_mixed(samples, name))
        digest = hashlib.sha256()
        for s in samples:
            digest.update(repr((s.path, s.identity, s.camera, s.view, s.modality, s.track, s.box)).encode())
        self.fingerprint = digest.hexdigest()
        self._optional = [name for name in OPTIONAL if any(getattr(s, name) is not None for s in samples)]
        self._boxed = any(s.box is not None for s in samples)

    def __len__(self) -> int:
        return len(self._samples)

    def piece(self, start: int, stop: int) -> Piece:
        """Return the samples from one to before another, with their table."""
        samples = self._samples[start:stop]
        columns: dict[str, list[Any]] = {"path": [s.path for s in samples]}
        for name in dict.fromkeys(("identity", *self._optional)):
            values = [getattr(s, name) for s in samples]
            columns[name] = [v if v is None or name not in self.as_text else str(v) for v in values]
        if self._boxed:
            for place, name in enumerate(BOXES[1]):
                columns[name] = [None if s.box is None else s.box[place] for s in samples]
        return Piece(pa.table(columns), samples, {})


class ParquetManifest(Manifest):
    """A Parquet file of pictures, or a folder of such files, of which no more than a few rows are in memory.

    Columns: ``path`` (from the manifest's folder, or a URL) and, where known, identity, camera, modality, track, view,
    time and the box to use, in one of the forms of `reseen.tables.BOXES`. All others are handed on to the parts.

    Args:
        location: A path or a URL.

    Raises:
        DataError: There is no manifest, it is damaged, or a column is missing.
    """

    def __init__(self, location: str) -> None:
        self.name = location.partition("?")[0]
        place, mark, query = str(location).partition("?") if is_url(location) else (str(location), "", "")
        if place.endswith(".parquet"):
            folder, _, file = place.replace(os.sep, "/").rpartition("/")
            self._folder, names = StorageFolder((folder or ".") + mark + query), [file]
        else:
            self._folder = StorageFolder(place + mark + query)
            names = sorted(name for name in self._folder.names("") if name.endswith(".parquet"))
        if not names:
            raise DataError(f"expected a Parquet file, or a folder of such, at {self.name}, found none; check the path")
        digest = hashlib.sha256()
        self._groups: list[tuple[str, int]] = []
        self._starts: list[int] = [0]
        schema: pa.Schema | None = None
        for name in names:
            try:
                with self._folder.open(name) as source:
                    file = parquet.ParquetFile(source)
                    facts, own = file.metadata, file.schema_arrow.remove_metadata()
            except FileNotFoundError:
                raise DataError(f"expected a manifest at {self.name}, found no such file; check the path") from None
            except (OSError, ValueError, pa.ArrowException) as error:
                raise DataError(f"expected a whole Parquet file at {self.name}, got: {one_line(error)}") from None
            if schema is not None and own != schema:
                raise DataError(f"expected the same columns in all files of {self.name}, found others in {name}")
            schema = own
            digest.update(_footer(name, facts))
            for number in range(facts.num_row_groups):
                self._groups.append((name, number))
                self._starts.append(self._starts[-1] + facts.row_group(number).num_rows)
        assert schema is not None
        self._names = schema.names
        if taken := set(ADDED) & set(self._names):
            raise DataError(f"expected other columns than {', '.join(ADDED)} in {self.name}, found {taken}; rename")
        header = [name.strip().lower() for name in self._names]
        used = {"path", *OPTIONAL, *form_of_boxes(header, self.name)}
        self._used = [name for name, small in zip(self._names, header, strict=True) if small in used]
        self._samples_of(schema.empty_table())  # says so where the columns are of no use
        self.as_text = tuple(x for x in LABELS if x in self._names and pa.types.is_string(schema.field(x).type))
        self.fingerprint = digest.hexdigest()
        self._rows: Iterator[tuple[int, pa.Table]] = iter(())
        self._at = -1
        self._ahead: pa.Table | None = None

    def __len__(self) -> int:
        return self._starts[-1]

    def piece(self, start: int, stop: int) -> Piece:
        """Return the rows from one to before another; rows after those asked for last are read on from there.

        Raises:
            DataError: The manifest is damaged, or not what it was.
        """
        try:
            table = self._read(start, stop)
        except (OSError, ValueError, pa.ArrowException) as error:
            self._at = -1
            raise DataError(f"expected rows {start:,} to {stop - 1:,} in {self.name}, got: {one_line(error)}") from None
        try:
            return Piece(table, self._samples_of(table), {})
        except DataError:
            pass  # Some row is unfit: find out which.
        samples: list[Sample | None] = []
        faults = {}
        for row in range(len(table)):
            try:
                samples += self._samples_of(table.slice(row, 1))
            except DataError as error:
                samples.append(None)
                faults[row] = str(error)
        return Piece(table, samples, faults)

    def _read(self, start: int, stop: int) -> pa.Table:
        if self._at > start or self._group_of(self._at) != self._group_of(start):
            self._rows, self._ahead, self._at = self._tables(start), None, start
        tables: list[pa.Table] = []
        while self._at < stop:
            table: Any = next(self._rows, None) if self._ahead is None else self._ahead
            if table is None:
                raise ValueError(f"{self._at:,} rows; the file has changed")
            used = min(len(table), (start if self._at < start else stop) - self._at)
            if self._at >= start:
                tables.append(table.slice(0, used))
            self._at += used
            self._ahead = table.slice(used) if used < len(table) else None
        return pa.concat_tables(tables)

    def _group_of(self, row: int) -> int:
        return bisect.bisect_right(self._starts, row) - 1

    def _tables(self, start: int) -> Iterator[pa.Table]:
        """Yield the rows from one on, a few at a time; of a row group, pages before it are decoded and let go."""
        for place in range(self._group_of(start), len(self._groups)):
            name, number = self._groups[place]
            skip = max(0, start - self._starts[place])
            with self._folder.open(name) as source:
                file = parquet.ParquetFile(source, buffer_size=2**20, pre_buffer=False)
                for batch in file.iter_batches(READ_AT_ONCE, row_groups=[number], use_threads=False):
                    if skip < len(batch):
                        yield pa.Table.from_batches([batch.slice(skip)])
                    skip = max(0, skip - len(batch))

    def _samples_of(self, table: pa.Table) -> list[Sample | None]:
        def column(place: int) -> list[str]:
            return [as_text(value) for value in table.column(self._used[place]).to_pylist()]

        header = [name.strip().lower() for name in self._used]
        texts = as_text_table(
            self.name, header, column, required=("path",), optional=OPTIONAL, boxes=True, empty=not len(table)
        )
        if not len(table):
            return []
        modalities = [text or None for text in texts.texts("modality")]
        columns = (
            self._paths(texts.texts("path")),
            texts.identities(),
            texts.labels("camera"),
            modalities,
            texts.numbers("time"),
            texts.labels("track"),
            texts.boxes(),
            texts.labels("view"),
        )
        return [Sample(*row) for row in zip(*columns, strict=True)]  # nobody known is None

    def _paths(self, names: Sequence[str]) -> list[str]:
        if "" in names:
            raise DataError(f"expected path in every row of {self.name}, found none; add it")
        if self._folder.path is not None:
            root = str(self._folder.path)
            return [name if is_url(name) else os.path.join(root, name) for name in names]
        place, mark, query = self._folder.location.partition("?")
        return [name if is_url(name) else f"{place}/{name}{mark}{query}" for name in names]


def _footer(name: str, facts: Any) -> bytes:
    """Return what a Parquet file's footer says of its rows: numbers, sizes, places and extremes of every column."""
    digest = hashlib.sha256(f"{name} {facts.num_rows} {facts.num_row_groups}".encode())
    for number in range(facts.num_row_groups):
        group = facts.row_group(number)
        for place in range(group.num_columns):
            column = group.column(place)
            ends = column.statistics
            extremes = (ends.min, ends.max) if ends is not None and ends.has_min_max else None
            digest.update(repr((column.path_in_schema, column.data_page_offset, column.total_compressed_size)).encode())
            digest.update(repr(extremes).encode())
    return digest.digest()


def _is_mixed(samples: Sequence[Sample], name: str) -> bool:
    """Return whether a column holds integers beside text, which Parquet does not.

    Raises:
        ValueError: As text some of them could not be told apart, such as 7 and "7".
    """
    values = {value for s in samples if (value := getattr(s, name)) is not None}
    if len({type(value) for value in values}) < 2:
        return False
    if wrong := [value for value in values if parse_label(str(value)) != value]:
        raise ValueError(
            f"expected every {name} of one type, or none that reads as one of the other, to write a table, "
            f"got {wrong[0]!r}"
        )
    return True
