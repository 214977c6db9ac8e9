"""Progress bar of a run: on a terminal or with a notebook's widgets a bar, elsewhere lines in the log."""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from reseen.terminal import LogHandler

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 30.0


class ProgressBar:
    """Steps done, the loss, pictures a second and the time left: a bar where one can be drawn, else a line in the log.

    Args:
        total: Steps of the run.
        done: Steps before a resume.
        shown: Whether this is the rank to show it.
    """

    def __init__(self, *, total: int, done: int, shown: bool) -> None:
        console = Console(stderr=True)
        self._total, self._done, self._shown = total, done, shown
        widgets = console.is_jupyter and importlib.util.find_spec("ipywidgets") is not None
        bar = shown and (console.is_terminal or widgets)
        self._lines = shown and not bar
        self._stack = ExitStack()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not bar,
        )
        self._task = self._bar.add_task("training", total=total, completed=done, figures="")

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        if self._shown:
            self._stack.enter_context(log_shown())
        self._began = self._line = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()
        self._bar.stop()

    def show(self, *, step: int, epoch: float, loss: float, images_per_second: float) -> None:
        """Show the loss and the steps done."""
        self._bar.update(
            self._task,
            completed=step,
            description=f"epoch {epoch:.1f}",
            figures=f"loss {loss:.3f}  {images_per_second:.0f} images/s",
        )
        now = time.monotonic()
        if self._lines and now - self._line >= SECONDS_BETWEEN_LINES:
            self._line = now
            left = (now - self._began) / max(step - self._done, 1) * (self._total - step)
            logger.info(
                "epoch %.1f, step %d of %d: loss %.3f, %.0f images/s, about %.0f minutes left",
                *(epoch, step, self._total, loss, images_per_second, left / 60),
            )


@contextmanager
def log_shown() -> Iterator[None]:
    """Show on standard error what the library logs, where nobody has set up logging: a notebook, a script."""
    library = logging.getLogger("reseen")
    if library.hasHandlers():
        yield
        return
    handler, level = LogHandler(errors=True), library.level
    library.addHandler(handler)
    library.setLevel(logging.INFO)
    try:
        yield
    finally:
        library.removeHandler(handler)
        library.setLevel(level)
