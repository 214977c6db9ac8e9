"""Crops of a video by boxes of a tracker or a ground truth, in MOTChallenge's format."""

from __future__ import annotations

import logging
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reseen.errors import DataError
from reseen.extras import needs
from reseen.pictures import Pixels, crop

logger = logging.getLogger(__name__)

SEPARATOR = re.compile(r"[,;\s]+")
NAMES = re.compile(r"[\"'#]*[a-zA-Z_]+[\"']*[,;\s]")  # of columns


@dataclass(frozen=True, slots=True)
class TrackedBox:
    """One individual in one frame.

    Attributes:
        frame: From 1.
        track: Whose box it is; None for a detection that nobody has tracked.
        box: Left, top, width and height in pixels from the picture's corner.
    """

    frame: int
    track: int | None
    box: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False, slots=True)
class Crop:
    """Crop of one box of a video.

    Attributes:
        boxed: The box.
        time: Seconds from the video's start.
        pixels: uint8 RGB (H, W, 3).
    """

    boxed: TrackedBox
    time: float
    pixels: Pixels


def read_boxes(path: str | Path) -> list[TrackedBox]:
    """Read ``frame, track, left, top, width, height, confidence, ...`` lines, whose pixels and frames count from 1.

    Numbers may be separated by commas, semicolons, blanks or tabs, and whole ones be written as 1.0; blank lines and a
    line of names at the top are ignored, and so are lines of confidence 0, as a ground truth wants,
    and, counted in the log, boxes without width or height. A track of -1 is none.

    Raises:
        DataError: The file is missing, empty, or a line is not of this form; it is named.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"expected boxes at {path}, got: {error.strerror}; check the path") from None
    except UnicodeDecodeError:
        raise DataError(f"expected lines of text at {path}, got something else; check the path") from None
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if lines and NAMES.match(lines[0][1]):
        del lines[0]
    boxes, without_size, ignored = [], 0, 0
    for number, line in lines:
        try:
            frame, track, left, top, width, height, *more = (float(word) for word in SEPARATOR.split(line) if word)
            if frame < 1 or not (
                frame.is_integer() and track.is_integer() and math.isfinite(left + top + width + height)
            ):
                raise ValueError
        except ValueError:
            raise DataError(
                f"expected 'frame, track, left, top, width, height, ...', frames from 1, in line {number} of {path}, "
                f"got '{line[:80]}'; mend the line"
            ) from None
        if more and more[0] == 0:
            ignored += 1
        elif width <= 0 or height <= 0:
            without_size += 1
        else:
            box = (round(left - 1), round(top - 1), max(1, round(width)), max(1, round(height)))
            boxes.append(TrackedBox(int(frame), None if track == -1 else int(track), box))
    if without_size:
        logger.warning("%s: ignored %d boxes without width or height", path, without_size)
    if not boxes and ignored:
        raise DataError(
            f"expected boxes to use in {path}, found confidence 0, which marks a box to be ignored, in all "
            f"{ignored:,}; write the tracker's confidence as the seventh number, or leave it out"
        )
    if not boxes:
        raise DataError(f"expected boxes at {path}, found none; check that it is the right file")
    return boxes


def crops(video: str | Path, boxes: Sequence[TrackedBox], *, every: int = 1) -> Iterator[Crop]:
    """Yield what a video shows in each box, frame by frame; the video is decoded once, and never held.

    Frames are turned as the file says that they are to be shown, as phones' are; boxes are of frames so turned.

    Boxes that lie wholly outside the picture are ignored.

    Args:
        video: Any file that FFmpeg reads.
        boxes: In any order.
        every: Use the boxes of every so many frames only.

    Raises:
        DataError: The video is missing, cannot be decoded, or ends before the last box.
        ValueError: ``every`` is not positive.
    """
    if every < 1:
        raise ValueError(f"expected every 1 frame or more, got {every}")
    with needs("video"):
        import av
    wanted: dict[int, list[TrackedBox]] = defaultdict(list)
    for boxed in boxes:
        if (boxed.frame - 1) % every == 0:
            wanted[boxed.frame].append(boxed)
    number, final = 0, max(wanted, default=0)
    try:
        with av.open(str(video), metadata_errors="replace") as file:
            stream = file.streams.video[0]
            stream.thread_type = "AUTO"
            for number, frame in enumerate(file.decode(stream), 1):
                if number in wanted:
                    # The angle goes against the clock, as that of rot90 does.
                    pixels = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
                    height, width = pixels.shape[:2]
                    for boxed in wanted[number]:
                        left, top, across, down = boxed.box
                        if left < width and top < height and left + across > 0 and top + down > 0:
                            yield Crop(
                                boxed, float(frame.time or 0.0), crop(pixels, boxed.box, f"{video} frame {number}")
                            )
                if number >= final:
                    return
    except (av.FFmpegError, IndexError) as error:
        raise DataError(f"expected a video at {video}, got: {error}; check the file") from None
    raise DataError(
        f"expected {final} frames in {video} for the boxes, found {number}; check that they belong together"
    )
