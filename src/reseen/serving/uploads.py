"""From the bytes that a stranger sends to pixels, or to a refusal."""

from __future__ import annotations

import io

from PIL import Image

from reseen.pictures import Pixels, flattened
from reseen.serving.limits import Limits, RefusedError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")


def picture(body: bytes, limits: Limits) -> Pixels:
    """Return the one picture in a request's body as uint8 RGB (H, W, 3).

    Raises:
        RefusedError: It is empty, no picture of a known format, animated, too large once decoded, or cut short.
    """
    if not body:
        raise RefusedError(422, "Expected a picture as the body of the request, got nothing.")
    try:
        opened = Image.open(io.BytesIO(body), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise RefusedError(422, f"Expected at most {limits.num_pixels:,} pixels, got far more.") from None
    except Exception:  # damaged files make Pillow raise almost anything
        raise RefusedError(
            415, f"Expected a picture of {', '.join(FORMATS)}, got something else or a damaged file."
        ) from None
    with opened:
        width, height = opened.size
        if width * height > limits.num_pixels:
            raise RefusedError(422, f"Expected at most {limits.num_pixels:,} pixels, got {width:,} x {height:,}.")
        # A phone's JPEG may hold further pictures after the one that it shows, such as one for brighter screens.
        frames = 1 if opened.format == "MPO" else getattr(opened, "n_frames", 1)
        if frames != 1:
            raise RefusedError(422, f"Expected a still picture, got one of {frames} frames.")
        try:
            return flattened(opened)
        except Exception:  # as above
            raise RefusedError(422, "Expected a whole picture, got one that is cut short or damaged.") from None
