"""Checked rows on their way into a gallery: vectors and columns, each row named by its content.

Dimensions: N items, D components of a vector.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reseen.exact import ordered_sum
from reseen.gallery.records import Label
from reseen.labels import composed
from reseen.slicing import chunks

# Vectors that are scaled at once, in float64.
ROWS_PER_BLOCK = 2**8


@dataclass(frozen=True, eq=False)
class Rows:
    """N checked rows on their way into a backend; every column has N entries.

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


def normalized(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors (N, D) scaled to length 1, alike on any machine; a zero vector stays zero, alike to nothing."""
    scaled = np.empty_like(vectors)
    for part in chunks(len(vectors), ROWS_PER_BLOCK):
        fine = vectors[part].astype(np.float64)
        norms = np.sqrt(ordered_sum(fine * fine))[:, None]
        scaled[part] = fine / np.where(norms == 0, 1, norms)
    return scaled


def plain_label(value: Any, name: str) -> Label | None:
    """Return a label as an int, a str or None, whatever numpy made of it."""
    if value is None:
        return None
    if isinstance(value, str):
        return composed(storable_text(value))
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"expected {name} of integers of 64 bits, got {value}")
        return int(value)
    raise ValueError(f"expected {name} of integers, strings or None, got {type(value).__name__} {value!r}")


def storable_text(value: Any) -> str:
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
        return [plain_label(value, name) for value in column(values, name)]

    cameras, tracks = labels(cameras, "cameras"), labels(tracks, "tracks")
    times = [None if time is None or np.isnan(time) else float(time) for time in column(times, "times")]
    sources = [None if source is None else storable_text(source) for source in column(sources, "sources")]
    named_by = vectors if contents is None else column(contents, "contents")
    ids = [content_id(*row) for row in zip(named_by, cameras, tracks, times, sources, strict=True)]
    texts = [as_json(extra) for extra in column(extras, "extras")]
    identities = labels(identities, "identities")
    return Rows(ids, vectors, identities, cameras, tracks, times, sources, texts, column(pictures, "pictures"))


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


def checked_ids(ids: Sequence[str]) -> Sequence[str]:
    """Return ids, or say that one is not well formed."""
    for name in [ids] if isinstance(ids, str) else ids:
        if isinstance(ids, str) or len(name) != 32 or set(name) - set("0123456789abcdef"):
            raise ValueError(f"expected ids of 32 hexadecimal digits, got {name!r}")
    return ids


def as_column(name: str, value: Any) -> Any:
    """Check a changed value and return it as a backend keeps it."""
    if name == "extra":
        return as_json(value)
    if name == "source":
        return None if value is None else storable_text(value)
    if name == "time":
        if value is not None and not math.isfinite(value):
            raise ValueError(f"expected a finite time in seconds, got {value}")
        return None if value is None else float(value)
    return plain_label(value, name)
