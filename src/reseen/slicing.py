"""Slices of long arrays and lists, for work that goes block by block."""

import itertools
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def chunks(total: int, size: int) -> Iterator[slice]:
    """Cut 0..total into slices of at most ``size``."""
    return (slice(start, min(start + size, total)) for start in range(0, total, size))


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of at most ``size`` items, as they come."""
    rest = iter(items)
    while batch := list(itertools.islice(rest, size)):
        yield batch
