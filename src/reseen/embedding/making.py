"""Making of parts: pictures are read on threads, ahead of the network that turns them into vectors.

Dimensions: n rows of a part, B pictures of a batch, D components.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from reseen.embedding.encoder import Encoder, TorchEncoder
from reseen.embedding.manifest import Manifest
from reseen.embedding.parts import DType, Part, Work, count_quarantined, part_name, plan_part, write_part
from reseen.errors import CheckpointError, DataError
from reseen.parallel import num_cores
from reseen.pictures import Pixels, digest, resized
from reseen.storage import StorageFolder, read_picture
from reseen.types import Sample

log = logging.getLogger(__name__)

PICTURES_PER_READ = 8
"""Pictures that one thread reads in a row: boxes of one frame are then decoded from it once."""


class Prepared(NamedTuple):
    """A picture ready for the network, or why there is none."""

    image: Pixels | None
    digest: bytes
    fault: str | None = None


class VectorModel(ABC):
    """Base class of what turns samples' pictures into vectors; `prepare` runs on threads, and pickles.

    Attributes:
        fingerprint: Names the weights.
        dim: D.
        prepare: Brings a picture to what the network takes, all of one shape.
    """

    fingerprint: str
    dim: int
    prepare: Callable[[Pixels], Pixels]

    @contextmanager
    def threads(self, count: int) -> Iterator[ThreadPoolExecutor]:
        """Give threads to read pictures on, until the end of the block."""
        with ThreadPoolExecutor(count) as pool:
            yield pool

    @abstractmethod
    def vectors(self, images: Pixels, samples: Sequence[Sample], *, mirrored: bool) -> NDArray[np.float32]:
        """Return the vectors (B, D) of prepared pictures; or the means of theirs and those of their mirror images."""


@dataclass(frozen=True)
class Resize:
    """Brings pictures to the (height, width) of an encoder."""

    size: tuple[int, int]

    def __call__(self, pixels: Pixels) -> Pixels:
        """Return a picture at that size."""
        return resized(pixels, self.size)


class EncoderModel(VectorModel):
    """An encoder, which needs to know nothing of a picture but its pixels."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.fingerprint, self.dim, self.prepare = encoder.fingerprint, encoder.dim, Resize(encoder.size)

    def vectors(self, images: Pixels, samples: Sequence[Sample], *, mirrored: bool) -> NDArray[np.float32]:
        """Return the vectors (B, D) of pictures (B, H, W, 3)."""
        vectors = self.encoder.encode(images)
        if mirrored:
            vectors = (vectors + self.encoder.encode(np.ascontiguousarray(images[:, :, ::-1]))) * np.float32(0.5)
        return vectors


def vector_model(encoder: Encoder) -> VectorModel:
    """Return what gives vectors by an encoder; a model that torch runs is given cameras, views and modalities too."""
    if not isinstance(encoder, TorchEncoder):
        return EncoderModel(encoder)
    from reseen.embedding.model import EmbedderModel  # Needs torch, which is there.

    return EmbedderModel(encoder.model)


@dataclass(frozen=True)
class Share:
    """Which parts are this process's, where several divide the work.

    Attributes:
        number: From 1.
        total: How many processes there are.
    """

    number: int = 1
    total: int = 1

    def of(self, count: int) -> range:
        """Return its parts: neighbours, so that each process reads its own stretch of the manifest."""
        return range(count * (self.number - 1) // self.total, count * self.number // self.total)


@dataclass(frozen=True)
class PartOptions:
    """How parts are made.

    Attributes:
        dtype: Of the numbers on the disk.
        mirrored: Average the vectors of each picture and of its mirror image.
        part_rows: Rows of a part: what a kill can cost.
        batch_size: Pictures at a time; never of two parts, so that a part is the same whoever makes it.
        unreadable: Stop at a picture that cannot be read, or put it into quarantine; a part of which none can be read
            stops.
    """

    dtype: DType = "float32"
    mirrored: bool = False
    part_rows: int = 8192
    batch_size: int = 64
    unreadable: Literal["stop", "skip"] = "skip"

    def __post_init__(self) -> None:
        for name in ("part_rows", "batch_size"):
            if (count := getattr(self, name)) < 1:
                raise ValueError(f"expected {name} of 1 or more, got {count}")

    def work(self, manifest: Manifest, fingerprint: str, dim: int) -> Work:
        """Return what a folder is to hold: the vectors (N, D) of a manifest by the model of a fingerprint."""
        facts = (len(manifest), dim, self.dtype, self.part_rows, self.mirrored, manifest.fingerprint, fingerprint)
        return Work(*facts, manifest.as_text)


@dataclass
class Tally:
    """What a process has done.

    Attributes:
        parts: Parts of its share.
        held: Those that were there already.
        rows: Rows of its share.
        quarantined: Pictures among them that could not be read.
    """

    parts: int = 0
    held: int = 0
    rows: int = 0
    quarantined: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, name) + getattr(other, name) for name in vars(self)))


@dataclass
class _Batch:
    part: Part
    places: Sequence[int]
    samples: Sequence[Sample]
    read: Sequence[Future[list[Prepared]]]
    is_last: bool


@dataclass
class _Unfinished:
    """What is known of the part that is being made."""

    vectors: list[NDArray[np.float32]] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    faults: dict[int, str] = field(default_factory=dict)


def make_parts(
    folder: StorageFolder,
    manifest: Manifest,
    model: VectorModel,
    options: PartOptions = PartOptions(),
    *,
    workers: int | None = None,
    share: Share = Share(),
    progress: bool = False,
) -> Tally:
    """Make the parts of a share that are not there, or not what they should be.

    A part whose rows, or whose pictures' files (in size or time), have changed is made again.

    Args:
        folder: Where to.
        manifest: N rows.
        model: Gives the vectors.
        options: How.
        workers: Threads that read pictures; as many as there are cores if not given.
        share: This process's part of the work.
        progress: Draw a bar.

    Raises:
        RunError: The folder holds other work, or an object store does not answer.
        WriteError: The disk is full, or the folder may only be read.
        DataError: A picture cannot be read, or none of a part's.
        CheckpointError: A vector is not finite; nothing of its part is written.
    """
    work = options.work(manifest, model.fingerprint, model.dim)
    work.begin(folder)
    workers = workers or num_cores()
    numbers = track(share.of(work.num_parts), "Embedding", disable=not progress)
    with model.threads(workers) as pool:
        tally = make_numbered(
            folder, work, manifest, model, numbers, options, present=folder.names("parts"), pool=pool, ahead=workers
        )
    log_tally(tally, folder)
    return tally


def log_tally(tally: Tally, folder: StorageFolder) -> None:
    """Say in the log what was there already, and what could not be read."""
    if tally.held:
        log.info("%d of %d parts are there already", tally.held, tally.parts)
    if tally.quarantined:
        left_out = f"{tally.quarantined:,} of {tally.rows:,} pictures cannot be read and are left out"
        log.warning("%s; %s/quarantine says why", left_out, folder)


def make_numbered(
    folder: StorageFolder,
    work: Work,
    manifest: Manifest,
    model: VectorModel,
    numbers: Iterable[int],
    options: PartOptions,
    *,
    present: Container[str],
    pool: Executor,
    ahead: int,
) -> Tally:
    """Make parts of these numbers, those before them being read while the network is at work.

    Args:
        folder: Where to.
        work: Has been begun there.
        manifest: The work's.
        model: The work's.
        numbers: Which parts.
        options: How.
        present: Names of the files of parts that are there; whether they are as they should be is looked at.
        pool: Reads pictures.
        ahead: How many pieces of a batch it reads at once.
    """
    tally = Tally()

    def missing() -> Iterator[Part]:
        for number in numbers:
            part = plan_part(work, manifest, number)
            is_there = Path(part_name(number)).name in present
            count = count_quarantined(folder, part) if is_there else None
            tally.parts += 1
            tally.rows += len(part.piece.table)
            if count is None:
                yield part
            else:
                tally.held += 1
                tally.quarantined += count

    waiting: deque[_Batch] = deque()
    most = 1 + -(-2 * ahead * PICTURES_PER_READ // options.batch_size)  # enough for all readers to have something to do
    unfinished = _Unfinished()

    def finish(batch: _Batch) -> None:
        nonlocal unfinished
        _encode(batch, model, work, unfinished, options.unreadable)
        if batch.is_last:
            _write(folder, work, batch.part, unfinished)
            tally.quarantined += len(unfinished.faults)
            unfinished = _Unfinished()

    for part in missing():
        for batch in _batches(part, model, pool, options.batch_size):
            waiting.append(batch)
            if len(waiting) > most:
                finish(waiting.popleft())
    while waiting:
        finish(waiting.popleft())
    return tally


def _batches(part: Part, model: VectorModel, pool: Executor, size: int) -> Iterator[_Batch]:
    samples = part.piece.samples
    for start in range(0, len(samples), size):
        places = [n for n in range(start, min(start + size, len(samples))) if samples[n] is not None]
        batch = [sample for n in places if (sample := samples[n]) is not None]
        chunks = [batch[at : at + PICTURES_PER_READ] for at in range(0, len(batch), PICTURES_PER_READ)]
        read = [pool.submit(prepare_pictures, chunk, model.prepare) for chunk in chunks]
        yield _Batch(part, places, batch, read, is_last=start + size >= len(samples))


def prepare_pictures(samples: Sequence[Sample], prepare: Callable[[Pixels], Pixels]) -> list[Prepared]:
    """Return pictures ready for the network, and why some are not."""

    def one(sample: Sample) -> Prepared:
        try:
            whole = read_picture(sample)
        except DataError as error:
            return Prepared(None, b"", str(error))
        return Prepared(prepare(whole), digest(whole))

    return [one(sample) for sample in samples]


def _encode(
    batch: _Batch, model: VectorModel, work: Work, unfinished: _Unfinished, unreadable: Literal["stop", "skip"]
) -> None:
    read = [picture for result in batch.read for picture in result.result()]
    images, samples = [], []
    for place, sample, picture in zip(batch.places, batch.samples, read, strict=True):
        if picture.image is not None:
            images.append(picture.image)
            samples.append(sample)
            unfinished.digests.append(picture.digest)
        elif unreadable == "stop":
            raise DataError(picture.fault)
        else:
            unfinished.faults[place] = str(picture.fault)
    if not images:
        return
    with np.errstate(over="ignore"):  # of float16, found in the next line
        vectors = model.vectors(np.stack(images), samples, mirrored=work.mirrored).astype(work.dtype)
    if (broken := ~np.isfinite(vectors).all(axis=1)).any():
        raise CheckpointError(
            f"expected finite vectors in {work.dtype}, got others for {broken.sum():,} of {len(samples):,} pictures, "
            f"first {samples[int(broken.argmax())].path}; see whether the model's weights are whole"
        )
    unfinished.vectors.append(vectors)


def _write(folder: StorageFolder, work: Work, part: Part, unfinished: _Unfinished) -> None:
    faults = {**part.piece.faults, **unfinished.faults}
    if not unfinished.vectors:
        rows = part.facts["rows"]
        raise DataError(
            f"expected a picture that can be read in rows {rows[0]:,} to {rows[1] - 1:,}, got none; the first: "
            f"{faults[min(faults)]}"
        )
    write_part(folder, part, np.concatenate(unfinished.vectors), unfinished.digests, faults)
