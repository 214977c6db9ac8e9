"""Bounds on connections: how many are open, and how long each may take."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

logger = logging.getLogger(__name__)

RESERVED_FILES = 128
"""Open files that are left for the gallery, the model and everything else when connections are counted."""
MAX_CONNECTIONS = 4_096
MAX_CLOSING = 32
"""Connections that the event loop has been told to close and has not closed yet; no further one is taken meanwhile."""
SECONDS_BETWEEN_MESSAGES = 60.0
PIECE, MAX_LINES = 16_384, 20_000
"""Bytes that are read at once, and line ends at most of a body in chunks: each chunk has two, and costs a step."""


class Listener(socket.socket):
    """Listening socket that holds a bounded number of connections.

    When one too many comes, that which has waited longest without a request is closed, so that clients who say nothing
    keep nobody out; where every one has a request, that whose body has been coming longest.

    Args:
        listening: A listening socket; this one takes its place.
        max_connections: How many may be open.
    """

    def __init__(self, listening: socket.socket, max_connections: int) -> None:
        family, kind, protocol = listening.family, listening.type, listening.proto
        super().__init__(family, kind, protocol, fileno=listening.detach())
        self._max_connections = max_connections
        self._open: dict[int, Connection] = {}  # by file number; closed ones take themselves out
        self._waiting: dict[int, Callable[[], object]] = {}  # how to close those without a request, longest first
        self._receiving: dict[int, Callable[[], object]] = {}  # likewise those whose request has not come whole
        self._closing: set[int] = set()

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection.

        Raises:
            BlockingIOError: There is none, or no room yet; the event loop comes again.
        """
        if len(self._closing) >= MAX_CLOSING:
            raise BlockingIOError
        accepted, address = super().accept()
        if len(self._open) - len(self._closing) >= self._max_connections:
            logger.warning("more than %d connections; those that wait longest are closed", self._max_connections)
            candidates = self._waiting or self._receiving
            if not candidates:
                accepted.close()  # Left in the queue, it would wake the event loop without end.
                raise BlockingIOError
            longest = next(iter(candidates))
            self._closing.add(longest)
            candidates.pop(longest)()
        connection = Connection(self, accepted)
        self._open[connection.fileno()] = connection
        self.set_waiting(connection.fileno(), connection.hang_up)
        return connection, address

    def set_waiting(self, file: int, close: Callable[[], object]) -> None:
        """Note that a connection waits for a request or for its client, and how to close it."""
        self._receiving.pop(file, None)
        if file in self._open and file not in self._closing:
            self._waiting[file] = close

    def set_receiving(self, file: int, close: Callable[[], object]) -> None:
        """Note that the body of a connection's request is coming, and how to close it."""
        self._waiting.pop(file, None)
        if file in self._open and file not in self._closing:
            self._receiving[file] = close

    def set_busy(self, file: int) -> None:
        """Note that a connection has a whole request in process."""
        self._waiting.pop(file, None)
        self._receiving.pop(file, None)

    def forget(self, file: int) -> None:
        """Note that a connection is closed."""
        self.set_busy(file)
        self._open.pop(file, None)
        self._closing.discard(file)


class Connection(socket.socket):
    """Accepted socket that tells its `Listener` when it is closed."""

    def __init__(self, listener: Listener, accepted: socket.socket) -> None:
        family, kind, protocol = accepted.family, accepted.type, accepted.proto
        super().__init__(family, kind, protocol, fileno=accepted.detach())
        self._listener = listener

    def hang_up(self) -> None:
        """End it where it has no protocol yet, as in a TLS handshake; the event loop then closes it."""
        with contextlib.suppress(OSError):  # The other side may have left.
            self.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it."""
        self._listener.forget(self.fileno())
        super().close()


class BoundedProtocol(H11Protocol):
    """HTTP protocol that closes a connection whose client is too slow.

    uvicorn itself bounds only the time between two requests, and not when bytes keep coming.

    Args:
        listener: Is told which connections have a request in process.
        seconds: Within which a request's head has to come, and an answer has to be taken.
        arguments: Of `H11Protocol`.
        options: Of `H11Protocol`.
    """

    def __init__(self, *arguments: Any, listener: Listener, seconds: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._listener, self._seconds = listener, seconds
        self._timer: asyncio.TimerHandle | None = None
        self._file, self._is_unread = -1, False
        self._head: Any = None
        self._lines = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._file = transport.get_extra_info("socket").fileno()
        self._update()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; the clock stops once a head is complete, and a body in far too many chunks ends the connection."""
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            super().data_received(piece)
            if self._has_too_many_chunks(piece):
                logger.warning("a body came in far too many chunks; its connection is closed")
                self.transport.abort()
            if self.transport.is_closing():
                break
        self._update()

    def _has_too_many_chunks(self, piece: bytes) -> bool:
        if self.headers is not self._head:  # of another request
            self._head, self._lines = self.headers, 0
        if any(name == b"transfer-encoding" for name, _ in self.headers or ()):
            self._lines += piece.count(b"\r\n")
        return self._lines > MAX_LINES

    def on_response_complete(self) -> None:
        """Wait for the next head."""
        super().on_response_complete()
        self._update()

    def pause_writing(self) -> None:
        """Start the clock for a client that does not take its answer."""
        super().pause_writing()
        self._start()
        self._is_unread = True
        self._listener.set_waiting(self._file, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop it."""
        super().resume_writing()
        self._is_unread = False
        self._stop()
        self._update()

    def shutdown(self) -> None:
        """End; who has been answered and does not take it has a second left."""
        super().shutdown()
        if not self._is_busy:
            self.loop.call_later(1.0, self.transport.abort)

    @property
    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _update(self) -> None:
        if self._is_unread:
            return
        if self.transport.is_closing() and not self.transport.get_write_buffer_size():
            self._stop()
        elif self._is_busy:
            if self.cycle.more_body:
                self._listener.set_receiving(self._file, self.transport.abort)
            else:
                self._listener.set_busy(self._file)
            self._stop()
        elif self._timer is None:
            self._listener.set_waiting(self._file, self.transport.abort)
            self._start()

    def _start(self) -> None:
        self._stop()
        self._timer = self.loop.call_later(self._seconds, self.transport.abort)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def protocol(listener: Listener, seconds: float) -> Any:
    """Return what makes a `BoundedProtocol` for each connection."""
    return functools.partial(BoundedProtocol, listener=listener, seconds=seconds)


def max_connections() -> int:
    """Return how many connections this process can hold and still open files; half of its files at least."""
    if sys.platform == "win32":
        return MAX_CONNECTIONS
    import resource

    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(1, min(MAX_CONNECTIONS, max(files - RESERVED_FILES, files // 2)))


class OncePerMinute(logging.Filter):
    """Filter that lets a message pass once a minute: strangers can cause any number of the same one."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to keep a record, going by the place that wrote it and its text before it is filled in."""
        key, now = f"{record.pathname}:{record.lineno} {str(record.msg)[:40]}", time.monotonic()
        if now - self._last.get(key, -SECONDS_BETWEEN_MESSAGES) < SECONDS_BETWEEN_MESSAGES:
            return False
        self._last[key] = now
        return True
