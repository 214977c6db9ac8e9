"""What threads that soon sleep while they wait give to a training on a CPU that it shares: GNU OpenMP only."""

from __future__ import annotations

from multiprocessing import get_context

import numpy as np
from benchmarks.huge_pages import BATCH, HUGE, SPECS, in_new_process

from reseen.cli.restart import FEW_ROUNDS, ROUNDS

BESIDE, REPEATS = (0, 1, 3), 2


def spin() -> None:
    """Keep a core busy, for ever."""
    while True:
        pass


def seconds_beside(busy: int, environment: dict[str, str]) -> float:
    """Return the least time of a step beside so many busy processes."""
    others = [get_context("spawn").Process(target=spin, daemon=True) for _ in range(busy)]
    for other in others:
        other.start()
    try:
        return in_new_process({**HUGE, **environment}, SPECS[:1])[0]
    finally:
        for other in others:
            other.kill()


def main() -> None:
    name, height, width = SPECS[0]
    for busy in BESIDE:
        ways = ({}, {ROUNDS: FEW_ROUNDS})
        usual, few = np.min([[seconds_beside(busy, way) for way in ways] for _ in range(REPEATS)], axis=0)
        print(
            f"  {name} {height}x{width}, all cores, {busy} busy processes beside: {BATCH / usual:.0f} images/s in "
            f"training, {BATCH / few:.0f} with {ROUNDS}={FEW_ROUNDS}, {usual / few:.2f} times as fast",
            flush=True,
        )


if __name__ == "__main__":
    main()
