"""A server of its own for each module: a gallery, an encoder that takes a moment to understand, a port of loopback."""

import io
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from reseen.embedding.encoder import Encoder
from reseen.gallery import Gallery
from reseen.serving import Limits, create_app, listen
from reseen.serving.middleware.hosts import LOOPBACK
from reseen.serving.server import make_server

TOKEN = "a token for the tests"
NO_TLS = ssl.create_default_context()  # made once: reading certificates takes longer than a test


class Colours(Encoder):
    """The mean colours of a picture's quarters, less grey; counts the pictures of its batches."""

    fingerprint, dim, size = "colours", 12, (16, 8)

    def __init__(self, seconds: float = 0.0) -> None:
        self.batches: list[int] = []
        self.seconds = seconds

    def encode(self, images: np.ndarray) -> np.ndarray:
        self.batches.append(len(images))
        time.sleep(self.seconds)
        quarters = images.astype(np.float32).reshape(len(images), 2, 8, 2, 4, 3).mean((2, 4))
        return quarters.reshape(len(images), 12) - 128


def paint(identity: int, number: int = 0) -> np.ndarray:
    """Return a picture (32, 16, 3) of somebody."""
    colours = np.random.default_rng(identity).integers(0, 256, (2, 2, 3))
    noise = np.random.default_rng([identity, number]).normal(0, 12, (32, 16, 3))
    return (colours.repeat(16, 0).repeat(8, 1) + noise).clip(0, 255).astype(np.uint8)


def packed(pixels: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


@contextmanager
def serving(
    gallery: Gallery,
    encoder: Encoder,
    limits: Limits | None = None,
    token: str | None = TOKEN,
    *,
    read_token: str | None = None,
    hosts: frozenset[str] = LOOPBACK,
    **options: Any,
) -> Iterator[str]:
    """Serve on a free port in a thread, and give the address; the options are those of `make_server`."""
    limits = limits or Limits()
    app = create_app(gallery, encoder, token=token, read_token=read_token, hosts=hosts, limits=limits)
    listening = listen(port=0)
    port = listening.getsockname()[1]
    server, listener = make_server(app, listening, limits=limits, **options)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"{'https' if 'certificate' in options else 'http'}://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive(), "the server does not stop"


@contextmanager
def client(address: str, token: str = TOKEN, verify: ssl.SSLContext = NO_TLS) -> Iterator[httpx.Client]:
    """Give a client that calls its bodies pictures unless told otherwise."""

    def name_the_kind(request: httpx.Request) -> None:
        if request.method in ("POST", "PATCH"):
            request.headers.setdefault("Content-Type", "image/png")

    headers, hooks = {"Authorization": f"Bearer {token}"}, {"request": [name_the_kind]}
    with httpx.Client(
        base_url=address, headers=headers, timeout=30, trust_env=False, verify=verify, event_hooks=hooks
    ) as made:
        yield made


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery(tmp_path / "gallery", Colours.fingerprint) as made:
        yield made
