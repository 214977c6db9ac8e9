"""Slices of long arrays and lists, for work that goes block by block."""

from collections.abc import Iterator


def chunks(total: int, size: int) -> Iterator[slice]:
    """Cut 0..total into slices of at most ``size``."""
    return (slice(start, min(start + size, total)) for start in range(0, total, size))
