"""Vectors and their table on the disk, a shard of rows at a time, for a gallery of any size. Needs no torch.

A folder of embeddings holds ``vectors.npy`` (N, D), ``table/00000.parquet, ...`` (one file for every finished shard of
rows: path, identity, camera, modality, track) and ``embedding.json``. NumPy and pandas read them without this library.

Dimensions: N samples, n samples of a shard, D components.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray
from rich.progress import track

from reseen.errors import RunError
from reseen.labels import parse_label
from reseen.samples import Embeddings, Labels, Sample, as_labels

log = logging.getLogger(__name__)

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
    missing = [start for start in starts if not _part(folder, start // shard).exists()]
    if len(missing) < len(starts):
        log.info("%d of %d shards are there already", len(starts) - len(missing), len(starts))
    for start in track(missing, "Embedding", disable=not progress or turn.rank > 0):
        rows = samples[start : start + shard]
        _write_rows(folder / "vectors.npy", start, vectors_of(rows).astype(dtype))
        _write_table(_part(folder, start // shard), rows, mixed)
    turn.wait()


def open_embeddings(folder: str | Path) -> Embeddings:
    """Open a folder of embeddings; the vectors stay on the disk until they are read.

    Raises:
        RunError: There are no embeddings, or some shards are missing.
    """
    folder = Path(folder)
    if not (folder / "embedding.json").is_file():
        raise RunError(f"expected embeddings in {folder}, found no embedding.json: name a folder written by embed")
    work = json.loads((folder / "embedding.json").read_text())
    parts = [_part(folder, number) for number in range(-(-work["samples"] // work["shard"]))]
    missing = sum(not part.exists() for part in parts)
    if missing:
        raise RunError(f"expected {len(parts)} shards in {folder}, {missing} are missing: embed again to go on")
    vectors: Any = np.load(folder / "vectors.npy", mmap_mode="r") if parts else np.empty((0, work["dim"]), np.float32)
    tables = [parquet.read_table(part) for part in parts]
    mixed = work.get("integers_as_text", ())
    columns = {plural: _labels(tables, name, mixed=name in mixed) for name, plural in COLUMNS.items()}
    return Embeddings(vectors, **{name: column for name, column in columns.items() if column is not None})


def _begin(folder: Path, work: dict[str, Any]) -> None:
    """Make the folder and room for all vectors, where there is none yet."""
    folder.mkdir(parents=True, exist_ok=True)
    description = folder / "embedding.json"
    if description.exists():
        return
    (folder / "table").mkdir(exist_ok=True)
    header = {"descr": np.dtype(work["dtype"]).str, "fortran_order": False}
    with open(folder / "vectors.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {**header, "shape": (work["samples"], work["dim"])})
        row = work["dim"] * np.dtype(work["dtype"]).itemsize
        file.truncate(file.tell() + work["samples"] * row)
    _replace(description, json.dumps(work, indent=2).encode())


def _check(folder: Path, work: dict[str, Any]) -> None:
    """See that what is there is the same work."""
    found = json.loads((folder / "embedding.json").read_text())
    if found != work:
        differing = ", ".join(key for key in work if found.get(key) != work[key])
        raise RunError(f"{folder} holds other embeddings ({differing} differ): name another folder, or empty this one")


def _part(folder: Path, number: int) -> Path:
    return folder / "table" / f"{number:05d}.parquet"


def _write_rows(path: Path, start: int, vectors: NDArray[Any]) -> None:
    # Written and not mapped: a full disk is then an error that can be caught.
    with open(path, "r+b") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        file.seek(start * vectors.shape[1] * vectors.itemsize, os.SEEK_CUR)
        file.write(np.ascontiguousarray(vectors).data)
        file.flush()
        os.fsync(file.fileno())


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


def _write_table(path: Path, samples: Sequence[Sample], mixed: Sequence[str]) -> None:
    def column(name: str) -> list[Any]:
        values = [getattr(sample, name) for sample in samples]
        return [None if value is None else str(value) for value in values] if name in mixed else values

    table = pa.table({name: column(name) for name in COLUMNS})
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink)
    _replace(path, sink.getvalue().to_pybytes())


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)


def _labels(tables: Sequence[pa.Table], name: str, *, mixed: bool) -> Labels | None:
    values = [value for table in tables for value in table[name].to_pylist()]
    if mixed:
        values = [None if value is None else parse_label(value) for value in values]
    return None if values and all(value is None for value in values) else as_labels(values)


def _fingerprint_of_samples(samples: Sequence[Sample]) -> str:
    told = hashlib.sha256()
    for s in samples:
        told.update(repr((s.path, s.identity, s.camera, s.view, s.modality, s.track, s.box)).encode())
    return told.hexdigest()
