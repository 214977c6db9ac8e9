"""What stands before every request: who asks, how much comes, and one sentence for whatever goes wrong."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reseen.serving.faults import BROKEN, refusal
from reseen.serving.limits import Limits, RefusedError

logger = logging.getLogger(__name__)

OPEN = frozenset({"/", "/page.css", "/page.js", "/health", "/openapi.json"})
"""What is served without a token: the page itself, which knows nothing, and whether the server is well."""
MOST_HEADERS = 16_384
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
)


class Guard:
    """Checks host, token and size of a request, hands it on, and turns what is raised into an answer.

    Args:
        app: What is guarded.
        token: What ``Authorization: Bearer ...`` has to say; None lets everybody in.
        hosts: Names by which the server may be called, so that no foreign page can reach it under its own name (DNS
            rebinding); None for any.
        limits: Of a request's body.
        watch: Is told method, route, status and seconds of every request.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None,
        hosts: frozenset[str] | None,
        limits: Limits,
        watch: Callable[[str, str, int, float], object],
    ) -> None:
        self.app, self.token, self.hosts, self.limits, self.watch = app, token, hosts, limits, watch
        self.num_inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, begun, started = 500, time.perf_counter(), False

        async def answer(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                message = {**message, "headers": [*message["headers"], *HEADERS]}
            await send(message)

        self.num_inside += 1
        try:
            self.admit(scope)
            await self.app(scope, self.limited(receive), answer)
        except RefusedError as refused:
            await refusal(refused.status, refused.sentence)(scope, receive, answer)
        except Exception:
            logger.exception("A request failed")
            if not started:
                await refusal(500, BROKEN)(scope, receive, answer)
        finally:
            self.num_inside -= 1
            route = getattr(scope.get("route"), "path", "none")
            self.watch(scope["method"], route, status, time.perf_counter() - begun)

    def admit(self, scope: Scope) -> None:
        """Let a request in.

        Raises:
            RefusedError: It calls the server by a foreign name, comes from another site's page, lacks the token, is too
                large by its own account, or is one too many.
        """
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEADERS:
            raise RefusedError(431, f"Expected headers of at most {MOST_HEADERS:,} bytes.")
        headers: dict[bytes, bytes] = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
        if self.hosts is not None and name not in self.hosts:
            raise RefusedError(421, "Expected a request to this server's own name; see reseen serve --help.")
        if scope["path"] not in OPEN:
            # Browsers say whose page asks; it matters where no token is asked for.
            if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
                raise RefusedError(403, "Expected a request from the server's own page, got one from another site's.")
            given = headers.get(b"authorization", b"")
            if self.token is not None and not secrets.compare_digest(given, b"Bearer " + self.token.encode()):
                raise RefusedError(401, "Expected the server's token as 'Authorization: Bearer TOKEN'.")
            if self.num_inside > self.limits.num_inside:
                raise RefusedError(503, "The server is busy; try again in a moment.")
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 18 or int(length) > self.limits.num_bytes:
            raise RefusedError(413, f"Expected at most {self.limits.num_bytes:,} bytes.")

    def limited(self, receive: Receive) -> Receive:
        """Return what receives a body, for as long as it is small and comes in time."""
        received, until = 0, time.monotonic() + self.limits.seconds
        whole = False

        async def limited() -> Message:
            nonlocal received, whole
            if whole:  # What comes now is only the news that the client has left.
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, until - time.monotonic()))
            except asyncio.TimeoutError:
                raise RefusedError(408, f"Expected the whole request within {self.limits.seconds:g} seconds.") from None
            received += len(message.get("body", b""))
            whole = message["type"] == "http.request" and not message.get("more_body", False)
            if received > self.limits.num_bytes:
                raise RefusedError(413, f"Expected at most {self.limits.num_bytes:,} bytes.")
            return message

        return limited
