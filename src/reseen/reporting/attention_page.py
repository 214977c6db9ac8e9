"""Page of attention maps: networks side by side on the same pictures, and the reasons for matches."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from markupsafe import Markup
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from reseen.errors import DataError
from reseen.extras import needs
from reseen.loading import number_modalities, test_transform
from reseen.models import Embedder, eval_mode
from reseen.pictures import Pixels
from reseen.reporting.grad_cam import attention, embedding_of
from reseen.reporting.page import Section, render, write_page
from reseen.reporting.pictures import Shot, Thumbnail
from reseen.storage import read_picture
from reseen.types import Sample

SIDE = 288
HOW_TO_READ = "Each map is scaled to its own highest value; the colours are evenly spaced to the eye."
COLORS = "inferno"
logger = logging.getLogger(__name__)


def write_attention(
    models: Mapping[str, Embedder],
    samples: Sequence[Sample],
    out: str | Path,
    *,
    references: Sequence[Sample] | None = None,
) -> Path:
    """Write what each model looks at in the same pictures: an HTML page, or a picture where ``out`` ends in .png.

    The layout follows Figure 5 of the FIDI paper.

    Args:
        models: Name -> model; one, or several to be seen side by side.
        samples: The pictures.
        out: Path to write.
        references: One for each sample: explain the similarity to it. None: explain the embedding's norm.

    Returns:
        The path written.

    Raises:
        ValueError: There are no samples, or not as many references.
        DataError: A picture cannot be read.
    """
    path = Path(out)
    if path.suffix.lower() == ".png":
        path.parent.mkdir(parents=True, exist_ok=True)
        _sheet(_columns(models, samples, references)).save(path)
        return path
    section = dataclasses.replace(side_by_side(models, samples, references=references), heading="Attention")
    return write_page(out, "Where the network looks", sections=[section], eyebrow=", ".join(models))


def side_by_side(
    models: Mapping[str, Embedder], samples: Sequence[Sample], *, references: Sequence[Sample] | None = None
) -> Section:
    """Return what stands on that page, for a page of one's own; see `write_attention`."""
    columns = _columns(models, samples, references)
    rows = [
        [_shot(column[n], name, f"{name}, identity {sample.identity}") for name, column in columns.items()]
        for n, sample in enumerate(samples)
    ]
    target = "the norm of the embedding" if references is None else "the similarity to the reference"
    body = _gallery([f"identity {s.identity}" for s in samples], rows)
    return Section("", body, f"Grad-CAM of {target}. {HOW_TO_READ}")


def why_found(model: Embedder, pairs: Sequence[tuple[Sample, Sample]]) -> Markup:
    """Return for each query and what it found: both, and where the model sees their similarity.

    A pair with a picture that cannot be read is left out, with a warning in the log.
    """
    names, rows = [], []
    for query, match in pairs:
        who = f"identity {query.identity}"
        verdict: Literal["right", "wrong"] = "right" if query.identity == match.identity else "wrong"
        try:
            shots = [
                _shot(read_picture(query), "query", f"query, {who}"),
                _shot(looked_at(model, query, reference=match), "attention", f"where {who} resembles what was found"),
                _shot(looked_at(model, match, reference=query), "attention", f"where what was found resembles {who}"),
                _shot(read_picture(match), "found", f"found, identity {match.identity}", kind=verdict),
            ]
        except DataError as error:
            logger.warning("left a pair out of the report: %s", error)
            continue
        names.append(f"{who} found again" if verdict == "right" else f"{who} taken for identity {match.identity}")
        rows.append(shots)
    return _gallery(names, rows)


def _columns(
    models: Mapping[str, Embedder], samples: Sequence[Sample], references: Sequence[Sample] | None
) -> dict[str, list[Pixels]]:
    if not samples:
        raise ValueError("expected at least one sample to look at, got none")
    if references is not None and len(references) != len(samples):
        raise ValueError(f"expected one reference for each of {len(samples)} samples, got {len(references)}")
    columns: dict[str, list[Pixels]] = {"picture": [read_picture(s) for s in samples]}
    if references is not None:
        columns["reference"] = [read_picture(s) for s in references]
    for name, model in models.items():
        others: Sequence[Sample | None] = references or [None] * len(samples)
        columns[name] = [looked_at(model, s, reference=r) for s, r in zip(samples, others, strict=True)]
    return columns


def looked_at(model: Embedder, sample: Sample, *, reference: Sample | None = None) -> Pixels:
    """Return a sample's picture under its attention: to a reference's embedding, or to its own norm without one."""
    return overlay(read_picture(sample), heat(model, sample, reference=reference))


def heat(model: Embedder, sample: Sample, *, reference: Sample | None = None) -> Tensor:
    """Return the attention (h, w), 0 to 1, to a sample at the size that the model takes; as `looked_at`."""
    toward = None
    if reference is not None:
        with eval_mode(model), torch.no_grad():
            toward = embedding_of(model, _image(model, read_picture(reference)), modalities=_modality(model, reference))
    image = _image(model, read_picture(sample))
    return attention(model, image, reference=toward, modalities=_modality(model, sample))[0]


def overlay(picture: Pixels, heat: Tensor) -> Pixels:
    """Return a picture (H, W, 3) under its heat (h, w) of 0 to 1: coloured where hot, paler where cold."""
    height, width = picture.shape[:2]
    wide = F.interpolate(heat[None, None], size=(height, width), mode="bilinear", align_corners=False)[0, 0].numpy()
    with needs("attention"):
        from matplotlib import colormaps

    color = colormaps[COLORS](wide)[..., :3] * 255
    pale = 0.6 * picture.mean(axis=2, keepdims=True) + 0.4 * picture
    share = 0.6 * np.clip(1.5 * wide, 0, 1)[..., None]
    blended: Pixels = ((1 - share) * pale + share * color).round().astype(np.uint8)
    return blended


def _image(model: Embedder, picture: Pixels) -> Tensor:
    image = torch.tensor(picture).permute(2, 0, 1).to(next(model.parameters()).device)
    resized: Tensor = test_transform((model.spec.height, model.spec.width))(image)
    return resized[None]


def _modality(model: Embedder, sample: Sample) -> Tensor | None:
    number = number_modalities([sample])
    return None if number is None else number.to(next(model.parameters()).device)


def _shot(picture: Pixels, name: str, alt: str, *, kind: Literal["right", "wrong"] | None = None) -> Shot:
    return Shot(Thumbnail.of(picture, side=SIDE), alt=alt, lines=(name,), kind=kind)


def _gallery(names: Sequence[str], rows: Sequence[Sequence[Shot]]) -> Markup:
    shapes = [shot.picture.width / shot.picture.height for row in rows for shot in row if shot.picture]
    ratio = float(np.median(shapes)) if shapes else 0.5
    return render(
        "attention.html",
        rows=rows,
        names=names,
        ratio=ratio,
        width=max(map(len, rows), default=1),
        heat=legend_colors(),
    )


def legend_colors() -> list[str]:
    """Return the colours of a grey picture under attention from none to the most, as CSS writes them."""
    grey = np.full((1, 9, 3), 150, dtype=np.uint8)
    return [f"rgb({r} {g} {b})" for r, g, b in overlay(grey, torch.linspace(0, 1, 9)[None])[0].tolist()]


def _sheet(columns: Mapping[str, Sequence[Pixels]], *, height: int = 256, gap: int = 8, head: int = 28) -> Image.Image:
    """Return the columns side by side under their names, every picture at the same height, over a legend."""

    def tall(picture: Pixels) -> Image.Image:
        return Image.fromarray(picture).resize((max(1, picture.shape[1] * height // picture.shape[0]), height))

    sheets = {name: [tall(p) for p in column] for name, column in columns.items()}
    font = ImageFont.load_default(14)
    widths = {name: max([int(font.getlength(name)), *(p.width for p in column)]) for name, column in sheets.items()}
    rows = len(next(iter(sheets.values())))
    legend = _legend(font)
    width = max(sum(widths.values()) + gap * (len(widths) + 1), legend.width + 2 * gap)
    bottom = head + rows * (height + gap)
    sheet = Image.new("RGB", (width, bottom + legend.height + gap), "white")
    sheet.paste(legend, (gap, bottom))
    draw, left = ImageDraw.Draw(sheet), gap
    for name, column in sheets.items():
        draw.text((left, 6), name, fill="#20252d", font=font)
        for row, picture in enumerate(column):
            sheet.paste(picture, (left, head + row * (height + gap)))
        left += widths[name] + gap
    return sheet


def _legend(font: Any, *, bar: int = 72, height: int = 20) -> Image.Image:
    """Return a bar of the colours of a grey picture, from no attention to the most, between words that say so."""
    low, high = "no attention", "most"
    first, last = int(font.getlength(low)), int(font.getlength(high))
    legend = Image.new("RGB", (first + bar + last + 16, height), "white")
    draw = ImageDraw.Draw(legend)
    draw.text((0, 2), low, fill="#20252d", font=font)
    colors = overlay(np.full((height, bar, 3), 150, dtype=np.uint8), torch.linspace(0, 1, bar)[None])
    legend.paste(Image.fromarray(colors), (first + 8, 0))
    draw.text((first + bar + 16, 2), high, fill="#20252d", font=font)
    return legend
