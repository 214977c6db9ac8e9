"""``reseen calibrate GALLERY``."""

from pathlib import Path

import numpy as np
from rich.table import Table

from reseen.gallery import Calibration, Gallery, LabelledPairs, labelled
from reseen.gallery import calibrate as fit
from reseen.terminal import Terminal


def calibrate(
    gallery: str,
    /,
    *,
    prior: float = 0.5,
    rates: list[float] | None = None,
    other_camera: bool | None = None,
    gap: float = 0.0,
    out: Path | None = None,
    seed: int = 0,
) -> None:
    """Learn from a gallery's named items, and from matches marked right and wrong, what its similarities mean.

    Keeps with the gallery: the probability that two pictures show the same individual, thresholds at rates of false
    matches, and thresholds below which a picture shows nobody known.

    Args:
        gallery: A folder, or milvus://host:port/name, with identities or marks in it.
        prior: How likely two pictures show the same individual before one looks at them.
        rates: Of false matches and of false names, to draw thresholds at; 0.1, 0.01 and 0.001 if not given.
        other_camera: Learn from pairs of different cameras only; as the data allows if not given.
        gap: Seconds that must lie between two pictures of one camera; for galleries out of videos.
        out: Also write the reliability diagram and the rest as an HTML page.
        seed: Of draws, folds and resamples.
    """
    with Gallery(gallery, create=False) as kept:
        pairs, probes = labelled(kept, other_camera=other_camera, gap=gap, seed=seed)
        found = fit(pairs, probes, prior=prior, rates=rates or (0.1, 0.01, 0.001), seed=seed)
        kept.put_calibration(found)
    console = Terminal()
    console.print(
        f"{found.num_same:,} pairs of one individual, {found.num_different:,} of two; prior {prior:g}; "
        f"{found.method} kept"
    )
    for table in tables(found):
        console.print(table)
    if out is not None:
        write_calibration_page(out, gallery, found, pairs)
        console.print(f"page: {out}")


FITS = ["way", "log loss", "Brier", "ECE"]
THRESHOLDS = ["rate", "threshold", "95 % interval", "true ones found"]


def fits(calibration: Calibration) -> list[list[str]]:
    """Return the rows of how well each way did."""
    return [[f.method, f"{f.log_loss:.4f}", f"{f.brier:.4f}", f"{f.ece:.4f}"] for f in calibration.fits]


def thresholds(calibration: Calibration, kind: str) -> list[list[str]]:
    """Return the rows of ``pairs`` or ``open_set``."""
    return [
        [f"{t.rate:.2%}", f"{t.threshold:.4f}", f"{t.low:.4f} to {t.high:.4f}", f"{t.detected:.1%}"]
        for t in getattr(calibration, kind)
    ]


KINDS = {
    "pairs": "Are these two the same? (rate: different pairs called the same)",
    "open_set": "Who of these, or none? (rate: strangers given a name)",
}


def tables(calibration: Calibration) -> list[Table]:
    """Return what has been learnt, for a terminal."""
    made = []
    for title, columns, rows in (
        ("Held-out individuals", FITS, fits(calibration)),
        *((title, THRESHOLDS, thresholds(calibration, kind)) for kind, title in KINDS.items()),
    ):
        table = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False)
        for row in rows:
            table.add_row(*row)
        made.append(table)
    return made


def write_calibration_page(out: Path, gallery: str, calibration: Calibration, pairs: LabelledPairs) -> None:
    """Write what has been learnt as a page."""
    from reseen.reporting import Axis, Section, Series, charts, histogram, line_chart, table, write_page

    promised = np.array([b.promised for b in calibration.reliability])
    observed = np.array([b.observed for b in calibration.reliability])
    whole, share = np.array([0.0, 1.0]), (0.0, 1.0)
    reliability = line_chart(
        "Promised and kept",
        [Series("held-out pairs", promised, observed), Series("perfect", whole, whole)],
        x=Axis("probability promised", limits=share, percent=True),
        y=Axis("share that was the same", limits=share, percent=True),
    )
    low, high = float(pairs.similarities.min()), float(pairs.similarities.max())
    grid = np.linspace(low, high, 200)
    curve = line_chart(
        "Probability by similarity",
        [Series(calibration.method, grid, calibration.probability(grid))],
        x=Axis("similarity (cosine)"),
        y=Axis("probability", limits=share, percent=True),
    )
    edges = np.linspace(low, high, 41)
    counts = {
        name: np.histogram(pairs.similarities[mask], edges)[0]
        for name, mask in (("same", pairs.same), ("different", ~pairs.same))
    }
    spread = histogram("Similarities", edges, counts, x=Axis("similarity (cosine)"), share_of="pairs of each kind")
    write_page(
        out,
        f"Calibration of {Path(gallery).name}",
        lead=f"{calibration.num_same:,} pairs of one individual, {calibration.num_different:,} of two; "
        f"prior {calibration.prior:g}; {calibration.method} kept",
        sections=[
            Section("Reliability", charts(reliability, curve, spread)),
            Section(
                "Held-out individuals",
                table(FITS, fits(calibration)),
                note="ECE, the expected calibration error: how far promised and observed shares lie apart on average.",
            ),
            *(Section(title, table(THRESHOLDS, thresholds(calibration, kind))) for kind, title in KINDS.items()),
        ],
    )
