from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reseen.errors import DataError
from reseen.images import read
from reseen.samples import Box, Sample


def pixels(height: int = 6, width: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_lossless_file_comes_back_as_it_was(tmp_path: Path) -> None:
    Image.fromarray(pixels()).save(tmp_path / "a.png")
    got = read(Sample(str(tmp_path / "a.png"), 1))
    assert got.dtype == np.uint8
    assert (got == pixels()).all()


def test_a_picture_on_its_side_is_turned_upright(tmp_path: Path) -> None:
    mark = Image.Exif()
    mark[0x0112] = 6  # turn clockwise by 90 degrees to see it upright
    Image.fromarray(pixels()).save(tmp_path / "a.png", exif=mark)
    assert (read(Sample(str(tmp_path / "a.png"), 1)) == np.rot90(pixels(), -1)).all()


def test_grey_palette_transparent_and_sixteen_bit_pictures_become_rgb(tmp_path: Path) -> None:
    grey = pixels()[..., 0]
    for name, picture in {
        "grey": Image.fromarray(grey),
        "transparent": Image.fromarray(np.dstack([grey, grey, grey, 255 - grey])),
        "palette": Image.fromarray(grey).convert("P"),
        "sixteen": Image.fromarray(grey.astype(np.uint16) * 256 + 17),
    }.items():
        picture.save(tmp_path / f"{name}.png")
        assert (read(Sample(str(tmp_path / f"{name}.png"), 1)) == grey[..., None]).all(), name


def test_a_box_is_cut_out_and_at_the_edge_cut_off(tmp_path: Path) -> None:
    Image.fromarray(pixels()).save(tmp_path / "a.png")
    path = str(tmp_path / "a.png")
    assert (read(Sample(path, 1, box=Box(1, 2, 3, 2))) == pixels()[2:4, 1:4]).all()
    assert (read(Sample(path, 1, box=Box(-2, 4, 4, 9))) == pixels()[4:, :2]).all()
    for outside in (Box(4, 0, 2, 2), Box(0, 0, 0, 3), Box(-5, 0, 4, 3)):
        with pytest.raises(DataError, match=r"a box within 4 x 6 pixels of .*a\.png"):
            read(Sample(path, 1, box=outside))


def test_a_picture_that_is_drawn_needs_no_file() -> None:
    assert (read(Sample("drawn", 1, draw=pixels, box=Box(0, 0, 2, 2))) == pixels()[:2, :2]).all()


@pytest.mark.parametrize(
    ("name", "keep", "words"),
    [("missing", None, "no such file"), ("empty", 0, "empty file"), ("cut", 0.5, "got: "), ("text", -1, "got: ")],
)
@pytest.mark.parametrize("kind", ["png", "jpg", "bmp", "gif"])
def test_a_bad_file_is_named_in_one_line(tmp_path: Path, name: str, keep: float | None, words: str, kind: str) -> None:
    path = tmp_path / f"{name}.{kind}"
    Image.fromarray(pixels(64, 64)).save(path)
    data = path.read_bytes()
    if keep is None:
        path.unlink()
    else:
        path.write_bytes(b"not a picture" if keep < 0 else data[: int(len(data) * keep)])
    with pytest.raises(DataError, match=words) as caught:
        read(Sample(str(path), 1))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
