"""Must-links and cannot-links: pairs of pictures known to show one individual, or two.

They come from tracks (one track is one individual; two tracks that one camera sees at one time are two) and from what
a person has said of pairs.

Dimensions: N pictures, M must-links, C cannot-links.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from reseen.errors import DataError
from reseen.tables import read_table
from reseen.types import Labels, Sample, as_labels

Ints = NDArray[np.int64]
ANSWERS = {"yes": True, "true": True, "1": True, "same": True, "no": False, "false": False, "0": False}
ANSWERS["different"] = False


def _none() -> Ints:
    return np.empty((0, 2), np.int64)


@dataclass(frozen=True, eq=False)
class Links:
    """What is known of pairs of N pictures, by their rows.

    Attributes:
        must: (M, 2) pairs of one individual.
        cannot: (C, 2) pairs of two individuals.
        tracks: The must-links along tracks, again: a track is of one group, and joins none, however many it touches.
    """

    must: Ints
    cannot: Ints
    tracks: Ints = field(default_factory=_none)

    @classmethod
    def none(cls) -> Links:
        """Return no links."""
        return cls(_none(), _none())

    def then(self, more: Links) -> Links:
        """Return these links and more."""
        return Links(*(np.concatenate([getattr(each, name) for each in (self, more)])
                       for name in ("must", "cannot", "tracks")))  # fmt: skip

    def units(self, count: int) -> Ints:
        """Return which must-linked group each of ``count`` pictures is in (N,), numbered from 0."""
        return connected(self.must, count)

    def require_consistent(self, names: Sequence[str]) -> None:
        """Make sure that no two pictures are linked both ways.

        Raises:
            DataError: Two are; they are named.
        """
        unit = self.units(len(names))
        wrong = np.flatnonzero(unit[self.cannot[:, 0]] == unit[self.cannot[:, 1]])
        if len(wrong):
            first, second = (names[row] for row in self.cannot[wrong[0]])
            raise DataError(
                f"expected pairs that agree with one another, found that {first} and {second} are two individuals and, "
                f"by other pairs or their track, one ({len(wrong):,} such pairs); take one of the answers back"
            )


def connected(pairs: Ints, count: int) -> Ints:
    """Return the connected component of each of ``count`` nodes (N,)."""
    graph = sparse.coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    components: Ints = connected_components(graph, directed=False)[1].astype(np.int64)
    return components


def track_links(cameras: Labels | None, tracks: Labels | None, times: Sequence[float | None] | None) -> Links:
    """Return the links of tracks: a track shows one individual, and one camera's tracks of one time show several.

    Args:
        cameras: (N,), or None where unknown. Tracks of different cameras are different tracks.
        tracks: (N,), None where a picture has none.
        times: (N,) seconds, None where unknown; tracks without times cannot overlap.

    Returns:
        Must-links along each track; cannot-links between the first pictures of two tracks whose times meet, ends
        included: a tracker that loses somebody and finds them again gives intervals that do not.
    """
    if tracks is None:
        return Links.none()
    places: dict[tuple[str | None, str], list[int]] = {}
    for row, track in enumerate(tracks.tolist()):
        if track is not None:
            places.setdefault((None if cameras is None else repr(cameras[row]), repr(track)), []).append(row)
    must = [(rows[0], row) for rows in places.values() for row in rows[1:]]
    spans: dict[str | None, list[tuple[float, float, int]]] = {}
    for (camera, _), rows in places.items():
        moments = [t for row in rows if times is not None and (t := times[row]) is not None]
        if moments:
            spans.setdefault(camera, []).append((min(moments), max(moments), rows[0]))
    cannot = [overlapping(np.array(sorted(each))) for each in spans.values()]
    along = np.array(must, np.int64).reshape(-1, 2)
    return Links(along, np.concatenate([_none(), *cannot]), along)


def sample_links(samples: Sequence[Sample]) -> Links:
    """Return the links of samples' tracks; see `track_links`."""
    columns = ([getattr(sample, name) for sample in samples] for name in ("camera", "track", "time"))
    cameras, tracks, times = columns
    return track_links(as_labels(cameras), as_labels(tracks), times)


def overlapping(spans: NDArray[np.float64]) -> Ints:
    """Return the pairs of rows of intervals (n, 3: start, end, row), in the order of their starts, that meet."""
    start, end, row = spans.T
    until = np.searchsorted(start, end, side="right")
    count = np.maximum(until - np.arange(1, len(start) + 1), 0)
    first = np.repeat(np.arange(len(start)), count)
    second = first + 1 + np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return np.stack([row[first], row[second]], axis=1).astype(np.int64)


def pair_links(path: Path, rows: Mapping[str, int]) -> Links:
    """Read a person's answers: a table of ``first``, ``second`` and ``same`` (yes or no; empty: not answered).

    Args:
        path: CSV or Parquet.
        rows: Row of each picture by its name.

    Raises:
        DataError: The table cannot be read, names a picture that is not there, or has another answer.
    """
    table = read_table(path, required=("first", "second", "same"))
    links: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
    columns = (table.texts("first"), table.texts("second"), table.texts("same"))
    for number, (first, second, answer) in enumerate(zip(*columns, strict=True), start=1):
        if not answer:
            continue
        if answer.lower() not in ANSWERS:
            raise DataError(f"expected yes or no as same in {path}, found {answer[:40]!r} in row {number}")
        if unknown := [name for name in (first, second) if name not in rows]:
            raise DataError(
                f"expected pictures that are clustered in {path}, found {unknown[0]!r} in row {number}; "
                "write names as in questions.csv"
            )
        links[ANSWERS[answer.lower()]].append((rows[first], rows[second]))
    return Links(*(np.array(links[same], np.int64).reshape(-1, 2) for same in (True, False)))
