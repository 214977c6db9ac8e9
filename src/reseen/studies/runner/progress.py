"""Progress of a study and its remaining time."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from reseen.labels import visible

logger = logging.getLogger(__name__)


class StudyProgress:
    """Progress bar of a whole study; where there is no terminal, a line in the log for every run that ends.

    Args:
        runs: How many there are.
        work: How much they are, in trainings.
        done: How much of it was done before.
    """

    def __init__(self, *, runs: int, work: float, done: float) -> None:
        self.runs, self.work, self.first = runs, work, done
        self._began = time.monotonic()
        self._finished = -1
        self._bar = Progress(
            TextColumn("[bold]{task.fields[runs]}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.description}", markup=False),  # names of runs, as a user gives them
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("", total=work, runs="", left="")

    def __enter__(self) -> StudyProgress:
        self._bar.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.__exit__(kind, error, at)

    def show(self, *, finished: int, done: float, active: Sequence[str]) -> None:
        """Show how many runs are finished, how much is done in all, and what is going on."""
        runs = f"{finished} of {self.runs} runs"
        left = in_words(seconds_left(done - self.first, self.work - done, elapsed=time.monotonic() - self._began))
        self._bar.update(self._task, completed=done, description=visible(", ".join(active)), runs=runs, left=left)
        if finished > max(self._finished, 0) and not self._bar.console.is_terminal:
            logger.info("%s done; %s", runs, left)
        self._finished = finished


def seconds_left(done: float, left: float, *, elapsed: float) -> float | None:
    """Return how long the rest takes at the pace so far; None before there is one."""
    return None if done <= 0 else elapsed * left / done


def in_words(seconds: float | None) -> str:
    """Return a time as a person would say it."""
    if seconds is None:
        return ""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * size:
            return f"about {seconds / size:.{int(unit != 'minutes')}f} {unit} left"
    return f"about {seconds:.0f} seconds left"
