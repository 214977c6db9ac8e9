"""From a sample to its pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reseen.pictures import crop, decode
from reseen.samples import Sample


def read(sample: Sample) -> NDArray[np.uint8]:
    """Return the sample's picture, or the part of it in its box, as uint8 RGB (H, W, 3).

    Cameras' orientation marks are obeyed; grey, palette, transparent and 16-bit pictures become RGB. A box may reach
    over the picture's edge, as detectors' boxes do, and is cut there.

    Raises:
        DataError: The file is missing, empty, no picture or cut short, or the box lies outside; the file is named.
    """
    pixels = sample.draw() if sample.draw is not None else decode(Path(sample.path))
    return pixels if sample.box is None else crop(pixels, sample.box, sample.path)
