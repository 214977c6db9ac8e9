"""Two hundred and more requests that are wrong in every way: each gets one clear sentence, and the server goes on."""

import errno
import io
import json
import random
import re
import socket
import struct
import zlib
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from PIL import Image

from reseen.gallery import Gallery
from reseen.serving import Limits
from tests.serving.conftest import TOKEN, Colours, client, packed, paint, serving

LIMITS = Limits(num_bytes=200_000, num_pixels=1_000_000, seconds=1.0)
GOOD = packed(paint(0))
ZERO = "0" * 32


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("malformed")
    with Gallery(folder / "gallery", Colours.fingerprint) as gallery:
        gallery.add(Colours()([paint(i) for i in range(5)]), identities=list(range(5)))
        with serving(gallery, Colours(), LIMITS) as made:
            yield made


def png_of(width: int, height: int, data: bytes = b"\0" * 30) -> bytes:
    """A PNG that claims a size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def animated(kind: str) -> bytes:
    frames, file = [Image.fromarray(paint(i)) for i in range(3)], io.BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:])
    return file.getvalue()


def other_format(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(paint(1)).save(file, kind)
    return file.getvalue()


def bad_pictures() -> Iterator[tuple[str, bytes, set[int]]]:
    chance = random.Random(0)
    noisy = np.random.default_rng(0).integers(0, 256, (60, 40, 3), dtype=np.uint8)
    for kind in ("PNG", "JPEG", "WEBP", "BMP"):
        whole = packed(noisy, kind)
        for part in (1, 3, 8, 17, 40, len(whole) // 4, len(whole) // 2, len(whole) * 3 // 4):
            yield f"{kind} cut at {part}", whole[:part], {415, 422}
    for kind in ("PNG", "JPEG", "WEBP"):
        for number in range(6):
            spoiled = bytearray(packed(noisy, kind))
            for _ in range(2000):
                spoiled[chance.randrange(20, len(spoiled))] = chance.randrange(256)
            # Some damage is not seen in a JPEG or a WEBP; then it is a picture.
            yield f"{kind} spoiled {number}", bytes(spoiled), {415, 422} if kind == "PNG" else {200, 415, 422}
    sizes = ((60_000, 60_000), (10_000, 10_000), (1, 2**31 - 1), (2**31 - 1, 2**31 - 1), (1001, 1000), (0, 0), (5, 0))
    for width, height in sizes:
        yield f"PNG bomb {width} x {height}", png_of(width, height), {415, 422}
    yield "PNG bomb of zeros", png_of(30_000, 30_000, b"\0" * 10_000_000), {422}
    yield "PNG with too little inside", png_of(900, 900), {422}
    text = b"tEXt" + b"a\0" + b"x" * 100_000
    yield "PNG with text only", b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 100_002) + text, {415, 422}
    for kind in ("PNG", "WEBP"):
        yield f"animated {kind}", animated(kind), {422}
    for kind in ("GIF", "TIFF", "ICO", "PPM", "TGA", "PDF", "EPS", "JPEG2000"):
        yield kind, other_format(kind), {415}
    for name, content in {
        "nothing": b"",
        "text": b"hello",
        "zeros": bytes(1000),
        "html": b"<html><script>alert(1)</script></html>",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "xml bomb": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]>',
        "zip": b"PK\x03\x04" + bytes(100),
        "elf": b"\x7fELF" + bytes(100),
        "json": b'{"picture": 1}',
        "pickle": b"\x80\x04K\x01.",
        "numpy": b"\x93NUMPY\x01\x00" + bytes(100),
        "jpeg mark only": b"\xff\xd8\xff",
        "riff": b"RIFF\xff\xff\xff\xffWEBPVP8 ",
        "bmp header": b"BM" + b"\xff" * 60,
        "base64": b"data:image/png;base64,iVBORw0KGgo=",
    }.items():
        yield name, content, {415, 422}
    for number in range(15):
        yield f"noise {number}", chance.randbytes(chance.randrange(1, 5000)), {415, 422}


def bad_parameters() -> Iterator[tuple[str, str, set[int]]]:
    for parameters in (
        "k=0",
        "k=-1",
        "k=201",
        "k=a",
        "k=1.5",
        "k=",
        "k=9999999999999999999999",
        "k=nan",
        "k=1;drop",
        "by=person",
        "by=",
        "since=now",
        "since=nan",
        "since=inf",
        "until=-inf",
        "until=1e999",
        "until=",
        "since=0x10",
        "since=%00",
        "camera=",
        "camera=%00",
        "camera=a%0ab",
        "camera=" + "x" * 201,
        "camera=99999999999999999999999",
        "camera=%e2%80%ae",
        "camera=../../etc/passwd",
        "camera=%d8%8c%e2%80%ae%d8%8c",
        "camera=..%5c..%5cwindows",
        "camera=%1b[31m",
        "identity=",
        "identity=%7f",
        'camera="' + "%00" + '"',
        'camera=""',
        "identity=" + "9" * 30,
        "&".join(["camera=a"] * 1001),
    ):
        yield "/search", parameters, {422}
    for parameters in (
        "source=../../../etc/passwd",
        "source=..",
        "source=a/../../b",
        "source=/etc/passwd",
        "source=C:%5Cwindows%5Cx",
        "source=..%2f..%2fx",
        "source=%5c%5cserver%5cshare",
        "source=~/x",
        "source=a%00.png",
        "source=a%0d%0aSet-Cookie:x=1",
        "source=" + "a" * 300,
        "source=",
        "time=soon",
        "time=nan",
        "time=inf",
        "identity=",
        "camera=a%00",
        "track=" + "t" * 999,
        "identity=%E2%80%8B",
        "identity=%20",
        "track=a/../b",
        "camera=%c2%85",
    ):
        yield "/items", parameters, {422}


def bad_marks() -> Iterator[bytes]:
    good = {"query": ZERO, "item": ZERO, "similarity": 0.5, "same": True}
    wrong = {
        "query": ["", "x" * 32, "A" * 32, "0" * 33, None, 7, "../" + "0" * 29, "0" * 31 + "\n"],
        "item": ["0" * 31, None, [], {}, "0" * 32 + "' or 1=1"],
        "similarity": [2, -2, "0.5", None, True, [0.5], 1e300],
        "same": [1, 0, "yes", "true", []],  # null takes a mark back
    }
    for name, values in wrong.items():
        yield json.dumps({key: value for key, value in good.items() if key != name}).encode()
        for value in values:
            yield json.dumps(good | {name: value}).encode()
    yield json.dumps(good | {"more": 1}).encode()
    for text in (
        "",
        "{",
        "[]",
        "null",
        "1",
        '"a"',
        "not json",
        '{"similarity": NaN}',
        "[" * 50_000,
        '{"a":' * 20_000,
        "\xff\xfe",
    ):
        yield text.encode("latin-1")
    yield json.dumps(good).replace("0.5", "NaN").encode()


def is_clear(answer: httpx.Response) -> bool:
    sentence = answer.json()["error"]
    return (
        list(answer.json()) == ["error"]
        and sentence[0].isupper()
        and sentence.endswith(".")
        and sentence.isprintable()
        and len(sentence) < 250
        and not re.search(r"Traceback|\.py\b|File \"|pydantic|Error\(|/tmp|0x[0-9a-f]{6}", sentence)
    )


def test_two_hundred_wrong_requests(address: str) -> None:
    count = 0
    with client(address) as asking:

        def wrong(what: str, statuses: set[int], *request: object, **options: object) -> None:
            nonlocal count
            answer = asking.request(*request, **options)  # type: ignore[arg-type]
            assert answer.status_code in statuses, (what, answer.status_code, answer.text[:300])
            if answer.status_code != 200:
                assert is_clear(answer), (what, answer.text[:300])
            count += 1

        for name, content, statuses in bad_pictures():
            for path in ("/search", "/items"):
                if 200 not in statuses or path == "/search":
                    wrong(f"{name} to {path}", statuses, "POST", path, content=content)
        for path, parameters, statuses in bad_parameters():
            wrong(f"{path}?{parameters[:60]}", statuses, "POST", f"{path}?{parameters}", content=GOOD)
        for content in bad_marks():
            kind = {"Content-Type": "application/json"}
            wrong(f"mark {content[:80]!r}", {400, 422}, "POST", "/marks", content=content, headers=kind)
        for kind in ("text/plain", "application/json", "multipart/form-data", "video/mp4", "", "x", "a" * 500, "image"):
            for path in ("/search", "/items"):
                wrong(f"type {kind[:20]}", {415}, "POST", path, content=GOOD, headers={"Content-Type": kind})
        for name in (
            "0",
            "x" * 32,
            "0" * 31,
            "0" * 33,
            "..%2f..%2fetc%2fpasswd",
            "%00" * 32,
            "A" * 32,
            "a" * 5000,
            "null",
            "%ff",
        ):
            for method in ("GET", "DELETE"):
                wrong(f"{method} item {name[:20]}", {404, 405, 422}, method, f"/items/{name}")
            wrong(f"picture {name[:20]}", {404, 405, 422}, "GET", f"/items/{name}/picture")
        for path in (
            "/../../etc/passwd",
            "/page/../guard.py",
            "/%2e%2e/x",
            "//etc/passwd",
            "/docs",
            "/items/",
            "/page.html",
            "/.git/config",
        ):
            wrong(path, {404, 405}, "GET", path)
        for method, path in (
            ("GET", "/search"),
            ("PUT", "/items"),
            ("DELETE", "/items"),
            ("PATCH", "/marks"),
            ("POST", "/facts"),
            ("BREW", "/search"),
        ):
            wrong(f"{method} {path}", {405}, method, path)
        wrong("unknown item", {404}, "DELETE", f"/items/{ZERO}")
        wrong(
            "mark of an unknown item",
            {404},
            "POST",
            "/marks",
            json={"query": ZERO, "item": ZERO, "similarity": 0.5, "same": True},
        )
        for length in (200_001, 10_000_000):
            wrong(f"{length} bytes", {413}, "POST", "/search", content=bytes(length))
            wrong(f"{length} bytes in pieces", {413}, "POST", "/items", content=iter([bytes(length // 2)] * 3))
            kind = {"Content-Type": "application/json"}
            wrong(f"{length} bytes of JSON", {413}, "POST", "/marks", content=bytes(length), headers=kind)
            pieces = iter([bytes(length // 2)] * 3)
            wrong(f"{length} bytes of JSON in pieces", {413}, "POST", "/marks", content=pieces, headers=kind)
        for token in ("x", TOKEN + "x", TOKEN[:-1], "é", TOKEN.upper(), "Bearer " + TOKEN):
            header = {"Authorization": f"Bearer {token}".encode()}
            wrong(f"token {token!r}", {401}, "POST", "/search", content=GOOD, headers=header)
        for header in (b"", b"Basic YTpi", TOKEN.encode(), b"bearer " + TOKEN.encode(), b"\xff\xfe"):
            wrong(f"authorization {header!r}", {401}, "GET", "/facts", headers={"Authorization": header})

        assert count >= 350
        answer = asking.post("/search", content=GOOD).json()
        assert answer["matches"][0]["identity"] == 0
        assert asking.get("/facts").json()["items"] == 5


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nBad Header: x\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the beginning of TLS
        b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"nonsense\r\n\r\n" * 20_000,
    ],
)
def test_what_is_not_http_is_turned_away(address: str, sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    port = int(address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        answer = b""
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                answer += piece
        except OSError as error:  # The server need not wait for the end of what it turns away.
            if error.errno not in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN):
                raise
    assert not answer or answer.startswith(b"HTTP/1.1 4"), answer[:200]
    assert b"Traceback" not in answer
    assert not [record for record in caplog.records if record.exc_info]
    with client(address) as asking:
        assert asking.get("/health").status_code == 200


def test_a_body_of_two_lengths_is_refused_with_what_follows(address: str) -> None:
    head = f"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: image/png\r\n"
    second = "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    sent = f"{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{second}"
    with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=5) as connection:
        connection.sendall(sent.encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_body_that_never_comes_is_not_waited_for(address: str) -> None:
    port = int(address.rpartition(":")[2])
    head = (
        f"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Type: image/png\r\nContent-Length: 1000\r\n\r\nabc"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 408")


def test_clients_that_leave_do_no_harm(address: str) -> None:
    port = int(address.rpartition(":")[2])
    head = f"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
    head += f"Content-Type: image/png\r\nContent-Length: {len(GOOD)}\r\n\r\n"
    for part in (0, 10, len(GOOD)):
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(head.encode() + GOOD[:part])
    with client(address) as asking:
        assert asking.post("/search", content=GOOD).status_code == 200
