"""``reseen embed MODEL``."""

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from reseen.cli.models import open_model
from reseen.embedding.parts import Turn, write_shards
from reseen.errors import DataError, RunError
from reseen.gallery.ingest import files_below
from reseen.labels import parse_label
from reseen.launcher import is_first, num_launched
from reseen.pictures import Pixels, decode, decode_box
from reseen.terminal import Terminal
from reseen.types import Benchmark, Sample
from reseen.zoo import find

logger = logging.getLogger(__name__)


def embed(
    run: str | None = None,
    /,
    *,
    data: Benchmark | None = None,
    pictures: Path | None = None,
    out: Path,
    parts: list[Literal["train", "query", "gallery"]] | None = None,
    dtype: Literal["float32", "float16"] = "float32",
    mirrored: bool = False,
    batch_size: int = 64,
    workers: int = 0,
    unreadable: Literal["stop", "skip"] = "stop",
) -> None:
    """Write a model's vectors of a data set, or of a folder of pictures, to disk.

    Each part becomes a folder with vectors.npy and a table of its pictures. An interrupted part is continued, and
    damaged shards are written again.

    Args:
        run: A name that `reseen models` lists, the folder of a run, a checkpoint, or an exported file, which embeds a
            folder without torch; a published model, which is fetched, if not given.
        data: The data set; the run's own if not given.
        pictures: Folder of pictures in place of a data set, with a subfolder for each identity.
        out: Folder for the parts, or for the vectors of the pictures.
        parts: Parts to embed; query and gallery if not given.
        dtype: Type of the numbers on the disk.
        mirrored: Average the vectors of each picture and its mirror image.
        batch_size: Pictures at a time.
        workers: Processes that read pictures of a data set for a model that torch runs.
        unreadable: Stop at a picture that cannot be read, or skip it: all are then read once before, and those that
            cannot be are counted and left out.
    """
    if data is not None and pictures is not None:
        raise RunError("expected --data or --pictures, got both; leave one out")
    if pictures is not None:
        found = [Sample(str(path), parse_label(path.parent.name)) for path in files_below(pictures)]
        listed = found if unreadable == "stop" else readable(found)
        encode_to(out, run, listed, dtype=dtype, mirrored=mirrored, batch_size=batch_size)
        return
    is_run = run is not None and not run.partition("?")[0].endswith((".onnx", ".xml")) and find(run) is None
    if data is None and not is_run:
        named = "the default model" if run is None else run
        raise RunError(f"expected --pictures or --data with {named}, got neither; only a run has data of its own")
    # Here, not above: this takes torch, and data sets do.
    from reseen.cli.runs import data_of, model_of
    from reseen.embedding.model import embed_to

    benchmark = data_of(Path(run)) if data is None and run is not None else data
    assert benchmark is not None
    model = model_of(Path(run)) if is_run and run is not None else None
    for part in parts or ("query", "gallery"):
        samples = getattr(benchmark, part)
        if unreadable == "skip":
            samples = readable(samples)
        if model is None:
            encode_to(out / part, run, samples, dtype=dtype, mirrored=mirrored, batch_size=batch_size)
            continue
        embed_to(
            out / part,
            model,
            samples,
            dtype=dtype,
            mirrored=mirrored,
            batch_size=batch_size,
            num_workers=workers,
            progress=True,
        )
        say(out / part, len(samples), model.dims["embedding"], dtype)


def encode_to(
    folder: Path,
    model: str | None,
    samples: Sequence[Sample],
    *,
    dtype: Literal["float32", "float16"],
    mirrored: bool,
    batch_size: int,
) -> None:
    """Write the vectors of samples by a model of any kind."""
    encoder = open_model(model)

    def vectors_of(rows: Sequence[Sample]) -> NDArray[np.float32]:
        vectors = encoder((pixels(row) for row in rows), batch_size=batch_size)
        if mirrored:
            mirror = encoder((np.ascontiguousarray(pixels(row)[:, ::-1]) for row in rows), batch_size=batch_size)
            vectors = (vectors + mirror) * np.float32(0.5)
        return vectors

    write_shards(
        folder,
        samples,
        vectors_of,
        model=encoder.fingerprint,
        dim=encoder.dim,
        dtype=dtype,
        mirrored=mirrored,
        shard=1024,
        progress=True,
        turn=turn(),
    )
    say(folder, len(samples), encoder.dim, dtype)


def turn() -> Turn:
    """Return this process's part of the shards."""
    if num_launched() == 1:
        return Turn()
    import torch.distributed as dist  # The processes' group is torch's.

    return Turn(dist.get_rank(), dist.get_world_size(), dist.barrier)


def pixels(sample: Sample) -> Pixels:
    """Return a sample's picture."""
    if sample.draw is None:
        path = Path(sample.path)
        return decode(path) if sample.box is None else decode_box(path, sample.box)
    from reseen.loading import read  # Of a data set: torch is there.

    return read(sample)


def readable(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples whose pictures can be read, and say how many cannot."""

    def fault(sample: Sample) -> str | None:
        try:
            pixels(sample)
        except DataError as error:
            return str(error)
        return None

    # Threads suffice: decoding lets go of the interpreter.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        faults = list(track(pool.map(fault, samples), "Reading pictures", total=len(samples)))
    broken = [found for found in faults if found is not None]
    for found in broken:
        logger.warning("skipped: %s", found)
    if broken:
        logger.warning("%d of %d pictures cannot be read and are left out", len(broken), len(samples))
    return [sample for sample, found in zip(samples, faults, strict=True) if found is None]


def say(folder: Path, count: int, dim: int, dtype: str) -> None:
    """Say what has been written, once."""
    if is_first():
        Terminal(soft_wrap=True).print(f"{count:,} vectors of {dim} components, {dtype} in {folder}")
