"""``reseen compare A B``."""

from pathlib import Path

import numpy as np

from reseen.cli.models import open_model
from reseen.commands.calibrate import threshold_rows
from reseen.files import require_new
from reseen.gallery import Calibration, Gallery
from reseen.pictures import Pixels, as_pixels
from reseen.terminal import Terminal, plain_table
from reseen.zoo import DEFAULT


def compare(
    first: Path,
    second: Path,
    /,
    *,
    model: str | None = None,
    gallery: str | None = None,
    out: Path | None = None,
    force: bool = False,
    device: str | None = None,
) -> None:
    """Compare two pictures: their similarity, and the probability that they show the same individual.

    Args:
        first: First picture, of one individual.
        second: Second picture.
        model: A name that `reseen models` lists, the folder of a run, a checkpoint, or an exported file; a published
            model, which is fetched, if not given.
        gallery: A calibrated gallery of this model, for probability and verdicts.
        out: Also write both pictures with the verdict as an HTML page.
        force: Replace a page that is there.
        device: Device of the model; a GPU where there is one if not given.
    """
    require_new(out, force=force)
    pictures = [as_pixels(first), as_pixels(second)]
    encoder = open_model(model, device, gallery=gallery, create=False)
    a, b = encoder(pictures).astype(float)
    similarity = float(a @ b / np.sqrt((a @ a) * (b @ b)))
    calibration = None
    if gallery is not None:
        with Gallery(gallery, encoder.fingerprint, model_name=model or DEFAULT, create=False) as store:
            calibration = store.calibration()
    lines, rows = sentences(similarity, calibration), verdicts(similarity, calibration)
    console = Terminal()
    for line in lines:
        console.print(line)
    if rows:
        console.print(plain_table(VERDICTS, rows))
    if out is not None:
        write_comparison_page(out, [first, second], pictures, lines, rows)
        console.print(f"page: {out}")


PRIOR = 0.5
"""How likely two pictures that somebody compares show the same individual, before one looks at them."""
VERDICTS = ["different pairs accepted", "threshold", "95 % interval", "same pairs found", "verdict"]


def sentences(similarity: float, calibration: Calibration | None) -> list[str]:
    """Return how alike two pictures are, and with what probability they show the same individual."""
    alike = f"similarity {similarity:.4f} (cosine, -1 to 1)"
    if calibration is None:
        return [alike, "no probability: name a calibrated gallery with --gallery; see reseen calibrate"]
    probability = float(calibration.probability(similarity, prior=PRIOR))
    return [
        alike,
        f"the same individual with a probability of {probability:.1%}, if it was {PRIOR:.0%} before",
    ]


def verdicts(similarity: float, calibration: Calibration | None) -> list[list[str]]:
    """Return what each threshold says, a row each."""
    if calibration is None:
        return []
    return [
        [*cells, "the same" if similarity >= line.threshold else "not the same"]
        for cells, line in zip(threshold_rows(calibration, "pairs"), calibration.pairs, strict=True)
    ]


def write_comparison_page(
    out: Path, paths: list[Path], pictures: list[Pixels], lines: list[str], rows: list[list[str]]
) -> None:
    """Write two pictures and what is said of them."""
    from reseen.reporting import Section, render_lists, table, write_page
    from reseen.reporting.pictures import PictureList, Shot, Thumbnail

    shots = [
        Shot(Thumbnail.of(pixels, side=320), alt=path.name, lines=(name, path.name), source=str(path))
        for name, path, pixels in zip(("first", "second"), paths, pictures, strict=True)
    ]
    side_by_side = PictureList(lines[0], tuple(lines[1:]), shots[0], tuple(shots[1:]))
    write_page(
        out,
        "Are these the same?",
        sections=[
            Section("Side by side", render_lists([side_by_side], ratio=0.5)),
            Section("Verdicts", table(VERDICTS, rows)) if rows else None,
        ],
    )
