"""Milvus behind TLS, with users: Milvus Lite behind a proxy that speaks TLS, and the full server itself."""

import asyncio
import contextlib
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue

import pytest

from tests.gallery.milvus_lite_server import free_port
from tests.serving.test_hosts import CERTIFICATE, KEY

USE = """
import sys
import numpy as np
from reseen.errors import GalleryError
from reseen.gallery import Gallery

try:
    with Gallery(sys.argv[1], "m") as gallery:
        gallery.add(np.eye(4, dtype=np.float32), identities=list("abcd"))
        print(*(match[0].item.identity for match in gallery.search(np.eye(4, dtype=np.float32), 1)))
except GalleryError as error:
    print(error)
"""


def use(location: str, certificate: Path | None = CERTIFICATE, **environment: str) -> str:
    """Add to a gallery and search it in a process of its own, which trusts a certificate; return what it prints."""
    if certificate is not None:
        environment["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = str(certificate)
    words = [sys.executable, "-c", USE, location]
    run = subprocess.run(words, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@contextlib.contextmanager
def tls_in_front_of(address: str) -> Iterator[int]:
    """Take TLS connections and pass what they say on to a server without TLS; gives the port."""
    host, _, port = address.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    context.set_alpn_protocols(["h2"])
    started: Queue[tuple[int, Callable[[], object]]] = Queue()

    async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                target.write(data)
        finally:
            target.close()

    async def connected(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        server = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pass_on(source, server[1]), pass_on(server[0], target), return_exceptions=True)

    async def serve() -> None:
        done, loop = asyncio.Event(), asyncio.get_running_loop()
        async with await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context) as server:
            started.put((server.sockets[0].getsockname()[1], lambda: loop.call_soon_threadsafe(done.set)))
            await done.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    own_port, stop = started.get(timeout=60)
    yield own_port
    stop()
    thread.join()


def test_a_gallery_behind_tls(milvus_address: str) -> None:
    with tls_in_front_of(milvus_address) as port:
        location = f"milvus+https://localhost:{port}/tls_{os.getpid()}"
        assert use(location) == "a b c d"
        assert use(location) == "a b c d"
        said = use(location, certificate=None)
    assert said.startswith("expected an answer from milvus+https://localhost")
    assert said.endswith("check the address, whether it takes TLS (milvus+https://) and a token, and the server's log")
    assert len(said.splitlines()) == 1


@pytest.fixture(scope="module")
def guarded_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of the full server with TLS and users, where the package milvus is installed."""
    milvus = pytest.importorskip("milvus")
    server = milvus.MilvusServer()
    server.set_base_dir(str(tmp_path_factory.mktemp("guarded")))
    server.listen_port = free_port()
    for name, value in {
        "tls_mode": 1,
        "authorization_enabled": True,
        "server_pem_path": str(CERTIFICATE),
        "server_key_path": str(KEY),
        "ca_pem_path": str(CERTIFICATE),
    }.items():
        server.config.set(name, value)
    server.start()
    yield server.listen_port
    server.stop()


@pytest.mark.slow
def test_a_full_server_with_tls_and_users(guarded_port: int) -> None:
    place = f"localhost:{guarded_port}/guarded"
    assert use(f"milvus+https://root:Milvus@{place}") == "a b c d"
    assert use(f"milvus+https://{place}", RESEEN_MILVUS_TOKEN="root:Milvus") == "a b c d"
    for location in (f"milvus+https://root:wrong@{place}", f"milvus+https://{place}", f"milvus://root:Milvus@{place}"):
        said = use(location)
        assert said.startswith("expected")
        assert len(said.splitlines()) == 1
        assert "Milvus@" not in said
        assert "wrong" not in said
