"""``reseen embed MODEL``."""

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from reseen.cli.models import open_model
from reseen.embedding.making import PartOptions, Share, Tally, make_parts, vector_model
from reseen.embedding.manifest import Manifest, ParquetManifest, SampleManifest
from reseen.embedding.parts import Work, export_npy
from reseen.errors import RunError
from reseen.gallery.ingest import files_below
from reseen.labels import parse_label
from reseen.launcher import is_first, num_launched
from reseen.storage import StorageFolder
from reseen.terminal import Terminal
from reseen.types import Benchmark, Sample
from reseen.zoo import DEFAULT, find


def embed(
    run: str | None = None,
    /,
    *,
    data: Benchmark | None = None,
    pictures: Path | None = None,
    manifest: str | None = None,
    out: str,
    parts: list[Literal["train", "query", "gallery"]] | None = None,
    dtype: Literal["float32", "float16"] = "float32",
    mirrored: bool = False,
    batch_size: int = 64,
    workers: int | None = None,
    unreadable: Literal["stop", "skip"] | None = None,
    part_rows: int = 8192,
    part: str | None = None,
    npy: bool = False,
    launcher: Literal["ray"] | None = None,
    address: str | None = None,
    actors: int | None = None,
) -> None:
    """Write a model's vectors of a data set, of a folder of pictures, or of a manifest, in parts.

    Each part is a Parquet file of labels and vectors. Whatever stops it, the same command goes on with what is missing;
    damaged parts, and parts of pictures that have changed, are made again.

    Args:
        run: A name that `reseen models` lists, the folder of a run, a checkpoint, or an exported file, which needs no
            torch; a published model, which is fetched, if not given.
        data: The data set; the run's own if not given.
        pictures: Folder of pictures in place of a data set, with a subfolder for each identity.
        manifest: Parquet file of paths or URLs in place of a data set, or a folder of such files; also s3://, gs://.
        out: Folder for the vectors, with a subfolder for each of --parts of a data set; also s3://, gs://.
        parts: Subsets of a data set to embed; query and gallery if not given.
        dtype: Type of the numbers on the disk.
        mirrored: Average the vectors of each picture and its mirror image.
        batch_size: Pictures at a time.
        workers: Threads that read pictures; as many as there are cores if not given, more for pictures from a network.
        unreadable: Stop at a picture that cannot be read, or skip it, and say why in the folder quarantine; skip for a
            manifest and stop otherwise if not given.
        part_rows: Pictures of a part: what a kill can cost.
        part: Make one share of the parts only, as 7/100 for the seventh of a hundred processes.
        npy: Write all vectors to vectors.npy as well.
        launcher: Let a Ray cluster do it; the manifest, the model and the folder must be in reach of all its machines.
        address: Address of the Ray cluster, or auto; a cluster of this machine alone if not given.
        actors: Networks that run at once on Ray; one a GPU if not given, without GPUs one for two cores.
    """
    if len(inputs := [x for x in (data, pictures, manifest) if x is not None]) > 1:
        raise RunError(f"expected one of --data, --pictures and --manifest, got {len(inputs)}; leave the others out")
    if launcher is None and (address is not None or actors is not None):
        raise RunError("expected --launcher ray with --address or --actors, got none; leave them out")
    share = share_of(part)
    skip = unreadable or ("skip" if manifest is not None else "stop")
    options = PartOptions(dtype, mirrored, part_rows, batch_size, skip)
    if launcher is not None:
        if manifest is None or part is not None or num_launched() > 1:
            raise RunError("expected --manifest with --launcher ray, and no --part and no other launcher")
        from reseen.embedding.on_ray import make_parts_on_ray

        tally = make_parts_on_ray(StorageFolder(out), manifest, run or DEFAULT, options, address=address, actors=actors)
        print_tally(StorageFolder(out), tally, npy=npy)
        return
    sources: dict[str, Manifest]
    if manifest is not None:
        sources = {out: ParquetManifest(manifest)}
    elif pictures is not None:
        samples = [Sample(str(path), parse_label(path.parent.name)) for path in files_below(pictures)]
        sources = {out: SampleManifest(samples)}
    elif data is None and (run is None or run.partition("?")[0].endswith((".onnx", ".xml")) or find(run) is not None):
        model_name = "the default model" if run is None else run
        raise RunError(f"expected --pictures, --manifest or --data with {model_name}; only a run has data of its own")
    else:
        # Here, not above: this takes torch, and data sets do.
        from reseen.cli.runs import data_of

        benchmark = data_of(Path(str(run))) if data is None else data
        sources = {f"{out}/{name}": SampleManifest(getattr(benchmark, name)) for name in parts or ("query", "gallery")}
    model = vector_model(open_model(run))
    for folder, source in sources.items():
        make = functools.partial(
            make_parts, StorageFolder(folder), source, model, options, workers=workers, share=share, progress=is_first()
        )
        print_tally(StorageFolder(folder), of_all_ranks(make), npy=npy, part=part)


def share_of(part: str | None) -> Share:
    """Return which parts are this process's: those that it was told to make, or its rank's.

    Raises:
        RunError: ``part`` is no such share, or there are ranks as well.
    """
    if part is None:
        if num_launched() == 1:
            return Share()
        import torch.distributed as dist  # The processes' group is torch's.

        return Share(dist.get_rank() + 1, dist.get_world_size())
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", part)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise RunError(f"expected --part as 1/100 to 100/100, got {part}")
    if num_launched() > 1:
        raise RunError(f"expected --part or processes of a launcher, got {part} and {num_launched()} processes")
    return Share(int(match[1]), int(match[2]))


def of_all_ranks(work: Callable[[], Tally]) -> Tally:
    """Do this process's part of the work, and return what all have done."""
    if num_launched() == 1:
        return work()
    from reseen.distributed import on_all_ranks

    return sum(on_all_ranks(work), Tally())


def print_tally(folder: StorageFolder, tally: Tally, *, npy: bool, part: str | None = None) -> None:
    """Say what has been written, once."""
    if not is_first():
        return
    work = Work.read(folder)
    assert work is not None, "embed has just written it"
    share = f"part {part}: " if part is not None else ""
    shape = f"{tally.rows - tally.quarantined:,} vectors of {work.dim} components, {work.dtype}"
    Terminal().print(f"{share}{shape} in {folder}")
    if npy:
        export_npy(folder)
