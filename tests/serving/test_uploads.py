"""What a picture may cost: pictures within every limit of size that would take minutes, and many at a time."""

import io
import random
import re
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from PIL import Image, ImageFile

from reseen.gallery import Gallery
from reseen.pictures import SOS, Pixels, flattened, jpeg_markers
from reseen.serving import Limits, uploads
from reseen.serving.errors import RefusedError
from reseen.serving.uploads import MAX_CHUNKS_WITHOUT_PIXELS, MAX_PARTS, MAX_SCANS, PixelBudget, open_picture
from tests.serving.conftest import TOKEN, Colours, client, packed, paint, serving


def progressive(num_repeats: int, side: int = 64) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    large = np.asarray(Image.fromarray(pixels).resize((side, side)))
    file = packed(large, "JPEG", progressive=True, quality=60)
    last = file.rindex(b"\xff\xda")
    return file[:last] + file[last:-2] * (num_repeats + 1) + file[-2:]


def run_length_bmp(side: int = 200) -> bytes:
    """A BMP of 8 bits a pixel in run-length encoding."""
    rows = b"".join(bytes([side, row % 256, 0, 0]) for row in range(side)) + b"\0\1"
    palette = b"".join(bytes([i, i, i, 0]) for i in range(256))
    begin = 14 + 40 + len(palette)
    head = b"BM" + struct.pack("<IHHI", begin + len(rows), 0, 0, begin)
    return head + struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(rows), 2835, 2835, 256, 0) + palette + rows


def slow_markers(file: bytes) -> list[int]:
    """The markers of a JPEG file, byte by byte, as ITU-T T.81 B.1 has it."""
    found, position = [], 2
    while position + 1 < len(file):
        if file[position] != 0xFF or file[position + 1] in (0x00, 0xFF, *range(0xD0, 0xD8)):
            position += 1
            continue
        marker = file[position + 1]
        found.append(marker)
        position += 2
        if marker == 0xD9:
            break
        if marker >= 0xC0 and marker != 0xD8:
            length = int.from_bytes(file[position : position + 2], "big")
            position += max(2, length)
    return found


def test_markers_are_those_of_a_slow_loop() -> None:
    chance = random.Random(0)
    noise = np.random.default_rng(0).integers(0, 256, (80, 60, 3), dtype=np.uint8)
    files = [packed(noise, "JPEG"), packed(noise, "JPEG", progressive=True), progressive(7)]
    files.append(packed(noise, "JPEG", restart_marker_blocks=1, exif=packed(paint(0), "JPEG")))
    assert [sum(marker == SOS for marker, _ in jpeg_markers(file)) for file in files] == [1, 10, 17, 1]
    for number in range(300):
        spoiled = bytearray(chance.choice(files))
        for _ in range(number % 40):
            spoiled[chance.randrange(2, len(spoiled))] = chance.choice([0xFF, 0xDA, 0xD9, 0, chance.randrange(256)])
        assert [marker for marker, _ in jpeg_markers(bytes(spoiled))] == slow_markers(bytes(spoiled))


def test_markers_of_a_long_run_are_found_in_a_moment() -> None:
    begin = time.process_time()
    assert [marker for marker, _ in jpeg_markers(b"\xff\xd8" + b"\xff" * 5_000_000 + b"\0\xff\xd9")] == [0xD9]
    assert time.process_time() - begin < 5  # one that goes back over the run at each byte takes days


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


PROFILE = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1_000_000)))
COSTLY = {
    "scans": (progressive(MAX_SCANS), "at most 100 scans"),
    "run lengths": (run_length_bmp(), "BMP without compression"),
    "segments": (b"\xff\xd8" + b"\xff\xfe\0\2" * (MAX_PARTS + 2) + packed(paint(0), "JPEG")[2:], "too many parts"),
    "stray bytes": (b"\xff\xd8\xff\xfe\0\2" + b"x" * 5_000 + packed(paint(0), "JPEG")[2:], "too many parts"),
    "stray marks": (b"\xff\xd8" + b"\xff" * 5_000 + packed(paint(0), "JPEG")[3:], "too many parts"),
    "chunks": (
        (png := packed(paint(0), "PNG"))[:33] + chunk(b"IDAT") * (MAX_PARTS + 1) + png[33:],
        "too many chunks",
    ),
    "profiles": (png[:33] + PROFILE * MAX_CHUNKS_WITHOUT_PIXELS + png[33:], "too many chunks"),
    "profiles at the end": (png[:-12] + PROFILE * MAX_CHUNKS_WITHOUT_PIXELS + png[-12:], "too many chunks"),
}


@pytest.mark.parametrize("kind", COSTLY)
def test_a_picture_that_costs_beyond_its_size_is_refused_undecoded(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file, reason = COSTLY[kind]
    assert flattened(Image.open(io.BytesIO(file))).shape[2] == 3, "it has to be a picture"
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("decoded"))
    with pytest.raises(RefusedError, match=reason) as refused:
        open_picture(file, Limits())
    assert refused.value.status == 422


@pytest.mark.parametrize(
    "file",
    [
        progressive(0),
        progressive(40),
        packed(paint(0), "JPEG", exif=progressive(80)),  # a preview's scans are not the picture's
        packed(paint(0), "JPEG") + b"\xff\xda\0\2" * 200,  # nor is what comes behind it
        packed(np.zeros((64, 64, 3), np.uint8), "BMP"),
    ],
)
def test_a_picture_at_its_usual_cost_is_taken(file: bytes) -> None:
    flattened(open_picture(file, Limits()))


def test_pixels_at_a_time_stay_below_their_bound() -> None:
    budget, lock, now, most = PixelBudget(100), threading.Lock(), 0, 0

    def hold(size: int) -> None:
        nonlocal now, most
        with budget.reserve(size):
            with lock:
                now, most = now + size, max(most, now + size)
            time.sleep(0.002)
            with lock:
                now -= size

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(hold, np.random.default_rng(0).integers(1, 101, 120).tolist()))
        with budget.reserve(1000):
            assert not pool.submit(hold, 1).done()
    assert now == 0
    assert 50 < most <= 100


def test_one_may_not_exceed_all_together() -> None:
    with pytest.raises(ValueError, match="num_pixels of at most num_pixels_in_flight, got 60000000 and 50000000"):
        Limits(num_pixels=60_000_000)


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Semaphore]:
    """Decoding that does not end before the test does; counts what has begun."""
    begun, end = threading.Semaphore(0), threading.Event()

    def decode(opened: Image.Image) -> Pixels:
        begun.release()
        assert end.wait(60)
        return flattened(opened)

    monkeypatch.setattr(uploads, "flattened", decode)
    yield begun
    end.set()


def leave(address: str, body: bytes, begun: threading.Semaphore) -> None:
    """Send a picture, wait until it is being decoded, and go."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "image/png"}
    with httpx.Client(trust_env=False) as leaving, pytest.raises(httpx.ReadTimeout):
        leaving.post(f"{address}/search", content=body, headers=headers, timeout=httpx.Timeout(10, read=0.5))
    assert begun.acquire(timeout=10)


def test_everything_else_goes_on_while_pictures_are_decoded(gallery: Gallery, stuck: threading.Semaphore) -> None:
    (item,) = gallery.add(Colours()([paint(0)])).ids
    with serving(gallery, Colours()) as address, ThreadPoolExecutor(60) as pool:

        def send(number: int) -> None:
            with client(address) as asking, pytest.raises(httpx.ReadTimeout):
                asking.post("/search", content=packed(paint(number)), timeout=httpx.Timeout(10, read=3))

        sent = [pool.submit(send, number) for number in range(60)]
        assert stuck.acquire(timeout=10)
        with client(address) as asking:
            for path in ("/health", "/facts", f"/items/{item}", "/metrics", "/"):
                assert asking.get(path, timeout=2).status_code == 200, path
        for each in sent:
            each.result()


def test_stopping_does_not_wait_for_clients_that_left(gallery: Gallery, stuck: threading.Semaphore) -> None:
    with serving(gallery, Colours()) as address:
        leave(address, packed(paint(0)), stuck)
        begin = time.monotonic()
    assert time.monotonic() - begin < 5


def test_bodies_at_a_time_stay_below_their_bound(gallery: Gallery) -> None:
    limits = Limits(num_bytes=100_000, num_bytes_in_flight=250_000, seconds=20)
    with serving(gallery, Colours(), limits) as address:
        more = threading.Event()

        def slow(number: int) -> int:
            def body() -> Iterator[bytes]:
                yield bytes(90_000)
                more.wait(20)
                yield bytes(1)

            with client(address) as asking:
                return asking.post("/search", content=body()).status_code

        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(slow, number) for number in range(8)]
            with client(address) as asking:
                for _ in range(200):
                    if 'status="503"} 6' in (text := asking.get("/metrics").text):
                        break
                    time.sleep(0.02)
                assert re.search(r'route="/search",status="503"} 6', text), "6 of 8 have no room"
            more.set()
            assert sorted(answer.result() for answer in answers) == [415, 415] + [503] * 6
            with client(address) as asking:
                assert asking.post("/search", content=packed(paint(0))).status_code == 200
