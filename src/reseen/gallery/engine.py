"""What a gallery asks of the store behind it: two engines answer, SQLite with FAISS and Milvus.

Dimensions: N items, Q queries, D components of a vector, k answers.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reseen.gallery.records import Item, Label, Mark, Where
from reseen.gallery.rows import Rows


class Hit(NamedTuple):
    """A found item's id and its cosine with the query."""

    id: str
    similarity: float


class Facts(NamedTuple):
    """What never changes once something has been added."""

    model: str | None
    dim: int | None


class Engine(ABC):
    """Holds items and finds the most alike; every call is a transaction of its own: whole, or not at all.

    The front door (`Gallery`) checks what it hands down: ids are well formed, vectors float32 (N, D) of the engine's
    dimension, queries of length 1.
    """

    _facts = Facts(model=None, dim=None)

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

    @abstractmethod
    def read_facts(self) -> Facts:
        """Return what `begin` fixed."""

    @abstractmethod
    def begin(self, model: str | None, dim: int) -> None:
        """Fix the model and the dimension, unless that has been done."""

    @abstractmethod
    def add(self, rows: Rows) -> int:
        """Keep the rows whose id is not held yet; return how many those were."""

    @abstractmethod
    def update(self, ids: Sequence[str], changes: Mapping[str, Any]) -> int:
        """Set columns of items and return how many of these were held; ``extra`` comes as JSON text."""

    @abstractmethod
    def rename(self, identity: Label, new: Label) -> int:
        """Give every item of an identity another one and return how many there were."""

    @abstractmethod
    def delete(self, ids: Sequence[str]) -> int:
        """Forget items and their pictures; return how many were held."""

    @abstractmethod
    def search(self, queries: NDArray[np.float32], k: int, where: Where, *, exact: bool) -> list[list[Hit]]:
        """Return for each query (Q, D) the at most k most alike of the items asked for, best first."""

    @abstractmethod
    def items(self, ids: Sequence[str]) -> list[Item | None]:
        """Return the items in the order asked for; None for one that is not held."""

    @abstractmethod
    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors (N, D) as they were added, in the order asked for; KeyError for one that is not held."""

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

    @abstractmethod
    def pictured(self, ids: Sequence[str]) -> set[str]:
        """Return those of the items that a picture is kept for."""

    @abstractmethod
    def picture(self, item: str) -> bytes | None:
        """Return the JPEG file kept for an item, if any."""

    @abstractmethod
    def note(self, name: str) -> str | None:
        """Return the text kept under a name, if any."""

    @abstractmethod
    def put_note(self, name: str, text: str) -> None:
        """Keep a text under a name, in place of what was there."""

    @abstractmethod
    def mark(self, mark: Mark) -> None:
        """Keep a verdict; a later one on the same query and item takes its place."""

    @abstractmethod
    def marks(self) -> list[Mark]:
        """Return every verdict."""

    @abstractmethod
    def compact(self) -> None:
        """Make what is slow to keep up to date anew, as the file of a search index."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections."""


def without_password(location: str) -> str:
    """Return a location as it may be shown."""
    return re.sub("^milvus://[^/]*@", "milvus://", location)
