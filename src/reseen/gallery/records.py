"""Records of a gallery: items, filters, matches, verdicts. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Label = int | str
"""The name of an identity, a camera or a track."""


COPY = 1 - 1e-5
"""Similarity from which two pictures are the same one; a network gives it slightly other vectors in other batches."""


@dataclass(frozen=True, slots=True)
class Item:
    """One sighting: where and when an individual was seen, and who it is if that is known.

    Attributes:
        id: 32 hexadecimal digits, made from the content: the same sighting has the same id in every gallery.
        identity: Who it is, or None where nobody has said.
        camera: Where it was seen.
        track: The unbroken sequence it belongs to.
        time: When, in seconds of any one clock.
        source: Where the picture came from, as a file's name; never opened by the gallery.
        extra: Anything else that JSON can hold.
    """

    id: str
    identity: Label | None = None
    camera: Label | None = None
    track: Label | None = None
    time: float | None = None
    source: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Where:
    """Filter of items; None asks for nothing, and everything asked for must hold.

    Attributes:
        identities: Any of these; None among them stands for the items without an identity.
        cameras: Any of these, likewise.
        since: Seen at this time or later; items without a time are left out.
        until: Seen before this time; items without a time are left out.
        named: Only items with an identity.
    """

    identities: Sequence[Label | None] | None = None
    cameras: Sequence[Label | None] | None = None
    since: float | None = None
    until: float | None = None
    named: bool = False


EVERYTHING = Where()


@dataclass(frozen=True, slots=True)
class Match:
    """One answer of a search.

    Attributes:
        item: The sighting; of an identity or a track, its best one.
        similarity: Cosine with the query, -1..1.
        probability: That both show the same individual; None while the gallery is not calibrated.
    """

    item: Item
    similarity: float
    probability: float | None = None

    @property
    def is_copy(self) -> bool:
        """Whether the item is the query's own picture, or a copy of it: that it matches is no evidence of anything."""
        return self.similarity >= COPY


@dataclass(frozen=True, slots=True)
class Added:
    """Result of `Gallery.add`.

    Attributes:
        ids: (N,) the ids of the rows given, in their order.
        new: How many of them the gallery did not hold before.
    """

    ids: tuple[str, ...]
    new: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A user's verdict on a match, kept for the next calibration.

    Attributes:
        query: What was searched with, by the digest of its picture or vector.
        item: The id of the item that was shown.
        similarity: What the search said.
        same: Whether it was the same individual.
    """

    query: str
    item: str
    similarity: float
    same: bool


@dataclass(frozen=True, slots=True)
class Compaction:
    """Result of `Gallery.compact`: what could not be removed.

    Attributes:
        num_items: How many items are held.
        log_bytes: Size of the database's log, where it could not be emptied because another process reads the gallery:
            what was deleted may stand in it until that process is done and `compact` is called again. 0 once emptied.
    """

    num_items: int
    log_bytes: int = 0
