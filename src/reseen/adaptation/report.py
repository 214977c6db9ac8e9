"""Page of an adaptation: what each round found, and whether it helped where labels exist."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reseen.adaptation.adaptation import Adaptation
from reseen.reporting import Axis, Section, Series, charts, line_chart, table, write_page

UNSETTLED = 0.8
"""Adjusted Rand index of two rounds' groups below which the report says that they still change."""
COLUMNS = [
    "round",
    "groups",
    "of one camera",
    "pictures in none",
    "eps",
    "silhouette",
    "agreement with the last round",
    "mAP",
    "rank 1",
    "ARI",
    "V",
]


def write_adaptation_page(out: Path, result: Adaptation, *, title: str) -> Path:
    """Write the page and return its path."""
    number = np.array([r.number for r in result.rounds], float)
    x = Axis("round")

    def chart(heading: str, names: dict[str, str], label: str, *, percent: bool = False) -> Series | None:
        series = [
            Series(name, number[known], np.array([values[row] for row in np.flatnonzero(known)], float))
            for name, field in names.items()
            if (values := [getattr(r, field) for r in result.rounds])
            if (known := np.array([value is not None for value in values])).any()
        ]
        return line_chart(heading, series, x=x, y=Axis(label, percent=percent)) if series else None  # type: ignore[return-value]

    figures = [
        chart("Scores on the test pictures", {"mAP": "mean_ap", "rank 1": "rank_1"}, "score", percent=True),
        chart(
            "Signs without labels", {"silhouette": "silhouette", "agreement with the last round": "stability"}, "value"
        ),
        chart("Groups against the truth", {"ARI": "ari", "V-measure": "v_measure"}, "value"),
        chart("Groups and pictures in none", {"groups": "num_clusters", "pictures in none": "num_left_out"}, "number"),
    ]
    rows = [
        [str(r.number), r.num_clusters, r.num_one_camera, r.num_left_out, r.eps, r.silhouette, r.stability,
         *(None if v is None else round(100 * v, 1) for v in (r.mean_ap, r.rank_1)), r.ari, r.v_measure]
        for r in result.rounds
    ]  # fmt: skip
    return write_page(
        out,
        title,
        lead=f"Ended: {result.reason}. Kept: the model of round {result.chosen}, whose groups have the highest "
        f"silhouette. {outcome_in_words(result)}",
        eyebrow="Adaptation without labels",
        sections=[
            Section("Rounds", charts(*(each for each in figures if each is not None)),  # type: ignore[arg-type]
                    "A round's figures are those of the model that it began with; round 0 is the model as it came."),
            Section("Figures", table(COLUMNS, rows), "mAP and rank 1 in percent; empty where unknown."),
        ],
    )  # fmt: skip


def outcome_in_words(result: Adaptation) -> str:
    """Return in words what the scores became where test pictures have labels, and what the other signs say."""
    first, chosen, last = result.rounds[0], result.rounds[result.chosen], result.rounds[-1]
    signs = f"The silhouette went from {first.silhouette:.2f} to {chosen.silhouette:.2f}"
    if result.chosen == 0:
        signs = "No round had a higher silhouette than the model as it came, which is kept"
    elif last.stability is not None and last.stability < UNSETTLED:
        signs += f"; groups of the last two rounds agree to {last.stability:.2f} only, so more rounds may change much"
    if first.mean_ap is None or first.rank_1 is None or chosen.mean_ap is None or chosen.rank_1 is None:
        return f"There are no labelled test pictures, so its effect on the scores is unknown. {signs}."
    return (
        f"On the test pictures mAP went from {100 * first.mean_ap:.1f} to {100 * chosen.mean_ap:.1f} %, "
        f"rank 1 from {100 * first.rank_1:.1f} to {100 * chosen.rank_1:.1f} %. {signs}."
    )
