"""The index file: what a `View` needs, written beside the truth so that opening a gallery does not read all of it.

A folder ``index-NUMBER`` holds ``vectors.npy`` (unit vectors, memory-mapped by every reader), ``columns.npz`` and, for
approximate search, ``lists.faiss``. It is written under another name, forced to the disk and renamed, so a folder of
that name is whole; it is never changed, and the highest number counts. A process that still reads an old one keeps it
open after it has been removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from reseen.gallery.nearest import make_lists
from reseen.gallery.view import Codes, Columns, View

logger = logging.getLogger(__name__)

PREFIX, DRAFT = "index-", "draft-"
BROKEN = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile)
"""What a damaged or vanished file may raise; the truth is asked instead."""


class Block(NamedTuple):
    """Some rows of the truth: what filters look at, and unit vectors (n, D)."""

    columns: Columns
    vectors: NDArray[np.float32]


def newest(folder: Path, gallery: str) -> View:
    """Return the newest view that can be read of the gallery with this id, or an empty one."""
    for path in written(folder):
        try:
            return read(path, gallery)
        except BROKEN as error:
            logger.warning("index file %s is passed over and made anew: %s", path, error)
    return View()


def written(folder: Path) -> list[Path]:
    """Return the index folders, newest first."""
    found = [path for path in folder.glob(PREFIX + "*") if path.name.removeprefix(PREFIX).isdecimal()]
    return sorted(found, key=number_of, reverse=True)


def number_of(path: Path) -> int:
    """Return the number of an index folder."""
    return int(path.name.removeprefix(PREFIX))


def read(path: Path, gallery: str) -> View:
    """Return the view kept in a folder."""
    with (path / "columns.npz").open("rb") as raw, np.load(raw) as file:
        facts = json.loads(str(file["facts"]))
        columns = Columns(*(file[name] for name in Columns.__dataclass_fields__))
    if facts["gallery"] != gallery:
        raise ValueError("it belongs to another gallery")
    vectors = np.load(path / "vectors.npy", mmap_mode="r")
    if len(vectors) != len(columns):
        raise ValueError(f"it has {len(vectors)} vectors and {len(columns)} rows")
    lists = faiss.read_index(str(path / "lists.faiss"), faiss.IO_FLAG_MMAP_IFC) if facts["recall"] else None
    identities, cameras = Codes(facts["identities"]), Codes(facts["cameras"])
    return View(facts["revision"], columns, (vectors,), lists, identities, cameras)


def write(
    folder: Path,
    gallery: str,
    *,
    revision: int,
    shape: tuple[int, int],
    blocks: Iterable[Block],
    identities: Codes,
    cameras: Codes,
    recall: float | None,
) -> None:
    """Write an index folder from the truth, and remove older ones.

    Args:
        folder: The gallery's folder.
        gallery: Its id.
        revision: Which the blocks are of.
        shape: (N, D), what the blocks make together.
        blocks: The rows, in ascending order.
        identities: Their numbering, complete once the blocks have been read.
        cameras: Likewise.
        recall: Make lists for approximate search with this recall; None for exact search.
    """
    older = written(folder)
    target = folder / f"{PREFIX}{1 + max(map(number_of, older), default=0)}"
    with drafting(folder) as draft:
        vectors = np.lib.format.open_memmap(draft / "vectors.npy", "w+", np.float32, shape)
        columns, start = [Columns.empty()], 0
        for block in blocks:
            vectors[start : start + len(block.vectors)] = block.vectors
            columns.append(block.columns)
            start += len(block.vectors)
        vectors.flush()
        if recall is not None:
            faiss.write_index(make_lists(vectors, recall=recall), str(draft / "lists.faiss"))
        names = {"identities": identities.labels, "cameras": cameras.labels}
        facts = json.dumps({"gallery": gallery, "revision": revision, "recall": recall, **names})
        joined: dict[str, Any] = {
            n: np.concatenate([getattr(c, n) for c in columns]) for n in Columns.__dataclass_fields__
        }
        np.savez(draft / "columns.npz", facts=np.array(facts), **joined)
        for path in [*draft.iterdir(), draft]:
            force(path)
        with contextlib.suppress(OSError):  # Another process was quicker: its own is as good.
            draft.rename(target)
        force(folder)
    for old in older:
        shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def drafting(folder: Path) -> Iterator[Path]:
    """Give a new folder, locked while it is in use, that is gone afterwards; remove those of killed processes."""
    for left in folder.glob(DRAFT + "*"):
        with contextlib.suppress(OSError), locked(left):
            shutil.rmtree(left, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=folder))
    try:
        with locked(draft):
            yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a lock that ends with the process; BlockingIOError where another holds it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def force(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
