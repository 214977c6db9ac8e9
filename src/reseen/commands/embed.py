"""``reseen embed RUN``."""

from pathlib import Path
from typing import Literal

from rich.console import Console

from reseen.commands.runs import data_of, model_of
from reseen.embedding import embed_to
from reseen.samples import Benchmark


def embed(
    run: Path,
    /,
    *,
    data: Benchmark | None = None,
    out: Path,
    parts: list[Literal["train", "query", "gallery"]] | None = None,
    dtype: Literal["float32", "float16"] = "float32",
    mirrored: bool = False,
    batch_size: int = 64,
    workers: int = 0,
) -> None:
    """Write a trained model's vectors of a data set to disk.

    Each part becomes a folder with vectors.npy and a table of its pictures; what is there already is gone on with.

    Args:
        run: The folder of a run, or a checkpoint file.
        data: The data set; the run's own if not given.
        out: Folder for the parts.
        parts: Which parts; query and gallery if not given.
        dtype: Of the numbers on the disk.
        mirrored: Average the vectors of each picture and its mirror image.
        batch_size: Pictures at a time.
        workers: Processes that read pictures.
    """
    model = model_of(run)
    benchmark = data_of(run) if data is None else data
    for part in parts or ("query", "gallery"):
        samples = getattr(benchmark, part)
        vectors = embed_to(
            out / part,
            model,
            samples,
            dtype=dtype,
            mirrored=mirrored,
            batch_size=batch_size,
            num_workers=workers,
            progress=True,
        ).vectors
        Console(highlight=False).print(f"{part}: {vectors.shape[0]:,} x {vectors.shape[1]} {dtype} in {out / part}")
