"""SQLite database of a gallery's items: the one place that everything else can be made from.

One process writes at a time (others wait for it), any number read, and none waits to read. Every change that has
returned is on the disk (write-ahead log, forced at each commit), and what is deleted is overwritten.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reseen.errors import GalleryError
from reseen.gallery.backends.base import Facts
from reseen.gallery.records import Item, Label, Mark
from reseen.gallery.rows import Rows
from reseen.slicing import chunks

FILE = "truth.sqlite"
FORMAT = 2
CHUNK = 16_384
"""How many rows are read at a time."""
BUSY_SECONDS = 60
"""How long a writer waits for another."""
MIN_FREE = 2**20
"""Bytes of the disk that SQLite needs for the files beside a database."""
CHECKPOINT_SECONDS = 2.0
"""How long emptying the log is tried while others read."""

SETTINGS = (
    "synchronous = FULL",
    "foreign_keys = ON",
    "secure_delete = ON",
    "journal_size_limit = 67108864",
    # Ids come in no order: with the usual 2 MB their index is written over and over while a million are added.
    "cache_size = -65536",
    "wal_autocheckpoint = 4000",
)
SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE revisions (revision INTEGER PRIMARY KEY, nonce BLOB NOT NULL);
CREATE TABLE items (
    row INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, identity, camera, track, time REAL,
    source TEXT, extra TEXT NOT NULL, revision INTEGER NOT NULL, vector_crc32 INTEGER);
CREATE INDEX items_by_revision ON items (revision);
CREATE TABLE vectors (row INTEGER PRIMARY KEY REFERENCES items ON DELETE CASCADE, vector BLOB NOT NULL);
CREATE TABLE pictures (row INTEGER PRIMARY KEY REFERENCES items ON DELETE CASCADE, jpeg BLOB NOT NULL);
CREATE TABLE deleted (row INTEGER PRIMARY KEY, revision INTEGER NOT NULL);
CREATE INDEX deleted_by_revision ON deleted (revision);
CREATE TABLE notes (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE marks (query TEXT, item BLOB REFERENCES items (id) ON DELETE CASCADE, similarity REAL NOT NULL,
    same INTEGER NOT NULL, PRIMARY KEY (item, query)) WITHOUT ROWID;
"""


class Revision(NamedTuple):
    """A state of a gallery.

    Attributes:
        number: How many changes there had been.
        nonce: Drawn at random with each change, so that no other history of the gallery has the same pair: none that
            went another way after the database was put back from a copy or has lost its log.
    """

    number: int
    nonce: str


NOTHING = Revision(0, "")
"""That of a gallery without any change."""


def require_gallery(folder: Path) -> None:
    """Make sure that there is a gallery in a folder.

    Raises:
        GalleryError: There is none, or the folder cannot be read.
    """
    with translate_errors(folder):
        if not (folder / FILE).exists():
            raise GalleryError(f"expected a gallery at {folder}, found none; `reseen index` makes one")


class ItemStore:
    """Keeps the items of a gallery.

    Args:
        folder: Holds the database.
        create: Make the gallery where there is none.

    Attributes:
        folder: Likewise.
        read_only: The folder cannot be written, or its disk is full, and there is no log: the database is read as it
            lies there.

    Raises:
        GalleryError: There is no gallery in the folder, or it cannot be read.
    """

    def __init__(self, folder: Path, *, create: bool) -> None:
        self.folder = folder
        self._lock = threading.RLock()
        self._file = folder / FILE
        if not create:
            require_gallery(folder)
        with translate_errors(folder):
            if not self._file.exists():
                if folder.exists() and not folder.is_dir():
                    raise GalleryError(f"expected a folder for a gallery at {folder}, found a file; name another place")
                folder.mkdir(parents=True, exist_ok=True)
            elif not self._file.stat().st_size and any(folder.glob("index-*")):
                # A gallery that is being made has an empty database for a moment, and no index yet.
                raise GalleryError(f"expected a gallery at {folder}, found {FILE} empty; restore it from a copy")
            self._open()
            facts = dict(self._db.execute("SELECT name, value FROM facts"))
        if (found := facts.get("format")) != FORMAT:
            raise GalleryError(
                f"expected a gallery of format {FORMAT} at {folder}, found {found}; open it with the version of reseen "
                "that wrote it"
            )

    def _open(self) -> None:
        self._seen = self._state()
        is_closed = self._file.exists() and self._seen[0] is None
        self.read_only = is_closed and not (os.access(self.folder, os.W_OK) and free_bytes(self.folder) > MIN_FREE)
        self._db = self._connect()
        self._opened: os.stat_result | None = None
        if not self.read_only:
            self._prepare()
        self._opened = self._file.stat()

    def _state(self) -> tuple[int | None, int]:
        """Return the size of the log, None where there is none, and when the database itself was last written."""
        log = self._file.with_name(f"{FILE}-wal")
        written = self._file.stat().st_mtime_ns if self._file.exists() else 0
        return log.stat().st_size if log.exists() else None, written

    def _connect(self) -> sqlite3.Connection:
        # Without room for files beside it, SQLite reads such a database only if it is told that nobody changes it.
        name = f"{self._file.absolute().as_uri()}?immutable=1" if self.read_only else str(self._file)
        return sqlite3.connect(
            name, uri=self.read_only, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS
        )

    def _prepare(self) -> None:
        db = self._db
        db.execute("PRAGMA page_size = 16384")
        if db.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            db.execute("PRAGMA journal_mode = WAL")
        for setting in SETTINGS:
            db.execute(f"PRAGMA {setting}")
        if not self._is_begun():  # Asked before the lock is, so that whoever only reads waits for no writer.
            with self._transaction("BEGIN IMMEDIATE"):
                if not self._is_begun():
                    for statement in SCHEMA.split(";\n"):
                        db.execute(statement)
                    db.executemany("INSERT INTO facts VALUES (?, ?)", Facts(None, None)._asdict().items())
                    db.execute("INSERT INTO facts VALUES ('format', ?)", (FORMAT,))
        if not has_checksums(db):  # Made by an earlier version; what it holds is read unchecked.
            with self._transaction("BEGIN IMMEDIATE"):
                if not has_checksums(db):
                    db.execute("ALTER TABLE items ADD COLUMN vector_crc32 INTEGER")

    def _is_begun(self) -> bool:
        return self._db.execute("SELECT name FROM sqlite_schema WHERE name = 'facts'").fetchone() is not None

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._lock, translate_errors(self.folder):
            # Somebody else may have written here, or there may be room to write now.
            if self.read_only and (begin != "BEGIN" or self._state() != self._seen):
                self._db.close()
                self._open()
            self._require_same_file()
            self._db.execute(begin)
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _require_same_file(self) -> None:
        """Make sure that what is written is where the next process will look for it."""
        try:
            is_same = self._opened is None or os.path.samestat(self._opened, self._file.stat())
        except FileNotFoundError:
            is_same = False
        if not is_same:
            raise GalleryError(
                f"expected the gallery at {self.folder} that this process opened, found it removed or put back from a "
                "copy meanwhile; start anew"
            )

    def reading(self) -> contextlib.AbstractContextManager[sqlite3.Connection]:
        """Give the database as of one moment; other threads wait."""
        return self._transaction("BEGIN")

    @contextlib.contextmanager
    def long_reading(self) -> Iterator[sqlite3.Connection]:
        """Give the database as of one moment, by a connection that nobody waits for."""
        self._require_same_file()
        with translate_errors(self.folder), contextlib.closing(self._connect()) as db:
            db.execute("BEGIN")
            yield db

    @contextlib.contextmanager
    def writing(self) -> Iterator[tuple[sqlite3.Connection, int]]:
        """Give the database, and the number of the revision that the change makes."""
        with self._transaction("BEGIN IMMEDIATE") as db:
            number = latest(db).number + 1
            yield db, number
            db.execute("INSERT INTO revisions VALUES (?, randomblob(8))", (number,))

    def read_facts(self) -> Facts:
        """Return what `begin` fixed."""
        with self._lock, translate_errors(self.folder):
            facts = dict(self._db.execute("SELECT name, value FROM facts"))
        return Facts(facts["model"], facts["dim"])

    def begin(self, model: str | None, dim: int) -> None:
        """Fix the model and the dimension, unless that has been done."""
        with self._transaction("BEGIN IMMEDIATE") as db:
            if self.read_facts().dim is None:
                db.execute("UPDATE facts SET value = ? WHERE name = 'model'", (model,))
                db.execute("UPDATE facts SET value = ? WHERE name = 'dim'", (dim,))

    def add(self, rows: Rows) -> int:
        """Keep the rows whose id is not held yet; return how many those were."""
        new = 0
        with self.writing() as (db, revision):
            columns = (rows.identities, rows.cameras, rows.tracks, rows.times, rows.sources, rows.extras)
            for name, vector, picture, *values in zip(rows.ids, rows.vectors, rows.pictures, *columns, strict=True):
                cursor = db.execute(
                    "INSERT INTO items (id, identity, camera, track, time, source, extra, revision, vector_crc32)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                    (bytes.fromhex(name), *values, revision, zlib.crc32(vector)),
                )
                if cursor.rowcount:
                    new += 1
                    db.execute("INSERT INTO vectors VALUES (?, ?)", (cursor.lastrowid, vector))
                    if picture is not None:
                        db.execute("INSERT INTO pictures VALUES (?, ?)", (cursor.lastrowid, picture))
        return new

    def update(self, ids: Sequence[str], changes: Mapping[str, Any]) -> int:
        """Set columns of items and return how many of these were held."""
        assignments = ", ".join(f"{name} = ?" for name in changes)
        with self.writing() as (db, revision):
            return db.executemany(
                f"UPDATE items SET {assignments}, revision = ? WHERE id = ?",
                [(*changes.values(), revision, key) for key in keys(ids)],
            ).rowcount

    def rename(self, identity: Label, new: Label) -> int:
        """Give every item of an identity another one and return how many there were."""
        with self.writing() as (db, revision):
            return db.execute(
                "UPDATE items SET identity = ?, revision = ? WHERE identity = ?", (new, revision, identity)
            ).rowcount

    def delete(self, ids: Sequence[str]) -> int:
        """Delete items with their vectors, pictures and verdicts; return how many were held."""
        with self.writing() as (db, revision):
            wanted = [(revision, key) for key in keys(ids)]
            db.executemany("INSERT INTO deleted SELECT row, ? FROM items WHERE id = ?", wanted)
            return db.executemany("DELETE FROM items WHERE id = ?", [key[1:] for key in wanted]).rowcount

    def items(self, ids: Sequence[str]) -> list[Item | None]:
        """Return the items in the order asked for; None for one that is not held."""
        columns = "id, identity, camera, track, time, source, extra"
        with self.reading() as db:
            records = list(select_in(db, f"SELECT {columns} FROM items WHERE id IN", keys(ids)))
            made = {key.hex(): Item(key.hex(), *known, read_extra(key, extra)) for key, *known, extra in records}  # type: ignore[call-arg]  # mypy counts the starred list as one and more
        return [made.get(name) for name in ids]

    def vectors(self, ids: Sequence[str]) -> dict[bytes, bytes]:
        """Return the vectors of the items that are held, by their keys."""
        with self.reading() as db:
            query = f"SELECT id, vector, {checksum(db)} FROM items JOIN vectors USING (row) WHERE id IN"
            records = list(select_in(db, query, keys(ids)))
            require_whole_vectors(records, self.read_facts().dim)
        return {key: vector for key, vector, _ in records}

    def pictured(self, ids: Sequence[str]) -> set[str]:
        """Return those of the items that a picture is kept for."""
        with self.reading() as db:
            records = select_in(db, "SELECT id FROM items JOIN pictures USING (row) WHERE id IN", keys(ids))
            return {key.hex() for (key,) in records}

    def picture(self, item: str) -> bytes | None:
        """Return the JPEG file kept for an item, if any."""
        with self.reading() as db:
            query = "SELECT jpeg FROM items JOIN pictures USING (row) WHERE id IN"
            records = list(select_in(db, query, keys([item])))
        return records[0][0] if records else None

    def note(self, name: str) -> str | None:
        """Return the text kept under a name, if any."""
        with self.reading() as db:
            record = db.execute("SELECT text FROM notes WHERE name = ?", (name,)).fetchone()
        return None if record is None else str(record[0])

    def put_note(self, name: str, text: str) -> None:
        """Keep a text under a name, in place of what was there."""
        with self._transaction("BEGIN IMMEDIATE") as db:
            db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, text))

    def mark(self, mark: Mark) -> None:
        """Keep a verdict on an item that is held; a later one on the same query and item takes its place."""
        with self._transaction("BEGIN IMMEDIATE") as db:
            db.execute(
                "INSERT OR REPLACE INTO marks SELECT ?, id, ?, ? FROM items WHERE id = ?",
                (mark.query, mark.similarity, mark.same, *keys([mark.item])),
            )

    def unmark(self, query: str, item: str) -> None:
        """Remove the verdict on a query and an item, if there is one."""
        with self._transaction("BEGIN IMMEDIATE") as db:
            db.execute("DELETE FROM marks WHERE query = ? AND item = ?", (query, *keys([item])))

    def marks(self) -> list[Mark]:
        """Return every verdict."""
        with self.reading() as db:
            records = db.execute("SELECT query, item, similarity, same FROM marks ORDER BY query, item").fetchall()
        return [Mark(query, item.hex(), similarity, bool(same)) for query, item, similarity, same in records]

    def names(self, rows: NDArray[np.int64]) -> dict[int, str]:
        """Return the ids of the items in rows, of those that are held."""
        with self.reading() as db:
            records = select_in(db, "SELECT row, id FROM items WHERE row IN", np.unique(rows).tolist())
            return {row: key.hex() for row, key in records}

    def rows(self, ids: Sequence[str]) -> list[int]:
        """Return the rows of the items that are held."""
        with self.reading() as db:
            return [row for (row,) in select_in(db, "SELECT row FROM items WHERE id IN", keys(ids))]

    def empty_log(self) -> int:
        """Empty the log, where what was overwritten still stands; return the bytes that stay because others read it."""
        until = time.monotonic() + CHECKPOINT_SECONDS
        while True:
            with self._lock, translate_errors(self.folder):
                self._db.execute("PRAGMA busy_timeout = 0")  # Waiting inside of SQLite would keep the lock.
                try:
                    busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                finally:
                    self._db.execute(f"PRAGMA busy_timeout = {1000 * BUSY_SECONDS}")
            if not busy or time.monotonic() > until:
                return (self._state()[0] or 0) if busy else 0
            time.sleep(0.05)

    def copy(self, folder: Path) -> None:
        """Copy the database as of one moment, while it is in use, to a folder; it is on the disk when this returns."""
        with self.long_reading() as db, contextlib.closing(sqlite3.connect(folder / FILE)) as target:
            db.backup(target)

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            self._db.close()


def free_bytes(folder: Path) -> int:
    """Return the room on the disk of a folder."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def latest(db: sqlite3.Connection) -> Revision:
    """Return the revision that a database is at."""
    record = db.execute("SELECT revision, nonce FROM revisions ORDER BY revision DESC LIMIT 1").fetchone()
    return NOTHING if record is None else Revision(record[0], record[1].hex())


def has_had(db: sqlite3.Connection, revision: Revision) -> bool:
    """Return whether a database has once been at a revision."""
    record = db.execute("SELECT nonce FROM revisions WHERE revision = ?", (revision.number,)).fetchone()
    return revision == NOTHING or (record is not None and record[0].hex() == revision.nonce)


def select_in(db: sqlite3.Connection, query: str, values: Sequence[int | bytes]) -> Iterator[tuple[Any, ...]]:
    """Run a query that ends in ``IN`` on values of any number."""
    for part in chunks(len(values), CHUNK):
        yield from db.execute(f"{query} ({', '.join('?' * (part.stop - part.start))})", values[part])


def keys(ids: Sequence[str]) -> list[bytes]:
    """Return ids as the database keeps them."""
    return [bytes.fromhex(name) for name in ids]


def has_checksums(db: sqlite3.Connection) -> bool:
    """Return whether vectors have a checksum."""
    return any(name == "vector_crc32" for _, name, *_ in db.execute("PRAGMA table_info(items)"))


def checksum(db: sqlite3.Connection) -> str:
    """Return what to select for the checksum of an item's vector; NULL where there is none."""
    return "vector_crc32" if has_checksums(db) else "NULL"


def require_whole_vectors(records: Iterable[tuple[bytes, bytes, int | None]], dim: int | None) -> None:
    """Make sure that vectors are those that were added.

    Args:
        records: Key, vector and checksum of each.
        dim: Numbers of a vector.

    Raises:
        DamagedError: One is not.
    """
    for key, vector, written in records:
        whole = isinstance(vector, bytes) and len(vector) == 4 * (dim or 0)
        if not whole or written not in (None, zlib.crc32(vector)):
            raise DamagedError(f"a damaged vector of the item {key.hex()}; delete it, and index its picture again")


def read_extra(key: bytes, text: str) -> dict[str, Any]:
    """Return what is kept of an item beside its columns.

    Raises:
        DamagedError: It is no JSON any more.
    """
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError, RecursionError):
        raise DamagedError(f"damaged facts of the item {key.hex()}; delete it, and index its picture again") from None


class DamagedError(Exception):
    """What a database holds is not what was written."""


@contextlib.contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Raise what SQLite or the disk has against a gallery as a `GalleryError` of one line."""
    try:
        yield
    except sqlite3.OperationalError as error:
        advice = "see whether another process holds it, whether the disk is full and whether it may be written"
        raise GalleryError(f"expected to use the gallery at {path}, found: {error}; {advice}") from None
    except sqlite3.DatabaseError as error:
        raise GalleryError(f"expected a gallery at {path}, found: {error}; restore it from a copy") from None
    except DamagedError as error:
        raise GalleryError(f"expected a whole gallery at {path}, found {error}, or restore it from a copy") from None
    except OSError as error:
        raise GalleryError(
            f"expected to write a gallery at {path}, found: {error.strerror or error}; see the disk and who may write "
            "to it"
        ) from None
