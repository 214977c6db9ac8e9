"""Backend of one machine: items in SQLite, searched by FAISS."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reseen.errors import GalleryError
from reseen.files import force
from reseen.gallery.backends.base import Backend, Facts, Groups, Hit
from reseen.gallery.backends.sqlite_faiss.item_store import ItemStore, keys, require_gallery, translate_errors
from reseen.gallery.backends.sqlite_faiss.nearest import ABSENT
from reseen.gallery.backends.sqlite_faiss.vector_index import VectorIndex
from reseen.gallery.backends.sqlite_faiss.view import GalleryView
from reseen.gallery.records import Compaction, Item, Label, Mark, Where
from reseen.gallery.rows import Rows
from reseen.labels import ordered

logger = logging.getLogger(__name__)

COLUMN = {"identity": "identities", "track": "tracks"}


class SqliteFaissBackend(Backend):
    """A gallery in a folder of this machine.

    Args:
        folder: Holds the database and the index files.
        create: Make the gallery where there is none.
        approximate_above: More items than this are searched by inverted lists; None for exact search of any number.
        recall: What the lists must find of the ten nearest, measured on the gallery itself when they are made.

    Attributes:
        store: The items.
        index: What searches them.

    Raises:
        GalleryError: There is no gallery in the folder, or it cannot be read.
    """

    options = frozenset({"approximate_above", "recall"})

    def __init__(
        self, folder: Path, *, create: bool, approximate_above: int | None = None, recall: float = 0.99
    ) -> None:
        self.location = str(folder)
        self.store = ItemStore(folder, create=create)
        self._approximate = approximate_above is not None
        self._has_removed = False
        self.index = VectorIndex(self.store, approximate_above=approximate_above, recall=recall)
        self.index.keep_up()

    @classmethod
    def from_location(cls, location: str, *, create: bool, options: Mapping[str, Any]) -> SqliteFaissBackend:
        return cls(Path(location), create=create, **options)

    @classmethod
    def require(cls, location: str) -> None:
        require_gallery(Path(location))

    def read_facts(self) -> Facts:
        return self.store.read_facts()

    def begin(self, model: str | None, dim: int) -> None:
        self.store.begin(model, dim)

    def add(self, rows: Rows, *, look_up: bool = True) -> int:
        return self.store.add(rows)

    def update(self, ids: Sequence[str], changes: Mapping[str, Any]) -> int:
        return self._noted(self.store.update(ids, changes))

    def rename(self, identity: Label, new: Label) -> int:
        return self._noted(self.store.rename(identity, new))

    def delete(self, ids: Sequence[str]) -> int:
        return self._noted(self.store.delete(ids))

    def _noted(self, count: int) -> int:
        self._has_removed |= count > 0
        return count

    def search(
        self, queries: NDArray[np.float32], k: int, where: Where, *, exact: bool, answered: Groups | None = None
    ) -> list[list[Hit]]:
        view = self.index.current()
        keep = view.mask(where)
        if answered is not None:
            keep = view.without(keep, COLUMN[answered.by], answered.labels, self.store.rows(answered.ids))
        similarities, rows = view.search(queries, k, keep, exact=exact or not self._approximate)
        names = self.store.names(rows[rows != ABSENT])
        return [
            [Hit(names[row], float(similarity)) for row, similarity in zip(*answer, strict=True) if row in names]
            for answer in zip(rows.tolist(), similarities, strict=True)
        ]

    def items(self, ids: Sequence[str]) -> list[Item | None]:
        return self.store.items(ids)

    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        blobs = self.store.vectors(ids)
        return np.frombuffer(b"".join(blobs[key] for key in keys(ids)), np.float32).reshape(len(ids), self.dim or 0)

    def pictured(self, ids: Sequence[str]) -> set[str]:
        return self.store.pictured(ids)

    def picture(self, item: str) -> bytes | None:
        return self.store.picture(item)

    def select(self, where: Where, limit: int) -> list[str]:
        view = self.index.current()
        keep = view.mask(where)
        rows = (view.columns.rows if keep is None else view.columns.rows[keep])[:limit]
        names = self.store.names(rows)
        return [names[row] for row in rows.tolist() if row in names]

    def count(self, where: Where) -> int:
        view = self.index.current()
        keep = view.mask(where)
        return len(view.columns) if keep is None else int(keep.sum())

    def cameras(self) -> list[Label]:
        return distinct_labels(self.index.current(), "cameras")

    def identities(self) -> list[Label]:
        return distinct_labels(self.index.current(), "identities")

    def times(self) -> tuple[float, float] | None:
        columns = self.index.current().columns
        times = columns.times[columns.alive & ~np.isnan(columns.times)]
        return (float(times.min()), float(times.max())) if len(times) else None

    def note(self, name: str) -> str | None:
        return self.store.note(name)

    def put_note(self, name: str, text: str) -> None:
        self.store.put_note(name, text)

    def mark(self, mark: Mark) -> None:
        self.store.mark(mark)

    def unmark(self, query: str, item: str) -> None:
        self.store.unmark(query, item)

    def marks(self) -> list[Mark]:
        return self.store.marks()

    def compact(self) -> Compaction:
        self._has_removed = False
        self.index.write()
        log_bytes = self.store.empty_log()
        self._has_removed |= log_bytes > 0
        return Compaction(self.count(Where()), log_bytes)

    def copy(self, folder: Path) -> None:
        if folder.exists():
            raise GalleryError(f"expected a new folder for a copy at {folder}, found one there; name another")
        draft = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
        with translate_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            draft.mkdir()
            try:
                self.store.copy(draft)
                force(draft)
                draft.rename(folder)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
            force(folder.parent)

    def close(self) -> None:
        try:
            if not self._has_removed:
                self.index.keep_up()
            else:
                self.index.forget()
                self.store.empty_log()
        except GalleryError as error:
            logger.warning("the gallery was closed without compacting it: %s", error)
        finally:
            self.index.close()
            self.store.close()


def distinct_labels(view: GalleryView, column: str) -> list[Label]:
    """Return the labels of a view's items, each once, in order."""
    codes = getattr(view.columns, column)[view.columns.alive]
    return ordered(view.codes[column].labels[code] for code in np.unique(codes) if code != ABSENT)
