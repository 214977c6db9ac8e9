"""The truth of a gallery: a SQLite file. What SQLite alone can answer is answered here.

One process writes at a time (others wait for it), any number read, and none waits to read. Every change that has
returned is on the disk (write-ahead log, forced at each commit), and what is deleted is overwritten.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reseen.errors import GalleryError
from reseen.gallery.engine import Engine, Facts
from reseen.gallery.records import Item, Label, Mark
from reseen.gallery.rows import Rows

FORMAT = 1
BLOCK = 16_384
"""How many rows are read at a time."""

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
CREATE TABLE items (
    row INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, identity, camera, track, time REAL,
    source TEXT, extra TEXT NOT NULL, revision INTEGER NOT NULL);
CREATE INDEX items_by_revision ON items (revision);
CREATE TABLE vectors (row INTEGER PRIMARY KEY REFERENCES items ON DELETE CASCADE, vector BLOB NOT NULL);
CREATE TABLE pictures (row INTEGER PRIMARY KEY REFERENCES items ON DELETE CASCADE, jpeg BLOB NOT NULL);
CREATE TABLE deleted (row INTEGER PRIMARY KEY, revision INTEGER NOT NULL);
CREATE INDEX deleted_by_revision ON deleted (revision);
CREATE TABLE notes (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE marks (query TEXT, item TEXT, similarity REAL NOT NULL, same INTEGER NOT NULL, PRIMARY KEY (query, item));
"""


class Truth(Engine):
    """The half of an engine that keeps; `LocalEngine` adds the half that searches.

    Args:
        folder: Holds ``truth.sqlite``.
        create: Make the gallery where there is none.

    Attributes:
        folder: Likewise.
        id: Tells this gallery's index files from those of another.

    Raises:
        GalleryError: There is no gallery in the folder, or it cannot be read.
    """

    def __init__(self, folder: Path, *, create: bool) -> None:
        self.folder = folder
        self._lock = threading.RLock()
        file = folder / "truth.sqlite"
        with told(folder):
            if not file.exists():
                if not create:
                    raise GalleryError(f"expected a gallery at {folder}, found none; `reseen index` makes one")
                if folder.exists() and not folder.is_dir():
                    raise GalleryError(f"expected a folder for a gallery at {folder}, found a file; name another place")
                folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=60)
            self._prepare()
            facts = dict(self._db.execute("SELECT name, value FROM facts"))
        if facts["format"] != FORMAT:
            raise GalleryError(
                f"expected a gallery of format {FORMAT} at {folder}, found {facts['format']}; use the reseen of then"
            )
        self.id: str = facts["id"]

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
                    facts = {"format": FORMAT, "id": uuid.uuid4().hex, "model": None, "dim": None, "revision": 0}
                    db.executemany("INSERT INTO facts VALUES (?, ?)", facts.items())

    def _is_begun(self) -> bool:
        return self._db.execute("SELECT name FROM sqlite_schema WHERE name = 'facts'").fetchone() is not None

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._lock, told(self.folder):
            self._db.execute(begin)
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _reading(self) -> contextlib.AbstractContextManager[sqlite3.Connection]:
        return self._transaction("BEGIN")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[tuple[sqlite3.Connection, int]]:
        with self._transaction("BEGIN IMMEDIATE") as db:
            revision = self._revision() + 1
            yield db, revision
            db.execute("UPDATE facts SET value = ? WHERE name = 'revision'", (revision,))

    def _revision(self) -> int:
        return int(self._db.execute("SELECT value FROM facts WHERE name = 'revision'").fetchone()[0])

    def read_facts(self) -> Facts:
        with self._lock, told(self.folder):
            facts = dict(self._db.execute("SELECT name, value FROM facts"))
        return Facts(facts["model"], facts["dim"])

    def begin(self, model: str | None, dim: int) -> None:
        with self._transaction("BEGIN IMMEDIATE") as db:
            if self.read_facts().dim is None:
                db.execute("UPDATE facts SET value = ? WHERE name = 'model'", (model,))
                db.execute("UPDATE facts SET value = ? WHERE name = 'dim'", (dim,))

    def add(self, rows: Rows) -> int:
        new = 0
        with self._writing() as (db, revision):
            columns = (rows.identities, rows.cameras, rows.tracks, rows.times, rows.sources, rows.extras)
            for name, vector, picture, *values in zip(rows.ids, rows.vectors, rows.pictures, *columns, strict=True):
                cursor = db.execute(
                    "INSERT INTO items (id, identity, camera, track, time, source, extra, revision)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                    (bytes.fromhex(name), *values, revision),
                )
                if cursor.rowcount:
                    new += 1
                    db.execute("INSERT INTO vectors VALUES (?, ?)", (cursor.lastrowid, vector))
                    if picture is not None:
                        db.execute("INSERT INTO pictures VALUES (?, ?)", (cursor.lastrowid, picture))
        return new

    def update(self, ids: Sequence[str], changes: Mapping[str, Any]) -> int:
        assignments = ", ".join(f"{name} = ?" for name in changes)
        with self._writing() as (db, revision):
            return db.executemany(
                f"UPDATE items SET {assignments}, revision = ? WHERE id = ?",
                [(*changes.values(), revision, key) for key in keys(ids)],
            ).rowcount

    def rename(self, identity: Label, new: Label) -> int:
        with self._writing() as (db, revision):
            return db.execute(
                "UPDATE items SET identity = ?, revision = ? WHERE identity = ?", (new, revision, identity)
            ).rowcount

    def delete(self, ids: Sequence[str]) -> int:
        with self._writing() as (db, revision):
            wanted = [(revision, key) for key in keys(ids)]
            db.executemany("INSERT INTO deleted SELECT row, ? FROM items WHERE id = ?", wanted)
            return db.executemany("DELETE FROM items WHERE id = ?", [key[1:] for key in wanted]).rowcount

    def items(self, ids: Sequence[str]) -> list[Item | None]:
        columns = "id, identity, camera, track, time, source, extra"
        with self._reading():
            found = list(self._chosen(f"SELECT {columns} FROM items WHERE id IN", keys(ids)))
        made = {key.hex(): Item(key.hex(), *known, json.loads(extra)) for key, *known, extra in found}  # type: ignore[call-arg]  # mypy counts the starred list as one and more
        return [made.get(name) for name in ids]

    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        with self._reading():
            found = dict(self._chosen("SELECT id, vector FROM items JOIN vectors USING (row) WHERE id IN", keys(ids)))
        return np.frombuffer(b"".join(found[key] for key in keys(ids)), np.float32).reshape(len(ids), self.dim or 0)

    def pictured(self, ids: Sequence[str]) -> set[str]:
        with self._reading():
            found = self._chosen("SELECT id FROM items JOIN pictures USING (row) WHERE id IN", keys(ids))
            return {key.hex() for (key,) in found}

    def picture(self, item: str) -> bytes | None:
        with self._reading():
            found = list(self._chosen("SELECT jpeg FROM items JOIN pictures USING (row) WHERE id IN", keys([item])))
        return found[0][0] if found else None

    def note(self, name: str) -> str | None:
        with self._reading() as db:
            found = db.execute("SELECT text FROM notes WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def put_note(self, name: str, text: str) -> None:
        with self._transaction("BEGIN IMMEDIATE") as db:
            db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, text))

    def mark(self, mark: Mark) -> None:
        with self._transaction("BEGIN IMMEDIATE") as db:
            values = (mark.query, mark.item, mark.similarity, mark.same)
            db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?)", values)

    def marks(self) -> list[Mark]:
        with self._reading() as db:
            found = db.execute("SELECT query, item, similarity, same FROM marks ORDER BY query, item").fetchall()
        return [Mark(query, item, similarity, bool(same)) for query, item, similarity, same in found]

    def _chosen(self, query: str, values: Sequence[int | bytes]) -> Iterator[tuple[Any, ...]]:
        """Run a query that ends in ``IN`` on values of any number."""
        for start in range(0, len(values), BLOCK):
            some = values[start : start + BLOCK]
            yield from self._db.execute(f"{query} ({', '.join('?' * len(some))})", some)


def keys(ids: Sequence[str]) -> list[bytes]:
    """Return ids as the truth keeps them."""
    return [bytes.fromhex(name) for name in ids]


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Say in one line what SQLite or the disk has against a gallery."""
    try:
        yield
    except sqlite3.OperationalError as error:
        advice = "see whether another process holds it, whether the disk is full and whether it may be written"
        raise GalleryError(f"expected to use the gallery at {path}, found: {error}; {advice}") from None
    except sqlite3.DatabaseError as error:
        raise GalleryError(f"expected a gallery at {path}, found: {error}; restore it from a copy") from None
    except OSError as error:
        raise GalleryError(
            f"expected to write a gallery at {path}, found: {error.strerror}; see the disk and who may write to it"
        ) from None
