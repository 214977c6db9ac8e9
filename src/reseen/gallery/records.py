"""What a gallery holds and gives: items, filters, matches. Nothing here needs torch.

Dimensions: N items, D components of a vector.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Label = int | str
"""The name of an identity, a camera or a track."""


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
    """Which items a search looks at; None asks for nothing, and everything asked for must hold.

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

    @property
    def everything(self) -> bool:
        """Whether nothing is asked for."""
        return self == EVERYTHING


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


@dataclass(frozen=True, slots=True)
class Added:
    """What `Gallery.add` did.

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


@dataclass(frozen=True, eq=False)
class Rows:
    """N checked rows on their way into an engine; every column has N entries.

    Attributes:
        ids: 32 hexadecimal digits each.
        vectors: (N, D) float32.
        identities: Labels or None; so are ``cameras`` and ``tracks``.
        times: Seconds or None.
        sources: Names or None.
        extras: JSON objects, as text.
        pictures: JPEG files to show, or None.
    """

    ids: Sequence[str]
    vectors: NDArray[np.float32]
    identities: Sequence[Label | None]
    cameras: Sequence[Label | None]
    tracks: Sequence[Label | None]
    times: Sequence[float | None]
    sources: Sequence[str | None]
    extras: Sequence[str]
    pictures: Sequence[bytes | None]

    def __len__(self) -> int:
        return len(self.ids)


def as_vectors(vectors: ArrayLike) -> NDArray[np.float32]:
    """Return vectors (N, D) as contiguous finite float32, or say what is wrong with them."""
    array = np.ascontiguousarray(vectors, dtype=np.float32)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"expected vectors (N, D), got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("expected finite vectors, got NaN or infinity; look at the pictures or the model behind them")
    return array


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors (N, D) scaled to length 1; a zero vector stays zero, alike to nothing."""
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]
    scaled: NDArray[np.float32] = vectors / np.where(norms == 0, np.float32(1), norms)
    return scaled


def plain(value: Any, name: str) -> Label | None:
    """Return a label as an int, a str or None, whatever numpy made of it."""
    if value is None:
        return None
    if isinstance(value, str):
        return as_text(value)
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"expected {name} of integers of 64 bits, got {value}")
        return int(value)
    raise ValueError(f"expected {name} of integers, strings or None, got {type(value).__name__} {value!r}")


def as_text(value: Any) -> str:
    """Return a value as text that can be written down."""
    text = str(value)
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError(f"expected text, got half of a character (a lone surrogate) in {text!r}")
    return text


def as_rows(
    vectors: NDArray[np.float32],
    *,
    identities: Sequence[Any] | None,
    cameras: Sequence[Any] | None,
    tracks: Sequence[Any] | None,
    times: Sequence[float | None] | None,
    sources: Sequence[str | None] | None,
    extras: Sequence[Mapping[str, Any] | None] | None,
    pictures: Sequence[bytes | None] | None,
    contents: Sequence[bytes] | None,
) -> Rows:
    """Check N rows and name each by its content."""
    count = len(vectors)

    def column(values: Sequence[Any] | None, name: str) -> Sequence[Any]:
        if values is None:
            return [None] * count
        if len(values) != count:
            raise ValueError(f"expected {count} {name} beside {count} vectors, got {len(values)}")
        return values

    def labels(values: Sequence[Any] | None, name: str) -> list[Label | None]:
        return [plain(value, name) for value in column(values, name)]

    placed = labels(cameras, "cameras")
    tracked = labels(tracks, "tracks")
    timed = [None if t is None or np.isnan(t) else float(t) for t in column(times, "times")]
    named = [None if s is None else as_text(s) for s in column(sources, "sources")]
    seen = vectors if contents is None else column(contents, "contents")
    ids = [content_id(*row) for row in zip(seen, placed, tracked, timed, named, strict=True)]
    written = [as_json(extra) for extra in column(extras, "extras")]
    drawn = column(pictures, "pictures")
    return Rows(ids, vectors, labels(identities, "identities"), placed, tracked, timed, named, written, drawn)


def content_id(
    content: bytes | NDArray[np.float32],
    camera: Label | None,
    track: Label | None,
    time: float | None,
    source: str | None,
) -> str:
    """Name a sighting by its picture (or else its vector) and by where, when and whence it came."""
    digest = hashlib.blake2b(content if isinstance(content, bytes) else content.data, digest_size=16)
    digest.update(repr((camera, track, time, source)).encode())
    return digest.hexdigest()


def as_json(extra: Mapping[str, Any] | None) -> str:
    """Write an item's extra as JSON text."""
    if not extra:
        return "{}"
    try:
        return json.dumps(dict(extra), allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected extra that JSON can hold, got {extra!r} ({error})") from None
