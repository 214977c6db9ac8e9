"""The bar that a person watches."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class ProgressBar:
    """Steps done, the loss, pictures a second and the time left; nothing at all where nobody looks.

    Args:
        total: Steps of the run.
        done: Steps before a resume.
        shown: Whether this is the rank to show it; it also takes a terminal.
    """

    def __init__(self, *, total: int, done: int, shown: bool) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not (shown and console.is_terminal),
        )
        self._task = self._bar.add_task("training", total=total, completed=done, figures="")

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def show(self, *, step: int, epoch: float, loss: float, images_per_second: float) -> None:
        """Show how it goes."""
        self._bar.update(
            self._task,
            completed=step,
            description=f"epoch {epoch:.1f}",
            figures=f"loss {loss:.3f}  {images_per_second:.0f} images/s",
        )
