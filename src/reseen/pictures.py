"""Pictures of any kind as pixels, and small ones to show. Needs no torch."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import logging
import os
import re
import stat
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from reseen.errors import DataError, one_line

logger = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]
"""RGB (H, W, 3), 0..255."""
Picture = str | Path | Pixels | Image.Image
"""A file, pixels, or a picture of Pillow."""

EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif"),
)
"""How the names of pictures end, for every reader of folders."""

FORMATS = (
    *("JPEG", "PNG", "BMP", "DIB", "TIFF", "WEBP", "GIF", "PPM", "JPEG2000"),
    *(("AVIF",) if importlib.util.find_spec("PIL.AvifImagePlugin") else ()),
)
"""The formats that are read, by Pillow's names, whatever a file is called. For some others it runs further programs."""

MAX_LINKS = 100
"""Links below one folder that may lead to the same folder."""
MAX_PIXELS = 178_956_970
"""Pixels of a picture at most, unless the environment's RESEEN_MAX_PIXELS says otherwise: Pillow's own limit."""
MAX_SCANS = 100
"""Scans of a progressive JPEG file at most: each is decoded over the whole picture. Encoders write some ten."""
MAX_RUN_LENGTH_PIXELS = 2**22
"""Pixels of a run-length encoded BMP file at most: Pillow expands these in Python, byte by byte."""

_last = threading.local()


def is_picture(name: str) -> bool:
    """Return whether a file is named as a picture is; hidden files (._0001.jpg) and names not in UTF-8 are not."""
    return not name.startswith(".") and name.lower().endswith(EXTENSIONS) and _in_utf8(name)


def _leads_back(folder: str, name: str, linked: Counter[str]) -> bool:
    """Return whether a folder is a link to one that it lies in; other links are counted by where they lead."""
    path = os.path.join(folder, name)
    if not os.path.islink(path):
        return False
    target = os.path.realpath(path)
    linked[target] += 1
    if linked[target] > MAX_LINKS:
        raise DataError(f"expected at most {MAX_LINKS} links to one folder, found more to {target}; leave some out")
    return Path(os.path.realpath(folder)).is_relative_to(target)


def _in_utf8(name: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def find_pictures(root: Path) -> list[str]:
    """Return the paths of all pictures below a folder, from it, with forward slashes, sorted.

    Links are followed, but for those that lead back to where they are; hidden folders are not looked into. Files that
    are no pictures are counted in the log.

    Raises:
        DataError: More than `MAX_LINKS` links lead to the same folder.
    """
    names, others = [], []
    linked = Counter[str]()
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".") and not _leads_back(folder, name, linked)]
        start = Path(folder).relative_to(root).as_posix()
        prefix = "" if start == "." else f"{start}/"
        names += [prefix + name for name in files if is_picture(name)]
        others += [name for name in files if not is_picture(name)]
    if others:
        logger.info("%s: %s", root, passed_over(others))
    return sorted(names)


def passed_over(names: Iterable[str]) -> str:
    """Return in words how many files were no pictures, by the endings of their names."""
    kinds = Counter(
        "hidden"
        if name.startswith(".")
        else (Path(name).suffix.lower() or "no ending")
        if _in_utf8(name)
        else "names not in UTF-8"
        for name in names
    )
    listed_kinds = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common(5))
    return f"skipped {kinds.total():,} files that are no pictures ({listed_kinds}{', ...' if len(kinds) > 5 else ''})"


def as_pixels(picture: Picture) -> Pixels:
    """Return a picture as uint8 RGB (H, W, 3).

    Raises:
        DataError: The file is missing, empty, no picture or cut short; it is named.
        ValueError: The array is not uint8 (H, W, 3).
    """
    if isinstance(picture, Image.Image):
        return flattened(picture)
    if isinstance(picture, (str, Path)):
        return decode(Path(picture))
    pixels = np.asarray(picture)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(f"expected a picture of uint8 RGB (H, W, 3), got {pixels.dtype} {pixels.shape}")
    return pixels


def decode(path: Path) -> Pixels:
    """Return the picture in a file as uint8 RGB (H, W, 3); of an animation, the first frame.

    Cameras' orientation marks are obeyed; grey, palette, transparent and deeper pictures become RGB, see `flattened`.

    Raises:
        DataError: The file is missing, empty, no picture, cut short, or larger than RESEEN_MAX_PIXELS; it is named.
    """
    try:
        _require_regular_file(path)
        return _decoded(path, str(path), path.read_bytes)
    except FileNotFoundError:
        raise DataError(f"expected a picture at {path}, found no such file; check the root or the path") from None
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise DataError(f"expected a picture at {path}, got: {one_line(error)}; replace it or leave it out") from None


def decode_bytes(content: bytes, name: str) -> Pixels:
    """Return the picture in a file's content, as `decode`.

    Raises:
        DataError: As `decode`; the picture is called by its name.
    """
    return _decoded(io.BytesIO(content), name, lambda: content)


def _decoded(file: Path | io.BytesIO, name: str, content: Callable[[], bytes]) -> Pixels:
    try:
        with _without_pillows_limit(), Image.open(file, formats=FORMATS) as picture:
            limit = int(os.environ.get("RESEEN_MAX_PIXELS", MAX_PIXELS))
            if picture.width * picture.height > limit:
                size = f"{picture.width:,} x {picture.height:,}"
                raise DataError(
                    f"expected at most {limit:,} pixels in {name}, got {size}; where that is meant, allow more with "
                    "--max_pixels, or RESEEN_MAX_PIXELS in the environment"
                )
            _require_usual_effort(name, picture, content)
            return flattened(picture)
    except (DataError, FileNotFoundError):
        raise
    except Exception as error:  # a damaged file makes Pillow raise almost anything
        reason = one_line(error) if content() else "an empty file"
        raise DataError(f"expected a picture at {name}, got: {reason}; replace it or leave it out") from None


def _require_regular_file(path: Path) -> None:
    """Make sure that reading a file comes to an end, as that of a pipe or device need not."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or device"
        raise DataError(f"expected a picture at {path}, got {kind}; replace it or leave it out")


def _require_usual_effort(name: str, picture: Image.Image, content: Callable[[], bytes]) -> None:
    """Make sure that a file takes no more work than one of its size usually does."""
    if picture.info.get("progressive"):
        scans = sum(marker == SOS for marker, _ in jpeg_markers(content()))
        if scans > MAX_SCANS:
            raise DataError(f"expected at most {MAX_SCANS} scans in {name}, got {scans:,}; save it anew")
    run_length = any(tile[0] == "bmp_rle" for tile in getattr(picture, "tile", ()))
    if run_length and picture.width * picture.height > MAX_RUN_LENGTH_PIXELS:
        raise DataError(
            f"expected at most {MAX_RUN_LENGTH_PIXELS:,} pixels in {name}, a run-length encoded BMP, got "
            f"{picture.width:,} x {picture.height:,}; save it without compression"
        )


@contextlib.contextmanager
def _without_pillows_limit() -> Iterator[None]:
    """Let Pillow open pictures of any size: `decode` has a limit of its own, and Pillow's warns at half of it.

    Pillow's is one for all threads, so it is put back when the last of them is done.
    """
    with _decoding.lock:
        if _decoding.count == 0:
            _decoding.limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _decoding.count += 1
    try:
        yield
    finally:
        with _decoding.lock:
            _decoding.count -= 1
            if _decoding.count == 0:
                Image.MAX_IMAGE_PIXELS = _decoding.limit


class _Decoding:
    """How many threads decode at this moment, and Pillow's limit before."""

    def __init__(self) -> None:
        self.lock, self.count = threading.Lock(), 0
        self.limit: int | None = None


_decoding = _Decoding()


def decode_box(path: Path, box: tuple[int, int, int, int]) -> Pixels:
    """Return the part of the picture in a file in a box, as `crop`; each thread keeps the file that it read last.

    Raises:
        DataError: As `decode`, or the box lies outside.
    """
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return decode(path)  # which says what is wrong
    key = (path, facts.st_size, facts.st_mtime_ns, os.environ.get("RESEEN_SCALE"))
    if getattr(_last, "key", None) != key:
        _last.key = None
        _last.pixels = decode(path)
        _last.key = key
    frame: Pixels = _last.pixels
    return crop(frame, box, str(path))


class Reader:
    """Reader of picture files, which can skip those that cannot be read.

    Args:
        unreadable: ``"stop"`` raises; ``"skip"`` logs and counts.

    Attributes:
        skipped: How many have been skipped.
    """

    def __init__(self, unreadable: Literal["stop", "skip"] = "stop") -> None:
        self.unreadable = unreadable
        self.skipped = 0

    def read(self, path: Path, box: tuple[int, int, int, int] | None = None) -> Pixels | None:
        """Return the picture in a file, or the part of it in a box; None where it is skipped.

        Raises:
            DataError: It cannot be read, and is not to be skipped.
        """
        try:
            return decode(path) if box is None else decode_box(path, box)
        except DataError as error:
            if self.unreadable == "stop":
                raise
            self.skipped += 1
            logger.warning("skipped: %s", error)
            return None


def flattened(picture: Image.Image) -> Pixels:
    """Return a picture of Pillow, of whatever mode and orientation, as pixels.

    Grey pictures of more than 8 bits (16-bit counts, int32, float32, as thermal cameras write them) are scaled so that
    the least value of the file becomes 0 and the greatest 255. With ``type`` in the environment's RESEEN_SCALE, the
    range of the type is scaled instead: 0 to 65,535, or 0 to 1 for floats. Values that are not finite count as the
    least.

    Raises:
        ValueError: A value lies outside the range of the type, or none is finite.
    """
    upright = ImageOps.exif_transpose(picture)
    if upright.mode in ("I", "F") or upright.mode.startswith("I;16"):
        upright = Image.fromarray(_scaled(np.asarray(upright)))
    elif upright.mode == "P":
        upright = upright.convert("RGBA")
    return np.array(upright.convert("RGB"))


def _scaled(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return grey values of any type as 0..255."""
    known = np.isfinite(values)
    if not known.any():
        raise ValueError("no pixel is a finite number")
    exact = values.astype(np.float64)
    low, high = float(exact[known].min()), float(exact[known].max())
    exact[~known] = low
    if os.environ.get("RESEEN_SCALE", "range") == "type":
        top = 1.0 if values.dtype.kind == "f" else 65535.0
        if low < 0 or high > top:
            raise ValueError(
                f"its values go from {low:g} to {high:g}, beyond the type's 0 to {top:g}: use --scale range"
            )
        low, high = 0.0, top
    shares = (exact - low) / (high - low) if high > low else np.zeros_like(exact)
    levels: Pixels = np.round(255 * shares).astype(np.uint8)
    return levels


def crop(pixels: Pixels, box: tuple[int, int, int, int], name: str) -> Pixels:
    """Return the part of a picture (H, W, 3) in a box (left, top, width, height), which may reach over the edge.

    Raises:
        DataError: The box lies outside; the picture is called by its name.
    """
    left, top, width, height = box
    part = pixels[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
    if part.size == 0:
        size = f"{pixels.shape[1]} x {pixels.shape[0]}"
        raise DataError(f"expected a box within {size} pixels of {name}, got {tuple(box)}; mend its row")
    return np.array(part)  # and not a view, which would keep the whole picture in memory


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Return a picture at (height, width), bilinear with antialiasing: within one level of models' own resize."""
    if pixels.shape[:2] == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def thumbnail(pixels: Pixels, longest: int = 192) -> bytes:
    """Return a picture as a small JPEG file whose longer side has at most so many pixels."""
    small = Image.fromarray(pixels)
    small.thumbnail((longest, longest))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=88)
    return file.getvalue()


def digest(pixels: Pixels) -> bytes:
    """Return 16 bytes that name a picture by its pixels, whatever file they came from."""
    hasher = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    hasher.update(np.ascontiguousarray(pixels).data)
    return hasher.digest()


SOS = 0xDA
"""The JPEG marker that begins a scan (ITU-T T.81, table B.1)."""
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)


def jpeg_markers(file: bytes) -> Iterator[tuple[int, int]]:
    """Yield the markers of a JPEG file up to its end of image, without decoding anything.

    Args:
        file: A file that begins with FF D8.

    Yields:
        The marker's second byte (`SOS` begins a scan; restart markers are left out), and how many bytes lie between it
        and the segment before it: after an `SOS` they are the scan, elsewhere there should be none.
    """
    position = 2
    while match := _MARKER.search(file, position):
        marker = file[match.end() - 1]
        yield marker, match.start() - position
        if marker == 0xD9:
            return
        position = match.end()
        if marker >= 0xC0 and marker != 0xD8:  # The others have no length, or are passed over by decoders.
            position += max(2, int.from_bytes(file[position : position + 2], "big"))
