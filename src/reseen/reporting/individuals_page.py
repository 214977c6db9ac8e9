"""Page of individuals found among unlabelled pictures, with the most valuable questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from reseen.reporting.lists import render_lists
from reseen.reporting.page import Section, facts, render, table, write_page
from reseen.reporting.pictures import PictureList, Shot, sample_thumbnail
from reseen.types import Sample

if TYPE_CHECKING:
    from reseen.discovery import Individuals, Question

MAX_GROUPS = 60
MAX_QUESTIONS = 20
MAX_PICTURES = 12
PICTURES_OF_A_SIDE = 3


def write_individuals(
    individuals: Individuals,
    samples: Sequence[Sample],
    out: str | Path,
    *,
    title: str,
    notes: Mapping[str, object] | None = None,
) -> Path:
    """Write one self-contained HTML page of groups and questions; see `discover`.

    Args:
        individuals: The groups.
        samples: The N pictures that were grouped.
        out: Path of the page.
        title: Its heading.
        notes: More to say, name -> value.

    Returns:
        The path written.
    """
    clusters = individuals.clusters
    left = np.flatnonzero(clusters.labels < 0)
    low, high = individuals.interval
    lead = (
        f"{len(samples):,} pictures: {clusters.count:,} groups, {len(left):,} pictures in none. "
        f"By the probabilities of the questions, between {low:,} and {high:,} individuals."
    )
    groups = [_group(number, np.flatnonzero(clusters.labels == number), samples)
              for number in range(min(clusters.count, MAX_GROUPS))]  # fmt: skip
    questions = [_question(n, question, clusters.labels, samples)
                 for n, question in enumerate(individuals.questions[:MAX_QUESTIONS], start=1)]  # fmt: skip
    largest = f"The {len(groups)} largest of {clusters.count:,}. " if clusters.count > len(groups) else ""
    trials = [[f"{t.eps:.2f}", t.num_clusters, t.num_left_out, t.silhouette] for t in clusters.trials]
    numbers = {"silhouette": clusters.silhouette, "eps": clusters.eps, **(notes or {})}
    sections = [
        Section("Questions", render_lists(questions),
                "Do the pictures in dark frames, A and B, show one individual? Most valuable answers first.")
        if questions else None,
        Section("Groups", render_lists(groups), f"{largest}Pictures of all cameras in turn.") if groups else None,
        Section("Pictures in no group", _left_out(left, samples)) if len(left) else None,
        Section("How they were grouped", facts(numbers)),
        Section("Radii", table(["eps", "groups", "pictures in none", "silhouette"], trials),
                "The radius with the highest silhouette was taken.") if len(trials) > 1 else None,
        Section("How to read this page", render("individuals_guide.html")),
    ]  # fmt: skip
    return write_page(out, title, sections=sections, eyebrow="Individuals without labels", lead=lead)


def group_name(label: int) -> str:
    """Return what a group is called in tables and on the page."""
    return f"individual {label + 1}"


def _group(number: int, rows: np.ndarray[tuple[int], np.dtype[np.int64]], samples: Sequence[Sample]) -> PictureList:
    """Return a group with pictures of all its cameras in turn."""
    turn: dict[object, int] = {}
    order = []
    for row in rows.tolist():
        turn[samples[row].camera] = turn.get(samples[row].camera, 0) + 1
        order.append((turn[samples[row].camera], row))
    chosen = [row for _, row in sorted(order)[:MAX_PICTURES]]
    cameras = set(turn) - {None}
    sizes = (f"{len(rows):,} pictures", *([f"{len(cameras):,} cameras"] if cameras else []))
    first, *others = (_shot(samples[row], group_name(number)) for row in chosen)
    return PictureList(group_name(number), sizes, first, tuple(others))


def _question(
    number: int, question: Question, labels: np.ndarray[tuple[int], np.dtype[np.int64]], samples: Sequence[Sample]
) -> PictureList:
    who = [group_name(int(labels[row])) if labels[row] >= 0 else "a picture in no group"
           for row in (question.first, question.second)]  # fmt: skip
    heading = f"{number}. Is {who[0]} one?" if question.kind == "split" else f"{number}. Are {who[0]} and {who[1]} one?"
    probability = f"probability {100 * question.probability:.0f} %"
    worth = f"would correct {question.worth:,.0f} pairs of pictures"
    sides = [
        [_shot(samples[row], f"{side}, {who_}", first_line=side, kind="query" if row == rows[0] else None)
         for row in rows[:PICTURES_OF_A_SIDE]]
        for side, who_, rows in (("A", who[0], question.first_rows), ("B", who[1], question.second_rows))
    ]  # fmt: skip
    return PictureList(heading, (probability, worth), sides[0][0], (*sides[0][1:], *sides[1]))


def _left_out(rows: np.ndarray[tuple[int], np.dtype[np.int64]], samples: Sequence[Sample]) -> Markup:
    chosen = rows[:: max(1, len(rows) // MAX_PICTURES)][:MAX_PICTURES].tolist()
    first, *others = (_shot(samples[row], "in no group") for row in chosen)
    return render_lists([PictureList("In no group", (f"{len(chosen)} of {len(rows):,}",), first, tuple(others))])


def _shot(sample: Sample, alt: str, *, first_line: str = "", kind: str | None = None) -> Shot:
    camera = "" if sample.camera is None else f"cam {sample.camera}"
    lines = tuple(line for line in (first_line, camera) if line)
    return Shot(sample_thumbnail(sample), alt=alt, lines=lines, kind=kind, source=sample.path)  # type: ignore[arg-type]
