"""Uploaded pictures: from the bytes of a stranger to pixels, or to a refusal."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from PIL import Image
from starlette.requests import ClientDisconnect, Request

from reseen.pictures import MAX_SCANS, SOS, Pixels, flattened, jpeg_markers
from reseen.serving.errors import RefusedError
from reseen.serving.settings import Limits

Result = TypeVar("Result")

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
MAX_THREADS = 4
MAX_PARTS = 20_000
"""Segments of a JPEG or chunks of a PNG file; each costs a step in Python."""
MAX_CHUNKS_WITHOUT_PIXELS = 256
"""Chunks of a PNG file that hold no pixels; a kilobyte of a colour profile is unpacked to as much as a megabyte."""
MAX_STRAY_BYTES = 4_096
"""Bytes between the segments of a JPEG file, where there should be none; each costs a step in Python."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}
"""OpenAPI's description of a body that is a picture."""


class PixelBudget:
    """Semaphore over the pixels being decoded.

    Args:
        num_pixels: Of all pictures together.
    """

    def __init__(self, num_pixels: int) -> None:
        self._total = self._free = num_pixels
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def reserve(self, num_pixels: int) -> Iterator[None]:
        """Wait until there is room for a picture, and hold it; one larger than all the room takes all of it."""
        num_pixels = min(num_pixels, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= num_pixels)
            self._free -= num_pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += num_pixels
                self._changed.notify_all()


class Decoder:
    """Decodes uploaded pictures in threads of its own, so that nothing else waits for them.

    Args:
        limits: Of one picture, and of all that are decoded at a time.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits, self._budget = limits, PixelBudget(limits.num_pixels_in_flight)
        self._threads = ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1), thread_name_prefix="decoder")

    async def decode(self, body: bytes, use: Callable[[Pixels], Result]) -> Result:
        """Return what ``use`` makes of a picture; the pixels themselves are let go of in the thread.

        Raises:
            RefusedError: The body is no such picture.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._decode, body, use)

    def close(self) -> None:
        """Start nothing more, without waiting for what is decoded for clients that have left."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _decode(self, body: bytes, use: Callable[[Pixels], Result]) -> Result:
        opened = open_picture(body, self._limits)
        num_pixels = opened.width * opened.height
        if opened.mode.startswith(("I", "F")):  # Grey of 16 bits is scaled in float64.
            num_pixels *= 2
        with opened, self._budget.reserve(num_pixels):
            try:
                pixels = flattened(opened)
            except Exception:  # damaged files make Pillow raise almost anything
                raise RefusedError(422, "Expected a whole picture, got one that is cut short or damaged.") from None
            return use(pixels)


async def read_upload(request: Request) -> bytes:
    """Return the body of a request that says it is a picture.

    Raises:
        RefusedError: It says that it is something else, or nothing: a form of another site's page could send that.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind.startswith("image/") and kind != "application/octet-stream":
        raise RefusedError(415, "Expected a picture as the body, with a Content-Type of image/...")
    return await request.body()


async def until_disconnect(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Return the result of some work, or give it up when the client leaves; the body has been read before.

    Raises:
        ClientDisconnect: The client has left.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


def open_picture(body: bytes, limits: Limits) -> Image.Image:
    """Return the one picture in a request's body, opened and not yet decoded.

    Raises:
        RefusedError: It is empty, no picture of a known format, animated, too large once decoded, or costly beyond its
            size.
    """
    if not body:
        raise RefusedError(422, "Expected a picture as the body of the request, got nothing.")
    check_parts(body)
    try:
        opened = Image.open(io.BytesIO(body), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise RefusedError(422, f"Expected at most {limits.num_pixels:,} pixels, got far more.") from None
    except Exception:  # as above
        raise RefusedError(
            415, f"Expected a picture of {', '.join(FORMATS)}, got something else or a damaged file."
        ) from None
    width, height = opened.size
    if width * height > limits.num_pixels:
        raise RefusedError(422, f"Expected at most {limits.num_pixels:,} pixels, got {width:,} x {height:,}.")
    # A phone's JPEG may hold further pictures after the one that it shows, such as one for brighter screens.
    frames = 1 if opened.format == "MPO" else getattr(opened, "n_frames", 1)
    if frames != 1:
        raise RefusedError(422, f"Expected a still picture, got one of {frames} frames.")
    if any(tile[0] == "bmp_rle" for tile in getattr(opened, "tile", ())):  # Pillow expands it in Python, byte by byte.
        raise RefusedError(422, "Expected a BMP without compression, got a run-length encoded one.")
    return opened


def check_parts(body: bytes) -> None:
    """Refuse a JPEG or PNG file of more parts than any honest one, before anything is opened.

    Raises:
        RefusedError: It has too many, or bytes between them.
    """
    if body.startswith(b"\xff\xd8"):
        scans = stray = 0
        for number, (marker, skipped) in enumerate(jpeg_markers(body)):
            stray += 0 if scans else skipped
            scans += marker == SOS
            if scans > MAX_SCANS:
                raise RefusedError(422, f"Expected a JPEG file of at most {MAX_SCANS} scans, got more.")
            if number > MAX_PARTS or stray > MAX_STRAY_BYTES:
                raise RefusedError(422, "Expected a usual JPEG file, got one of far too many parts.")
    elif body.startswith(PNG_SIGNATURE):
        position, number, others = len(PNG_SIGNATURE), 0, 0
        while position < len(body):
            others += body[position + 4 : position + 8] != b"IDAT"
            position += 12 + int.from_bytes(body[position : position + 4], "big")
            number += 1
            if number > MAX_PARTS or others > MAX_CHUNKS_WITHOUT_PIXELS:
                raise RefusedError(422, "Expected a usual PNG file, got one of far too many chunks.")
