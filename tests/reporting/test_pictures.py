import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reseen.reporting.pictures import Thumbnail, sample_thumbnail
from reseen.types import Sample


def decoded(small: Thumbnail) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(small.uri.removeprefix("data:image/jpeg;base64,"))))


@pytest.mark.parametrize(("shape", "size"), [((800, 400), (80, 160)), ((300, 600), (160, 80)), ((20, 10), (10, 20))])
def test_a_thumbnail_fits_and_keeps_its_shape(shape: tuple[int, int], size: tuple[int, int]) -> None:
    picture = np.zeros((*shape, 3), np.uint8)
    picture[: shape[0] // 2] = (200, 40, 40)
    small = Thumbnail.of(picture, side=160)
    assert (small.width, small.height) == size
    pixels = np.asarray(decoded(small)).astype(int)
    assert pixels.shape == (size[1], size[0], 3)
    assert abs(pixels[size[1] // 5, size[0] // 2] - (200, 40, 40)).max() < 12
    assert pixels[-size[1] // 5, size[0] // 2].max() < 12


def test_a_thumbnail_is_small() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1000, 500, 3), dtype=np.uint8)
    assert len(Thumbnail.of(noise).uri) < 20_000


def test_an_unreadable_picture_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    assert sample_thumbnail(Sample(str(tmp_path / "cut.jpg"), 1)) is None
    assert "cut.jpg" in caplog.text
