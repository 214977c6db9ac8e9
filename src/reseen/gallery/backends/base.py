"""Base class of gallery backends, and which one a location names.

Dimensions: N items, Q queries, D components of a vector, k answers.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reseen.errors import GalleryError
from reseen.extras import needs
from reseen.gallery.records import Compaction, Item, Label, Mark, Where
from reseen.gallery.rows import Rows

BACKENDS = {
    "": ("gallery", "reseen.gallery.backends.sqlite_faiss.backend", "SqliteFaissBackend"),
    **dict.fromkeys(
        ("milvus", "milvus+https", "milvus-lite"),
        ("milvus", "reseen.gallery.backends.milvus.backend", "MilvusBackend"),
    ),
}
"""By the scheme of a location's URL, none for a folder: the extra to install, the module, and the class."""


class Hit(NamedTuple):
    """A found item's id and its cosine with the query."""

    id: str
    similarity: float


class Facts(NamedTuple):
    """Model and dimension of a gallery, which never change once something has been added."""

    model: str | None
    dim: int | None


class Groups(NamedTuple):
    """Items that a search leaves out because their group has been answered.

    Attributes:
        by: What makes a group.
        labels: Identities or tracks.
        ids: Items without one, each of which is a group.
    """

    by: Literal["identity", "track"]
    labels: Sequence[Label]
    ids: Sequence[str]


class ImportState(NamedTuple):
    """How far an import is; "unknown" to the backend, it has either ended long ago or never begun.

    Attributes:
        outcome: What has become of it.
        reason: Why it failed.
    """

    outcome: Literal["running", "complete", "failed", "unknown"]
    reason: str = ""


class Backend(ABC):
    """Base class of backends: keep items and find the most alike; every call is a transaction: whole, or not at all.

    `Gallery` checks what it hands down: ids are well formed, vectors float32 (N, D) of the backend's dimension,
    queries of length 1.

    Attributes:
        options: Names of the options that a location of this kind can be opened with; others are refused.
        location: Where the gallery is, as it may be shown: without a password.
    """

    options: ClassVar[frozenset[str]] = frozenset()
    location: str
    _facts = Facts(model=None, dim=None)

    @classmethod
    @abstractmethod
    def from_location(cls, location: str, *, create: bool, options: Mapping[str, Any]) -> Backend:
        """Open the gallery at a location, or make it.

        Args:
            location: A folder, or a URL.
            create: Make the gallery where there is none.
            options: By name, some of ``cls.options``.

        Raises:
            GalleryError: There is no such gallery, or it cannot be read.
        """

    @classmethod  # noqa: B027  (a server is asked when it is opened)
    def require(cls, location: str) -> None:
        """Make sure that there is a gallery at a location, where that can be told without opening it.

        Raises:
            GalleryError: There is none.
        """

    @property
    def model(self) -> str | None:
        """The fingerprint of the model that the vectors came from, once something has been added."""
        return self._known().model

    @property
    def dim(self) -> int | None:
        """D, once something has been added, in whatever process."""
        return self._known().dim

    def _known(self) -> Facts:
        if self._facts.dim is None:
            self._facts = self.read_facts()
        return self._facts

    # Items and their vectors.

    @abstractmethod
    def read_facts(self) -> Facts:
        """Return what `begin` fixed."""

    @abstractmethod
    def begin(self, model: str | None, dim: int) -> None:
        """Fix the model and the dimension, unless that has been done."""

    @abstractmethod
    def add(self, rows: Rows, *, look_up: bool = True) -> int:
        """Keep the rows whose id is not held yet; return how many those were.

        Args:
            rows: Checked.
            look_up: False allows a backend that would have to look for each row to write held ones over, and to count
                all.
        """

    def start_import(self, rows: Rows) -> str | None:
        """Begin to take in rows from a file, writing over those that are held; return the job.

        None where the backend does not offer it: they have to be added. One process at a time for the same rows.
        """
        return None

    def import_state(self, job: str) -> ImportState:
        """Return how far an import is."""
        return ImportState("unknown")

    def finish_imports(self) -> None:
        """Wait until no import of this gallery is running, and make sure that searches find their rows."""
        return

    @abstractmethod
    def update(self, ids: Sequence[str], changes: Mapping[str, Any]) -> int:
        """Set columns of items and return how many of these were held; ``extra`` comes as JSON text."""

    @abstractmethod
    def rename(self, identity: Label, new: Label) -> int:
        """Give every item of an identity another one and return how many there were."""

    @abstractmethod
    def delete(self, ids: Sequence[str]) -> int:
        """Delete items with their pictures and verdicts; return how many items were held."""

    @abstractmethod
    def search(
        self, queries: NDArray[np.float32], k: int, where: Where, *, exact: bool, answered: Groups | None = None
    ) -> list[list[Hit]]:
        """Return for each query (Q, D) the at most k most alike of the items asked for, best first."""

    @abstractmethod
    def items(self, ids: Sequence[str]) -> list[Item | None]:
        """Return the items in the order asked for; None for one that is not held."""

    @abstractmethod
    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors (N, D) as they were added, in the order asked for; KeyError for one that is not held."""

    @abstractmethod
    def pictured(self, ids: Sequence[str]) -> set[str]:
        """Return those of the items that a picture is kept for."""

    @abstractmethod
    def picture(self, item: str) -> bytes | None:
        """Return the JPEG file kept for an item, if any."""

    @abstractmethod
    def select(self, where: Where, limit: int) -> list[str]:
        """Return the ids of at most ``limit`` items asked for, in an order that does not change from call to call."""

    @abstractmethod
    def count(self, where: Where) -> int:
        """Return how many items are asked for."""

    @abstractmethod
    def cameras(self) -> list[Label]:
        """Return every camera there is, in order."""

    @abstractmethod
    def identities(self) -> list[Label]:
        """Return every identity there is, in order; Milvus reads every row for it."""

    @abstractmethod
    def times(self) -> tuple[float, float] | None:
        """Return the first and the last time there is; Milvus may remember times of items that are gone."""

    # Texts by name.

    @abstractmethod
    def note(self, name: str) -> str | None:
        """Return the text kept under a name, if any."""

    @abstractmethod
    def put_note(self, name: str, text: str) -> None:
        """Keep a text under a name, in place of what was there."""

    # Feedback.

    @abstractmethod
    def mark(self, mark: Mark) -> None:
        """Keep a verdict on an item that is held; a later one on the same query and item takes its place."""

    @abstractmethod
    def unmark(self, query: str, item: str) -> None:
        """Remove the verdict on a query and an item, if there is one."""

    @abstractmethod
    def marks(self) -> list[Mark]:
        """Return every verdict."""

    # Storage.

    @abstractmethod
    def compact(self) -> Compaction:
        """Make what is slow to keep up to date anew, as a search index, and remove what was deleted from the files."""

    def copy(self, folder: Path) -> None:
        """Copy the gallery, as of one moment, to a folder that is not there yet."""
        raise GalleryError(
            f"expected the folder of a gallery to copy, got {self.location}; back it up by the server's own means"
        )

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections."""


def backend_of(location: str) -> type[Backend]:
    """Return the backend that a location names.

    Raises:
        GalleryError: There is none.
        ReseenError: The library that it needs is not installed.
    """
    scheme, separator, _ = location.partition("://")
    if not separator:
        scheme = ""
    if scheme not in BACKENDS:
        known = ", ".join(f"{name}://" for name in BACKENDS if name)
        raise GalleryError(f"expected a folder or one of {known}, got {scheme}://; name another place for the gallery")
    extra, module, name = BACKENDS[scheme]
    with needs(extra):
        backend: type[Backend] = getattr(importlib.import_module(module), name)
    return backend


def open_backend(location: str, *, create: bool, **options: Any) -> Backend:
    """Return the backend that a location names, opened.

    Args:
        location: A folder, or a URL of a scheme of `BACKENDS`.
        create: Make the gallery where there is none.
        options: Of the backend; None for one that is not asked for.

    Raises:
        GalleryError: There is no such backend, it has no use for an option, or the gallery cannot be opened.
    """
    backend = backend_of(location)
    asked = {option: value for option, value in options.items() if value is not None}
    if unused := sorted(asked.keys() - backend.options):
        before, separator, _ = location.partition("://")
        kind = f"{before}://" if separator else "a folder"
        raise GalleryError(
            f"expected options of {', '.join(sorted(backend.options))} for a gallery at {kind}, "
            f"got {', '.join(unused)}, of which it makes no use; leave it out"
        )
    return backend.from_location(location, create=create, options=asked)
