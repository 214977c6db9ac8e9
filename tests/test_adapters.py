"""Models in the places that trackers have for one, called as the trackers call them."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from reseen.adapters import BoxmotModel, DeepSortEmbedder, FrameEmbedder, SupervisionEmbedder, UltralyticsEncoder
from reseen.embedding.encoder import Encoder

RED, BLUE = (200, 30, 30), (30, 30, 200)
BOXES = np.array([[10, 10, 30, 50], [80, 10, 100, 50], [40, 20, 40, 50], [-20, -20, -5, -5]])
"""Red, blue, one of no width, one outside."""


class MeanColour(Encoder):
    fingerprint, dim, size = "mean colour", 3, (16, 8)

    def encode(self, images: np.ndarray) -> np.ndarray:
        return images.mean((1, 2), dtype=np.float32)


@pytest.fixture
def frame() -> np.ndarray:
    """A frame as OpenCV has it, BGR."""
    frame = np.full((60, 120, 3), 128, np.uint8)
    frame[10:50, 10:30], frame[10:50, 80:100] = RED[::-1], BLUE[::-1]
    return frame


def unit(colour: tuple[int, ...]) -> np.ndarray:
    return np.array(colour) / np.linalg.norm(colour)


def test_a_box_without_a_crop_gives_none(frame: np.ndarray) -> None:
    vectors = FrameEmbedder(MeanColour()).boxes(frame, BOXES)
    np.testing.assert_allclose(vectors[0], unit(RED), rtol=1e-5)
    np.testing.assert_allclose(vectors[1], unit(BLUE), rtol=1e-5)
    assert vectors[2:] == [None, None]
    assert FrameEmbedder(MeanColour()).boxes(frame, []) == []
    assert FrameEmbedder(MeanColour()).crops([np.empty((0, 10, 3), np.uint8)]) == [None]


def test_rgb_frames(frame: np.ndarray) -> None:
    np.testing.assert_allclose(
        FrameEmbedder(MeanColour(), bgr=False).boxes(frame, BOXES)[0], unit(RED[::-1]), rtol=1e-5
    )


def expect(vectors: np.ndarray) -> None:
    np.testing.assert_allclose(vectors, [unit(RED), unit(BLUE), [0, 0, 0], [0, 0, 0]], rtol=1e-5)


def test_supervision(frame: np.ndarray) -> None:
    detections = SimpleNamespace(xyxy=BOXES, data={})
    expect(SupervisionEmbedder(MeanColour())(frame, detections))
    expect(detections.data["embedding"])
    assert SupervisionEmbedder(MeanColour())(frame, SimpleNamespace(xyxy=np.empty((0, 4)), data={})).shape == (0, 3)


def expect_units(vectors: np.ndarray) -> None:
    """Trackers divide by lengths: what has no crop has a vector of length 1, far from everybody."""
    np.testing.assert_allclose(vectors[:2], [unit(RED), unit(BLUE)], rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert (vectors[2:] @ vectors[:2].T < 0).all()


def test_ultralytics_calls_with_centres_and_an_index(frame: np.ndarray) -> None:
    left, top, right, bottom = BOXES.T
    boxes = np.stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top, np.arange(4)], axis=1)
    vectors = UltralyticsEncoder(MeanColour())(frame, boxes)
    assert isinstance(vectors, list)
    np.testing.assert_allclose(vectors[:2], [unit(RED), unit(BLUE)], rtol=1e-5)
    assert vectors[2:] == [None, None]
    assert UltralyticsEncoder(MeanColour())(frame, np.empty((0, 5))) == []


def test_boxmot(frame: np.ndarray) -> None:
    model = BoxmotModel(MeanColour())
    model.warmup()
    expect_units(model.get_features(BOXES, frame))
    assert "boxmot" not in sys.modules


def test_deep_sort_calls_with_crops(frame: np.ndarray) -> None:
    crops = [frame[10:50, 10:30], frame[10:50, 80:100], frame[20:20, 0:9]]
    expect_units(np.stack(DeepSortEmbedder(MeanColour()).predict(crops)))


SHOWN = np.array([[10, 10, 30, 50], [80, 10, 100, 50], [130, 10, 150, 50]], dtype=np.float32)
"""Red, blue, and one outside."""


def test_ultralytics_where_it_is(frame: np.ndarray) -> None:
    """A tracker as the YAML has it, without a model of its own, and the adapter put there by the callback."""
    results = pytest.importorskip("ultralytics.engine.results")
    tracker_of = pytest.importorskip("ultralytics.trackers.track").TRACKER_MAP
    utils = pytest.importorskip("ultralytics.utils")
    from ultralytics.utils.checks import check_yaml

    class Counted(MeanColour):
        calls = 0

        def encode(self, images: np.ndarray) -> np.ndarray:
            self.calls += 1
            return super().encode(images)

    for name in ("botsort", "deepocsort", "tracktrack"):
        settings = utils.YAML.load(check_yaml(f"{name}.yaml")) | {"gmc_method": "none", "with_reid": False}
        tracker = tracker_of[name](utils.IterableSimpleNamespace(**settings))
        encoder = Counted()
        UltralyticsEncoder(encoder).attach(SimpleNamespace(trackers=[tracker]))
        rows = np.concatenate([SHOWN, np.tile(np.float32([0.9, 0]), (3, 1))], axis=1)
        for _ in range(4):
            found = tracker.update(results.Boxes(rows, frame.shape[:2]), frame)
        assert encoder.calls >= 4
        red, blue = (next(t for t in tracker.tracked_stracks if abs(t.tlwh[0] - left) < 2) for left in (10, 80))
        np.testing.assert_allclose(red.smooth_feat, unit(RED), rtol=1e-4)
        np.testing.assert_allclose(blue.smooth_feat, unit(BLUE), rtol=1e-4)
        assert len(found) >= 2


@pytest.mark.parametrize("name", ["BotSort", "DeepOcSort", "StrongSort"])
def test_boxmot_where_it_is(name: str, frame: np.ndarray) -> None:
    boxmot = pytest.importorskip("boxmot")
    model = BoxmotModel(MeanColour())
    asked: list[np.ndarray] = []
    model.get_features = lambda boxes, frame: asked.append(boxes) or BoxmotModel.get_features(model, boxes, frame)  # type: ignore[method-assign, func-returns-value]
    tracker = getattr(boxmot, name)(reid_model=model)
    rows = np.concatenate([SHOWN, np.tile(np.float32([0.9, 0]), (3, 1))], axis=1)
    for _ in range(5):
        found = tracker.update(rows, frame)
    assert len(asked) == 5
    assert len(found) >= 2


def test_deep_sort_where_it_is(frame: np.ndarray) -> None:
    package = pytest.importorskip("deep_sort_realtime.deepsort_tracker")
    tracker = package.DeepSort(embedder=None)
    tracker.embedder = DeepSortEmbedder(MeanColour())
    rows = [([left, top, right - left, bottom - top], 0.9, "person") for left, top, right, bottom in SHOWN]
    for _ in range(4):
        tracks = tracker.update_tracks(rows, frame=frame)
    assert sum(track.is_confirmed() for track in tracks) >= 2


def test_supervision_where_it_is(frame: np.ndarray) -> None:
    supervision = pytest.importorskip("supervision")
    detections = supervision.Detections(xyxy=BOXES.astype(np.float32))
    expect(SupervisionEmbedder(MeanColour())(frame, detections))
    expect(detections[[0, 1, 2, 3]].data["embedding"])
