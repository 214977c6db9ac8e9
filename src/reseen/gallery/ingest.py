"""Sources of pictures to index: a folder, a table, or a video with its boxes. Needs no torch."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from reseen.embedding.parts import Work, checked_part, finished_work, label_column, part_name, vectors_of
from reseen.errors import DataError, GalleryError
from reseen.gallery.backends.base import ImportState
from reseen.gallery.gallery import Gallery
from reseen.gallery.records import Label
from reseen.labels import parse_identity
from reseen.pictures import Pixels, Reader, find_pictures
from reseen.storage import StorageFolder
from reseen.tables import read_table, require_files
from reseen.video import crops, read_boxes


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
        folders: The folder that a picture lies in is who it shows; in ``unknown``, nobody known.
        camera: Who took them all.
        reader: Reads the pictures, and passes over those that it cannot read if it is told to.

    Raises:
        DataError: There is none, or one cannot be read.
    """
    reader = reader or Reader()
    for path in files_below(root):
        identity = parse_identity(path.parent.name) if folders and path.parent != root else None
        if (pixels := reader.read(path)) is not None:
            yield Sighting(pixels, path.relative_to(root).as_posix(), identity, camera)


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
    """Return the pictures of a table, which is read at once.

    Columns: ``path``, from the table's folder, and, where known, ``identity`` (``unknown`` is nobody), ``camera``,
    ``track``, ``time`` and the box to use, in one of the forms of `reseen.tables.BOXES`.

    Args:
        table: The file, CSV or Parquet.
        camera: Who took those of which the table does not say it.
        reader: As in `from_folder`; the boxes of one frame are best in rows that follow one another.

    Raises:
        DataError: The table cannot be read, or names pictures that are not there.
    """
    reader = reader or Reader()
    rows = read_table(table, required=("path",), optional=("identity", "camera", "track", "time"), boxes=True)
    paths = rows.paths(table.parent)
    if reader.unreadable == "stop":  # At once, and not after an hour of indexing.
        require_files(dict.fromkeys(paths), source=table)
    columns = (
        rows.texts("path"),
        rows.identities(),
        [camera if place is None else place for place in rows.labels("camera")],
        rows.labels("track"),
        rows.numbers("time"),
    )
    return (
        Sighting(pixels, *known)
        for path, box, *known in zip(paths, rows.boxes(), *columns, strict=True)
        if (pixels := reader.read(Path(path), box)) is not None
    )


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
    for crop in crops(video, read_boxes(boxes), every=every):
        if crop.time >= end:
            break
        if crop.time >= first:
            empty = False
            track = crop.boxed.track
            source = f"{video.name}#frame={crop.boxed.frame}&box={','.join(map(str, crop.boxed.box))}"
            yield Sighting(crop.pixels, source, who(track), camera, track, start + crop.time)
    if empty:
        raise DataError(
            f"expected boxes of {boxes} between the seconds asked for of {video}, found none; check --begin and --end"
        )


BEGUN, IMPORT = "begun", "import "
IMPORTS, PAUSE = 8, 0.5
"""Imports of a server that run at once, and seconds between two looks at one."""


class Importing(NamedTuple):
    """A part that a server takes in.

    Attributes:
        note: The gallery's note of the part.
        state: Size and time of the part's file.
        job: As the gallery names it.
        rows: How many.
    """

    note: str
    state: str
    job: str
    rows: int


def add_parts(gallery: Gallery, folder: StorageFolder) -> Iterator[tuple[int, int]]:
    """Add the vectors that `reseen embed` wrote to a gallery, a part at a time; parts that are in it are passed over.

    A picture is the same sighting as if it were indexed by itself: its id comes from its pixels. The gallery keeps a
    note for each part: that it was begun, or the job of its import, and then the size and time of its file. Sightings
    of a part that it has met before keep what is known of them.

    Args:
        gallery: Of the model of the parts; one with ``import_storage`` imports parts that it has not met.
        folder: What `embed` wrote.

    Yields:
        Of each part how many vectors were added, and how many of them are new.

    Raises:
        RunError: Parts are missing or damaged.
        GalleryError: The gallery is of another model, or an import failed.
    """
    work = finished_work(folder)
    running: deque[Importing] = deque()
    for number, note in enumerate(part_notes(work)):
        state = repr(folder.file_info(part_name(number)))
        noted = gallery.note(note)
        if noted is not None and noted.startswith(IMPORT):
            noted = _after_import(gallery, note, noted)
        if noted == state:
            yield 0, 0
            continue
        if noted is None:
            gallery.put_note(note, BEGUN)
        table = checked_part(folder, work, number)
        vectors = vectors_of(table)
        columns: dict[str, Any] = {
            "identities": label_column(table, "identity", work),
            "cameras": label_column(table, "camera", work),
            "tracks": label_column(table, "track", work),
            "times": table["time"].to_pylist() if "time" in table.column_names else None,
            "sources": table["path"].to_pylist(),
            "contents": table["digest"].to_pylist(),
        }
        if noted is None and (job := gallery.start_import(vectors, **columns)) is not None:
            gallery.put_note(note, IMPORT + json.dumps([job, state]))
            running.append(Importing(note, state, job, len(table)))
            if len(running) == IMPORTS:
                yield _imported(gallery, running.popleft())
            continue
        if noted is not None:  # Rows of an import that nothing was noted of must be found.
            gallery.finish_imports()
        # Rows that are held may have been named since: of a part made again, or stopped in the middle.
        added = gallery.add(vectors, **columns, look_up=noted is not None)
        gallery.put_note(note, state)
        yield len(table), added.new
    while running:
        yield _imported(gallery, running.popleft())
    gallery.finish_imports()


def _after_import(gallery: Gallery, note: str, noted: str) -> str | None:
    """Wait for an import of an earlier call, and return what is noted of its part then; None: begin it again."""
    job, state = json.loads(noted.removeprefix(IMPORT))
    outcome = _ended(gallery, job).outcome
    if outcome == "failed":
        return None
    after = str(state) if outcome == "complete" else BEGUN
    gallery.put_note(note, after)
    return after


def _imported(gallery: Gallery, importing: Importing) -> tuple[int, int]:
    ended = _ended(gallery, importing.job)
    if ended.outcome != "complete":
        raise GalleryError(
            f"expected {gallery.location} to import its part, got: {ended.reason or ended.outcome}; check what "
            "--import_storage and --import_path name, then start again"
        )
    gallery.put_note(importing.note, importing.state)
    return importing.rows, importing.rows


def _ended(gallery: Gallery, job: str) -> ImportState:
    while (state := gallery.import_state(job)).outcome == "running":
        time.sleep(PAUSE)
    return state


def part_notes(work: Work) -> Iterator[str]:
    """Yield the name of a gallery's note of each part."""
    key = hashlib.blake2b(repr(work).encode(), digest_size=16).hexdigest()
    yield from (f"part:{key}:{number:08d}" for number in range(work.num_parts))


def naming(people: Path | None, *, tracks: bool) -> Callable[[int | None], Label | None]:
    """Return what says who a track shows: a table, or its own number, or nothing."""
    if people is not None:
        return read_people(people).get
    return lambda track: track if tracks else None


def read_people(path: Path) -> dict[int | None, Label]:
    """Read who each track shows: a table of ``track`` and ``identity``.

    Raises:
        DataError: The table cannot be read, or a track is no number.
    """
    rows = read_table(path, required=("track", "identity"))
    tracks = rows.labels("track")
    if wrong := [track for track in tracks if not isinstance(track, int)]:
        raise DataError(f"expected numbers of tracks in {path}, got {wrong[0]!r}; mend the row")
    named = zip(tracks, rows.identities(), strict=True)
    return {track: name for track, name in named if isinstance(track, int) and name is not None}
