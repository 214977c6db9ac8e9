"""Search index of a gallery in a folder: a view in memory, kept up with the database, and its files.

**Staleness: none.** A search sees every change whose call had returned, in any process, before the search began: it
compares its view's revision with the database's and reads what is new.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reseen.errors import GalleryError
from reseen.gallery.backends.sqlite_faiss import index_files
from reseen.gallery.backends.sqlite_faiss.item_store import (
    CHUNK,
    DamagedError,
    ItemStore,
    checksum,
    has_had,
    latest,
    require_whole_vectors,
)
from reseen.gallery.backends.sqlite_faiss.nearest import ABSENT, MIN_TO_COMPRESS
from reseen.gallery.backends.sqlite_faiss.view import CODED, Columns, GalleryView, LabelCodes
from reseen.gallery.rows import normalized

logger = logging.getLogger(__name__)

STALE = 20_000
"""Index files that miss more rows than this, and than a quarter of all, are made anew on opening and closing."""


class VectorIndex:
    """Gives the view to search, and writes the index files.

    Args:
        store: The items.
        approximate_above: More items than this are searched by inverted lists; None for exact search of any number.
        recall: What the lists must find of the ten nearest, measured on the gallery itself when they are made.

    Attributes:
        base: The view as the index files have it.
    """

    def __init__(self, store: ItemStore, *, approximate_above: int | None, recall: float) -> None:
        self.base = GalleryView()
        self._store = store
        self._approximate_above, self._recall = approximate_above, recall
        self._lock = threading.RLock()
        self._view = self.base
        self._stop = threading.Event()
        self._load()

    def current(self) -> GalleryView:
        """Return a view of everything committed by now."""
        with self._store.reading() as db, self._lock:
            revision, view = latest(db), self._view
            if revision == view.revision:
                return view
            if not has_had(db, view.revision):  # The database was put back from a copy while this process ran.
                view = GalleryView()
            since = (view.revision.number,)
            gone = [row for (row,) in db.execute("SELECT row FROM deleted WHERE revision > ?", since)]
            changed = db.execute(
                "SELECT row, identity, camera, track, time FROM items WHERE revision > ? AND row <= ? ORDER BY row",
                (*since, last(view)),
            ).fetchall()
            columns = view.columns
            if gone:
                columns = columns.without(np.array(gone))
            if changed:
                columns = columns.changed(as_columns(changed, view.codes))
            view = replace(view, revision=revision, columns=columns)
            for block, vectors in read_blocks(db, last(view), view.codes):
                view = view.appended(block, vectors)
            self._view = view
            return view

    def write(self) -> None:
        """Write the index files anew; other threads and processes go on searching.

        Raises:
            GalleryError: The disk is full, or the folder cannot be written.
        """
        with self._store.long_reading() as db:
            count, dim = count_of(db), self._store.read_facts().dim
            if dim is None:
                return
            codes = {name: LabelCodes() for name in CODED}
            index_files.write(
                self._store.folder,
                latest(db),
                shape=(count, dim),
                blocks=read_blocks(db, ABSENT, codes),
                codes=codes,
                recall=self._recall if self._wants_lists(count) else None,
            )
        self._load()

    def keep_up(self) -> None:
        """Write the index files anew where they lag; a gallery that cannot be written is searched without."""
        if not self._store.read_only and self._lags():
            self._write_if_possible()

    def forget(self) -> None:
        """Write the index files anew where they lag, or hold a vector or a label that no item has any more."""
        if self._lags() or self._holds_removed():
            self._write_if_possible()

    def close(self) -> None:
        """Let go of the files."""
        self._stop.set()
        with self._lock:
            self._view = self.base = GalleryView()

    def _write_if_possible(self) -> None:
        try:
            self.write()
        except GalleryError as error:
            logger.warning("the search index's files were not made anew: %s", error)

    def _load(self) -> None:
        """Take up the newest index files that are whole and of this history."""
        self._stop.set()
        self._stop = threading.Event()
        base, checking = GalleryView(), None
        for path in index_files.index_folders(self._store.folder):
            try:
                loaded = index_files.read(path)
                with self._store.reading() as db:
                    if not has_had(db, loaded.revision):
                        raise ValueError("the database has not been as it says; it was put back from a copy, or lost")
                base, checking = loaded, path if index_files.has_many_vectors(path) else None
                break
            except index_files.READ_ERRORS as error:
                logger.warning("search index %s is passed over: %s", path, error)
        with self._lock:
            self._view = self.base = base
        if checking is not None:
            threading.Thread(target=self._check, args=(checking, base, self._stop), daemon=True).start()

    def _check(self, path: Path, base: GalleryView, stop: threading.Event) -> None:
        """Let go of index files whose vectors are damaged."""
        try:
            index_files.require_whole_vectors(path, stop)
        except FileNotFoundError:
            pass  # Another process has made them anew; what is open here was whole when that read the database.
        except (OSError, ValueError) as error:
            logger.warning("search index %s is passed over: %s", path, error)
            with self._lock:
                if self.base is base and not stop.is_set():
                    self._view = self.base = GalleryView()

    def _wants_lists(self, count: int) -> bool:
        asked = self._approximate_above is not None and count > self._approximate_above
        return count > MIN_TO_COMPRESS and (asked or self.base.lists is not None)  # Lists, once made, are kept up.

    def _holds_removed(self) -> bool:
        base, now = self.base.columns, self.current().columns
        alive = now.alive[: len(base)]
        if not np.array_equal(now.rows[: len(base)], base.rows) or not alive.all():
            return True
        gone = [np.setdiff1d(getattr(base, name), getattr(now, name)[now.alive]) for name in CODED]
        return any((codes != ABSENT).any() for codes in gone)

    def _lags(self) -> bool:
        """Return whether the index files miss too much, or are not of the wanted kind."""
        with self._store.reading() as db:
            count = count_of(db)
            news = db.execute("SELECT count(*) FROM items WHERE row > ?", (last(self.base),)).fetchone()[0]
        missed = news + len(self.base.columns) - (count - news)
        return missed > max(STALE, count / 4) or (self._wants_lists(count) and self.base.lists is None)


def count_of(db: sqlite3.Connection) -> int:
    """Return how many items there are."""
    return int(db.execute("SELECT count(*) FROM items").fetchone()[0])


def read_blocks(db: sqlite3.Connection, after: int, codes: Mapping[str, LabelCodes]) -> Iterator[index_files.Block]:
    """Read the rows after one from the database, a block at a time."""
    cursor = db.execute(
        f"SELECT id, vector, {checksum(db)}, row, identity, camera, track, time FROM items JOIN vectors USING (row)"
        " WHERE row > ? ORDER BY row",
        (after,),
    )
    (dim,) = db.execute("SELECT value FROM facts WHERE name = 'dim'").fetchone()
    while block := cursor.fetchmany(CHUNK):
        require_whole_vectors([record[:3] for record in block], dim)
        vectors = np.frombuffer(b"".join(record[1] for record in block), np.float32).reshape(len(block), -1)
        yield index_files.Block(as_columns([record[3:] for record in block], codes), normalized(vectors))


def last(view: GalleryView) -> int:
    """Return the last row of the database that a view has met."""
    return int(view.columns.rows[-1]) if len(view.columns) else ABSENT


def as_columns(rows: Sequence[Sequence[Any]], codes: Mapping[str, LabelCodes]) -> Columns:
    """Return (row, identity, camera, track, time) of the database as columns."""
    number, identity, camera, track, time = zip(*rows, strict=True)
    if wrong := [row[0] for row in rows if not isinstance(row[4], (float, int, type(None)))]:
        raise DamagedError(f"a damaged time in row {wrong[0]}")
    return Columns(
        np.array(number, np.int64),
        codes["identities"].encode(identity),
        codes["cameras"].encode(camera),
        codes["tracks"].encode(track),
        np.array(time, np.float64),  # None becomes NaN
        np.ones(len(rows), bool),
    )
