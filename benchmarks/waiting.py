"""What threads that soon sleep while they wait give to a training on a CPU that it shares: GNU OpenMP only."""

from __future__ import annotations

import time
from multiprocessing import get_context

from benchmarks.huge_pages import BATCH, HUGE, SPECS, in_new_process, training_step

from reseen.cli.restart import FEW_ROUNDS, ROUNDS

BESIDE, SECONDS, WARM_UP = (0, 1, 3), 10.0, 3


def spin() -> None:
    """Keep a core busy, for ever."""
    while True:
        pass


def mean_seconds(name: str, height: int, width: int) -> float:
    """Return the mean time of a step: the least would be that of a moment in which nothing had to be waited for."""
    step = training_step(name, height, width)
    for _ in range(WARM_UP):
        step()
    count, begin = 0, time.monotonic()
    while (passed := time.monotonic() - begin) < SECONDS:
        step()
        count += 1
    return passed / count


def seconds_beside(busy: int, environment: dict[str, str]) -> float:
    """Return the mean time of a step beside so many busy processes."""
    others = [get_context("spawn").Process(target=spin, daemon=True) for _ in range(busy)]
    for other in others:
        other.start()
    try:
        return in_new_process({**HUGE, **environment}, mean_seconds, SPECS[:1])[0]
    finally:
        for other in others:
            other.kill()


def main() -> None:
    name, height, width = SPECS[0]
    for busy in BESIDE:
        usual, few = (seconds_beside(busy, way) for way in ({}, {ROUNDS: FEW_ROUNDS}))
        print(
            f"  {name} {height}x{width}, all cores, {busy} busy processes beside: {BATCH / usual:.0f} images/s in "
            f"training, {BATCH / few:.0f} with {ROUNDS}={FEW_ROUNDS}, {usual / few:.2f} times as fast",
            flush=True,
        )


if __name__ == "__main__":
    main()
