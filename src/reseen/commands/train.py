"""``reseen train``."""

import dataclasses
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from reseen import checkpoint, training
from reseen.cli.runs import checkpoint_of
from reseen.commands.evaluate import print_scores
from reseen.launcher import is_first
from reseen.loading import IdentityBatchSampler, Transforms, training_transform
from reseen.model_evaluation import evaluate_model
from reseen.models import Embedder, ModelSpec
from reseen.parallel import take_idle_cores
from reseen.terminal import Terminal
from reseen.training import CandidateSource, Schedule, Term
from reseen.types import Benchmark

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VisibleAugmentation:
    """Further augmentation of visible pictures in visible-infrared training; each part is off at null.

    Attributes:
        exchange: Probability that one colour channel stands for all three.
        grey: Probability that a picture becomes grey.
        erase_channels: Probability of covering a random rectangle of each colour channel, another in each.
    """

    exchange: float | None = None
    grey: float | None = None
    erase_channels: float | None = None


@dataclass(frozen=True)
class Augmentation:
    """Augmentation of training pictures; each part is off at null.

    Attributes:
        flip: Probability of mirroring left and right.
        pad: Pixels added on each side before a crop of the picture's size at random.
        jitter: Brightness, contrast and saturation each change by a factor within 1 ± this.
        auto_augment: Probability of an AutoAugment policy.
        erase: Probability of covering a random rectangle.
        visible: Augmentation of visible pictures only.
    """

    flip: float | None = 0.5
    pad: int | None = 10
    jitter: float | None = None
    auto_augment: float | None = None
    erase: float | None = 0.5
    visible: VisibleAugmentation = VisibleAugmentation()

    def transforms(self, size: tuple[int, int]) -> Transforms:
        """Return one transform to ``size`` = (height, width), or one for each modality where they differ."""
        common = {name: value for name, value in dataclasses.asdict(self).items() if name != "visible"}
        infrared = training_transform(size, **common)
        if self.visible == VisibleAugmentation():
            return infrared
        return {"visible": training_transform(size, **common, **dataclasses.asdict(self.visible)), "infrared": infrared}


def train(
    *,
    data: Benchmark,
    out: Path,
    model: ModelSpec = ModelSpec(),
    terms: list[Term] | None = None,
    batches: IdentityBatchSampler = IdentityBatchSampler(),
    augmentation: Augmentation = Augmentation(),
    schedule: Schedule = Schedule(),
    candidates: CandidateSource | None = None,
    init: Path | None = None,
    resume: bool = False,
    evaluate_every: int | None = 10,
    patience: int | None = None,
    save_every: int | None = None,
    precision: Literal["fp32", "bf16", "fp16"] = "fp32",
    sync_batch_norm: bool = False,
    workers: int = 0,
    seed: int = 0,
    mirrored: bool = False,
    checkpoint_gradients: bool = False,
    log_with: list[str] | None = None,
    resolved: dict[str, Any] | None = None,
) -> None:
    """Train a model and evaluate it.

    The run's folder receives the configuration (config.yaml, which repeats the run), the best and the last weights,
    metrics.jsonl and, at the end, report.json. `reseen report` makes a page of it.

    Args:
        data: The data set, as in `--data Table --data.path FILE.csv`; `--data.help NAME` explains one.
        out: Folder of the run; it must not hold another run.
        model: Specification of the model.
        terms: Losses, each with its output and weight; IdentityLoss and AdaSPLoss if not given. The flags about a
            single loss change them, and config.yaml has what is trained.
        batches: Identities and pictures in a batch.
        augmentation: Augmentation of training pictures.
        schedule: Epochs, learning rates and optimiser.
        candidates: Candidates that a batch is compared with, as MoReID; null for the batch itself.
        init: Run, checkpoint or name that `reseen models` lists, whose weights to start from, as far as they fit; the
            others are listed.
        resume: Resume the run in `out`, with the same settings; more epochs extend it.
        evaluate_every: Epochs between evaluations on query and gallery; null for none.
        patience: Stop after so many evaluations without a better mAP.
        save_every: Steps between saves of the training state, besides the end of each epoch.
        precision: fp32, or bf16 or fp16 for mixed precision.
        sync_batch_norm: Let batch norm take its statistics of all ranks' parts of a batch, on GPUs.
        workers: Processes that read pictures, up to as many as there are cores; 0 reads them between the steps.
        seed: Seed of all random numbers.
        mirrored: Average the vectors of each picture and its mirror image in the final evaluation.
        checkpoint_gradients: Compute the activations within the backbone's blocks again for the gradient rather than
            keep them: less memory, more time. For networks of timm.
        log_with: Experiment trackers that get the numbers of metrics.jsonl as well: [tensorboard], [wandb], [mlflow],
            [trackio], [aim], or several.
        resolved: All settings as plain values, from the command line.
    """
    from accelerate.utils import set_seed  # Not needed to show what the verb takes.

    take_idle_cores()
    set_seed(seed)
    embedder = Embedder(model)
    if checkpoint_gradients:
        embedder.network.backbone.checkpoint_gradients()
    if init is not None:
        logger.info("%s", checkpoint.initialise(embedder, checkpoint_of(init)))
    started = time.monotonic()
    settings = None if resolved is None else {**resolved, "resume": False}
    training.train(
        data,
        embedder,
        terms,
        batches,
        schedule,
        out,
        transform=augmentation.transforms((model.height, model.width)),
        candidates=candidates,
        evaluate_every=evaluate_every if data.query else None,
        patience=patience,
        save_every=save_every,
        precision=precision,
        sync_batch_norm=sync_batch_norm,
        workers=workers,
        seed=seed,
        log_with=log_with,
        config=settings,
        resume=resume,
    )
    seconds = time.monotonic() - started
    outcome = (
        evaluate_model(embedder, data, num_workers=workers, mirrored=mirrored, progress=True) if data.query else None
    )
    if not is_first():
        return
    if outcome is not None:
        outcome.save(out, data=data.name, mirrored=mirrored, training_seconds=round(seconds, 1))
        print_scores(outcome, title=data.name)
    Terminal().print(f"trained in {seconds / 60:.1f} minutes: {out}")
