"""The gallery of one machine: SQLite is the truth, FAISS searches it.

One process writes at a time (others wait for it), any number read. **Staleness: none.** A search sees every change
whose call had returned, in any process, before the search began: it compares its view's revision with the truth's and
reads what is new. Every acknowledged change is on the disk (write-ahead log, forced at each commit).
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reseen.errors import GalleryError
from reseen.gallery import snapshot
from reseen.gallery.engine import Engine, Facts, Hit
from reseen.gallery.records import Item, Label, Mark, Rows, Where, unit
from reseen.gallery.view import ABSENT, Codes, Columns, View

FORMAT = 1
STALE = 20_000
"""An index file that misses more rows than this, and than a quarter of all, is made anew on opening and closing."""
BLOCK = 16_384
"""How many rows are read at a time."""

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


class LocalEngine(Engine):
    """A gallery in a folder of this machine.

    Args:
        folder: Holds ``truth.sqlite`` and the index file.
        create: Make the gallery where there is none.
        approximate_above: More items than this are searched by inverted lists; None for exact search of any number.
        recall: What the lists must find of the ten nearest, measured on the gallery itself when they are made.

    Raises:
        GalleryError: There is no gallery in the folder, or it cannot be read.
    """

    def __init__(self, folder: Path, *, create: bool, approximate_above: int | None, recall: float) -> None:
        self._folder = folder
        self._approximate_above, self._recall = approximate_above, recall
        self._lock = threading.RLock()
        file = folder / "truth.sqlite"
        if not file.exists():
            if not create:
                raise GalleryError(f"expected a gallery at {folder}, found none; `reseen index` makes one")
            folder.mkdir(parents=True, exist_ok=True)
        with told(file):
            self._db = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=60)
            self._prepare()
            facts = dict(self._db.execute("SELECT name, value FROM facts"))
        if facts["format"] != FORMAT:
            found = facts["format"]
            raise GalleryError(
                f"expected a gallery of format {FORMAT} at {folder}, found {found}; use the reseen of then"
            )
        self._id = facts["id"]
        self._load_index()
        if self.dim is not None and self._lags():
            self.compact()

    def _prepare(self) -> None:
        db = self._db
        db.execute("PRAGMA page_size = 16384")
        if db.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            db.execute("PRAGMA journal_mode = WAL")
        for pragma in (
            "synchronous = FULL",
            "foreign_keys = ON",
            "secure_delete = ON",
            "journal_size_limit = 67108864",
        ):
            db.execute(f"PRAGMA {pragma}")
        db.execute("BEGIN IMMEDIATE")
        try:
            if db.execute("SELECT name FROM sqlite_schema WHERE name = 'facts'").fetchone() is None:
                for statement in SCHEMA.split(";\n"):
                    db.execute(statement)
                facts = {"format": FORMAT, "id": uuid.uuid4().hex, "model": None, "dim": None, "revision": 0}
                db.executemany("INSERT INTO facts VALUES (?, ?)", facts.items())
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._lock, told(self._folder):
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
        with self._lock, told(self._folder):
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

    def delete(self, ids: Sequence[str]) -> int:
        with self._writing() as (db, revision):
            wanted = [(revision, key) for key in keys(ids)]
            db.executemany("INSERT INTO deleted SELECT row, ? FROM items WHERE id = ?", wanted)
            return db.executemany("DELETE FROM items WHERE id = ?", [key[1:] for key in wanted]).rowcount

    def search(self, queries: NDArray[np.float32], k: int, where: Where, *, exact: bool) -> list[list[Hit]]:
        view = self._current()
        similarities, rows = view.search(queries, k, where, exact=exact or self._approximate_above is None)
        names = self._names(rows[rows != ABSENT])
        return [
            [Hit(names[row], float(similarity)) for row, similarity in zip(*answer, strict=True) if row in names]
            for answer in zip(rows.tolist(), similarities, strict=True)
        ]

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

    def select(self, where: Where, limit: int) -> list[str]:
        view = self._current()
        keep = view.kept(where)
        rows = (view.columns.rows if keep is None else view.columns.rows[keep])[:limit]
        names = self._names(rows)
        return [names[row] for row in rows.tolist() if row in names]

    def count(self, where: Where) -> int:
        view = self._current()
        keep = view.kept(where)
        return len(view.columns) if keep is None else int(keep.sum())

    def cameras(self) -> list[Label]:
        view = self._current()
        codes = np.unique(view.columns.cameras[view.columns.alive])
        return sorted(
            (view.camera_codes.labels[code] for code in codes if code != ABSENT), key=lambda x: (isinstance(x, str), x)
        )

    def times(self) -> tuple[float, float] | None:
        columns = self._current().columns
        times = columns.times[columns.alive & ~np.isnan(columns.times)]
        return (float(times.min()), float(times.max())) if len(times) else None

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

    def compact(self) -> None:
        with self._reading() as db:
            if self.dim is None:
                return
            count = db.execute("SELECT count(*) FROM items").fetchone()[0]
            identities, cameras = Codes(), Codes()
            snapshot.write(
                self._folder,
                self._id,
                revision=self._revision(),
                shape=(count, self.dim),
                blocks=self._blocks(ABSENT, identities, cameras),
                identities=identities,
                cameras=cameras,
                recall=self._recall if self._wants_lists(count) else None,
            )
            self._load_index()

    def close(self) -> None:
        with self._lock:
            if self.dim is not None and self._lags():
                self.compact()
            self._view = self._base = View()
            self._db.close()

    def _load_index(self) -> None:
        self._view = self._base = snapshot.newest(self._folder, self._id)

    def _wants_lists(self, count: int) -> bool:
        return self._approximate_above is not None and count > self._approximate_above

    def _lags(self) -> bool:
        """Return whether the index file misses too much, or is not of the wanted kind."""
        with self._reading() as db:
            count = db.execute("SELECT count(*) FROM items").fetchone()[0]
            news = db.execute("SELECT count(*) FROM items WHERE row > ?", (last(self._base),)).fetchone()[0]
        missed = news + len(self._base.columns) - (count - news)
        return missed > max(STALE, count / 4) or (self._wants_lists(count) and self._base.lists is None)

    def _current(self) -> View:
        """Return a view of everything committed by now."""
        with self._reading() as db:
            revision, view = self._revision(), self._view
            if revision == view.revision:
                return view
            since = (view.revision,)
            gone = [row for (row,) in db.execute("SELECT row FROM deleted WHERE revision > ?", since)]
            changed = db.execute(
                "SELECT row, identity, camera, time FROM items WHERE revision > ? AND row <= ? ORDER BY row",
                (*since, last(view)),
            ).fetchall()
            columns = view.columns
            if gone:
                columns = columns.without(np.array(gone))
            if changed:
                columns = columns.changed(as_columns(changed, view.identity_codes, view.camera_codes))
            view = replace(view, revision=revision, columns=columns)
            for block, vectors in self._blocks(last(view), view.identity_codes, view.camera_codes):
                view = view.appended(block, vectors)
            self._view = view
            return view

    def _blocks(self, after: int, identities: Codes, cameras: Codes) -> Iterator[snapshot.Block]:
        """Read the rows after one from the truth, a block at a time."""
        found = self._db.execute(
            "SELECT row, identity, camera, time, vector FROM items JOIN vectors USING (row) WHERE row > ? ORDER BY row",
            (after,),
        )
        while block := found.fetchmany(BLOCK):
            vectors = np.frombuffer(b"".join(vector for *_, vector in block), np.float32).reshape(len(block), -1)
            yield snapshot.Block(as_columns([row for *row, _ in block], identities, cameras), unit(vectors))

    def _names(self, rows: NDArray[np.int64]) -> dict[int, str]:
        with self._reading():
            found = self._chosen("SELECT row, id FROM items WHERE row IN", np.unique(rows).tolist())
            return {row: name.hex() for row, name in found}

    def _chosen(self, query: str, values: Sequence[int | bytes]) -> Iterator[tuple[Any, ...]]:
        """Run a query that ends in ``IN`` on values of any number."""
        for start in range(0, len(values), BLOCK):
            some = values[start : start + BLOCK]
            yield from self._db.execute(f"{query} ({', '.join('?' * len(some))})", some)


def keys(ids: Sequence[str]) -> list[bytes]:
    """Return ids as the truth keeps them."""
    return [bytes.fromhex(name) for name in ids]


def last(view: View) -> int:
    """Return the last row of the truth that a view has met."""
    return int(view.columns.rows[-1]) if len(view.columns) else ABSENT


def as_columns(rows: Sequence[Sequence[Any]], identities: Codes, cameras: Codes) -> Columns:
    """Return (row, identity, camera, time) of the truth as columns."""
    number, identity, camera, time = zip(*rows, strict=True)
    return Columns(
        np.array(number, np.int64),
        identities.encode(identity),
        cameras.encode(camera),
        np.array(time, np.float64),  # None becomes NaN
        np.ones(len(rows), bool),
    )


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Say in one line what SQLite found wrong with a gallery."""
    try:
        yield
    except sqlite3.OperationalError as error:
        advice = "see whether another process holds it, whether the disk is full and whether it may be written"
        raise GalleryError(f"expected to use the gallery at {path}, found: {error}; {advice}") from None
    except sqlite3.DatabaseError as error:
        raise GalleryError(f"expected a gallery at {path}, found: {error}; restore it from a copy") from None
