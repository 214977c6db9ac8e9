"""How long a piece of work takes, and how much memory."""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

MB = 2**20


@dataclass(frozen=True)
class Peak:
    """What a piece of work took.

    Attributes:
        seconds: How long it took.
        above: Bytes of resident memory at the peak, above what was resident before it.
        total: Bytes of resident memory at the peak, Python and libraries included.
    """

    seconds: float
    above: int
    total: int


def peak_of(prepare: Callable[..., Callable[[], object]], *arguments: Any) -> Peak:
    """Call ``prepare(*arguments)`` in a fresh process, then measure the work that it returns. Linux only."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(there, prepare, arguments))
    process.start()
    there.close()
    try:
        return here.recv()  # type: ignore[no-any-return]
    except EOFError:
        process.join()
        raise MemoryError(f"{prepare.__name__}{arguments} died, exit code {process.exitcode}") from None
    finally:
        process.join()


def _measure(answer: Connection, prepare: Callable[..., Callable[[], object]], arguments: tuple[Any, ...]) -> None:
    use_all_cores()
    work = prepare(*arguments)
    Path("/proc/self/clear_refs").write_text("5")  # Resets the peak to what is resident now.
    before = _status("VmRSS")
    start = perf_counter()
    work()
    seconds = perf_counter() - start
    peak = _status("VmHWM")
    answer.send(Peak(seconds, peak - before, peak))


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024


def resident() -> float:
    """Return the megabytes of resident memory of this process."""
    return _status("VmRSS") / 1e6


def fastest(*works: Callable[[], object], repeats: int) -> list[float]:
    """Return the shortest time of each piece of work, in seconds; they take turns, so that all see the same machine."""
    best = [float("inf")] * len(works)
    for _ in range(repeats):
        for number, work in enumerate(works):
            start = perf_counter()
            work()
            best[number] = min(best[number], perf_counter() - start)
    return best


def use_all_cores() -> None:
    """Let torch have every core, whatever the environment says."""
    torch.set_num_threads(os.cpu_count() or 1)


def verdict(what: str, value: float, *, most: float = math.inf, least: float = -math.inf) -> None:
    """Print a figure beside its limit."""
    limit = f"at least {least:g}" if most == math.inf else f"at most {most:g}"
    print(f"  {what}: {value:.4g}, {limit}: {'met' if least <= value <= most else 'MISSED'}")
