"""Limits of a server: what one request, and all of them together, may ask for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits on one request, and on all of them together.

    Attributes:
        num_bytes: Size of a request's body.
        num_pixels: Size of a picture, read from its header before it is decoded.
        num_answers: Matches of a search.
        num_requests: Requests in process at a time; more are answered with 503.
        num_connections: Open connections; None for as many as the process may have files open, less a reserve. When a
            new one comes, the one that has waited longest without a request is closed.
        num_bytes_in_flight: Sum of the bodies of all requests in process; more are answered with 503.
        num_pixels_in_flight: Sum of the sizes of all pictures being decoded; further ones wait.
        seconds: Within which a request's body has to arrive.
        header_seconds: Within which a request's head has to arrive, from the connection's start or from the answer
            before it, and within which a client has to take an answer; then the connection is closed.
        batch: Pictures that go through the model together.

    Raises:
        ValueError: A body or a picture may be larger than all of them together.
    """

    num_bytes: int = 10_000_000
    num_pixels: int = 25_000_000
    num_answers: int = 200
    num_requests: int = 512
    num_connections: int | None = None
    num_bytes_in_flight: int = 128_000_000
    num_pixels_in_flight: int = 50_000_000
    seconds: float = 30.0
    header_seconds: float = 10.0
    batch: int = 32

    def __post_init__(self) -> None:
        for name in ("num_bytes", "num_pixels"):
            one, together = getattr(self, name), getattr(self, f"{name}_in_flight")
            if one > together:
                raise ValueError(f"expected {name} of at most {name}_in_flight, got {one} and {together}")


DEFAULT_LIMITS = Limits()
