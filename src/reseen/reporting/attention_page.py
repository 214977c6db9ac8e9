"""What networks look at, side by side on the same pictures: a page, or one picture.

The layout follows Figure 5 of the FIDI paper: the pictures, and beside each what every model makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from reseen.images.reading import read
from reseen.reporting.attention import attention, embedding_of, evaluating
from reseen.reporting.page import Section, render, write_page
from reseen.reporting.pictures import Shot, Thumbnail
from reseen.samples import Sample

Picture = NDArray[np.uint8]


def write_attention(
    models: Mapping[str, nn.Module],
    samples: Sequence[Sample],
    out: str | Path,
    *,
    references: Sequence[Sample] | None = None,
    size: tuple[int, int] = (256, 128),
) -> Path:
    """Write what each model looks at in the same pictures: an HTML page, or a picture where ``out`` ends in .png.

    Args:
        models: Name -> model; one, or several to be seen side by side.
        samples: The pictures.
        out: Path to write.
        references: One for each sample: explain the similarity to it. None: explain the embedding's norm.
        size: (height, width) in which the models are given the pictures.

    Returns:
        The path written.

    Raises:
        ValueError: There are no samples, or not as many references.
        DataError: A picture cannot be read.
    """
    if not samples or (references is not None and len(references) != len(samples)):
        expected = "at least one sample" if not samples else f"one reference for each of {len(samples)} samples"
        raise ValueError(f"expected {expected}, got {0 if not samples else len(references or ())}")
    pictures = {"picture": [read(s) for s in samples]}
    others = None
    if references is not None:
        pictures["reference"] = [read(s) for s in references]
        others = _batch(pictures["reference"], size)
    images = _batch(pictures["picture"], size)
    for name, model in models.items():
        heats = _heats(model, images, others)
        pictures[name] = [overlay(p, heat) for p, heat in zip(pictures["picture"], heats, strict=True)]
    path = Path(out)
    if path.suffix.lower() == ".png":
        path.parent.mkdir(parents=True, exist_ok=True)
        _sheet(pictures).save(path)
        return path
    rows = [
        [
            Shot(Thumbnail.of(column[n], side=320), alt=f"identity {sample.identity}: {name}", lines=(name,))
            for name, column in pictures.items()
        ]
        for n, sample in enumerate(samples)
    ]
    target = "the norm of the embedding" if references is None else "its similarity to the reference picture"
    note = f"Grad-CAM of {target}. Each map is scaled to its own highest value: red counts most, grey not at all."
    body = render("attention.html", rows=rows, names=[f"identity {s.identity}" for s in samples], width=len(pictures))
    return write_page(out, "Where the network looks", sections=[Section("", body, note)], eyebrow=", ".join(models))


def overlay(picture: Picture, heat: Tensor) -> Picture:
    """Return a picture (H, W, 3) under its heat (h, w) of 0 to 1: coloured where hot, paler where cold."""
    height, width = picture.shape[:2]
    wide = F.interpolate(heat[None, None], size=(height, width), mode="bilinear", align_corners=False)[0, 0].numpy()
    color = colormaps["turbo"](wide)[..., :3] * 255
    pale = 0.6 * picture.mean(axis=2, keepdims=True) + 0.4 * picture
    share = 0.6 * np.clip(1.5 * wide, 0, 1)[..., None]
    blended: Picture = ((1 - share) * pale + share * color).round().astype(np.uint8)
    return blended


def _heats(model: nn.Module, images: Tensor, others: Tensor | None) -> list[Tensor]:
    """Return each picture's heat (H, W), one picture at a time, so that memory stays that of one."""
    heats = []
    for row in range(len(images)):
        reference = None
        if others is not None:
            with evaluating(model), torch.no_grad():
                reference = embedding_of(model, others[row : row + 1])
        heats.append(attention(model, images[row : row + 1], reference=reference)[0])
    return heats


def _batch(pictures: Sequence[Picture], size: tuple[int, int]) -> Tensor:
    height, width = size
    resized = [np.asarray(Image.fromarray(p).resize((width, height), Image.Resampling.BILINEAR)) for p in pictures]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).contiguous()


def _sheet(columns: Mapping[str, Sequence[Picture]], *, height: int = 256, gap: int = 8, head: int = 28) -> Image.Image:
    """Return the columns side by side under their names, every picture at the same height."""

    def tall(picture: Picture) -> Image.Image:
        return Image.fromarray(picture).resize((max(1, picture.shape[1] * height // picture.shape[0]), height))

    sheets = {name: [tall(p) for p in column] for name, column in columns.items()}
    widths = {name: max(p.width for p in column) for name, column in sheets.items()}
    rows = len(next(iter(sheets.values())))
    sheet = Image.new("RGB", (sum(widths.values()) + gap * (len(widths) + 1), head + rows * (height + gap)), "white")
    draw, left = ImageDraw.Draw(sheet), gap
    for name, column in sheets.items():
        draw.text((left, 6), name, fill="#20252d", font=ImageFont.load_default(14))
        for row, picture in enumerate(column):
            sheet.paste(picture, (left, head + row * (height + gap)))
        left += widths[name] + gap
    return sheet
