"""Client of Milvus that works with Milvus Lite too: loads what it has let go of, and keeps it to one thing at a time.

Milvus Lite (3.2.2) appends to the log of a collection without a lock, from as many threads as it has workers. Requests
that it works at together mix there, and when it starts again it reads its log up to the first that is broken. Rows that
are being flushed are not found. Rows that had been flushed when it was killed, but were in its log still, are found
twice, until they are flushed again and before others are written.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import grpc
from pymilvus import MilvusClient, MilvusException

from reseen.errors import GalleryError

LITE = "milvus_lite"
"""How the version of its server begins."""
ROWS, WRITES = ("get", "search", "query", "query_iterator", "upsert", "delete"), ("upsert", "delete")
RELEASED = re.compile("released|not loaded")
"""How Milvus Lite and Milvus say that a collection has to be loaded first."""
TURN = threading.RLock()
"""Held while this process asks for anything of a file of Milvus Lite."""
GET_VERSION, CONNECTING, ANSWERING = "/milvus.proto.milvus.MilvusService/GetVersion", 10.0, 0.3
"""A call without arguments, and seconds: that it may take, and that an answer is awaited at the least."""


class Client:
    """A client that loads a collection which the server has let go of, and that Milvus Lite loses nothing of.

    Args:
        uri: Of the server, or a file of Milvus Lite, whose server then runs in this process on ten workers.
        token: Empty for none.

    Attributes:
        turn: To be held while the server is asked for the next rows of an iterator; held for all other calls.
    """

    def __init__(self, uri: str, token: str) -> None:
        self._client = MilvusClient(uri=uri, token=token)
        file = "://" not in uri
        self.turn: contextlib.AbstractContextManager[Any] = TURN if file else contextlib.nullcontext()
        self._lite = file or str(self._client.get_server_version()).startswith(LITE)
        self._unchecked = uri if self._lite and not file else None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*arguments: Any, **named: Any) -> Any:
            with self.turn:
                if name in WRITES:
                    self._require_one_worker()
                try:
                    return method(*arguments, **named)
                except MilvusException as error:
                    if name not in ROWS or not RELEASED.search(str(error.message)):
                        raise
                    self.load_collection(arguments[0])
                    return method(*arguments, **named)

        return call

    def load_collection(self, name: str) -> None:
        """Have the server hold a collection ready."""
        with self.turn:
            if self._lite:  # It has let go of all when it starts: what is loaded has been flushed since.
                self._client.flush(name)
            self._client.load_collection(name)

    def _require_one_worker(self) -> None:
        if self._unchecked is not None and several_workers(self._unchecked):
            raise GalleryError(
                f"expected Milvus Lite with one worker at {urlsplit(self._unchecked).netloc}, got several, "
                "which lose rows together; start it as `milvus-lite server --max-workers 1 ...`"
            )
        self._unchecked = None


def several_workers(uri: str) -> bool:
    """Return whether a server of Milvus Lite works at several requests at once.

    A worker waits for the message of the request that it has been given: if another request is answered meanwhile,
    there is another worker.
    """
    place = urlsplit(uri)
    if place.scheme == "https":
        channel = grpc.secure_channel(place.netloc, grpc.ssl_channel_credentials())
    else:
        channel = grpc.insecure_channel(place.netloc)
    ended = threading.Event()

    def message() -> Iterator[bytes]:
        ended.wait()
        yield b""

    with channel:
        ask = channel.unary_unary(GET_VERSION)
        try:
            ask(b"", timeout=CONNECTING)
            began = time.monotonic()
            ask(b"", timeout=CONNECTING)
            patience = max(ANSWERING, 10 * (time.monotonic() - began))
            waiting = channel.stream_unary(GET_VERSION).future(message())
            ask(b"", timeout=patience)
            return not waiting.done()
        except grpc.RpcError:
            return False
        finally:
            ended.set()
