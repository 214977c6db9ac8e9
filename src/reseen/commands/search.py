"""``reseen search GALLERY``."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from reseen.commands.sightings import from_folder
from reseen.encoding import load
from reseen.gallery import Gallery, Match, Where
from reseen.pictures import Pixels, as_pixels

if TYPE_CHECKING:
    from reseen.reporting.pictures import Shot


def search(
    gallery: str,
    picture: Path,
    /,
    *,
    model: Path,
    k: int = 10,
    by: Literal["picture", "identity", "track"] = "picture",
    cameras: list[int | str] | None = None,
    since: float | None = None,
    until: float | None = None,
    exact: bool = False,
    rerank: bool = False,
    out: Path | None = None,
    device: str | None = None,
) -> None:
    """Say where and when the individual on a picture has been seen.

    Args:
        gallery: A folder, or milvus://host:port/name.
        picture: A picture of one individual, or a folder of such pictures.
        model: The model that the gallery was indexed with: a run, a checkpoint, or an .onnx file.
        k: How many answers.
        by: Answer with pictures, or with the best picture of each identity or track.
        cameras: Look at these cameras only.
        since: Look at this time or later, in seconds.
        until: Look before this time.
        exact: Look at every item even where the gallery is large enough for an approximate search.
        rerank: Order the best 100 anew by their common neighbours (k-reciprocal encoding).
        out: Also write the answers with their pictures as an HTML page.
        device: Where the model runs; a GPU where there is one if not given.
    """
    encoder = load(model, device)
    if picture.is_dir():
        queries = {found.source: found.pixels for found in from_folder(picture, folders=False, camera=None)}
    else:
        queries = {picture.name: as_pixels(picture)}
    where = Where(cameras=cameras, since=since, until=until)
    with Gallery(gallery, encoder.fingerprint, create=False) as kept:
        answers = kept.search(
            encoder(list(queries.values())), k, where=where, by=by, exact=exact, rerank=k_reciprocal if rerank else None
        )
        for name, matches in zip(queries, answers, strict=True):
            Console(highlight=False).print(as_table(name, matches))
        if out is not None:
            write_page(out, kept, list(zip(queries, queries.values(), answers, strict=True)))
            Console(highlight=False).print(f"page: {out}")


def as_table(title: str, matches: list[Match]) -> Table:
    """Return a query's answers for a terminal."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in ("rank", "identity", "camera", "time", "similarity", "probability", "source"):
        table.add_column(column, justify="left" if column in ("identity", "camera", "source") else "right")
    for rank, match in enumerate(matches, 1):
        item = match.item
        sure = "" if match.probability is None else f"{match.probability:.1%}"
        known = [rank, item.identity, item.camera, item.time, f"{match.similarity:.3f}", sure, item.source]
        table.add_row(*("" if value is None else f"{value}" for value in known))
    return table


def k_reciprocal(query: NDArray[np.float32], found: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return new similarities (n,) of a query (D,) with its answers (n, D), by k-reciprocal encoding among them."""
    import torch

    from reseen.reranking import k_reciprocal as encoding
    from reseen.samples import Embeddings

    sides = [
        Embeddings(torch.from_numpy(np.ascontiguousarray(side)), np.zeros(len(side))) for side in (query[None], found)
    ]
    k1 = min(20, len(found))
    scores: NDArray[np.float32] = -encoding(k1=k1, k2=min(6, k1))(*sides).distances()[0].numpy()
    return scores


@dataclass(frozen=True)
class Answers:
    """One query's answers on a page; see ``lists.html``."""

    title: str
    facts: tuple[str, ...]
    query: "Shot"
    found: "tuple[Shot, ...]"
    missed: None = None


def write_page(out: Path, gallery: Gallery, answers: list[tuple[str, Pixels, list[Match]]]) -> None:
    """Write each query with the pictures of its answers."""
    from reseen.reporting import Section
    from reseen.reporting import write_page as write
    from reseen.reporting.page import render
    from reseen.reporting.pictures import Shot, Thumbnail

    def shot(rank: int, match: Match) -> "Shot":
        item, jpeg = match.item, gallery.picture(match.item.id)
        picture = None if jpeg is None else Thumbnail.of(np.asarray(Image.open(io.BytesIO(jpeg))))
        name = "no name" if item.identity is None else str(item.identity)
        sure = f"{match.similarity:.3f}" if match.probability is None else f"{match.probability:.1%}"
        place = [str(value) for value in (item.camera, item.time) if value is not None]
        return Shot(picture, alt=f"rank {rank}: {name}, {sure}", lines=(sure, name, *place), source=item.source)

    lists = [
        Answers(
            name,
            (f"{len(matches)} answers",),
            Shot(Thumbnail.of(pixels), alt="searched with", lines=("searched with",), kind="query"),
            tuple(shot(rank, match) for rank, match in enumerate(matches, 1)),
        )
        for name, pixels, matches in answers
    ]
    calibrated = gallery.calibration() is not None
    note = "Below each picture: how likely it is the same individual, its name, camera and time."
    note = note if calibrated else "Below each picture: its similarity (-1 to 1), name, camera and time."
    section = Section("Most alike", render("lists.html", lists=lists, ratio=0.5), note=note)
    write(out, f"Search in {Path(gallery.location).name}", sections=[section], lead=f"{len(gallery):,} sightings")
