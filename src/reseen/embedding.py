"""From pictures to vectors: into memory, or onto the disk for a gallery of any size.

A folder of embeddings holds ``vectors.npy`` (N, D), ``table/00000.parquet, ...`` (one file for every finished shard of
rows: path, identity, camera, modality, track) and ``embedding.json``. NumPy and pandas read them without this library.

Dimensions: N samples, B pictures of a batch, D components.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader

from reseen.distributed import num_ranks, rank
from reseen.errors import RunError
from reseen.images import ImageSet, test_transform
from reseen.models import Embedder
from reseen.samples import Embeddings, Labels, Sample, as_labels

log = logging.getLogger(__name__)

MODALITIES = {"visible": 0, "infrared": 1}
COLUMNS = {"path": "paths", "identity": "identities", "camera": "cameras", "modality": "modalities", "track": "tracks"}


def embed(
    model: Embedder,
    samples: Sequence[Sample],
    *,
    batch_size: int = 64,
    num_workers: int = 0,
    mirrored: bool = False,
    progress: bool = False,
) -> Embeddings:
    """Embed pictures and keep the vectors in memory, float32, where the model is not needed again: on the CPU.

    Args:
        model: Its mode is left as it was.
        samples: N samples, embedded in their order.
        batch_size: Pictures at a time.
        num_workers: Processes that read pictures.
        mirrored: Average the vectors of each picture and of its mirror image.
        progress: Draw a bar.

    Raises:
        DataError: A picture cannot be read; it is named.
    """
    batches = _vectors(model, samples, batch_size=batch_size, num_workers=num_workers, mirrored=mirrored)
    total = -(-len(samples) // batch_size)
    vectors = [batch.cpu() for batch in track(batches, "Embedding", total=total, disable=not progress)]
    return Embeddings.of(torch.cat(vectors) if vectors else torch.empty(0, model.dims["embedding"]), samples)


def embed_to(
    folder: str | Path,
    model: Embedder,
    samples: Sequence[Sample],
    *,
    dtype: Literal["float32", "float16"] = "float32",
    shard: int = 8192,
    batch_size: int = 64,
    num_workers: int = 0,
    mirrored: bool = False,
    progress: bool = False,
) -> Embeddings:
    """Embed pictures onto the disk, a shard at a time, and open what was written.

    A folder that holds some finished shards of the same work is gone on with. Under ``torch.distributed`` every process
    calls this with all samples and the same folder, and the shards are shared out.

    Args:
        folder: Where to.
        model: Its mode is left as it was.
        samples: N samples, embedded in their order; identities, and each other column, are of one type.
        dtype: Of the numbers on the disk.
        shard: Rows that are finished together: what an interruption can cost.
        batch_size: Pictures at a time.
        num_workers: Processes that read pictures.
        mirrored: Average the vectors of each picture and of its mirror image.
        progress: Draw a bar.

    Raises:
        RunError: The folder holds other work.
        DataError: A picture cannot be read; it is named.
    """
    for name in COLUMNS:
        if len(kinds := {type(value).__name__ for s in samples if (value := getattr(s, name)) is not None}) > 1:
            raise ValueError(f"expected every {name} of one type to write a table, got {', '.join(sorted(kinds))}")
    folder = Path(folder)
    work = {
        "samples": len(samples),
        "dim": model.dims["embedding"],
        "dtype": dtype,
        "shard": shard,
        "mirrored": mirrored,
        "samples_sha256": _fingerprint_of_samples(samples),
        "model_sha256": fingerprint_of_model(model),
    }
    _begin(folder, work)
    starts = range(0, len(samples), shard)[rank() :: num_ranks()]
    missing = [start for start in starts if not _part(folder, start // shard).exists()]
    if len(missing) < len(starts):
        log.info("%d of %d shards are there already", len(starts) - len(missing), len(starts))
    for start in track(missing, "Embedding", disable=not progress or rank() > 0):
        rows = samples[start : start + shard]
        batches = _vectors(model, rows, batch_size=batch_size, num_workers=num_workers, mirrored=mirrored)
        vectors = torch.cat([batch.cpu() for batch in batches]).numpy().astype(dtype)
        _write_rows(folder / "vectors.npy", start, vectors)
        _write_table(_part(folder, start // shard), rows)
    if num_ranks() > 1:
        dist.barrier()
    return open_embeddings(folder)


def open_embeddings(folder: str | Path) -> Embeddings:
    """Open a folder that :func:`embed_to` wrote; the vectors stay on the disk until they are read.

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
    columns = {plural: _labels(tables, name) for name, plural in COLUMNS.items()}
    return Embeddings(vectors, **{name: column for name, column in columns.items() if column is not None})


@torch.no_grad()
def _vectors(
    model: Embedder, samples: Sequence[Sample], *, batch_size: int, num_workers: int, mirrored: bool
) -> Iterator[Tensor]:
    """Give the vectors (B, D) of one batch after the other, float32, where the model is."""
    device = next(model.parameters()).device
    pictures = ImageSet(samples, test_transform((model.spec.height, model.spec.width)), cache=None)
    loader = DataLoader(pictures, batch_size=batch_size, num_workers=num_workers, pin_memory=device.type == "cuda")
    with _evaluating(model):
        for images, _, rows in loader:
            images = images.to(device, non_blocking=True)
            side = _side(model, [samples[row] for row in rows.tolist()], device)
            vectors = model.embed(images, **side)
            if mirrored:
                vectors = (vectors + model.embed(images.flip(-1), **side)) / 2
            yield vectors


def _side(model: Embedder, samples: Sequence[Sample], device: torch.device) -> dict[str, Tensor]:
    """Return the modalities for a network that treats them apart."""
    if not (model.spec.modalities.stems or model.spec.modalities.norms):
        return {}
    return {"modalities": torch.tensor([MODALITIES[s.modality or "visible"] for s in samples], device=device)}


@contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in training.items():
            module.training = mode


def _begin(folder: Path, work: dict[str, Any]) -> None:
    """Make the folder and room for all vectors, or see that what is there is the same work."""
    if rank() == 0:
        folder.mkdir(parents=True, exist_ok=True)
        description = folder / "embedding.json"
        if not description.exists():
            (folder / "table").mkdir(exist_ok=True)
            header = {"descr": np.dtype(work["dtype"]).str, "fortran_order": False}
            with open(folder / "vectors.npy", "wb") as file:
                np.lib.format.write_array_header_1_0(file, {**header, "shape": (work["samples"], work["dim"])})
                row = work["dim"] * np.dtype(work["dtype"]).itemsize
                file.truncate(file.tell() + work["samples"] * row)
            _replace(description, json.dumps(work, indent=2).encode())
    if num_ranks() > 1:
        dist.barrier()
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


def _write_table(path: Path, samples: Sequence[Sample]) -> None:
    table = pa.table({name: [getattr(sample, name) for sample in samples] for name in COLUMNS})
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink)
    _replace(path, sink.getvalue().to_pybytes())


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)


def _labels(tables: Sequence[pa.Table], name: str) -> Labels | None:
    values = [value for table in tables for value in table[name].to_pylist()]
    return None if values and all(value is None for value in values) else as_labels(values)


def _fingerprint_of_samples(samples: Sequence[Sample]) -> str:
    told = hashlib.sha256()
    for s in samples:
        told.update(repr((s.path, s.identity, s.camera, s.modality, s.track, s.box)).encode())
    return told.hexdigest()


def fingerprint_of_model(model: Embedder) -> str:
    """Return 64 hexadecimal digits that name a network and its weights."""
    told = hashlib.sha256(repr(model.spec).encode())
    for name, tensor in model.state_dict().items():
        told.update(name.encode())
        told.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return told.hexdigest()
