"""Middleware that counts requests, adds security headers, and answers where something fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reseen.serving.errors import INTERNAL_ERROR, error_response

logger = logging.getLogger(__name__)

METHODS = ("GET", "POST", "PATCH", "DELETE", "HEAD")
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
)


class Metrics:
    """Prometheus metrics of one server.

    Args:
        num_items: Returns how many items the gallery holds.
        num_waiting: Returns how many pictures wait for the model.
    """

    def __init__(self, num_items: Callable[[], int], num_waiting: Callable[[], int]) -> None:
        self._registry = registry = CollectorRegistry()
        names = ["method", "route", "status"]
        self._requests = Counter("reseen_requests_total", "Requests served.", names, registry=registry)
        self._seconds = Histogram("reseen_request_seconds", "Time of a request.", ["route"], registry=registry)
        sizes = (1, 2, 4, 8, 16, 32, 64)
        self._batches = Histogram("reseen_batch_pictures", "Pictures of a batch.", buckets=sizes, registry=registry)
        Gauge("reseen_items", "Items in the gallery.", registry=registry).set_function(num_items)
        Gauge("reseen_waiting_pictures", "Pictures waiting.", registry=registry).set_function(num_waiting)

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        known = method if method in METHODS else "other"  # strangers choose the method's name
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def observe_batch(self, size: int) -> None:
        """Count a batch."""
        self._batches.observe(size)

    def text(self) -> bytes:
        """Return all of them in Prometheus's format."""
        return generate_latest(self._registry)


class ObservabilityMiddleware:
    """Counts every request, adds `SECURITY_HEADERS`, and turns an exception into a line in the log and a 500.

    Args:
        app: What is watched.
        metrics: Where requests are counted.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, start, started = 500, time.perf_counter(), False

        async def send_with_headers(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                message = {**message, "headers": [*message["headers"], *SECURITY_HEADERS]}
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception:
            logger.exception("A request failed")
            if not started:
                await error_response(500, INTERNAL_ERROR)(scope, receive, send_with_headers)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self.metrics.observe_request(scope["method"], route, status, time.perf_counter() - start)
