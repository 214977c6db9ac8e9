"""examples/tracker_hook.py in a tracker that calls as deep-sort-realtime 1.3.2 does, and in that one where it is."""

import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from reseen.embedding.encoder import Encoder

EXAMPLE = Path(__file__).parents[1] / "examples" / "tracker_hook.py"
RED, BLUE = (200, 30, 30), (30, 30, 200)
FRAMES = 8


class MeanColour(Encoder):
    fingerprint, dim, size = "mean colour", 3, (16, 8)

    def encode(self, images: np.ndarray) -> np.ndarray:
        return images.mean((1, 2), dtype=np.float32)


class Track:
    def __init__(self, number: int, vector: np.ndarray) -> None:
        self.track_id, self.vector, self.box = str(number), vector, None

    def to_ltrb(self) -> tuple[float, ...]:
        left, top, width, height = self.box
        return left, top, left + width, top + height


class LikeDeepSort:
    """The part of ``DeepSort`` that has to do with embedding, by its names and in its order."""

    def __init__(self, max_age: int = 30, embedder: str | None = "mobilenet", bgr: bool = True) -> None:
        assert embedder is None, "its own embedder would need torch"
        self.embedder, self.tracks = None, []

    def update_tracks(self, raw_detections: list, embeds: list | None = None, frame: np.ndarray | None = None) -> list:
        boxes = [[int(x) for x in box] for box, _confidence, _kind in raw_detections]
        crops = [frame[max(0, t) : t + h, max(0, x) : x + w] for x, t, w, h in boxes]
        for box, vector in zip(boxes, self.embedder.predict(crops), strict=True):
            unit = np.asarray(vector, dtype=np.float32) / np.linalg.norm(vector)
            near = [track for track in self.tracks if track.vector @ unit > 0.8]
            track = near[0] if near else Track(len(self.tracks) + 1, unit)
            self.tracks += [] if near else [track]
            track.box = box
        return self.tracks


def hooked(monkeypatch: pytest.MonkeyPatch, **settings: object) -> object:
    spec = importlib.util.spec_from_file_location("tracker_hook", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    monkeypatch.setattr(example, "load", lambda path: MeanColour())
    return example.with_reseen("model.onnx", **settings)


def who_is_where(tracker: object) -> list[dict[str, str]]:
    """Two people change sides at once while the tracker looks on: only their looks tell them apart."""
    seen = []
    for number in range(FRAMES):
        frame = np.full((60, 120, 3), 128, np.uint8)
        sides = {"red": 10, "blue": 80} if number < FRAMES // 2 else {"red": 80, "blue": 10}
        for name, colour in (("red", RED), ("blue", BLUE)):
            frame[10:50, sides[name] : sides[name] + 20] = colour[::-1]  # BGR
        tracks = tracker.update_tracks([([x, 10, 20, 40], 0.9, "person") for x in sides.values()], frame=frame)
        seen.append({name: t.track_id for name, x in sides.items() for t in tracks if abs((t.to_ltrb()[0]) - x) < 15})
    return seen


@pytest.fixture
def like_deep_sort(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("deep_sort_realtime.deepsort_tracker")
    module.DeepSort = LikeDeepSort
    monkeypatch.setitem(sys.modules, "deep_sort_realtime", types.ModuleType("deep_sort_realtime"))
    monkeypatch.setitem(sys.modules, "deep_sort_realtime.deepsort_tracker", module)


@pytest.mark.usefixtures("like_deep_sort")
def test_a_tracker_follows_looks_by_the_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = hooked(monkeypatch, max_age=5)
    assert who_is_where(tracker) == [{"red": "1", "blue": "2"}] * FRAMES


@pytest.mark.usefixtures("like_deep_sort")
def test_colours_arrive_in_the_right_order(monkeypatch: pytest.MonkeyPatch) -> None:
    (vector,) = hooked(monkeypatch).embedder.predict([np.full((20, 10, 3), RED[::-1], np.uint8)])
    np.testing.assert_allclose(vector, RED)


def test_the_real_tracker_follows_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("deep_sort_realtime.deepsort_tracker")
    # Boxes that jump are told apart by looks only if place does not rule them out.
    tracker = hooked(monkeypatch, n_init=1, max_iou_distance=0.0)
    seen = who_is_where(tracker)
    assert seen[1] == seen[FRAMES // 2 - 1]
    assert len(set(seen[1].values())) == 2
