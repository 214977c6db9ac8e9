"""Search results as tables for the terminal and as an HTML page."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.table import Column, Table

from reseen.gallery import Gallery, Match, Where
from reseen.gallery.calibration.calibration import as_percent
from reseen.gallery.queries import Query
from reseen.gallery.records import EVERYTHING
from reseen.labels import visible
from reseen.pictures import decode_bytes
from reseen.terminal import plain_table

if TYPE_CHECKING:
    from reseen.reporting.pictures import Shot

Answer = tuple[Query, list[Match]]
COLUMNS = ("rank", "query", "identity", "camera", "time", "similarity", "probability", "source")
NUMBERS = ("rank", "time", "similarity", "probability")


def verdict(query: Query, match: Match) -> Literal["right", "wrong"] | None:
    """Return whether a match is right, where that is known."""
    if query.identity is None:
        return None
    return "right" if match.item.identity == query.identity else "wrong"


def score_lines(gallery: Gallery, answers: Sequence[Answer]) -> list[str]:
    """Return how many queries were answered rightly, of those of whom it is known who they are."""
    known = [answer for answer in answers if answer[0].identity is not None]
    held = [gallery.count(Where(identities=[query.identity])) > 0 for query, _ in known]
    right = [bool(matches) and verdict(query, matches[0]) == "right" for query, matches in known]
    strangers = [bool(matches) for (_, matches), there in zip(known, held, strict=True) if not there]
    lines = []
    if any(held):
        lines.append(f"first answer right: {sum(right)} of {sum(held)} queries whose individual is in the gallery")
    if strangers:
        lines.append(f"answered although not in the gallery: {sum(strangers)} of {len(strangers)} queries")
    return lines


def cells(match: Match) -> dict[str, str]:
    """Return what is known of a match, by the name of its column."""
    item = match.item
    known = {
        "identity": item.identity,
        "camera": item.camera,
        "time": None if item.time is None else f"{item.time:.1f}",
        "similarity": f"{match.similarity:.3f}",
        "probability": None if match.probability is None else as_percent(match.probability),
        "source": item.source,
    }
    return {name: visible(str(value)) for name, value in known.items() if value is not None}


def table_of(rows: Sequence[dict[str, str]], *, title: str | None = None) -> Table:
    """Return a table for a terminal, with those columns of which something is known."""
    columns = [name for name in COLUMNS if any(name in row for row in rows)]
    headers = [
        Column(name, justify="right" if name in NUMBERS else "left", no_wrap=name != "source") for name in columns
    ]
    return plain_table(headers, ([row.get(name, "") for name in columns] for row in rows), title=title)


def answer_tables(answers: Sequence[Answer], *, short: bool, nobody: str) -> Iterator[Table | str]:
    """Yield a table of each query's answers; if short, one of the best answer of every query.

    Args:
        answers: Q queries with what was found.
        short: Only the best answers are wanted.
        nobody: What to say of a query without answers.
    """
    if short and len(answers) > 1:
        best = [cells(matches[0]) if matches else {"identity": nobody} for _, matches in answers]
        yield table_of([{"query": visible(query.name), **row} for (query, _), row in zip(answers, best, strict=True)])
        return
    for query, matches in answers:
        ranked = [{"rank": f"{n}", **cells(match)} for n, match in enumerate(matches, 1)]
        name = visible(query.name)
        yield table_of(ranked, title=name) if ranked else f"{name}: {nobody}"


def before_looking(gallery: Gallery, answers: Sequence[Answer]) -> str | None:
    """Return what the probabilities of answers take for granted; None where there are none."""
    calibration = gallery.calibration()
    if calibration is None or all(match.probability is None for _, matches in answers for match in matches):
        return None
    return f"if it was {as_percent(calibration.prior)} before"


def unlike_all(gallery: Gallery, answers: Sequence[Answer], *, where: Where) -> list[str]:
    """Return a sentence about each query that is unlike every picture of a gallery, as a picture of something else."""
    calibration = gallery.calibration()
    if calibration is None:
        return []
    warnings = []
    for query, matches in answers:
        nearest = matches if where == EVERYTHING else gallery.search(query.vector[None], 1)[0]
        if nearest and calibration.unfamiliar(nearest[0].similarity):
            warnings.append(
                f"{visible(query.name)} is unlike every picture of this gallery (the nearest is at "
                f"{nearest[0].similarity:.2f}, while 99 % of the gallery's own have somebody else at "
                f"{calibration.familiar:.2f} or above): it may show something else, and no probability holds."
            )
    return warnings


def write_search_page(
    out: Path,
    gallery: Gallery,
    answers: Sequence[Answer],
    *,
    nobody: str,
    before: str | None = None,
    warnings: Sequence[str] = (),
) -> None:
    """Write each query with the pictures of its answers.

    Args:
        out: The page.
        gallery: Where the answers are from.
        answers: Q queries with what was found.
        nobody: What to say of a query without answers.
        before: From `before_looking`.
        warnings: From `unlike_all`.
    """
    from reseen.reporting import Section, render_lists, write_page
    from reseen.reporting.pictures import PictureList, Shot, Thumbnail

    def shot(rank: int, query: Query, match: Match) -> "Shot":
        item, jpeg = match.item, gallery.picture(match.item.id)
        picture = None if jpeg is None else Thumbnail.of(decode_bytes(jpeg, f"the item {item.id}"))
        name = "no name" if item.identity is None else str(item.identity)
        sure = f"{match.similarity:.3f}" if match.probability is None else as_percent(match.probability)
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
        PictureList(
            query.name,
            (nobody if not matches else f"{len(matches)} answer{'s' * (len(matches) > 1)}",),
            searched_with(query),
            tuple(shot(rank, query, match) for rank, match in enumerate(matches, 1)),
        )
        for query, matches in answers
    ]
    figure = "its similarity (-1 to 1)" if before is None else f"how likely it shows the same individual, {before}"
    note = " ".join([f"Below each picture: {figure}, its name, camera and time.", *warnings])
    section = Section("Most alike", render_lists(lists, ratio=0.5), note=note)
    lead = "; ".join([f"{len(gallery):,} pictures in the gallery", *score_lines(gallery, answers)])
    write_page(out, f"Search in {Path(gallery.location).name}", sections=[section], lead=lead)
