"""Sharded files of embeddings: vectors and their table on the disk, of any size. Needs no torch.

A folder of embeddings holds ``vectors.npy`` (N, D), ``table/00000.parquet, ...`` (one file for every finished shard of
rows: path, identity, camera, modality, track) and ``embedding.json``. NumPy and pandas read them without this library.

Dimensions: N samples, n samples of a shard, D components.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray
from rich.progress import track

from reseen.errors import CheckpointError, RunError, one_line
from reseen.files import make_folder, write_atomically, write_error
from reseen.labels import parse_label
from reseen.types import Embeddings, Labels, Sample, as_labels

log = logging.getLogger(__name__)

DIGEST = b"crc32 of the vectors"  # in the metadata of each table
DAMAGE = (pa.ArrowException, OSError, ValueError, KeyError, SyntaxError, EOFError)
"""What reading a damaged file may raise."""
COLUMNS = {"path": "paths", "identity": "identities", "camera": "cameras", "modality": "modalities", "track": "tracks"}


@dataclass(frozen=True)
class Turn:
    """Which shards are this process's, where several share the work.

    Attributes:
        rank: Number of this process.
        num_ranks: How many there are.
        wait: Returns once all have called it.
    """

    rank: int = 0
    num_ranks: int = 1
    wait: Callable[[], object] = lambda: None


def write_shards(
    folder: Path,
    samples: Sequence[Sample],
    vectors_of: Callable[[Sequence[Sample]], NDArray[np.float32]],
    *,
    model: str,
    dim: int,
    dtype: Literal["float32", "float16"] = "float32",
    mirrored: bool = False,
    shard: int = 8192,
    progress: bool = False,
    turn: Turn = Turn(),
) -> None:
    """Write the vectors of samples; a folder that holds some finished shards of the same work is gone on with.

    What is there is looked at first: a shard whose table or vectors are not as they were written is made again.
    Pictures whose files have changed (in size or time) are other work.

    Args:
        folder: Where to.
        samples: N samples; a column of integers beside text is written as text.
        vectors_of: Gives the vectors (n, D) of n samples.
        model: The fingerprint of what gives them.
        dim: D.
        dtype: Of the numbers on the disk.
        mirrored: Whether the vectors are averaged with those of the mirror images; part of what the work is.
        shard: Rows that are finished together: what an interruption can cost.
        progress: Draw a bar.
        turn: This process's part of the work.

    Raises:
        ValueError: Of a column of integers and text, some would not be told apart as text.
        RunError: The folder holds other work.
        WriteError: The disk is full, or the folder may only be read.
        CheckpointError: A vector is not finite; nothing of its shard is written.
    """
    mixed = [name for name in COLUMNS if _is_mixed(samples, name)]
    work: dict[str, Any] = {
        "samples": len(samples),
        "dim": dim,
        "dtype": dtype,
        "shard": shard,
        "mirrored": mirrored,
        "samples_sha256": _fingerprint_of_samples(samples),
        "model_sha256": model,
        **({"integers_as_text": mixed} if mixed else {}),
    }
    if turn.rank == 0:
        _begin(folder, work)
    turn.wait()
    _check(folder, work)
    starts = range(0, len(samples), shard)[turn.rank :: turn.num_ranks]
    missing = [start for start in starts if not _done(folder, work, start)]
    if len(missing) < len(starts):
        log.info("%d of %d shards are there already", len(starts) - len(missing), len(starts))
    for start in track(missing, "Embedding", disable=not progress or turn.rank > 0):
        rows = samples[start : start + shard]
        with np.errstate(over="ignore"):  # of float16, found in the next line
            vectors = vectors_of(rows).astype(dtype)
        if (broken := ~np.isfinite(vectors).all(axis=1)).any():
            raise CheckpointError(
                f"expected finite vectors in {dtype}, got others for {broken.sum():,} of {len(rows):,} pictures, "
                f"first {rows[int(broken.argmax())].path}; see whether the model's weights are whole"
            )
        _write_rows(folder / "vectors.npy", start, vectors)
        _write_table(_part(folder, start // shard), rows, vectors, mixed)
    turn.wait()


def open_embeddings(folder: str | Path, *, checked: bool = True) -> Embeddings:
    """Open a folder of embeddings; the vectors stay on the disk until they are read.

    Args:
        folder: What `embed` wrote.
        checked: Read all vectors once and compare them with their checksums; False where that would take too long.

    Raises:
        RunError: There are no embeddings, some shards are missing, or something is damaged.
    """
    folder = Path(folder)
    if not (folder / "embedding.json").is_file():
        raise RunError(f"expected embeddings in {folder}, found no embedding.json: name a folder written by embed")
    work = _work_of(folder)
    parts = [_part(folder, number) for number in range(-(-work["samples"] // work["shard"]))]
    missing = sum(not part.exists() for part in parts)
    if missing:
        raise RunError(f"expected {len(parts)} shards in {folder}, {missing} are missing: embed again to go on")
    if not _has_room(folder, work):
        raise RunError(f"expected whole vectors at {folder}/vectors.npy, found them damaged: embed again")
    vectors: Any = np.load(folder / "vectors.npy", mmap_mode="r") if parts else np.empty((0, work["dim"]), np.float32)
    mixed = work.get("integers_as_text", ())
    try:
        starts = range(0, work["samples"], work["shard"])
        tables = [_read_table(folder, work, start, checked=checked) for start in starts]
        columns = {plural: _labels(tables, name, mixed=name in mixed) for name, plural in COLUMNS.items()}
    except DAMAGE as error:
        raise RunError(f"expected whole tables and vectors in {folder}, got: {one_line(error)}; embed again") from None
    return Embeddings(vectors, **{name: column for name, column in columns.items() if column is not None})


def _begin(folder: Path, work: dict[str, Any]) -> None:
    """Make the folder and room for all vectors, where they are not there or are damaged."""
    make_folder(folder / "table")
    description = folder / "embedding.json"
    if description.exists() and any((folder / "table").glob("*.parquet")):
        try:
            if _work_of(folder) != work or _has_room(folder, work):
                return
        except RunError:
            return  # `_check` says so, in every process
    for part in (folder / "table").glob("*.parquet"):
        part.unlink()
    header = {"descr": np.dtype(work["dtype"]).str, "fortran_order": False}
    try:
        with open(folder / "vectors.npy", "wb") as file:
            np.lib.format.write_array_header_1_0(file, {**header, "shape": (work["samples"], work["dim"])})
            row = work["dim"] * np.dtype(work["dtype"]).itemsize
            file.truncate(file.tell() + work["samples"] * row)
    except OSError as error:
        raise write_error(folder / "vectors.npy", error) from error
    write_atomically(description, json.dumps(work, indent=2).encode())


def _work_of(folder: Path) -> dict[str, Any]:
    """Return what a folder's embedding.json says, or raise RunError where it is damaged."""
    try:
        work: dict[str, Any] = json.loads((folder / "embedding.json").read_bytes())
        np.dtype(work["dtype"]), (work["samples"] + work["dim"]) // work["shard"]
    except (OSError, ValueError, TypeError, KeyError, ZeroDivisionError):
        raise RunError(
            f"expected a description of embeddings at {folder}/embedding.json, found it damaged: "
            "empty the folder and embed again"
        ) from None
    return work


def _check(folder: Path, work: dict[str, Any]) -> None:
    """See that what is there is the same work."""
    found = _work_of(folder)
    if found != work:
        differing = ", ".join(key for key in work if found.get(key) != work[key])
        changed = "; pictures or their files have changed" if differing == "samples_sha256" else ""
        raise RunError(
            f"{folder} holds other embeddings ({differing} differ{changed}): name another folder, or empty this one"
        )


def _has_room(folder: Path, work: dict[str, Any]) -> bool:
    """Return whether vectors.npy has the header and the length that it was made with."""
    try:
        with open(folder / "vectors.npy", "rb") as file:
            start = _past_header(file, (work["samples"], work["dim"]), np.dtype(work["dtype"]))
            length = work["samples"] * work["dim"] * np.dtype(work["dtype"]).itemsize
            return bool(file.seek(0, os.SEEK_END) == start + length)
    except DAMAGE:
        return False


def _past_header(file: BinaryIO, shape: tuple[int, int], dtype: np.dtype[Any]) -> int:
    """Go to the first row of a file of vectors, and return where that is; ValueError if they are others."""
    np.lib.format.read_magic(file)
    if np.lib.format.read_array_header_1_0(file) != (shape, False, dtype):
        raise ValueError
    return file.tell()


def _done(folder: Path, work: dict[str, Any], start: int) -> bool:
    """Return whether a shard's table and vectors are there as they were written."""
    try:
        _read_table(folder, work, start, checked=True)
    except DAMAGE:
        return False
    return True


def _read_table(folder: Path, work: dict[str, Any], start: int, *, checked: bool) -> pa.Table:
    """Return the table of a shard; one of DAMAGE is raised where it or the vectors are not as they were written."""
    count, dtype = min(work["shard"], work["samples"] - start), np.dtype(work["dtype"])
    table = parquet.read_table(_part(folder, start // work["shard"]), page_checksum_verification=True)
    if len(table) != count:
        raise ValueError(f"a table of {len(table):,} rows for {count:,}")
    written = (table.schema.metadata or {}).get(DIGEST)
    if checked and written is not None:
        with open(folder / "vectors.npy", "rb") as file:
            file.seek(_past_header(file, (work["samples"], work["dim"]), dtype) + start * work["dim"] * dtype.itemsize)
            if _digest(file.read(count * work["dim"] * dtype.itemsize)) != written:
                raise ValueError(f"damaged vectors in rows {start:,} to {start + count - 1:,}")
    return table


def _part(folder: Path, number: int) -> Path:
    return folder / "table" / f"{number:05d}.parquet"


def _write_rows(path: Path, start: int, vectors: NDArray[Any]) -> None:
    try:
        # Written and not mapped: a full disk is then an error that can be caught.
        with open(path, "r+b") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            file.seek(start * vectors.shape[1] * vectors.itemsize, os.SEEK_CUR)
            file.write(np.ascontiguousarray(vectors).data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise write_error(path, error) from error


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


def _write_table(path: Path, samples: Sequence[Sample], vectors: NDArray[Any], mixed: Sequence[str]) -> None:
    def column(name: str) -> list[Any]:
        values = [getattr(sample, name) for sample in samples]
        return [None if value is None else str(value) for value in values] if name in mixed else values

    table = pa.table({name: column(name) for name in COLUMNS})
    sink = pa.BufferOutputStream()
    content = np.ascontiguousarray(vectors).tobytes()
    parquet.write_table(table.replace_schema_metadata({DIGEST: _digest(content)}), sink, write_page_checksum=True)
    write_atomically(path, sink.getvalue().to_pybytes())


def _digest(content: bytes) -> bytes:
    return f"{zlib.crc32(content):08x}".encode()


def _labels(tables: Sequence[pa.Table], name: str, *, mixed: bool) -> Labels | None:
    values = [value for table in tables for value in table[name].to_pylist()]
    if mixed:
        values = [None if value is None else parse_label(value) for value in values]
    return None if values and all(value is None for value in values) else as_labels(values)


def _fingerprint_of_samples(samples: Sequence[Sample]) -> str:
    """Return 64 hexadecimal digits that name samples, and the files that they are read from by size and time."""
    told = hashlib.sha256()
    files: dict[str, tuple[int, int] | None] = {}
    for s in samples:
        if s.path not in files:
            files[s.path] = None if s.draw is not None else _size_and_time(s.path)
        told.update(repr((s.path, s.identity, s.camera, s.view, s.modality, s.track, s.box, files[s.path])).encode())
    return told.hexdigest()


def _size_and_time(path: str) -> tuple[int, int] | None:
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return None  # whoever reads it says so
    return facts.st_size, facts.st_mtime_ns
