"""What Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Counters:
    """The numbers of one server.

    Args:
        num_items: Says how many items the gallery holds.
        num_waiting: Says how many pictures wait for the model.
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

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        known = method if method in ("GET", "POST", "DELETE", "HEAD") else "other"  # strangers choose the method's name
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, size: int) -> None:
        """Count a batch."""
        self._batches.observe(size)

    def text(self) -> bytes:
        """Return all of them in Prometheus's format."""
        return generate_latest(self._registry)
