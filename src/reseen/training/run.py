"""Bookkeeping of a run: counters, evaluation, checkpoints, logging."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from reseen import checkpoint
from reseen.distributed import of_first_rank
from reseen.errors import TrainingError
from reseen.files import write_atomically
from reseen.loading import Batches
from reseen.model_evaluation import evaluate_model
from reseen.training.candidate_source import CandidateSource
from reseen.training.metrics_logger import LossMonitor, MetricsLogger
from reseen.training.objective import Objective
from reseen.training.progress import ProgressBar
from reseen.training.run_folder import RunFolder
from reseen.training.schedule import Schedule
from reseen.training.state import Stateful, load_state, save_state
from reseen.types import Benchmark

if TYPE_CHECKING:
    from accelerate import Accelerator

logger = logging.getLogger(__name__)


@dataclass
class BestScore:
    """Best score of a run so far, and when it was reached.

    Attributes:
        best: The highest mAP of an evaluation, from 0 to 1; None before the first.
        best_epoch: How many epochs had been trained then.
        waited: Evaluations since.
        first: The mAP before the first step; None where that was not measured.
        last: The latest mAP.
    """

    best: float | None = None
    best_epoch: int = 0
    waited: int = 0
    first: float | None = None
    last: float | None = None

    def note(self, mean_ap: float, epoch: float) -> bool:
        """Take the mAP of an evaluation, and return whether it is the highest so far."""
        self.last, self.waited = mean_ap, self.waited + 1
        if self.best is not None and mean_ap <= self.best:
            return False
        self.best, self.best_epoch, self.waited = mean_ap, round(epoch), 0
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return dataclasses.asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the fields."""
        self.__dict__.update(state)


@dataclass
class RunSettings:
    """Settings that stay the same when a run is resumed, but for the epochs, which may become more.

    Attributes:
        values: By name.
        extended_from: How many epochs the saved run had, where it had fewer.
    """

    values: dict[str, Any]
    extended_from: float | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the values."""
        return self.values

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Compare with the state, which must have the same values.

        Raises:
            ValueError: A value is another.
        """
        for name, value in state.items():
            now = self.values.get(name)
            if name == "epochs" and now is not None and now > value:
                self.extended_from = value
            elif now != value:
                raise ValueError(f"it has {name} {value}, and now it is {now}")


class TrainingRun:
    """State of a running training: counts, logs, evaluates and saves. Every rank has one; only the first writes.

    Args:
        accelerator: Which ranks there are.
        folder: Where to write.
        data: What is measured on.
        objective: The network and its losses.
        batches: Where training is.
        schedule: How long it takes.
        candidates: To be asked what the log shall say of it, and to be saved with the rest.
        optimizers: To be saved with the rest.
        log_every: Steps between looks at the losses.
        log_with: Experiment trackers that get the numbers too.
        resume: Go to the state that the folder has.
        config: The run's configuration, kept in checkpoints.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        folder: RunFolder,
        data: Benchmark,
        objective: Objective,
        batches: Batches,
        schedule: Schedule,
        candidates: CandidateSource,
        optimizers: Sequence[Any],
        *,
        log_every: int,
        log_with: Sequence[str],
        resume: bool,
        config: str | None,
    ) -> None:
        self.accelerator = accelerator
        self.folder = folder
        self.data = data
        self.objective = objective
        self.batches = batches
        self.schedule = schedule
        self.candidates = candidates
        self.config = config
        self._resuming = resume
        self._log_with = log_with
        self.steps_per_epoch = len(batches) // schedule.accumulation
        self.best_score = BestScore()
        log = (lambda numbers, step: accelerator.log(numbers, step=step)) if log_with else None
        self.metrics_logger = MetricsLogger(folder.metrics, log=log) if accelerator.is_main_process else None
        self.loss_monitor = LossMonitor(objective.names, log_every * schedule.accumulation, accelerator)
        self.optimizers = optimizers
        terms = [[name, weight] for name, weight in zip(objective.names, objective.weights.tolist(), strict=True)]
        self.settings = RunSettings({**dataclasses.asdict(schedule), "terms": terms})
        self.parts: dict[str, Stateful] = {
            "settings": self.settings,
            "objective": objective,
            "batches": batches,
            "candidates": candidates,
            "standing": self.best_score,
            **{f"optimizer {number}": optimizer for number, optimizer in enumerate(optimizers)},
        }
        if accelerator.scaler is not None:
            self.parts["scaler"] = accelerator.scaler
        if self.metrics_logger is not None:
            self.parts["journal"] = self.metrics_logger
        self._images, self._since = 0, time.perf_counter()

    def __enter__(self) -> TrainingRun:
        if self._log_with:
            settings = {n: v for n, v in self.settings.values.items() if isinstance(v, (bool, int, float, str))}
            self.accelerator.init_trackers("reseen", config=settings)
        if self._resuming:
            self._resume()
        total = self.steps_per_epoch * self.schedule.length
        self._bar = ProgressBar(total=total, done=self.step, shown=self.accelerator.is_main_process)
        self._bar.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.__exit__(kind, error, at)
        for tracker in self.accelerator.trackers:
            tracker.finish()
        if kind is KeyboardInterrupt and self.folder.state.exists():
            raise KeyboardInterrupt(
                f"stopped at step {self.step}; to go on from the state saved in {self.folder.root}, give the same "
                "command with --resume true (in Python, train(..., resume=True))"
            ) from None

    @property
    def epoch(self) -> float:
        """Epochs done, parts included."""
        return self.batches.epoch + self.batches.position / len(self.batches)

    @property
    def step(self) -> int:
        """Steps done, the one under way included."""
        done = self.batches.epoch * len(self.batches) + self.batches.position
        return -(-done // self.schedule.accumulation)

    def _resume(self) -> None:
        """Go to the saved state; a run that was killed before its first one starts anew."""
        if self.folder.state.exists():
            load_state(self.folder.state, self.parts, self.accelerator)
            if self.settings.extended_from is not None:
                self._extend(self.settings.extended_from)
        else:
            logger.warning("no state in %s yet: starting from the first step", self.folder.root)
            if self.metrics_logger is not None:
                self.metrics_logger.cut(0)

    def _extend(self, epochs: float) -> None:
        change = f"extended from {epochs:g} to {self.schedule.length} epochs after epoch {self.epoch:g}"
        logger.info("%s: from here on the learning rate is that of the longer schedule", change)
        if self.config is not None:
            self.config = f"# {change}: in one go, the learning rates before it would be others.\n{self.config}"
            if self.accelerator.is_main_process:
                write_atomically(self.folder.config, self.config.encode())

    def count(self, values: Tensor, num_images: int) -> None:
        """Count a batch that was used: the terms' values (T,), and how many pictures this rank had of it."""
        self.batches.position += 1
        self._images += num_images * self.accelerator.num_processes
        self.loss_monitor.note(values, self.step)
        if self.loss_monitor.full:
            self.look()

    def look(self) -> None:
        """Log the mean losses since the last look; stop on one that was not finite.

        Raises:
            TrainingError: Names the term and the step.
        """
        values = self.loss_monitor.look()
        now = time.perf_counter()
        speed, self._images, self._since = self._images / (now - self._since), 0, now
        if not values:
            return
        diagnostics = self.candidates.metrics()
        if self.metrics_logger is None:
            return
        loss = sum(w * v for w, v in zip(self.objective.weights.tolist(), values.values(), strict=True))
        self.metrics_logger.write(
            step=self.step,
            epoch=self.epoch,
            loss=loss,
            terms=values,
            learning_rate=self.optimizers[0].param_groups[0]["lr"],
            images_per_second=round(speed, 1),
            **({"candidates": dict(diagnostics)} if diagnostics else {}),
        )
        self._bar.show(step=self.step, epoch=self.epoch, loss=loss, images_per_second=speed)

    def save(self) -> None:
        """Save the state that resuming needs.

        Raises:
            TrainingError: A loss or a weight is not finite; the state before stays.
            WriteError: The disk is full; the state before stays.
        """
        self.look()
        if not all_finite(self.objective):
            raise TrainingError(
                f"expected finite weights, got others after step {self.step} though its losses were finite; "
                "lower the learning rate or set schedule.clip"
            )
        save_state(self.folder.state, self.parts, self.accelerator)

    def keep(self, path: Path, **scores: float) -> None:
        """Write a checkpoint of the network."""
        if self.accelerator.is_main_process:
            provenance = {"data": self.data.name, "seed": self.batches.seed, "step": self.step, "epoch": self.epoch}
            checkpoint.save(path, self.objective.model, provenance={**provenance, **scores}, config=self.config)

    def share_buffers(self) -> None:
        """Give every rank the first one's batch-norm statistics, which are those that are written and scored."""
        if self.accelerator.num_processes == 1:
            return
        by_type: dict[torch.dtype, list[Tensor]] = {}
        for buffer in self.objective.model.buffers():
            by_type.setdefault(buffer.dtype, []).append(buffer)
        for buffers in by_type.values():
            for buffer, value in zip(buffers, of_first_rank(buffers), strict=True):
                buffer.copy_(value)

    def evaluate(self) -> None:
        """Measure the network, on all ranks together, and keep it if it is the best so far."""
        self.share_buffers()
        with torch.random.fork_rng(devices=[]):  # how often it is measured must not change a run
            report = evaluate_model(self.objective.model, self.data, further=False).report
        scores = {"mean_ap": report.mean_ap, "mean_inp": report.mean_inp, "rank_1": report.cmc(1)}
        if self.metrics_logger is not None:
            self.metrics_logger.write(step=self.step, epoch=self.epoch, **scores)
            logger.info("epoch %g: mAP %.1f %%, rank-1 %.1f %%", self.epoch, 100 * report.mean_ap, 100 * report.cmc(1))
        if self.step == 0:
            self.best_score.first = report.mean_ap
        if self.best_score.note(report.mean_ap, self.epoch):
            self.keep(self.folder.best, **scores)
        self._images, self._since = 0, time.perf_counter()

    def warn_if_useless(self) -> None:
        """Say so where training ended no better than it began, and what to try."""
        first, last, best = self.best_score.first, self.best_score.last, self.best_score.best
        if self.metrics_logger is None or first is None or last is None or best is None:
            return
        if last <= first:
            between = f" (it was {100 * best:.1f} % after epoch {self.best_score.best_epoch})"
            weights = "" if self.objective.model.pretrained else "pretrained weights (--model.weights), "
            logger.warning(
                "training ended no better than it began: mAP %.1f %% before, %.1f %% after%s; try %sa lower weight of "
                "the metric loss (--loss_weight), another learning rate (--schedule.learning_rate), or a longer "
                "training (--schedule.epochs)",
                *(100 * first, 100 * last, between if best > first else "", weights),
            )


def all_finite(module: nn.Module) -> bool:
    """Return whether every weight and buffer is finite."""
    tensors = [t for t in module.state_dict().values() if t.is_floating_point()]
    return bool(torch.stack([t.isfinite().all() for t in tensors]).all())
