"""Where pictures to be indexed come from: a folder, a table, or a video with its boxes. Needs no torch."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reseen.errors import DataError
from reseen.pictures import Pixels, Reader, find_pictures
from reseen.video import crops, read_boxes

Label = int | str


@dataclass(frozen=True, eq=False)
class Sighting:
    """A picture on its way into a gallery, with what is known of it."""

    pixels: Pixels
    source: str
    identity: Label | None = None
    camera: Label | None = None
    track: Label | None = None
    time: float | None = None


def from_folder(root: Path, *, folders: bool, camera: Label | None, reader: Reader | None = None) -> Iterator[Sighting]:
    """Yield the pictures below a folder, in the order of their names.

    Args:
        root: The folder.
        folders: The folder that a picture lies in is who it shows.
        camera: Who took them all.
        reader: Reads the pictures, and passes over those that it cannot read if it is told to.

    Raises:
        DataError: There is none, or one cannot be read.
    """
    reader = reader or Reader()
    for path in files_below(root):
        named = path.parent.name if folders and path.parent != root else None
        if (pixels := reader.read(path)) is not None:
            yield Sighting(pixels, path.relative_to(root).as_posix(), named, camera)


def files_below(root: Path) -> list[Path]:
    """Return the files below a folder that are named as pictures are, in the order of their names.

    Raises:
        DataError: There is none.
    """
    files = [root / name for name in find_pictures(root)]
    if not files:
        raise DataError(f"expected pictures in {root}, found none; check the path")
    return files


def from_table(table: Path, *, camera: Label | None, reader: Reader | None = None) -> Iterator[Sighting]:
    """Yield the pictures of a CSV file.

    Columns: ``path``, from the table's folder, and, where known, ``identity, camera, track, time, left, top, width,
    height``. Identities, cameras and tracks are integers if a whole column is, else text.

    Args:
        table: The file.
        camera: Who took those of which the table does not say it.
        reader: As in `from_folder`; the boxes of one frame are best in rows that follow one another.

    Raises:
        DataError: The table or a picture cannot be read.
    """
    reader = reader or Reader()
    rows = read_table(table, ("path",))
    who, places, tracks = (labels([row.get(name) for row in rows]) for name in ("identity", "camera", "track"))
    for number, row in enumerate(rows):
        try:
            time = float(row["time"]) if row.get("time") else None
            box = [round(float(row[name])) for name in ("left", "top", "width", "height")] if row.get("left") else None
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise DataError(f"expected numbers in row {number + 1} of {table}, got: {error}; mend the row") from None
        pixels = reader.read(table.parent / row["path"], None if box is None else (box[0], box[1], box[2], box[3]))
        if pixels is None:
            continue
        place = places[number] if places[number] is not None else camera
        yield Sighting(pixels, row["path"], who[number], place, tracks[number], time)


def from_video(
    video: Path,
    boxes: Path,
    *,
    who: Callable[[int | None], Label | None],
    camera: Label | None,
    start: float,
    window: tuple[float | None, float | None],
    every: int,
) -> Iterator[Sighting]:
    """Yield what a video shows in the boxes of a tracker.

    Args:
        video: Any file that FFmpeg reads.
        boxes: MOTChallenge's format.
        who: Says who a track shows.
        camera: Which camera it is.
        start: The time at the video's start; the video's own seconds are added.
        window: Seconds of the video to take from and up to; None for its ends.
        every: Take every so many frames.

    Raises:
        DataError: The video or the boxes cannot be read, or nothing is left in the window.
    """
    first, end = (-math.inf if window[0] is None else window[0]), (math.inf if window[1] is None else window[1])
    empty = True
    for found in crops(video, read_boxes(boxes), every=every):
        if found.time >= end:
            break
        if found.time >= first:
            empty = False
            track = found.boxed.track
            source = f"{video.name}#frame={found.boxed.frame}&box={','.join(map(str, found.boxed.box))}"
            yield Sighting(found.pixels, source, who(track), camera, track, start + found.time)
    if empty:
        raise DataError(
            f"expected boxes of {boxes} between the seconds asked for of {video}, found none; check --begin and --end"
        )


def naming(people: Path | None, *, tracks: bool) -> Callable[[int | None], Label | None]:
    """Return what says who a track shows: a table, or its own number, or nothing."""
    if people is not None:
        return read_people(people).get
    return lambda track: track if tracks else None


def read_people(path: Path) -> dict[int | None, Label]:
    """Read who each track shows: a CSV file of ``track`` and ``identity``.

    Raises:
        DataError: The file cannot be read, or a track is no number.
    """
    rows = read_table(path, ("track", "identity"))
    names = labels([row["identity"] for row in rows])
    try:
        tracks = [int(row["track"]) for row in rows]
    except (ValueError, TypeError) as error:
        raise DataError(f"expected numbers of tracks in {path}, got: {error}; mend the row") from None
    return {track: name for track, name in zip(tracks, names, strict=True) if name is not None}


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read the rows of a CSV file that must have some columns.

    Raises:
        DataError: It cannot be read, has no rows, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        found = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"expected a CSV table at {path}, got: {found}; check the path") from None
    missing = [name for name in columns if not rows or name not in rows[0]]
    if missing:
        raise DataError(f"expected rows with a column {missing[0]} in {path}, found none; check the first line")
    return rows


def labels(column: Sequence[str | None]) -> list[Label | None]:
    """Return a column of text as labels: integers if all that is there is one, in plain form."""
    known = [text for text in column if text]
    if all(text.removeprefix("-").isdecimal() and str(int(text)) == text for text in known):
        return [int(text) if text else None for text in column]
    return [text or None for text in column]
