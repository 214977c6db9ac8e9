"""Middleware that bounds requests: headers, body, time, and how many at once."""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reseen.serving.auth import OPEN_PATHS
from reseen.serving.errors import RefusedError, error_response
from reseen.serving.settings import Limits

MAX_HEADER_BYTES = 16_384
BUSY = "The server is busy; try again in a moment."


class LimitsMiddleware:
    """Refuses a request that is too large by its own account, and stops reading one that turns out to be.

    Args:
        app: What is guarded.
        limits: Of one request and of all together.
    """

    def __init__(self, app: ASGIApp, *, limits: Limits) -> None:
        self.app, self.limits = app, limits
        self.num_requests = self.num_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = RequestBody(self, receive)
        self.num_requests += 1
        try:
            if error := self.check(scope):
                await error_response(error.status, error.sentence)(scope, receive, send)
            else:
                await self.app(scope, body.receive, send)
        finally:
            self.num_requests -= 1
            self.num_bytes -= body.num_bytes

    def check(self, scope: Scope) -> RefusedError | None:
        """Return what is wrong with a request's head."""
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
            return RefusedError(431, f"Expected headers of at most {MAX_HEADER_BYTES:,} bytes.")
        if self.num_requests > self.limits.num_requests and route_path(scope) not in OPEN_PATHS:
            return RefusedError(503, BUSY)
        headers = Headers(scope=scope)
        if "transfer-encoding" in headers and "content-length" in headers:  # A proxy may have gone by the other one.
            return RefusedError(400, "Expected either Content-Length or Transfer-Encoding, got both.")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or len(length) > 18 or int(length) > self.limits.num_bytes:
            return RefusedError(413, f"Expected at most {self.limits.num_bytes:,} bytes.")
        return None


class RequestBody:
    """The body of one request, received for as long as it is small and comes in time.

    Attributes:
        num_bytes: What has come.
    """

    def __init__(self, middleware: LimitsMiddleware, receive: Receive) -> None:
        self._middleware, self._limits, self._receive = middleware, middleware.limits, receive
        self._deadline = time.monotonic() + self._limits.seconds
        self._complete = False
        self.num_bytes = 0

    async def receive(self) -> Message:
        """Return the next message.

        Raises:
            RefusedError: The body is too late, too large, or too much beside those of other requests.
        """
        if self._complete:  # What comes now is only the news that the client has left.
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self._deadline - time.monotonic()))
        except asyncio.TimeoutError:
            raise RefusedError(408, f"Expected the whole request within {self._limits.seconds:g} seconds.") from None
        length = len(message.get("body", b""))
        self.num_bytes += length
        self._middleware.num_bytes += length
        self._complete = message["type"] == "http.request" and not message.get("more_body", False)
        if self.num_bytes > self._limits.num_bytes:
            raise RefusedError(413, f"Expected at most {self._limits.num_bytes:,} bytes.")
        if self._middleware.num_bytes > self._limits.num_bytes_in_flight:
            raise RefusedError(503, BUSY)
        return message


def route_path(scope: Scope) -> str:
    """Return the path that routes see: without the prefix of a proxy."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
