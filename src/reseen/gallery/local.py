"""The gallery of one machine: SQLite is the truth, FAISS searches it.

**Staleness: none.** A search sees every change whose call had returned, in any process, before the search began: it
compares its view's revision with the truth's and reads what is new.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reseen.errors import GalleryError
from reseen.gallery import snapshot
from reseen.gallery.engine import Hit
from reseen.gallery.nearest import ABSENT, SMALLEST
from reseen.gallery.records import Label, Where
from reseen.gallery.rows import unit
from reseen.gallery.truth import BLOCK, Truth, told
from reseen.gallery.view import Codes, Columns, View
from reseen.labels import ordered

logger = logging.getLogger(__name__)

STALE = 20_000
"""An index file that misses more rows than this, and than a quarter of all, is made anew on opening and closing."""


class LocalEngine(Truth):
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
        super().__init__(folder, create=create)
        self._approximate_above, self._recall = approximate_above, recall
        self._load_index()
        self._keep_up()

    def search(self, queries: NDArray[np.float32], k: int, where: Where, *, exact: bool) -> list[list[Hit]]:
        view = self._current()
        similarities, rows = view.search(queries, k, where, exact=exact or self._approximate_above is None)
        names = self._names(rows[rows != ABSENT])
        return [
            [Hit(names[row], float(similarity)) for row, similarity in zip(*answer, strict=True) if row in names]
            for answer in zip(rows.tolist(), similarities, strict=True)
        ]

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
        return met(view.columns.cameras[view.columns.alive], view.camera_codes)

    def identities(self) -> list[Label]:
        view = self._current()
        return met(view.columns.identities[view.columns.alive], view.identity_codes)

    def times(self) -> tuple[float, float] | None:
        columns = self._current().columns
        times = columns.times[columns.alive & ~np.isnan(columns.times)]
        return (float(times.min()), float(times.max())) if len(times) else None

    def compact(self) -> None:
        self._write_index()
        with self._lock, told(self.folder):  # What was overwritten also stands in the log, until that is emptied.
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        with self._lock:
            self._keep_up()
            self._view = self._base = View()
            self._db.close()

    def _load_index(self) -> None:
        self._view = self._base = snapshot.newest(self.folder, self.id)

    def _keep_up(self) -> None:
        """Make the index file anew where it lags; a gallery that may only be read is searched without."""
        if self.dim is not None and self._lags():
            try:
                self._write_index()
            except GalleryError as error:
                logger.warning("the index file was not made anew: %s", error)

    def _write_index(self) -> None:
        with self._reading() as db:
            if self.dim is None:
                return
            count = db.execute("SELECT count(*) FROM items").fetchone()[0]
            identities, cameras = Codes(), Codes()
            snapshot.write(
                self.folder,
                self.id,
                revision=self._revision(),
                shape=(count, self.dim),
                blocks=self._blocks(ABSENT, identities, cameras),
                identities=identities,
                cameras=cameras,
                recall=self._recall if self._wants_lists(count) else None,
            )
            self._load_index()

    def _wants_lists(self, count: int) -> bool:
        asked = self._approximate_above is not None and count > self._approximate_above
        return count > SMALLEST and (asked or self._base.lists is not None)  # Lists, once made, are kept up.

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


def last(view: View) -> int:
    """Return the last row of the truth that a view has met."""
    return int(view.columns.rows[-1]) if len(view.columns) else ABSENT


def met(codes: NDArray[np.int32], names: Codes) -> list[Label]:
    """Return the labels behind codes, each once, in order."""
    return ordered(names.labels[code] for code in np.unique(codes) if code != ABSENT)


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
