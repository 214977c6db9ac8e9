"""The training loop, top to bottom."""

from __future__ import annotations

import logging
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader

from reseen.errors import DataError
from reseen.launcher import join_group
from reseen.loading import IdentityBatchSampler, ImageDataset, Transforms, number_modalities, training_transform
from reseen.models import Embedder
from reseen.parallel import keep_threads, usable
from reseen.training.candidate_source import BatchCandidates, CandidateSource
from reseen.training.configuration import configuration
from reseen.training.metrics_logger import require_trackers
from reseen.training.objective import Objective, Term, default_terms, synchronise_batch_norm
from reseen.training.run import BestScore, TrainingRun
from reseen.training.run_folder import RunFolder
from reseen.training.schedule import Schedule
from reseen.training.state import InterruptGuard
from reseen.types import Benchmark
from reseen.upstream import forget_precision

logger = logging.getLogger(__name__)


def train(
    data: Benchmark,
    model: Embedder,
    terms: Sequence[Term] | None = None,
    batches: IdentityBatchSampler = IdentityBatchSampler(),
    schedule: Schedule = Schedule(),
    out: str | Path = "runs/first",
    *,
    transform: Transforms | None = None,
    candidates: CandidateSource | None = None,
    evaluate_every: int | None = 10,
    patience: int | None = None,
    save_every: int | None = None,
    log_every: int = 20,
    precision: Literal["fp32", "bf16", "fp16"] = "fp32",
    sync_batch_norm: bool = False,
    workers: int = 0,
    seed: int = 0,
    log_with: list[str] | None = None,
    config: Mapping[str, Any] | None = None,
    resume: bool = False,
) -> BestScore:
    """Train a model; afterwards it has the last weights, and the run's folder has the best and the last.

    Everything random follows from ``seed``, and the model's first weights from the generator that made them. A run
    that was killed at any moment and resumed ends, on the CPU, with the same weights bit for bit.

    Args:
        data: Data set: ``train`` to train on, ``query`` and ``gallery`` for the evaluations.
        model: Model to train, changed in place.
        terms: Losses of the objective, a weighted sum; None for an identity loss on the embedding and AdaSP on the
            feature.
        batches: Sampler of identities and pictures.
        schedule: Epochs, learning rates and optimiser.
        out: The run's folder; must not exist, or be empty, unless ``resume``.
        transform: Augmentation of a picture, uint8 to uint8, all to one size, or one for each modality; None for
            ``training_transform`` at the model's.
        candidates: Source of the candidates that a batch is compared with; None for the batch itself.
        evaluate_every: Epochs between evaluations; one comes before the first step, so that bad test data shows at
            once, and one after the last. None for no evaluation.
        patience: Stop after so many evaluations without a better mAP; None to train to the end.
        save_every: Steps between saves of the training state, besides the end of each epoch; None for those only.
        log_every: Steps between lines of metrics.jsonl, and between looks whether the losses are finite.
        precision: ``fp32``, or ``bf16`` or ``fp16`` for mixed precision.
        sync_batch_norm: Let batch norm take its statistics of all ranks' parts of a batch, on GPUs; each rank's own
            part otherwise.
        workers: Processes that read pictures, up to as many as there are cores; 0 reads them between the steps.
        seed: Seed of all random numbers.
        log_with: Experiment trackers that get the numbers of metrics.jsonl as well, by accelerate's names, such as
            ``tensorboard``, ``wandb``, ``mlflow``, ``trackio`` and ``aim``.
        config: The run's settings, to keep in the folder (config.yaml) and in the checkpoints; None for the arguments
            above, as far as plain values can say them.
        resume: Go on with the run in ``out``, with the same arguments, or with more epochs.

    Returns:
        The best mAP and when it was reached.

    Raises:
        RunError: The folder is in use, it has no run to resume, or the saved state is another run's.
        DataError: There are fewer than two identities to train on, a picture cannot be read, or no query has a match.
        TrainingError: A loss or a weight is not finite; what was saved before stays.
        ValueError: The arguments do not fit one another, as with more identities in a batch than there are.
        KeyboardInterrupt: Ctrl-C or SIGTERM came; what resuming needs has been saved, and the message says how.
    """
    for name, number in (
        ("evaluate_every", evaluate_every),
        ("save_every", save_every),
        ("patience", patience),
        ("log_every", log_every),
    ):
        if number is not None and number < 1:
            hint = "" if name == "log_every" else ", or null"
            raise ValueError(f"expected {name} of 1 or more{hint}, got {number}")
    if workers < 0:
        raise ValueError(f"expected 0 workers or more, got {workers}")
    # Accelerate keeps one precision for a process; a second run may want another.
    forget_precision()
    join_group()
    from accelerate import Accelerator  # Here, not above: to show what `train` takes needs none of it.
    from accelerate.utils import DistributedDataParallelKwargs, set_seed

    require_trackers(log_with or ())
    accelerator = Accelerator(
        log_with=log_with,
        project_dir=out,
        mixed_precision="no" if precision == "fp32" else precision,
        gradient_accumulation_steps=schedule.accumulation,
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    device, rank = accelerator.device, accelerator.process_index
    # By the names that the command line has for them.
    arguments: dict[str, Any] = {
        "data": data,
        "model": model.spec,
        "batches": batches,
        **({} if transform is None else {"augmentation": transform}),
        "candidates": candidates,
        "evaluate_every": evaluate_every,
        "patience": patience,
        "save_every": save_every,
        "precision": precision,
        "sync_batch_norm": sync_batch_norm,
        "workers": workers,
        "seed": seed,
        "log_with": log_with,
    }
    candidates = BatchCandidates() if candidates is None else candidates

    # The data: which pictures meet, and the pictures.
    size = (model.spec.height, model.spec.width)
    images = ImageDataset(data.train, transform or training_transform(size), size=size)
    modalities, places = number_modalities(data.train), model.side_info(data.train, known=True)
    # On the device once, so that no step waits to have its part there.
    modalities = None if modalities is None else modalities.to(device)
    places = {name: each.to(device) for name, each in places.items()}
    if places and not isinstance(candidates, BatchCandidates):
        raise ValueError(
            f"expected plain training of a network that is told {' and '.join(places)}, got "
            f"{type(candidates).__name__}; leave model.vit as it is"
        )
    if len(images.identities) < 2:
        raise DataError(f"expected at least 2 identities to train on, got {len(images.identities)}; add data")
    sequence = batches.over(
        data.train, seed=seed, rank=rank, num_ranks=accelerator.num_processes, multiple_of=schedule.accumulation
    )
    loader = DataLoader(
        images,
        batch_sampler=sequence,
        num_workers=usable(workers),
        persistent_workers=workers > 0,
        worker_init_fn=ignore_interrupts,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # its own: starting the rest of an epoch must not move the others
    )

    # The network with its losses, and what changes them.
    schedule = schedule.resolved(steps_per_epoch=len(sequence) // schedule.accumulation, pretrained=model.pretrained)
    terms = [term.weighted(data.kind) for term in (default_terms() if terms is None else terms)]
    written = configuration(config, arguments, terms=terms, schedule=schedule)
    set_seed(seed)
    objective = Objective(model, terms, len(images.identities)).to(device)
    if sync_batch_norm and accelerator.num_processes > 1:
        synchronise_batch_norm(objective, device)
    pretrained = [p for p in model.pretrained_parameters() if p.requires_grad]
    optimizers = [accelerator.prepare_optimizer(o) for o in schedule.optimizers(objective)]
    if precision == "fp16" and len(optimizers) > 1:
        raise ValueError("expected no loss with a learning rate of its own at precision fp16; use bf16 or fp32")
    network = accelerator.prepare_model(objective)
    candidates.setup(model, objective.pair_outputs)
    set_seed(seed + rank)

    # The folder, and what of the run is in it already; then the loop.
    folder = RunFolder(Path(out))
    evaluate_every = evaluate_every if data.query else None
    interruption = InterruptGuard(enabled=accelerator.num_processes == 1)
    with (
        interruption,
        folder.open(resume=resume, config=written),
        TrainingRun(
            accelerator,
            folder,
            data,
            objective,
            sequence,
            schedule,
            candidates,
            optimizers,
            log_every=log_every,
            log_with=log_with or (),
            resume=resume,
            config=written,
        ) as run,
    ):
        if accelerator.num_processes == 1:
            keep_threads(folder.threads)
        if evaluate_every is not None and run.step == 0:
            run.evaluate()
        for epoch in range(sequence.epoch, schedule.length):
            sequence.begin(epoch)
            objective.train()
            for parameter in pretrained:
                parameter.requires_grad_(epoch >= schedule.freeze)

            with interruption.delayed():
                for batch in loader:
                    pictures, labels, rows = (part.to(device, non_blocking=True) for part in batch)
                    side = None if modalities is None else modalities[rows]
                    where = {name: each[rows] for name, each in places.items()}
                    candidates.on_batch(rows)
                    with accelerator.accumulate(network):
                        values = network(pictures, labels, side, candidates, **where)
                        accelerator.backward(objective.weights @ values)
                        if accelerator.sync_gradients:
                            schedule.set_rates(optimizers[0], run.epoch)
                            if schedule.clip is not None:
                                accelerator.clip_grad_norm_(objective.model.parameters(), schedule.clip)
                        for optimizer in optimizers:
                            optimizer.step()
                            optimizer.zero_grad()
                    run.count(values, len(rows))
                    if not accelerator.sync_gradients:
                        continue
                    candidates.on_step_end(model)
                    if interruption.asked or (save_every is not None and run.step % save_every == 0):
                        run.save()
                    interruption.raise_if_asked()

                run.share_buffers()
                run.save()
                run.keep(folder.last)
                interruption.raise_if_asked()
            if evaluate_every is not None and ((epoch + 1) % evaluate_every == 0 or epoch + 1 == schedule.length):
                run.evaluate()
                if patience is not None and run.best_score.waited >= patience:
                    logger.info("stopped early: no better mAP in %d evaluations", patience)
                    break
        run.warn_if_useless()
    return run.best_score


def ignore_interrupts(worker: int) -> None:
    """Leave Ctrl-C and SIGTERM to the parent process, which lets its step end first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
