"""Parallel loop over independent pieces of work, on threads."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
THREADS = "OMP_NUM_THREADS"
logger = logging.getLogger(__name__)


def num_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def idle_cores(seconds: float = 0.3, *, statistics: Path = Path("/proc/stat")) -> int:
    """Return how many cores have nothing to do, at least one: those that others leave, measured for a moment."""

    def idle_and_all() -> tuple[int, int]:
        ticks = [int(word) for word in statistics.read_text().partition("\n")[0].split()[1:9]]
        return ticks[3] + ticks[4], sum(ticks)

    try:
        idle, everything = idle_and_all()
        time.sleep(seconds)
        later = idle_and_all()
    except (OSError, IndexError, ValueError):  # not Linux
        return num_cores()
    share = (later[0] - idle) / max(1, later[1] - everything)
    return max(1, min(num_cores(), round(share * (os.cpu_count() or 1))))


def take_idle_cores() -> None:
    """Give torch the cores that are idle, unless OMP_NUM_THREADS says how many it has.

    Torch's threads wait for one another at every operation. Where one of them has to share its core with other work,
    all of them stand still for most of the time: on two cores, one of them busy, a training was seen to take twenty
    times as long with two threads as with one.
    """
    if THREADS in os.environ:
        return
    import torch

    idle, cores = idle_cores(), num_cores()
    torch.set_num_threads(idle)
    if idle < cores:
        logger.info("%d of %d cores are idle, and taken; %s=%d takes all", idle, cores, THREADS, cores)


def keep_threads(path: Path) -> None:
    """Give torch the threads that a run began with, on which its last bits depend; OMP_NUM_THREADS comes first.

    Args:
        path: File that says how many, written where there is none.
    """
    import torch

    text = path.read_text(encoding="utf-8") if path.exists() else ""
    begun = int(text) if text.isdecimal() else 0  # a file that was cut off while it was written says nothing
    if not begun:
        with contextlib.suppress(OSError):  # a full disk stops the run where something is lost
            path.write_text(str(torch.get_num_threads()), encoding="utf-8")
    elif THREADS not in os.environ:
        torch.set_num_threads(begun)
    elif begun != torch.get_num_threads():
        logger.warning(
            "begun with %d threads and going on with %d: the last bits of its figures will be others, unless %s=%d",
            *(begun, torch.get_num_threads(), THREADS, begun),
        )


@functools.lru_cache  # says it once
def usable(workers: int) -> int:
    """Return how many worker processes to start where so many are asked for: at most one a core of this process."""
    cores = num_cores()
    if workers > cores:
        logger.warning("%d workers on %d cores would wait for one another: taking %d", workers, cores, cores)
    return min(workers, cores)


def parallel_for(work: Callable[[T], None], pieces: Iterable[T], *, threads: bool = True) -> None:
    """Do the work for each piece on as many threads as torch has, in any order, without gradients.

    Args:
        work: Runs on several threads at once, where each torch operation has one core. After an error no further
            piece is begun, and the error is raised here.
        pieces: One argument of ``work`` each.
        threads: False for one after the other, here.

    Note:
        Between two parallel operations torch's threads spin, and take the cores from whatever serial step stands there.
        Whole pieces side by side leave nobody waiting.
    """
    import torch  # Here, not above: cores are counted where there is no torch as well.

    num_threads, alone = torch.get_num_threads(), torch.no_grad()(work)
    if not threads:
        for piece in pieces:
            alone(piece)
        return
    try:
        with ThreadPoolExecutor(num_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            running = [pool.submit(alone, piece) for piece in pieces]
            try:
                for future in running:
                    future.result()
            finally:
                pool.shutdown(cancel_futures=True)
    finally:
        # A thread's number is its own, but the last one set is also that of every thread to come.
        torch.set_num_threads(num_threads)
