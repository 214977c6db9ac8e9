"""Pictures out of a video: the boxes of a tracker or of a ground truth, in MOTChallenge's format."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reseen.errors import DataError
from reseen.extras import needs
from reseen.pictures import Pixels, crop


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
    """What a video shows in one box.

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

    Lines of confidence 0, which a ground truth wants passed over, are. A track of -1 is none.

    Raises:
        DataError: The file is missing, empty, or a line is not of this form; it is named.
    """
    boxes = []
    try:
        with Path(path).open(newline="") as file:
            for line, row in enumerate(csv.reader(file), 1):
                try:
                    frame, track = int(row[0]), int(row[1])
                    left, top, width, height = (float(value) for value in row[2:6])
                    if frame < 1 or not (width > 0 and height > 0 and math.isfinite(left + top + width + height)):
                        raise ValueError
                    confidence = float(row[6]) if len(row) > 6 else 1.0
                except (ValueError, IndexError):
                    raise DataError(
                        f"expected 'frame, track, left, top, width, height, ...' in line {line} of {path}, "
                        f"got '{','.join(row)}'; mend the line"
                    ) from None
                if confidence != 0:
                    box = (round(left - 1), round(top - 1), max(1, round(width)), max(1, round(height)))
                    boxes.append(TrackedBox(frame, None if track == -1 else track, box))
    except OSError as error:
        raise DataError(f"expected boxes at {path}, got: {error.strerror}; check the path") from None
    except UnicodeDecodeError:
        raise DataError(f"expected lines of text at {path}, got something else; check the path") from None
    if not boxes:
        raise DataError(f"expected boxes at {path}, found none; check that it is the right file")
    return boxes


def crops(video: str | Path, boxes: Sequence[TrackedBox], *, every: int = 1) -> Iterator[Crop]:
    """Yield what a video shows in each box, frame by frame; the video is decoded once, and never held.

    Boxes that lie wholly outside the picture are passed over.

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
        with av.open(str(video)) as file:
            stream = file.streams.video[0]
            stream.thread_type = "AUTO"
            for number, frame in enumerate(file.decode(stream), 1):
                if number in wanted:
                    pixels = frame.to_ndarray(format="rgb24")
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
