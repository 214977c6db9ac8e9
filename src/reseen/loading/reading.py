"""Reader of a sample's pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reseen.pictures import crop, decode, decode_box
from reseen.types import Sample


def read(sample: Sample) -> NDArray[np.uint8]:
    """Return the sample's picture, or the part of it in its box, as uint8 RGB (H, W, 3).

    Files are read as `reseen.pictures.decode` reads them. A box may reach over the picture's edge, as detectors' boxes
    do, and is cut there; of a file with several boxes in a row, the pixels are decoded once.

    Raises:
        DataError: The file is missing, empty, no picture or cut short, or the box lies outside; the file is named.
    """
    if sample.draw is None:
        path = Path(sample.path)
        return decode(path) if sample.box is None else decode_box(path, sample.box)
    return sample.draw() if sample.box is None else crop(sample.draw(), sample.box, sample.path)
