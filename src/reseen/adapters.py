"""Models in the places that trackers have for one: a few lines each, which import none of them.

All take a model as `reseen.load` does: a name that `reseen models` lists, a run, a checkpoint or an exported file. A
box of no width or no height, or outside the frame, has no crop: its vector is None, or where a tracker wants one for
every box, one that is like nobody's.

Dimensions: N boxes or crops, D components of a vector.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reseen.embedding.encoder import Encoder, Vectors, load
from reseen.pictures import Pixels


class FrameEmbedder:
    """Vectors of boxes or crops of a frame.

    Args:
        model: A name, a path, or an encoder.
        bgr: Frames are blue first, as OpenCV reads them; False for RGB.
        device: Where the model runs.
    """

    def __init__(self, model: str | Path | Encoder, *, bgr: bool = True, device: str | None = None) -> None:
        self.encoder = model if isinstance(model, Encoder) else load(model, device)
        self.bgr = bgr

    def crops(self, crops: Iterable[Pixels]) -> list[NDArray[np.float32] | None]:
        """Return the vector (D,) of each crop, of length 1; None for an empty one."""
        pictures = list(crops)
        rows = [row for row, crop in enumerate(pictures) if crop.size]
        ordered = [np.ascontiguousarray(pictures[row][..., ::-1] if self.bgr else pictures[row]) for row in rows]
        vectors: list[NDArray[np.float32] | None] = [None] * len(pictures)
        for row, vector in zip(rows, self.encoder(ordered), strict=True):
            vectors[row] = vector / max(float(np.linalg.norm(vector)), 1e-12)
        return vectors

    def boxes(self, frame: Pixels, boxes: ArrayLike) -> list[NDArray[np.float32] | None]:
        """Return the vector (D,) of each box (N, 4) of a frame: left, top, right, bottom; None where it has no crop."""
        height, width = frame.shape[:2]
        limits = np.array([width, height, width, height])
        corners = np.clip(np.asarray(boxes, dtype=np.float64).reshape(-1, 4).round(), 0, limits).astype(int)
        return self.crops([frame[top:bottom, left:right] for left, top, right, bottom in corners])

    def matrix(self, vectors: Sequence[NDArray[np.float32] | None], *, unit: bool = False) -> Vectors:
        """Return vectors as a matrix (N, D).

        Args:
            vectors: N, some of them None.
            unit: For None, a vector of length 1 which all that have no negative numbers are far from; false: zeros.
        """
        blank = np.full(self.encoder.dim, -(self.encoder.dim**-0.5) if unit else 0.0, np.float32)
        return np.stack([blank if vector is None else vector for vector in vectors] or [blank])[: len(vectors)]


class SupervisionEmbedder(FrameEmbedder):
    """Vectors (N, D) of ``supervision.Detections``: ``embedder(frame, detections)``."""

    def __call__(self, frame: Pixels, detections: Any) -> Vectors:
        """Return (N, D) for the boxes of detections, and keep it as their data ``embedding``."""
        vectors = self.matrix(self.boxes(frame, detections.xyxy))
        detections.data["embedding"] = vectors
        return vectors


class UltralyticsEncoder(FrameEmbedder):
    """The ReID model of ultralytics' BoT-SORT, Deep OC-SORT and TrackTrack, put there by a callback.

    ``yolo.add_callback("on_predict_batch_start", UltralyticsEncoder(name).attach)``
    """

    def attach(self, predictor: Any) -> None:
        """Take the place of the ReID model of all trackers of a predictor; its YAML has ``with_reid: False``."""
        for tracker in predictor.trackers:
            # Under the name auto, trackers hand on the detector's features in place of the frame.
            tracker.encoder, tracker.args.with_reid, tracker.args.model = self, True, "reseen"

    def __call__(self, frame: Pixels, boxes: ArrayLike) -> list[NDArray[np.float32] | None]:
        """Return a vector or None for each box (N, 4 or more): centre x, centre y, width, height, in pixels."""
        table = np.atleast_2d(np.asarray(boxes, dtype=np.float64))
        x, y, width, height = table[:, :4].T if table.size else np.empty((4, 0))
        corners = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1)
        return self.boxes(frame, corners)


class BoxmotModel(FrameEmbedder):
    """The ReID model of BoxMOT's trackers, by its methods: ``BotSort(reid_model=BoxmotModel(name))``.

    In versions before 25, ``tracker.model = BoxmotModel(name)``.
    """

    def get_features(self, boxes: ArrayLike, frame: Pixels) -> Vectors:
        """Return (N, D) of length 1 for boxes (N, 4): left, top, right, bottom."""
        return self.matrix(self.boxes(frame, boxes), unit=True)

    def warmup(self, *_: Any) -> None:
        """Do nothing: there is nothing to warm up."""


class DeepSortEmbedder(FrameEmbedder):
    """The embedder of deep-sort-realtime: ``tracker.embedder = DeepSortEmbedder(name)``."""

    def predict(self, crops: Iterable[Pixels]) -> list[NDArray[np.float32]]:
        """Return a vector of length 1 for each crop."""
        return list(self.matrix(self.crops(crops), unit=True))
