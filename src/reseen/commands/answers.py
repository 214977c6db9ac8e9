"""What a search has found, for a terminal and as a page."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image
from rich.table import Table

from reseen.commands.queries import Query
from reseen.gallery import Gallery, Match, Where

if TYPE_CHECKING:
    from reseen.reporting.pictures import Shot

Answer = tuple[Query, list[Match]]
COLUMNS = ("identity", "camera", "time", "similarity", "probability", "source")


def verdict(query: Query, match: Match) -> Literal["right", "wrong"] | None:
    """Return whether a match is right, where that is known."""
    if query.identity is None:
        return None
    return "right" if match.item.identity == query.identity else "wrong"


def score(gallery: Gallery, answers: Sequence[Answer]) -> list[str]:
    """Return how many queries were answered rightly, of those of whom it is known who they are."""
    known = [answer for answer in answers if answer[0].identity is not None]
    held = [gallery.count(Where(identities=[query.identity])) > 0 for query, _ in known]
    right = [bool(matches) and verdict(query, matches[0]) == "right" for query, matches in known]
    strangers = [bool(matches) for (_, matches), there in zip(known, held, strict=True) if not there]
    said = []
    if any(held):
        said.append(f"first answer right: {sum(right)} of {sum(held)} queries whose individual is in the gallery")
    if strangers:
        said.append(f"answered although not in the gallery: {sum(strangers)} of {len(strangers)} queries")
    return said


def cells(match: Match) -> list[str]:
    """Return what is said of a match, in the order of the columns."""
    item = match.item
    time = None if item.time is None else f"{item.time:.1f}"
    sure = None if match.probability is None else f"{match.probability:.1%}"
    known = (item.identity, item.camera, time, f"{match.similarity:.3f}", sure, item.source)
    return ["" if value is None else f"{value}" for value in known]


def table_of(first: str, *, title: str | None = None) -> Table:
    """Return an empty table for a terminal."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in (first, *COLUMNS):
        number = column in ("rank", "time", "similarity", "probability")
        table.add_column(column, justify="right" if number else "left", no_wrap=column != "source")
    return table


def as_table(query: Query, matches: list[Match]) -> Table | str:
    """Return one query's answers."""
    if not matches:
        return f"{query.name}: none of these"
    table = table_of("rank", title=query.name)
    for rank, match in enumerate(matches, 1):
        table.add_row(f"{rank}", *cells(match))
    return table


def one_table(answers: Sequence[Answer]) -> Table:
    """Return the best answer of each query."""
    table = table_of("query")
    for query, matches in answers:
        table.add_row(query.name, *(cells(matches[0]) if matches else ["none of these"]))
    return table


@dataclass(frozen=True)
class Listed:
    """One query's answers on a page; see ``lists.html``."""

    title: str
    facts: tuple[str, ...]
    query: "Shot"
    found: "tuple[Shot, ...]"
    missed: None = None


def write_page(out: Path, gallery: Gallery, answers: Sequence[Answer]) -> None:
    """Write each query with the pictures of its answers."""
    from reseen.reporting import Section
    from reseen.reporting import write_page as write
    from reseen.reporting.page import render
    from reseen.reporting.pictures import Shot, Thumbnail

    def shot(rank: int, query: Query, match: Match) -> "Shot":
        item, jpeg = match.item, gallery.picture(match.item.id)
        picture = None if jpeg is None else Thumbnail.of(np.asarray(Image.open(io.BytesIO(jpeg))))
        name = "no name" if item.identity is None else str(item.identity)
        sure = f"{match.similarity:.3f}" if match.probability is None else f"{match.probability:.1%}"
        place = [] if item.camera is None else [str(item.camera)]
        place += [] if item.time is None else [f"{item.time:.1f} s"]
        alt = f"rank {rank}: {name}, {sure}"
        return Shot(picture, alt=alt, lines=(sure, name, *place), kind=verdict(query, match), source=item.source)

    def searched_with(query: Query) -> "Shot":
        name = () if query.identity is None else (str(query.identity),)
        return Shot(
            Thumbnail.of(query.pixels), alt=f"searched with: {query.name}", lines=("query", *name), kind="query"
        )

    lists = [
        Listed(
            query.name,
            ("none of these" if not matches else f"{len(matches)} answer{'s' * (len(matches) > 1)}",),
            searched_with(query),
            tuple(shot(rank, query, match) for rank, match in enumerate(matches, 1)),
        )
        for query, matches in answers
    ]
    sure = any(match.probability is not None for _, matches in answers for match in matches)
    figure = "how likely it shows the same individual" if sure else "its similarity (-1 to 1)"
    note = f"Below each picture: {figure}, its name, camera and time."
    section = Section("Most alike", render("lists.html", lists=lists, ratio=0.5), note=note)
    lead = "; ".join([f"{len(gallery):,} sightings", *score(gallery, answers)])
    write(out, f"Search in {Path(gallery.location).name}", sections=[section], lead=lead)
