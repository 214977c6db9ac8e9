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


def test_ultralytics_calls_with_centres_and_an_index(frame: np.ndarray) -> None:
    left, top, right, bottom = BOXES.T
    boxes = np.stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top, np.arange(4)], axis=1)
    vectors = UltralyticsEncoder(MeanColour())(frame, boxes)
    assert isinstance(vectors, list)
    expect(np.stack(vectors))
    assert UltralyticsEncoder(MeanColour())(frame, np.empty((0, 5))) == []


def test_boxmot(frame: np.ndarray) -> None:
    model = BoxmotModel(MeanColour())
    model.warmup()
    expect(model.get_features(BOXES, frame))
    assert "boxmot" not in sys.modules


def test_deep_sort_calls_with_crops(frame: np.ndarray) -> None:
    vectors = DeepSortEmbedder(MeanColour()).predict([frame[10:50, 10:30], frame[10:50, 80:100], frame[20:20, 0:9]])
    np.testing.assert_allclose(vectors, [unit(RED), unit(BLUE), [0, 0, 0]], rtol=1e-5)


def test_supervision_where_it_is(frame: np.ndarray) -> None:
    supervision = pytest.importorskip("supervision")
    detections = supervision.Detections(xyxy=BOXES.astype(np.float32))
    expect(SupervisionEmbedder(MeanColour())(frame, detections))
    expect(detections[[0, 1, 2, 3]].data["embedding"])
