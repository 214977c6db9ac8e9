"""Metrics logger (metrics.jsonl, experiment trackers) and loss monitor of a run.

Dimensions: T terms.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from reseen.errors import RunError, TrainingError
from reseen.files import require_file
from reseen.sealed import seal

if TYPE_CHECKING:
    from accelerate import Accelerator


INSTALLED_BY = {"tensorboard": "'reseen[tensorboard]'", "comet_ml": "comet-ml", "swanlab": "swanlab"}
"""What pip installs for an experiment tracker, where that is not its own name."""


def require_trackers(names: Sequence[str]) -> None:
    """Make sure that experiment trackers are known to accelerate and installed.

    Raises:
        ValueError: One is not known.
        RunError: One is not installed.
    """
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    for name in names:
        if name not in LOGGER_TYPE_TO_CLASS:
            raise ValueError(f"expected log_with among {', '.join(sorted(LOGGER_TYPE_TO_CLASS))}, got {name!r}")
        if name not in [str(each) for each in get_available_trackers()]:
            raise RunError(
                f"expected the library of {name}, which is not installed; run: pip install "
                f"{INSTALLED_BY.get(name, name)}"
            )


class MetricsLogger:
    """Logger of metrics: a line of JSON with its checksum for each entry, and the same numbers for trackers.

    Args:
        path: The file of the lines.
        log: Takes an entry's numbers by name, and its step: ``Accelerator.log``; None where there is no tracker.
    """

    def __init__(self, path: Path, *, log: Callable[[dict[str, float], int], None] | None) -> None:
        self.path = path
        with self._writing():
            self.path.touch()
            require_file(self.path)
        self._log = log

    def write(self, *, step: int, epoch: float, **values: Any) -> None:
        """Add an entry; numbers, and mappings of numbers, go to the trackers as well.

        Raises:
            RunError: The disk is full.
        """
        line = seal({"step": step, "epoch": round(epoch, 4), **values})
        with self._writing(), self.path.open("a") as file:
            file.write(f"{line}\n")
        if self._log is not None:
            numbers = {
                f"{name}/{tag}".strip("/"): number
                for name, value in values.items()
                for tag, number in (value.items() if isinstance(value, Mapping) else [("", value)])
            }
            self._log(numbers, step)

    def state_dict(self) -> dict[str, int]:
        """Return how long the file is."""
        return {"bytes": self.path.stat().st_size}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Drop what was written later than the state."""
        self.cut(state["bytes"])

    def cut(self, length: int) -> None:
        """Drop what comes after so many bytes."""
        with self._writing():
            if self.path.stat().st_size > length:
                os.truncate(self.path, length)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(
                f"expected room and permission to write {self.path}, got: {error.strerror}; then resume the run"
            ) from error


class LossMonitor:
    """Monitor of the terms' values of the latest batches, kept on the device so that no step waits for them.

    Args:
        names: T names.
        room: How many batches are looked at together.
        accelerator: Where the values are, and with whom they are shared.
    """

    def __init__(self, names: Sequence[str], room: int, accelerator: Accelerator) -> None:
        self.names = names
        self.accelerator = accelerator
        self._values = torch.zeros(room, len(names), device=accelerator.device)
        self._steps: list[int] = []

    @property
    def full(self) -> bool:
        """Whether it is time to look."""
        return len(self._steps) == len(self._values)

    def note(self, values: Tensor, step: int) -> None:
        """Keep a batch's values (T,), of the step that they lead to, from 1."""
        self._values[len(self._steps)] = values.detach()
        self._steps.append(step)

    def look(self) -> dict[str, float]:
        """Return each term's mean over the batches since the last look, over all ranks; nothing if there were none.

        Raises:
            TrainingError: A value is not finite; the first such term and step are named.
        """
        if not self._steps:
            return {}
        values = self.accelerator.reduce(self._values[: len(self._steps)], "mean").cpu()
        steps, self._steps = self._steps, []
        wrong = values.isfinite().logical_not().nonzero()
        if len(wrong):
            row, term = wrong[0].tolist()
            raise TrainingError(
                f"expected finite losses, got {values[row, term].item()} from {self.names[term]} at step {steps[row]}; "
                "lower the learning rate, set schedule.clip, or resume from the state before it"
            )
        return dict(zip(self.names, values.double().mean(0).tolist(), strict=True))
