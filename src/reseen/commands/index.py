"""``reseen index GALLERY``."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal

from rich.progress import track

from reseen.cli.models import open_model
from reseen.embedding.parts import finished_work
from reseen.errors import DataError
from reseen.gallery import Gallery
from reseen.gallery.ingest import Sighting, add_parts, from_folder, from_table, from_video, naming
from reseen.labels import parse_argument
from reseen.pictures import Reader, digest, thumbnail
from reseen.slicing import batched
from reseen.storage import StorageFolder
from reseen.terminal import Terminal
from reseen.zoo import DEFAULT

BATCH = 64


def index(
    gallery: str,
    /,
    *,
    model: str | None = None,
    pictures: Path | None = None,
    table: Path | None = None,
    video: Path | None = None,
    vectors: str | None = None,
    import_storage: str | None = None,
    import_path: str | None = None,
    boxes: Path | None = None,
    identities: Literal["none", "folders", "tracks"] = "none",
    people: Path | None = None,
    camera: str | int = "",
    start: float = 0.0,
    begin: float | None = None,
    end: float | None = None,
    every: int = 1,
    thumbnails: bool = True,
    unreadable: Literal["stop", "skip"] = "stop",
    relabel: bool = False,
    device: str | None = None,
) -> None:
    """Add pictures to a gallery; a new gallery is made if there is none.

    One of --pictures, --table, --video with --boxes, or --vectors. Indexing the same again adds nothing; where it names
    others than the gallery does, they are counted.

    Args:
        gallery: A folder, or milvus://host:port/name.
        model: A name that `reseen models` lists, the folder of a run, a checkpoint, or an exported file; a published
            model, which is fetched, if not given.
        pictures: A folder of pictures, each of one individual.
        table: A CSV or Parquet file of path and, where known, identity, camera, track, time and the box to use.
        video: A video.
        vectors: What reseen embed wrote, a folder or s3://, gs://; needs no model. Goes on where it was stopped.
        import_storage: A folder or s3://, gs:// of a Milvus server's own storage: --vectors then go in by its bulk
            import. Milvus Lite has none and takes them by requests.
        import_path: What the server calls that folder; its path, or that below the bucket, if not given.
        boxes: Boxes of the video in MOTChallenge's format, as trackers write it.
        identities: Source of identities: none, the name of a picture's folder (folders), or the track of a box
            (tracks).
        people: Table of track and identity, for the tracks of a video; a tracker gives whoever comes back a new
            number.
        camera: Camera of the pictures; a table may have one for each. 1 is a number, 001 is text.
        start: Time at the start of the video in seconds, such as Unix time.
        begin: Second of the video to begin at.
        end: Second of the video to end before.
        every: Use every n-th frame of the video.
        thumbnails: Keep a small JPEG of each picture, to be shown with matches.
        unreadable: Stop at a picture that cannot be read, or skip and count it.
        relabel: Change the identities of pictures that are held already to those given now.
        device: Device of the model; a GPU where there is one if not given.
    """
    sources = [source for source in (pictures, table, video, vectors) if source is not None]
    if len(sources) != 1 or (video is None) != (boxes is None):
        raise DataError("expected one of --pictures, --table, --video with --boxes, --vectors; see reseen index --help")
    for asked, name, there in (
        (identities == "folders", "--identities folders with --pictures", pictures),
        (identities == "tracks", "--identities tracks with --video", video),
        (people is not None, "--people with --video", video),
        (import_storage is not None or import_path is not None, "--import_storage with --vectors", vectors),
    ):
        if asked and there is None:
            raise DataError(f"expected {name}; see reseen index --help")
    if vectors is not None:
        index_parts(gallery, StorageFolder(vectors), import_storage, import_path)
        return
    reader = Reader(unreadable)
    place = None if camera == "" else parse_argument(camera)
    incoming: Iterator[Sighting]
    if pictures is not None:
        incoming = from_folder(pictures, folders=identities == "folders", camera=place, reader=reader)
    elif table is not None:
        incoming = from_table(table, camera=place, reader=reader)
    elif video is not None and boxes is not None:
        who = naming(people, tracks=identities == "tracks")
        incoming = from_video(video, boxes, who=who, camera=place, start=start, window=(begin, end), every=every)
    first = next(incoming, None)  # Before a model is fetched or a gallery made: there may be none.
    if first is not None:
        incoming = chain([first], incoming)
    encoder = open_model(model, device, gallery=gallery)
    count = new = others = 0
    with Gallery(gallery, encoder.fingerprint, model_name=model or DEFAULT) as store:
        for batch in track(batched(incoming, BATCH), "Indexing", show_speed=False):
            added = store.add(
                encoder([sighting.pixels for sighting in batch]),
                identities=[sighting.identity for sighting in batch],
                cameras=[sighting.camera for sighting in batch],
                tracks=[sighting.track for sighting in batch],
                times=[sighting.time for sighting in batch],
                sources=[sighting.source for sighting in batch],
                pictures=[thumbnail(sighting.pixels) for sighting in batch] if thumbnails else None,
                contents=[digest(sighting.pixels) for sighting in batch],
            )
            changed = ids_by_new_identity(store, added.ids, batch)
            others += sum(map(len, changed.values()))
            if relabel:
                for identity, ids in changed.items():
                    store.relabel(ids, identity)
            new += added.new
            count += len(batch)
        skipped = f", {reader.skipped:,} unreadable skipped" if reader.skipped else ""
        console = Terminal()
        console.print(f"{count:,} pictures, {new:,} of them new{skipped}; {len(store):,} in {store.location}")
        if others:
            outcome = "changed" if relabel else "not changed; --relabel true changes them"
            console.print(f"{others:,} held already under another identity or none: {outcome}")


def index_parts(
    location: str, folder: StorageFolder, import_storage: str | None = None, import_path: str | None = None
) -> None:
    """Add what `reseen embed` wrote to a gallery."""
    count = new = 0
    work = finished_work(folder)
    with Gallery(location, work.model_sha256, import_storage=import_storage, import_path=import_path) as store:
        for rows, fresh in track(add_parts(store, folder), "Indexing", total=work.num_parts, show_speed=False):
            count, new = count + rows, new + fresh
        console = Terminal()
        console.print(f"{count:,} vectors, {new:,} of them new; {len(store):,} in {store.location}")


def ids_by_new_identity(
    gallery: Gallery, ids: Sequence[str], sightings: Sequence[Sighting]
) -> dict[int | str, list[str]]:
    """Return the ids of items that are held under another identity, or none, by the one that they are given."""
    by_identity: dict[int | str, list[str]] = defaultdict(list)
    for item, sighting in zip(gallery.items(ids), sightings, strict=True):
        if item is not None and sighting.identity is not None and item.identity != sighting.identity:
            by_identity[sighting.identity].append(item.id)
    return by_identity
