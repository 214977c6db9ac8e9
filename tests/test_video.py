"""Boxes on a video: the right pixels of the right frames."""

import struct
from pathlib import Path

import numpy as np
import pytest

from reseen.embedding.encoder import TorchEncoder
from reseen.errors import DataError
from reseen.models import Embedder, ModelSpec
from reseen.video import TrackedBox, crops, read_boxes

av = pytest.importorskip("av")

NUM_FRAMES, HEIGHT, WIDTH = 10, 48, 64


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Frame n is grey of level 20 n, its left upper quarter red."""
    path = tmp_path / "video.avi"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=5)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "bgr0"
        for number in range(NUM_FRAMES):
            pixels = np.full((HEIGHT, WIDTH, 3), 20 * number, np.uint8)
            pixels[: HEIGHT // 2, : WIDTH // 2] = (250, 0, 0)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode())
    return path


def test_boxes_are_read_as_the_format_has_them(tmp_path: Path) -> None:
    file = tmp_path / "gt.txt"
    file.write_text("1,9,499,158,31.03,75.17,1,-4.15,-7.35,0\n2,-1,1,1,10,20\n3,4,5,6,7,8,0,1,1\n")
    assert read_boxes(file) == [TrackedBox(1, 9, (498, 157, 31, 75)), TrackedBox(2, None, (0, 0, 10, 20))]


@pytest.mark.parametrize(
    "line",
    ["1,2,3,4,5", "a,1,1,1,1,1", "0,1,1,1,5,5", "1.5,1,1,1,5,5", "1,1,nan,1,5,5", "1,1,1,1,inf,5", "1:2:3:4:5:6"],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "gt.txt"
    file.write_text(f"1,1,1,1,5,5\n{line}\n")
    with pytest.raises(DataError, match=r"in line 2 of .*gt.txt"):
        read_boxes(file)


@pytest.mark.parametrize("separator", [",", ", ", " ", "\t", ";", " , "])
@pytest.mark.parametrize("number", ["{:d}", "{:d}.0", "{:d}.000000000000000000e+00"])
@pytest.mark.parametrize("start", ["", "\ufeff", "frame{0}id{0}left{0}top{0}width{0}height{0}conf\n", "\n\n"])
@pytest.mark.parametrize("end", ["\n", "{0}\n", "\r\n", "\n\n"])
def test_every_tracker_writes_the_same_boxes(tmp_path: Path, separator: str, number: str, start: str, end: str) -> None:
    rows = [(1, 7, 2, 3, 10, 20, 1), (1, -1, 1, 1, 5, 6, 1), (2, 7, 4, 4, 0, 20, 1), (4, 7, 3, 3, 10, 20, 0)]
    lines = [separator.join(number.format(value) for value in row) for row in rows]
    file = tmp_path / "boxes.txt"
    file.write_bytes((start.format(separator) + "".join(line + end.format(separator) for line in lines)).encode())
    assert read_boxes(file) == [TrackedBox(1, 7, (1, 2, 10, 20)), TrackedBox(1, None, (0, 0, 5, 6))]


def test_boxes_without_a_size_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "boxes.txt").write_text("1,1,1,1,5,5\n2,1,1,1,0,5\n3,1,1,1,5,-2\n")
    assert len(read_boxes(tmp_path / "boxes.txt")) == 1
    assert "ignored 2 boxes" in caplog.text


def test_a_file_of_confidence_0_alone_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "boxes.txt").write_text("1 1 1 1 5 5 0\n2 1 1 1 5 5 0\n")
    with pytest.raises(DataError, match=r"confidence 0, .* in all 2"):
        read_boxes(tmp_path / "boxes.txt")


# What a phone writes: rows of pixels as its sensor has them, and in the track's header a matrix that turns them.
TURNS = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


@pytest.mark.parametrize("turn", TURNS)
def test_a_turned_video_is_cut_as_players_show_it(tmp_path: Path, turn: int) -> None:
    """Coded 160 x 96 and shown turned by so many degrees with the clock: the box is of the picture that is shown."""
    path = tmp_path / "phone.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        pixels = np.zeros((96, 160, 3), np.uint8)
        pixels[:, :80], pixels[:, 80:] = (200, 0, 0), (0, 0, 200)
        file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode())
    whole = path.read_bytes()
    before, after = (
        b"".join(struct.pack(">3i", *row) for row in ((a << 16, b << 16, 0), (c << 16, d << 16, 0), (0, 0, 1 << 30)))
        for a, b, c, d in (TURNS[0], TURNS[turn])
    )
    header = whole.index(b"tkhd")
    assert whole.count(before, header) == 1
    path.write_bytes(whole[:header] + whole[header:].replace(before, after))
    shown = np.rot90(pixels, -turn // 90)  # with the clock
    height, width = shown.shape[:2]
    box = (width // 2, height // 2, width // 2, height // 2)
    (found,) = crops(path, [TrackedBox(1, 1, box)])
    np.testing.assert_allclose(found.pixels.astype(int), shown[height // 2 :, width // 2 :], atol=60)
    assert found.pixels.shape == (height // 2, width // 2, 3)


def test_files_without_boxes_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_boxes(tmp_path / "none.txt")
    (tmp_path / "empty.txt").touch()
    with pytest.raises(DataError, match="found none"):
        read_boxes(tmp_path / "empty.txt")
    (tmp_path / "video.avi").write_bytes(bytes(range(256)))
    with pytest.raises(DataError, match="lines of text"):
        read_boxes(tmp_path / "video.avi")


def test_the_right_pixels_of_the_right_frames(video: Path) -> None:
    boxes = [
        TrackedBox(7, 1, (40, 30, 10, 12)),
        TrackedBox(2, 1, (-5, -5, 15, 10)),
        TrackedBox(2, 2, (60, 40, 50, 50)),
        TrackedBox(3, 2, (WIDTH, 0, 5, 5)),  # wholly outside
    ]
    found = list(crops(video, boxes))
    assert [(crop.boxed.frame, crop.boxed.track, crop.pixels.shape[:2]) for crop in found] == [
        (2, 1, (5, 10)),
        (2, 2, (8, 4)),
        (7, 1, (12, 10)),
    ]
    assert (found[0].pixels == (250, 0, 0)).all()
    assert (found[1].pixels == 20).all()
    assert (found[2].pixels == 120).all()
    assert [crop.time for crop in found] == pytest.approx([0.2, 0.2, 1.2])
    assert [crop.boxed.frame for crop in crops(video, boxes, every=3)] == [7]


def test_a_video_that_does_not_fit_is_named(video: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected 11 frames in .*video.avi for the boxes, found 10"):
        list(crops(video, [TrackedBox(11, 1, (0, 0, 5, 5))]))
    with pytest.raises(DataError, match=r"expected a video at .*none.avi"):
        list(crops(tmp_path / "none.avi", [TrackedBox(1, 1, (0, 0, 5, 5))]))
    (tmp_path / "text.avi").write_text("no video")
    with pytest.raises(DataError, match=r"expected a video at .*text.avi"):
        list(crops(tmp_path / "text.avi", [TrackedBox(1, 1, (0, 0, 5, 5))]))


def test_a_model_takes_a_video_with_its_boxes(video: Path, tmp_path: Path) -> None:
    model = TorchEncoder(Embedder(ModelSpec("tests.training.tiny.Tiny", height=16, width=8)), "cpu")
    (tmp_path / "boxes.txt").write_text("".join(f"{n},{n},5,5,30,30\n" for n in range(1, 8)))
    seen = model.video(video, tmp_path / "boxes.txt", every=2, batch_size=3)
    found = list(crops(video, read_boxes(tmp_path / "boxes.txt"), every=2))
    assert seen.boxes == tuple(crop.boxed for crop in found)
    assert [box.track for box in seen.boxes] == [1, 3, 5, 7]
    assert seen.times.tolist() == pytest.approx([0.0, 0.4, 0.8, 1.2])
    np.testing.assert_allclose(seen.vectors, model([crop.pixels for crop in found]), atol=1e-5)
    with pytest.raises(ValueError, match="every 1 frame or more, got 0"):
        model.video(video, seen.boxes, every=0)
