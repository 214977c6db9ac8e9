"""A tracker that tells people apart by an exported model, without torch: it stands in for the tracker's own embedder.

pip install deep-sort-realtime 'reseen[onnx]'

tracker = with_reseen("model.onnx")
tracks = tracker.update_tracks([([left, top, width, height], confidence, "person"), ...], frame=frame)
"""

import numpy as np

from reseen.embedding import load


class Hook:
    """What ``DeepSort`` asks for vectors."""

    def __init__(self, model: str) -> None:
        self.encoder = load(model)

    def predict(self, crops: list) -> list:
        """Return a vector for each part of a frame as OpenCV has it, BGR."""
        return list(self.encoder([np.ascontiguousarray(crop[:, :, ::-1]) for crop in crops]))


def with_reseen(model: str, **settings):
    from deep_sort_realtime.deepsort_tracker import DeepSort

    tracker = DeepSort(embedder=None, **settings)
    tracker.embedder = Hook(model)
    return tracker


if __name__ == "__main__":
    print(__doc__)
