"""``reseen calibrate GALLERY``."""

from pathlib import Path

import numpy as np
from rich.table import Table

from reseen.files import require_new
from reseen.gallery import Calibration, Gallery, LabelledPairs, labelled
from reseen.gallery import calibrate as fit
from reseen.gallery.calibration.calibration import as_percent
from reseen.gallery.calibration.labelled_pairs import prior_of
from reseen.terminal import Terminal, plain_table


def calibrate(
    gallery: str,
    /,
    *,
    prior: float | None = None,
    strangers: float = 0.5,
    rates: list[float] | None = None,
    other_camera: bool | None = None,
    gap: float = 0.0,
    out: Path | None = None,
    force: bool = False,
    seed: int = 0,
) -> None:
    """Calibrate a gallery: learn from its named items and marked matches which probability a similarity means.

    Keeps with the gallery: the probability that two pictures show the same individual, thresholds at rates of false
    matches, and thresholds below which a picture shows nobody known.

    Args:
        gallery: A folder, or milvus://host:port/name, with identities or marks in it.
        prior: How likely a picture of the gallery shows whom one searches for, before one looks; if not given, it
            follows from the gallery: (1 - strangers) / number of individuals.
        strangers: Assumed share of searches for somebody who is not in the gallery.
        rates: Rates of false matches at which to set thresholds; 0.1, 0.01 and 0.001 if not given.
        other_camera: Learn from pairs of different cameras only; if the data allows it, when not given.
        gap: Least number of seconds between two pictures of one camera, for galleries of videos.
        out: Also write the reliability diagram and the rest as an HTML page.
        force: Replace a page that is there.
        seed: Seed of all random numbers.
    """
    require_new(out, force=force)
    with Gallery(gallery, create=False) as store:
        pairs, probes = labelled(store, other_camera=other_camera, gap=gap, seed=seed)
        assumed = prior_of(store, strangers=strangers) if prior is None else prior
        calibration = fit(pairs, probes, prior=assumed, rates=rates or (0.1, 0.01, 0.001), seed=seed)
        store.put_calibration(calibration)
    console = Terminal()
    console.print(
        f"learnt from {calibration.num_same:,} pairs of one individual and {calibration.num_different:,} of two; "
        f"{calibration.method} curve chosen"
    )
    console.print(PRIOR_NOTE.format(as_percent(calibration.prior)))
    for table in result_tables(calibration):
        console.print(table)
    if out is not None:
        write_calibration_page(out, gallery, calibration, pairs)
        console.print(f"page: {out}")


PRIOR_NOTE = (
    "probabilities hold if it was {} before that a picture of the gallery shows whom one searches for; "
    "--prior or --strangers change that"
)
FITS = ["curve", "log loss", "Brier", "ECE"]
THRESHOLDS = ["rate", "threshold", "95 % interval", "same pairs found"]


def fit_rows(calibration: Calibration) -> list[list[str]]:
    """Return the rows of how well each way did."""
    return [[f.method, f"{f.log_loss:.4f}", f"{f.brier:.4f}", f"{f.ece:.4f}"] for f in calibration.fits]


def threshold_rows(calibration: Calibration, kind: str) -> list[list[str]]:
    """Return the rows of ``pairs`` or ``open_set``."""
    return [
        [f"{t.rate:.2%}", f"{t.threshold:.4f}", f"{t.low:.4f} to {t.high:.4f}", f"{t.detected:.1%}"]
        for t in getattr(calibration, kind)
    ]


KINDS = {
    "pairs": "Verification of pairs (rate: different pairs accepted)",
    "open_set": "Open-set identification (rate: strangers given an identity)",
}


def result_tables(calibration: Calibration) -> list[Table]:
    """Return what has been learnt, for a terminal."""
    return [
        plain_table(FITS, fit_rows(calibration), title="Held-out individuals"),
        *(plain_table(THRESHOLDS, threshold_rows(calibration, kind), title=title) for kind, title in KINDS.items()),
    ]


def write_calibration_page(out: Path, gallery: str, calibration: Calibration, pairs: LabelledPairs) -> None:
    """Write what has been learnt as a page."""
    from reseen.reporting import Axis, Section, Series, charts, histogram, line_chart, table, write_page

    promised = np.array([b.promised for b in calibration.reliability])
    observed = np.array([b.observed for b in calibration.reliability])
    whole, share = np.array([0.0, 1.0]), (0.0, 1.0)
    reliability = line_chart(
        "Reliability diagram",
        [Series("held-out pairs", promised, observed), Series("perfect", whole, whole)],
        x=Axis("predicted probability", limits=share, percent=True),
        y=Axis("observed share of same pairs", limits=share, percent=True),
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
        f"{calibration.method} curve chosen. Probabilities hold if it was {as_percent(calibration.prior)} before that "
        "a picture of the gallery shows whom one searches for.",
        sections=[
            Section("Reliability", charts(reliability, curve, spread)),
            Section(
                "Held-out individuals",
                table(FITS, fit_rows(calibration)),
                note="ECE, the expected calibration error: mean distance of predicted and observed shares.",
            ),
            *(Section(title, table(THRESHOLDS, threshold_rows(calibration, kind))) for kind, title in KINDS.items()),
        ],
    )
