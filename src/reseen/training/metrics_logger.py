"""Metrics logger (metrics.jsonl, TensorBoard) and loss monitor of a run.

Dimensions: T terms.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from reseen.errors import RunError, TrainingError
from reseen.sealed import seal

if TYPE_CHECKING:
    from accelerate import Accelerator


class MetricsLogger:
    """Logger of metrics: one line of JSON with its checksum for each entry, and the same numbers for TensorBoard.

    Args:
        path: The file of the lines.
        tensorboard: The folder of TensorBoard's events; None for none.
    """

    def __init__(self, path: Path, *, tensorboard: Path | None) -> None:
        self.path = path
        with self._written():
            self.path.touch()
        self._tensorboard = tensorboard
        self._events: Any = None

    def write(self, *, step: int, epoch: float, **values: Any) -> None:
        """Add an entry; numbers, and mappings of numbers, go to TensorBoard as well.

        Raises:
            RunError: The disk is full.
        """
        line = seal({"step": step, "epoch": round(epoch, 4), **values})
        with self._written(), self.path.open("a") as file:
            file.write(f"{line}\n")
        if self._tensorboard is not None:
            if self._events is None:  # From here on, events of a run that was killed do not count.
                from torch.utils.tensorboard import SummaryWriter

                self._events = SummaryWriter(str(self._tensorboard), purge_step=step)
            for name, value in values.items():
                for tag, number in value.items() if isinstance(value, Mapping) else [("", value)]:
                    self._events.add_scalar(f"{name}/{tag}".strip("/"), number, step)

    def state_dict(self) -> dict[str, int]:
        """Return how long the file is."""
        return {"bytes": self.path.stat().st_size}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Drop what was written later than the state."""
        self.cut(state["bytes"])

    def cut(self, length: int) -> None:
        """Drop what comes after so many bytes."""
        with self._written():
            if self.path.stat().st_size > length:
                os.truncate(self.path, length)

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(
                f"expected room and permission to write {self.path}, got: {error.strerror}; then resume the run"
            ) from error

    def close(self) -> None:
        """Write out what is waiting."""
        if self._events is not None:
            self._events.close()


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
