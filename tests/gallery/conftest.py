"""A gallery on each backend; Milvus starts once for all tests, where its server can run."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reseen.gallery import Gallery
from tests.gallery.milvus_lite_server import lite_server

NAMES = itertools.count()


@pytest.fixture(scope="session")
def milvus_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where tests find Milvus: RESEEN_MILVUS=host:port if that is set, or Milvus Lite's server, started once."""
    pytest.importorskip("pymilvus")
    if address := os.environ.get("RESEEN_MILVUS"):
        yield address
        return
    pytest.importorskip("milvus_lite")
    with lite_server(tmp_path_factory.mktemp("milvus")) as (address, _):
        yield address


@pytest.fixture(scope="session")
def full_milvus_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where tests find the server of the package milvus, where it is installed."""
    milvus = pytest.importorskip("milvus")
    server = milvus.MilvusServer()
    server.set_base_dir(str(tmp_path_factory.mktemp("milvus")))
    try:
        server.start()
    except Exception as error:  # whatever keeps this server from running here
        pytest.skip(f"the Milvus server does not run here: {error}")
    yield f"127.0.0.1:{server.listen_port}"
    server.stop()


@pytest.fixture(params=["local", "milvus", pytest.param("full milvus", marks=pytest.mark.slow)])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place where there is no gallery yet."""
    if request.param == "local":
        return str(tmp_path / "gallery")
    address = request.getfixturevalue("milvus_address" if request.param == "milvus" else "full_milvus_address")
    return f"milvus://{address}/tests_{os.getpid()}_{next(NAMES)}"


@pytest.fixture
def open_gallery(location: str) -> Iterator[Callable[..., Gallery]]:
    """Opens the gallery of the test, any number of times."""
    opened = []

    def open_it(model: str | None = None, **options: object) -> Gallery:
        opened.append(Gallery(location, model, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield open_it
    for gallery in opened:
        gallery.close()
