"""``reseen index GALLERY``."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import track

from reseen.commands.sightings import Sighting, from_folder, from_table, from_video, naming
from reseen.encoding import load
from reseen.errors import DataError
from reseen.gallery import Gallery
from reseen.pictures import Reader, digest, thumbnail

BATCH = 64


def index(
    gallery: str,
    /,
    *,
    model: Path,
    pictures: Path | None = None,
    table: Path | None = None,
    video: Path | None = None,
    boxes: Path | None = None,
    identities: Literal["none", "folders", "tracks"] = "none",
    people: Path | None = None,
    camera: int | str | None = None,
    start: float = 0.0,
    begin: float | None = None,
    end: float | None = None,
    every: int = 1,
    thumbnails: bool = True,
    unreadable: Literal["stop", "skip"] = "stop",
    device: str | None = None,
) -> None:
    """Add pictures to a gallery, and make it if there is none.

    Give one of --pictures, --table, or --video with --boxes. Indexing the same again adds nothing.

    Args:
        gallery: A folder, or milvus://host:port/name.
        model: The folder of a run, a checkpoint, or an exported .onnx file.
        pictures: A folder of pictures, each of one individual.
        table: A CSV file of path and, where known, identity, camera, track, time, left, top, width, height.
        video: A video.
        boxes: Who is where on it, in MOTChallenge's format: what a tracker writes.
        identities: Who is shown: nobody knows (none), the name of a picture's folder (folders), or the number of a
            box's track (tracks).
        people: A CSV file of track and identity that says who a video's tracks show; a tracker gives whoever comes
            back a new number.
        camera: Which camera the pictures are by; a table may say it for each.
        start: Of a video, the time at its start in seconds, such as Unix time.
        begin: Of a video, the second to begin at.
        end: Of a video, the second to end before.
        every: Of a video, take every so many frames.
        thumbnails: Keep a small JPEG of each picture, to be shown with matches.
        unreadable: Stop at a picture that cannot be read, or skip and count it.
        device: Where the model runs; a GPU where there is one if not given.
    """
    given = [name for name, value in (("pictures", pictures), ("table", table), ("video", video)) if value is not None]
    if len(given) != 1 or (video is None) != (boxes is None):
        raise DataError("expected one of --pictures, --table, or --video with --boxes; see reseen index --help")
    for asked, name, there in (
        (identities == "folders", "--identities folders with --pictures", pictures),
        (identities == "tracks", "--identities tracks with --video", video),
        (people is not None, "--people with --video", video),
    ):
        if asked and there is None:
            raise DataError(f"expected {name}; see reseen index --help")
    reader = Reader(unreadable)
    found: Iterator[Sighting]
    if pictures is not None:
        found = from_folder(pictures, folders=identities == "folders", camera=camera, reader=reader)
    elif table is not None:
        found = from_table(table, camera=camera, reader=reader)
    elif video is not None and boxes is not None:
        who = naming(people, tracks=identities == "tracks")
        found = from_video(video, boxes, who=who, camera=camera, start=start, window=(begin, end), every=every)
    encoder = load(model, device)
    count = new = 0
    with Gallery(gallery, encoder.fingerprint) as kept:
        for batch in track(batches(found), "Indexing", show_speed=False):
            new += kept.add(
                encoder([sighting.pixels for sighting in batch]),
                identities=[sighting.identity for sighting in batch],
                cameras=[sighting.camera for sighting in batch],
                tracks=[sighting.track for sighting in batch],
                times=[sighting.time for sighting in batch],
                sources=[sighting.source for sighting in batch],
                pictures=[thumbnail(sighting.pixels) for sighting in batch] if thumbnails else None,
                contents=[digest(sighting.pixels) for sighting in batch],
            ).new
            count += len(batch)
        skipped = f", {reader.skipped:,} unreadable passed over" if reader.skipped else ""
        Console(highlight=False).print(
            f"{count:,} pictures, {new:,} of them new{skipped}; {len(kept):,} in {kept.location}"
        )


def batches(found: Iterator[Sighting]) -> Iterator[list[Sighting]]:
    """Yield the sightings in lists."""
    while batch := list(itertools.islice(found, BATCH)):
        yield batch
