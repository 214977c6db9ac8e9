"""``reseen compare A B``."""

from pathlib import Path

import numpy as np
from rich.console import Console

from reseen.encoding import load
from reseen.gallery import Calibration, Gallery
from reseen.pictures import Pixels, as_pixels


def compare(
    first: Path,
    second: Path,
    /,
    *,
    model: Path,
    gallery: str | None = None,
    out: Path | None = None,
    device: str | None = None,
) -> None:
    """Say how alike two pictures are, and how likely they show the same individual.

    Args:
        first: A picture of one individual.
        second: Another one.
        model: The folder of a run, a checkpoint, or an exported .onnx file.
        gallery: A calibrated gallery of this model, for probability and verdicts.
        out: Also write both pictures with the verdict as an HTML page.
        device: Where the model runs; a GPU where there is one if not given.
    """
    encoder = load(model, device)
    pictures = [as_pixels(first), as_pixels(second)]
    a, b = encoder(pictures).astype(float)
    similarity = float(a @ b / np.sqrt((a @ a) * (b @ b)))
    calibration = None
    if gallery is not None:
        with Gallery(gallery, encoder.fingerprint, create=False) as kept:
            calibration = kept.calibration()
    said = lines(similarity, calibration)
    console = Console(highlight=False)
    for line in said:
        console.print(line)
    if out is not None:
        write_page(out, [first, second], pictures, said)
        console.print(f"page: {out}")


def lines(similarity: float, calibration: Calibration | None) -> list[str]:
    """Return what is to be said of a similarity."""
    said = [f"similarity {similarity:.4f} (cosine, -1 to 1)"]
    if calibration is None:
        return [*said, "no probability: name a calibrated gallery with --gallery; see reseen calibrate"]
    said.append(
        f"the same with a probability of {float(calibration.probability(similarity)):.1%}, "
        f"if it was {calibration.prior:.0%} before looking"
    )
    for line in calibration.pairs:
        verdict = "the same" if similarity >= line.threshold else "not the same"
        said.append(
            f"{verdict} where {line.rate:.2%} of different pairs may pass: threshold {line.threshold:.4f} "
            f"({line.low:.4f} to {line.high:.4f}), which finds {line.detected:.1%} of the same"
        )
    return said


def write_page(out: Path, paths: list[Path], pictures: list[Pixels], said: list[str]) -> None:
    """Write two pictures and what is said of them."""
    from markupsafe import Markup

    from reseen.reporting import Section
    from reseen.reporting import write_page as write
    from reseen.reporting.page import render
    from reseen.reporting.pictures import Shot, Thumbnail

    shots = [
        Shot(Thumbnail.of(pixels, side=320), alt=path.name, lines=(path.name,))
        for path, pixels in zip(paths, pictures, strict=True)
    ]
    lists = [{"title": said[0], "facts": said[1:2], "query": shots[0], "found": shots[1:], "missed": None}]
    rules = Markup("").join(Markup("<p>{}</p>").format(line) for line in said[2:])
    write(
        out,
        "Are these the same?",
        sections=[
            Section("Side by side", render("lists.html", lists=lists, ratio=0.5)),
            Section("Verdicts", rules) if len(said) > 2 else None,
        ],
    )
