"""Files of the search index, written beside the database so that opening a gallery does not read all of it.

A folder ``index-NUMBER`` holds ``vectors.npy`` (unit vectors, memory-mapped by every reader), ``columns.npz``,
``lists.faiss`` for approximate search, and ``index.json`` with a checksum of each of them and of itself. It is written
under another name, forced to the disk and renamed, so a folder of that name is whole; it is never changed, and the
highest number counts. A process that still reads an old one keeps it open after it has been removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from reseen.files import force, require_file
from reseen.gallery.backends.sqlite_faiss.item_store import Revision
from reseen.gallery.backends.sqlite_faiss.nearest import make_lists
from reseen.gallery.backends.sqlite_faiss.view import CODED, Columns, GalleryView, LabelCodes

PREFIX, DRAFT = "index-", "draft-"
FACTS, COLUMNS, VECTORS, LISTS = "index.json", "columns.npz", "vectors.npy", "lists.faiss"
READ_ERRORS = (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, OverflowError, zipfile.BadZipFile)
"""What a damaged or vanished file may raise; the database is asked instead."""
CHECKED_AT_ONCE = 2**29
"""Bytes of vectors up to which their checksum is checked on opening; that of more is checked in the background."""
PIECE = 2**20


class Block(NamedTuple):
    """Some rows: what filters look at, and unit vectors (n, D)."""

    columns: Columns
    vectors: NDArray[np.float32]


def index_folders(folder: Path) -> list[Path]:
    """Return the index folders, newest first."""
    folders = [path for path in folder.glob(PREFIX + "*") if path.name.removeprefix(PREFIX).isdecimal()]
    return sorted(folders, key=number_of, reverse=True)


def number_of(path: Path) -> int:
    """Return the number of an index folder."""
    return int(path.name.removeprefix(PREFIX))


def read(path: Path) -> GalleryView:
    """Return the view kept in a folder; its vectors are unchecked where there are many, see `require_whole_vectors`.

    Raises:
        One of `READ_ERRORS`: A file is damaged or not there.
    """
    facts = read_facts(path)
    for name in facts["checksums"]:
        if name != VECTORS or not has_many_vectors(path):
            require_whole(path, name, facts["checksums"])
    with (path / COLUMNS).open("rb") as raw, np.load(raw) as file:
        columns = Columns(*(file[name] for name in Columns.__dataclass_fields__))
    place = {"offset": facts["offset"], "shape": tuple(facts["shape"])}
    vectors = np.memmap(path / VECTORS, np.float32, "r", **place)
    lists = faiss.read_index(str(path / LISTS), faiss.IO_FLAG_MMAP_IFC) if LISTS in facts["checksums"] else None
    codes = {name: LabelCodes(facts["codes"][name]) for name in CODED}
    return GalleryView(Revision(*facts["revision"]), columns, (vectors,), lists, codes)


def read_facts(path: Path) -> dict[str, Any]:
    """Return what ``index.json`` says."""
    require_file(path / FACTS)
    checksum, _, text = (path / FACTS).read_bytes().partition(b"\n")
    if f"{zlib.crc32(text):08x}".encode() != checksum:
        raise ValueError(f"{FACTS} is damaged")
    return dict(json.loads(text))


def has_many_vectors(path: Path) -> bool:
    """Return whether checking the vectors takes long."""
    return (path / VECTORS).stat().st_size > CHECKED_AT_ONCE


def require_whole_vectors(path: Path, stop: threading.Event) -> None:
    """Make sure that the vectors are those that were written.

    Raises:
        ValueError: They are not.
        OSError: The file is not there any more, or cannot be read.
    """
    require_whole(path, VECTORS, read_facts(path)["checksums"], stop)


def require_whole(path: Path, name: str, checksums: Mapping[str, str], stop: threading.Event | None = None) -> None:
    """Make sure that a file is the one that was written, unless told to stop."""
    if checksum_of(path / name, stop) not in (checksums[name], None):
        raise ValueError(f"{name} is damaged")


def checksum_of(path: Path, stop: threading.Event | None = None) -> str | None:
    """Return the CRC-32 of a file, which finds what disks do to files; None if told to stop."""
    checksum = 0
    require_file(path)
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            if stop is not None and stop.is_set():
                return None
            checksum = zlib.crc32(piece, checksum)
    return f"{checksum:08x}"


def write(
    folder: Path,
    revision: Revision,
    *,
    shape: tuple[int, int],
    blocks: Iterable[Block],
    codes: Mapping[str, LabelCodes],
    recall: float | None,
) -> None:
    """Write an index folder, and remove older ones.

    Args:
        folder: The gallery's folder.
        revision: Which the blocks are of.
        shape: (N, D), what the blocks make together.
        blocks: The rows, in ascending order.
        codes: Their numbering of labels, complete once the blocks have been read.
        recall: Make lists for approximate search with this recall; None for exact search.

    Raises:
        OSError: The disk is full, or the folder cannot be written; what was there before is intact.
    """
    older = index_folders(folder)
    target = folder / f"{PREFIX}{1 + max(map(number_of, older), default=0)}"
    with drafting(folder) as draft:
        columns = [Columns.empty()]
        # Written and not mapped: a full disk is then an error that can be caught.
        with (draft / VECTORS).open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            offset = file.tell()
            for block in blocks:
                file.write(block.vectors.data)
                columns.append(block.columns)
        if recall is not None:
            vectors = np.memmap(draft / VECTORS, np.float32, "r", offset, shape)
            (draft / LISTS).write_bytes(faiss.serialize_index(make_lists(vectors, recall=recall)).data)
        joined: dict[str, Any] = {
            n: np.concatenate([getattr(c, n) for c in columns]) for n in Columns.__dataclass_fields__
        }
        with (draft / COLUMNS).open("wb") as file:
            np.savez(file, **joined)
        facts = {
            "revision": revision,
            "shape": shape,
            "offset": offset,
            "codes": {name: labels.labels for name, labels in codes.items()},
            "checksums": {file.name: checksum_of(file) for file in draft.iterdir()},
        }
        text = json.dumps(facts).encode()
        (draft / FACTS).write_bytes(f"{zlib.crc32(text):08x}\n".encode() + text)
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
    for left in folder.glob(DRAFT + "*/"):
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
