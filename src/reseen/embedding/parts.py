"""Parts: files of embeddings, each made of some rows of a manifest and a model, and of nothing else. Needs no torch.

A folder of embeddings, on this machine or in an object store, holds

- ``parts/00000000.parquet, ...``: the manifest's columns, the row's number, the digest of its pixels, and ``vector``
  (a fixed-size list); pandas and pyarrow read them without this library;
- ``quarantine/00000000.parquet``: row, path and error of pictures that cannot be read, where a part has such;
- ``embedding.json``: what the work is.

A part is written whole, last, and never changed: where it is there and is what it should be, it is done. The same rows
and model give the same bytes on machines of one kind, whoever makes them.

Dimensions: N rows, n rows of a part, D components.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from reseen.embedding.manifest import Manifest, Piece
from reseen.errors import RunError, one_line
from reseen.files import replacing
from reseen.labels import parse_identity, parse_label
from reseen.slicing import chunks
from reseen.storage import StorageFolder, is_url
from reseen.tables import require_possible_rows
from reseen.types import Embeddings, Labels, as_labels

DESCRIPTION, VECTORS = "embedding.json", "vectors.npy"
FACTS = b"reseen"
"""Where the metadata of a part says what it was made of."""
DAMAGE = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError)
"""What reading a damaged file may raise."""
COLUMNS = {"path": "paths", "identity": "identities", "camera": "cameras", "modality": "modalities", "track": "tracks"}

DType = Literal["float32", "float16"]


@dataclass(frozen=True)
class Work:
    """What a folder of embeddings is made of.

    Attributes:
        samples: N.
        dim: D.
        dtype: Of the numbers on the disk.
        part_rows: Rows of a part; the last may have fewer.
        mirrored: Whether the vectors are averaged with those of the mirror images.
        samples_sha256: The fingerprint of the manifest.
        model_sha256: The fingerprint of the model.
        integers_as_text: Label columns in which integers are written as text.
    """

    samples: int
    dim: int
    dtype: DType
    part_rows: int
    mirrored: bool
    samples_sha256: str
    model_sha256: str
    integers_as_text: tuple[str, ...] = ()

    @property
    def num_parts(self) -> int:
        """How many parts there are."""
        return -(-self.samples // self.part_rows)

    def rows(self, number: int) -> range:
        """Return the rows of a part."""
        return range(number * self.part_rows, min((number + 1) * self.part_rows, self.samples))

    def is_possible(self) -> bool:
        """Return whether the fields are of their types, and the numbers such as a folder can have."""
        numbers = (self.samples, self.dim, self.part_rows)
        texts = (self.samples_sha256, self.model_sha256, *self.integers_as_text)
        return (
            all(type(number) is int and 0 <= number < 2**63 for number in numbers)
            and self.part_rows > 0
            and self.dtype in get_args(DType)
            and isinstance(self.mirrored, bool)
            and all(isinstance(text, str) for text in texts)
        )

    @classmethod
    def read(cls, folder: StorageFolder) -> Work | None:
        """Return what a folder's embedding.json says; None where there is none.

        Raises:
            RunError: It is damaged.
        """
        try:
            known = json.loads(folder.read(DESCRIPTION))
            work = cls(**{**known, "integers_as_text": tuple(known["integers_as_text"])})
            if not work.is_possible():
                raise ValueError
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            raise RunError(
                f"expected a description of embeddings at {folder}/{DESCRIPTION}, found it damaged: "
                "empty the folder and embed again"
            ) from None
        return work

    def begin(self, folder: StorageFolder) -> None:
        """Write what the work is, unless some of it is done; several processes may do so at once.

        Raises:
            RunError: The folder holds other work.
            WriteError: The folder cannot be written.
        """
        existing = Work.read(folder)
        if existing is None or (existing != self and not folder.names("parts")):
            folder.write(DESCRIPTION, json.dumps(asdict(self), indent=2).encode())
            existing = Work.read(folder)
        if existing != self:
            own, other = asdict(self), asdict(existing) if existing is not None else {}
            differing = ", ".join(key for key in own if other.get(key) != own[key])
            raise RunError(f"{folder} holds other embeddings ({differing} differ): name another folder, or empty this")


@dataclass(frozen=True)
class Part:
    """A part to make.

    Attributes:
        number: Its place.
        piece: Its rows.
        facts: What it is made of, as its metadata will say.
    """

    number: int
    piece: Piece
    facts: dict[str, Any]


def plan_part(work: Work, manifest: Manifest, number: int) -> Part:
    """Return a part as it has to be made now: of these rows, and of files of this size and time."""
    rows = work.rows(number)
    piece = manifest.piece(rows.start, rows.stop)
    digest = hashlib.sha256()
    for name, column in zip(piece.table.column_names, piece.table.columns, strict=True):
        digest.update(repr((name, column.to_pylist())).encode())
    files: dict[str, tuple[int, int] | None] = {}
    for sample in piece.samples:
        if sample is not None and sample.draw is None and sample.path not in files:
            files[sample.path] = _size_and_time(sample.path)
    digest.update(repr(list(files.values())).encode())
    facts = {
        "rows": [rows.start, rows.stop],
        "rows_sha256": digest.hexdigest(),
        "model_sha256": work.model_sha256,
        "dtype": work.dtype,
        "mirrored": work.mirrored,
    }
    return Part(number, piece, facts)


def _size_and_time(path: str) -> tuple[int, int] | None:
    """Return what a change of a file changes; an object at a URL is taken to stay as it is."""
    if is_url(path):
        return None
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return None  # whoever reads it says so
    return facts.st_size, facts.st_mtime_ns


def count_quarantined(folder: StorageFolder, part: Part) -> int | None:
    """Return how many pictures of a part that is there are in quarantine; None where it has to be made."""
    try:
        table = read_part(folder, part.number)
        facts = facts_of(table)
        if any(facts[name] != value for name, value in part.facts.items()):
            return None
        count = int(facts["quarantined"])
        if len(table) + count != len(part.piece.table):
            return None
        if count and len(read_quarantine(folder, part.number)) != count:
            return None
    except DAMAGE:
        return None
    return count


def facts_of(table: pa.Table) -> dict[str, Any]:
    """Return what a part was made of."""
    facts: dict[str, Any] = json.loads(table.schema.metadata[FACTS])
    return facts


def read_part(folder: StorageFolder, number: int) -> pa.Table:
    """Return a part as it was written; one of DAMAGE is raised where it is not whole."""
    content = pa.py_buffer(folder.read(part_name(number)))
    require_possible_rows(parquet.read_metadata(pa.BufferReader(content)), content.size)
    table = parquet.read_table(pa.BufferReader(content), page_checksum_verification=True)
    if _checksum(table) != facts_of(table)["crc32"]:  # Parquet's own checksums leave out the columns' names and types.
        raise ValueError(f"damaged columns in {part_name(number)}")
    return table


def read_quarantine(folder: StorageFolder, number: int) -> pa.Table:
    """Return row, path and error of a part's pictures that could not be read; OSError where there are none."""
    return parquet.read_table(pa.BufferReader(folder.read(quarantine_name(number))), page_checksum_verification=True)


def vectors_of(table: pa.Table) -> NDArray[Any]:
    """Return the vectors (n, D) of a part."""
    column = table.column("vector")
    dim = column.type.list_size
    blocks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    if not blocks:
        return np.empty((0, dim), column.type.value_type.to_pandas_dtype())
    return np.concatenate(blocks).reshape(-1, dim) if len(blocks) > 1 else blocks[0].reshape(-1, dim)


def write_part(
    folder: StorageFolder, part: Part, vectors: NDArray[Any], digests: Sequence[bytes], faults: dict[int, str]
) -> None:
    """Write a part, after the table of its pictures that could not be read.

    Args:
        folder: Where to.
        part: Its rows.
        vectors: (n, D) of those rows that could be read.
        digests: Their pixels' digests.
        faults: Why the others could not, by their place in the part.
    """
    table, start = part.piece.table, part.facts["rows"][0]
    rows = np.arange(start, start + len(table))
    if faults:
        unfit = pa.array(sorted(faults))
        path = next(name for name in table.column_names if name.strip().lower() == "path")
        lost = {"row": rows[unfit], "path": table[path].take(unfit), "error": [faults[n] for n in sorted(faults)]}
        folder.write(quarantine_name(part.number), _content(pa.table(lost)))
    else:
        folder.remove(quarantine_name(part.number))  # Of pictures that have been mended.
    readable = np.array([n for n in range(len(table)) if n not in faults], np.int64)
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
    table = table.take(pa.array(readable))
    table = table.append_column("row", pa.array(rows[readable]))
    table = table.append_column("digest", pa.array(digests, pa.binary(16)))
    table = table.append_column("vector", pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]))
    facts = {**part.facts, "quarantined": len(faults), "crc32": _checksum(table)}
    if folder.path is not None:
        (folder.path / VECTORS).unlink(missing_ok=True)  # It is of the parts as they were.
    folder.write(part_name(part.number), _content(table.replace_schema_metadata({FACTS: json.dumps(facts)})))


def _content(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    plain = [f"{name}.list.element" for name in table.column_names if name == "vector"]
    text = [name for name in table.column_names if name not in ("vector", "digest")]
    parquet.write_table(
        table,
        sink,
        compression=dict.fromkeys(text, "zstd") | dict.fromkeys(plain, "none"),
        use_dictionary=text,
        write_page_checksum=True,
        row_group_size=max(len(table), 1),
    )
    return sink.getvalue()


def _checksum(table: pa.Table) -> str:
    columns = zlib.crc32(repr([(f.name, str(f.type)) for f in table.schema if f.name != "vector"]).encode())
    return f"{zlib.crc32(vectors_of(table).data, columns):08x}"


def part_name(number: int) -> str:
    """Return the name of a part's file in its folder."""
    return f"parts/{number:08d}.parquet"


def quarantine_name(number: int) -> str:
    """Return the name of the file of a part's pictures that could not be read."""
    return f"quarantine/{number:08d}.parquet"


def finished_work(folder: StorageFolder) -> Work:
    """Return what a folder of embeddings is made of.

    Raises:
        RunError: There are no embeddings, or some parts are missing.
    """
    work = Work.read(folder)
    if work is None:
        raise RunError(f"expected embeddings in {folder}, found no {DESCRIPTION}: name a folder written by embed")
    missing = work.num_parts - sum(number < work.num_parts for number in part_numbers(folder))
    if missing:
        raise RunError(f"expected {work.num_parts:,} parts in {folder}, {missing:,} are missing: embed again to go on")
    return work


def part_numbers(folder: StorageFolder) -> set[int]:
    """Return the numbers of the parts that are there."""
    stems = [name.removesuffix(".parquet") for name in folder.names("parts")]
    return {int(stem) for stem in stems if stem.isdecimal() and part_name(int(stem)) == f"parts/{stem}.parquet"}


def open_embeddings(folder: str | Path, *, mapped: bool = False) -> Embeddings:
    """Open a folder of embeddings, all of it read once and compared with its checksums.

    Args:
        folder: What `embed` wrote, on this machine or in an object store.
        mapped: Leave the vectors on the disk until they are read: in ``vectors.npy``, which is made from the parts if
            it is not there. For more vectors than fit into memory; on this machine only.

    Raises:
        RunError: There are no embeddings, some parts are missing, or something is damaged.
    """
    place = StorageFolder(str(folder))
    work = finished_work(place)
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}

    def label(table: pa.Table) -> pa.Table:
        for name, values in columns.items():
            values += label_column(table, name, work)
        return table

    if mapped:
        path = _npy_of(place, work, label)
        vectors: Any = np.load(path, mmap_mode="r" if columns["path"] else None)
    else:
        blocks = [vectors_of(label(table)) for table in part_tables(place, work)]
        vectors = np.concatenate(blocks) if blocks else np.empty((0, work.dim), work.dtype)
    labels = {plural: _labels(columns[name], name) for name, plural in COLUMNS.items()}
    return Embeddings(vectors, **{name: column for name, column in labels.items() if column is not None})


def part_tables(folder: StorageFolder, work: Work) -> Iterator[pa.Table]:
    """Yield all parts.

    Raises:
        RunError: One is damaged.
    """
    for number in range(work.num_parts):
        yield checked_part(folder, work, number)


def checked_part(folder: StorageFolder, work: Work, number: int) -> pa.Table:
    """Return a part of finished work.

    Raises:
        RunError: It is damaged.
    """
    try:
        table = read_part(folder, number)
        if facts_of(table)["rows"] != [work.rows(number).start, work.rows(number).stop]:
            raise ValueError(f"other rows in {part_name(number)}")
    except DAMAGE as error:
        raise RunError(f"expected whole parts in {folder}, got: {one_line(error)}; embed again") from None
    return table


def export_npy(folder: StorageFolder) -> Path:
    """Return ``vectors.npy`` (n, D), the vectors of all parts one after the other; it is written if it is not there.

    Raises:
        RunError: A part is damaged or missing, or the folder is not on this machine.
        WriteError: There is no room.
    """
    return _npy_of(folder, finished_work(folder), lambda table: table)


def _npy_of(folder: StorageFolder, work: Work, met: Callable[[pa.Table], pa.Table]) -> Path:
    """Return ``vectors.npy``, as `export_npy`; every part is read once, and ``met`` is called with it.

    A file that is there is compared with the parts, and written anew from where they differ.
    """
    if folder.path is None:
        raise RunError(f"expected a folder of this machine to write {VECTORS} to, got {folder}; copy the parts first")
    path = folder.path / VECTORS
    count = sum(parquet.read_metadata(folder.path / part_name(number)).num_rows for number in range(work.num_parts))
    header = {"descr": np.dtype(work.dtype).str, "fortran_order": False, "shape": (count, work.dim)}
    found: Iterator[NDArray[Any]] = map(vectors_of, map(met, part_tables(folder, work)))
    there, same = np.load(path, mmap_mode="r") if count and _is_vectors(path, header) else None, 0
    if there is not None:
        for vectors in found:
            if not np.array_equal(there[same : same + len(vectors)], vectors):
                found = itertools.chain([vectors], found)
                break
            same += len(vectors)
        else:
            return path
    with replacing(path) as partial, partial.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        if there is not None:
            for part in chunks(same, work.part_rows):
                file.write(np.ascontiguousarray(there[part]).data)
        for vectors in found:
            file.write(np.ascontiguousarray(vectors).data)
    return path


def _is_vectors(path: Path, header: dict[str, Any]) -> bool:
    """Return whether a file of vectors has a header and the length that goes with it."""
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, order, dtype = np.lib.format.read_array_header_1_0(file)
            length = file.tell() + shape[0] * shape[1] * dtype.itemsize
            known = {"descr": dtype.str, "fortran_order": order, "shape": shape}
            return known == header and file.seek(0, os.SEEK_END) == length
    except (*DAMAGE, SyntaxError, EOFError):
        return False


def label_column(table: pa.Table, name: str, work: Work) -> list[int | str | None]:
    """Return a column of labels (n,) of a part, None where it is empty or not there."""
    if name not in table.column_names:
        return [None] * len(table)
    values: list[int | str | None] = table[name].to_pylist()
    if name not in work.integers_as_text:
        return values
    parse = parse_identity if name == "identity" else parse_label
    return [None if not value else parse(str(value)) for value in values]


def _labels(values: list[Any], name: str) -> Labels | None:
    return None if values and name != "identity" and all(value is None for value in values) else as_labels(values)
