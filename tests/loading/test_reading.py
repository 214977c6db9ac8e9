import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reseen.errors import DataError
from reseen.storage import read_picture
from reseen.types import Box, Sample


def pixels(height: int = 6, width: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_lossless_file_comes_back_as_it_was(tmp_path: Path) -> None:
    Image.fromarray(pixels()).save(tmp_path / "a.png")
    got = read_picture(Sample(str(tmp_path / "a.png"), 1))
    assert got.dtype == np.uint8
    assert (got == pixels()).all()


def test_a_picture_on_its_side_is_turned_upright(tmp_path: Path) -> None:
    mark = Image.Exif()
    mark[0x0112] = 6  # turn clockwise by 90 degrees to see it upright
    Image.fromarray(pixels()).save(tmp_path / "a.png", exif=mark)
    assert (read_picture(Sample(str(tmp_path / "a.png"), 1)) == np.rot90(pixels(), -1)).all()


def test_grey_palette_and_transparent_pictures_become_rgb(tmp_path: Path) -> None:
    grey = pixels()[..., 0]
    for name, picture in {
        "grey": Image.fromarray(grey),
        "transparent": Image.fromarray(np.dstack([grey, grey, grey, 255 - grey])),
        "palette": Image.fromarray(grey).convert("P"),
    }.items():
        picture.save(tmp_path / f"{name}.png")
        assert (read_picture(Sample(str(tmp_path / f"{name}.png"), 1)) == grey[..., None]).all(), name


DEEP = {
    "16-bit counts": ("tiff", np.uint16, 7000, 8500),
    "10 bits in a PNG": ("png", np.uint16, 3, 1023),
    "int32": ("tiff", np.int32, 28000, 31000),
    "below zero": ("tiff", np.int32, -500, 70000),
    "degrees": ("tiff", np.float32, 20.5, 40.25),
}


@pytest.mark.parametrize("kind", DEEP)
def test_deep_pictures_keep_their_contrast(tmp_path: Path, kind: str) -> None:
    """Whatever the type and the range: the least value is 0, the greatest 255, and what is between in proportion."""
    ending, dtype, low, high = DEEP[kind]
    exact = np.linspace(low, high, 24 * 16).reshape(24, 16)
    values = (exact if dtype == np.float32 else exact.round()).astype(dtype)
    Image.fromarray(values).save(tmp_path / f"a.{ending}")
    got = read_picture(Sample(str(tmp_path / f"a.{ending}"), 1))
    expected = [[round(255 * (float(v) - low) / (high - low)) for v in row] for row in values]
    assert got.shape == (24, 16, 3)
    assert np.abs(got.astype(int) - np.array(expected)[..., None]).max() <= 1
    assert len(np.unique(got)) == 256


def test_the_range_of_the_type_can_be_scaled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESEEN_SCALE", "type")
    grey = pixels()[..., 0]
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "a.png")
    Image.fromarray((grey / 255).astype(np.float32)).save(tmp_path / "b.tiff")
    for name in ("a.png", "b.tiff"):
        assert (read_picture(Sample(str(tmp_path / name), 1)) == grey[..., None]).all()
    Image.fromarray(grey.astype(np.float32)).save(tmp_path / "c.tiff")
    with pytest.raises(DataError, match=r"beyond the type's 0 to 1: use --scale range"):
        read_picture(Sample(str(tmp_path / "c.tiff"), 1))


def test_values_that_are_not_finite_count_as_the_least(tmp_path: Path) -> None:
    Image.fromarray(np.array([[1, 2], [np.nan, np.inf]], np.float32)).save(tmp_path / "a.tiff")
    assert read_picture(Sample(str(tmp_path / "a.tiff"), 1))[..., 0].tolist() == [[0, 255], [0, 0]]
    Image.fromarray(np.full((2, 2), np.nan, np.float32)).save(tmp_path / "b.tiff")
    with pytest.raises(DataError, match="no pixel is a finite number"):
        read_picture(Sample(str(tmp_path / "b.tiff"), 1))


def test_a_huge_picture_is_refused_by_its_size_and_read_where_it_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond Pillow's limit too, and without Pillow's warning, which would fail this test."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.new("L", (30, 20)).save(tmp_path / "a.png")
    assert read_picture(Sample(str(tmp_path / "a.png"), 1)).shape == (20, 30, 3)
    monkeypatch.setenv("RESEEN_MAX_PIXELS", "599")
    with pytest.raises(DataError, match=r"at most 599 pixels in .*a\.png, got 30 x 20; .*--max_pixels"):
        read_picture(Sample(str(tmp_path / "a.png"), 1))
    assert Image.MAX_IMAGE_PIXELS == 100


def test_boxes_of_one_file_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    by_pillow = Image.open

    def counting(path: Path, **options: object) -> Image.Image:
        opened.append(path.name)
        return by_pillow(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Image, "open", counting)
    for name, seed in (("a.png", 0), ("b.png", 1)):
        Image.fromarray(pixels() + np.uint8(seed)).save(tmp_path / name)
    for name, shift in (("a.png", 0), ("b.png", 1)):
        for left in range(4):
            got = read_picture(Sample(str(tmp_path / name), 1, box=Box(left, 0, 1, 6)))
            assert (got == (pixels() + np.uint8(shift))[:, left : left + 1]).all()
    assert opened == ["a.png", "b.png"]
    Image.fromarray(pixels() + np.uint8(2)).save(tmp_path / "b.png")  # another picture under the same name
    os.utime(tmp_path / "b.png", ns=(1, 1))
    assert (read_picture(Sample(str(tmp_path / "b.png"), 1, box=Box(0, 0, 4, 6))) == pixels() + np.uint8(2)).all()


def test_a_name_that_no_file_can_have_is_named_in_one_line() -> None:
    for name in ("a" * 300 + ".png", "a\0.png"):
        for box in (None, Box(0, 0, 1, 1)):
            with pytest.raises(DataError, match="expected a picture at"):
                read_picture(Sample(name, 1, box=box))


def test_a_box_is_cut_out_and_at_the_edge_cut_off(tmp_path: Path) -> None:
    Image.fromarray(pixels()).save(tmp_path / "a.png")
    path = str(tmp_path / "a.png")
    assert (read_picture(Sample(path, 1, box=Box(1, 2, 3, 2))) == pixels()[2:4, 1:4]).all()
    assert (read_picture(Sample(path, 1, box=Box(-2, 4, 4, 9))) == pixels()[4:, :2]).all()
    for outside in (Box(4, 0, 2, 2), Box(0, 0, 0, 3), Box(-5, 0, 4, 3)):
        with pytest.raises(DataError, match=r"a box within 4 x 6 pixels of .*a\.png"):
            read_picture(Sample(path, 1, box=outside))


def test_a_picture_that_is_drawn_needs_no_file() -> None:
    assert (read_picture(Sample("drawn", 1, draw=pixels, box=Box(0, 0, 2, 2))) == pixels()[:2, :2]).all()


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
        read_picture(Sample(str(path), 1))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def written(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.filterwarnings("ignore")  # Pillow's, of what it reads in spite of the damage
def test_damage_of_every_kind_is_a_picture_or_one_line(tmp_path: Path) -> None:
    """Files cut short and with bytes changed, most of them in the header; no other exception and nothing slow."""
    generator = np.random.default_rng(0)
    picture, grey = Image.fromarray(pixels(24, 20)), pixels(24, 20)[..., 0]
    kinds = ("JPEG", "PNG", "BMP", "DIB", "TIFF", "WEBP", "GIF", "PPM", "MPO")
    files = [written(picture, kind) for kind in kinds]
    files += [written(picture, "JPEG", progressive=True), written(picture.convert("CMYK"), "JPEG")]
    files += [written(picture, "TIFF", compression=name) for name in ("tiff_lzw", "tiff_deflate", "jpeg")]
    files += [written(Image.fromarray(grey.astype(dtype)), "TIFF") for dtype in (np.uint16, np.int32, np.float32)]
    files += [written(picture.convert(mode), "PNG") for mode in ("P", "1", "LA")]
    path = tmp_path / "a.png"
    lines: list[str] = []
    for number in range(400):
        damaged = bytearray(files[number % len(files)])
        if number % 5 == 0:
            del damaged[generator.integers(len(damaged)) :]
        for place in generator.integers(min(len(damaged), 300), size=3) if damaged else ():
            damaged[place] = generator.choice([0, 127, 128, 255, generator.integers(256)])
        path.write_bytes(damaged)
        try:
            assert read_picture(Sample(str(path), 1)).dtype == np.uint8
        except DataError as error:
            lines.append(str(error))
    assert 100 < len(lines) < 400
    assert not any("\n" in line for line in lines)
