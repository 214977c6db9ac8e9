"""``reseen adapt``."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import yaml

from reseen import adaptation
from reseen.adaptation import Memory, Target, write_adaptation_page
from reseen.cli.models import model_or_default
from reseen.cli.runs import model_of
from reseen.commands.train import Augmentation
from reseen.datasets import Transfer
from reseen.datasets.custom.samples import folder_samples, table_samples
from reseen.discovery import Clustering, Links, pair_links, sample_links
from reseen.errors import DataError
from reseen.loading import IdentityBatchSampler
from reseen.models import Embedder, ModelSpec
from reseen.parallel import take_idle_cores
from reseen.terminal import Terminal
from reseen.training import Schedule, Term
from reseen.types import Benchmark


def adapt(
    *,
    model: str | None = None,
    spec: ModelSpec | None = None,
    out: Path,
    data: Benchmark | None = None,
    pictures: Path | None = None,
    pattern: str | None = None,
    table: Path | None = None,
    pairs: Path | None = None,
    joint: bool = False,
    losses: list[Term] | None = None,
    clustering: Clustering = Clustering(),
    memory: Memory = Memory(),
    batches: IdentityBatchSampler = IdentityBatchSampler(8, 4),
    augmentation: Augmentation = Augmentation(jitter=0.2),
    schedule: Schedule = Schedule(epochs=2, learning_rate=3.5e-4, warmup=0.5, final_factor=0.1),
    rounds: int = 10,
    stable: float = 0.98,
    patience: int = 3,
    evaluate_rounds: bool = True,
    precision: Literal["fp32", "bf16", "fp16"] = "fp32",
    workers: int = 0,
    seed: int = 0,
    resume: bool = False,
    resolved: dict[str, Any] | None = None,
) -> None:
    """Adapt a model to pictures without labels, in rounds of embedding, clustering and training.

    Give one of --data, --pictures or --table. The run's folder receives the adapted model (last.safetensors), what each
    round found (adaptation.json), a page (adaptation.html) and the rounds themselves.

    Args:
        model: The model to start from: a name, a run or a checkpoint; a published model, which is fetched, if neither
            this nor --spec is given.
        spec: Network and published weights to start from, in place of --model.
        out: Folder of the run; it must not hold another run.
        data: Data set whose training pictures are the target, their labels thrown away; its queries and gallery say
            whether it helped. Transfer names a labelled source as well.
        pictures: Folder of pictures in place of a data set.
        pattern: Regular expression with groups such as camera, track and time, read from the paths of --pictures.
        table: CSV or Parquet file of path and, where known, camera, track, time and the box to use.
        pairs: Table of first, second and same: what a person said of pairs of pictures, by their paths.
        joint: Train on the source of Transfer together with the target.
        losses: Terms of the objective; SupConLoss on the embedding if not given. Losses over pairs on the embedding
            compare with the memory of clusters.
        clustering: How pictures are grouped.
        memory: What batches are compared with.
        batches: Groups and pictures in a batch.
        augmentation: Augmentation of training pictures.
        schedule: Epochs, learning rates and optimiser of each round.
        rounds: Rounds at most.
        stable: End when the groups of two rounds agree so far (adjusted Rand index).
        patience: End after so many rounds without a higher silhouette.
        evaluate_rounds: Score the model of every round on the test pictures; false: of the first and the last.
        precision: fp32, or bf16 or fp16 for mixed precision.
        workers: Processes that read pictures.
        seed: Seed of all random numbers.
        resume: Resume the run in `out`, with the same settings.
        resolved: All settings as plain values, from the command line.
    """
    from accelerate.utils import set_seed  # Not needed to show what the verb takes.

    if sum(source is not None for source in (data, pictures, table)) != 1:
        raise DataError("expected one of --data, --pictures or --table; see reseen adapt --help")
    if model is not None and spec is not None:
        raise DataError("expected --model or --spec.backbone with --spec.weights, got both; see reseen adapt --help")
    take_idle_cores()
    set_seed(seed)
    target = target_of(data, pictures, table, pattern=pattern, joint=joint)
    target = dataclasses.replace(target, links=links_of(target, pairs))
    embedder = Embedder(spec) if spec is not None else model_of(Path(model_or_default(model)))
    size = (embedder.spec.height, embedder.spec.width)
    settings = {} if resolved is None else {**resolved, "resume": False}
    result = adaptation.adapt(
        embedder,
        target,
        out,
        terms=losses,
        clustering=clustering,
        memory=memory,
        batches=batches,
        schedule=schedule,
        transform=augmentation.transforms(size),
        rounds=rounds,
        stable=stable,
        patience=patience,
        evaluate=evaluate_rounds,
        precision=precision,
        workers=workers,
        seed=seed,
        config=yaml.safe_dump(settings, sort_keys=False),
        resume=resume,
    )
    name = data.name if data is not None else (pictures or table or out).name
    page = write_adaptation_page(out / "adaptation.html", result, title=name)
    console = Terminal()
    console.print(f"ended: {result.reason}; kept the model of round {result.chosen}")
    console.print(adaptation.outcome_in_words(result))
    console.print(f"model: {out / 'last.safetensors'}, page: {page}")


def target_of(
    data: Benchmark | None, pictures: Path | None, table: Path | None, *, pattern: str | None, joint: bool
) -> Target:
    """Return what to adapt to; of a data set the labels are hidden first."""
    if data is None:
        if joint:
            raise DataError("expected --data Transfer with --joint, got pictures alone; name a source")
        read = folder_samples(pictures, pattern=pattern) if pictures else table_samples(table or Path())
        return Target(read.samples)
    pair = data if isinstance(data, Transfer) else Transfer(data)
    if joint and not pair.train:
        raise DataError("expected --data Transfer with a source to train on with --joint, got no source; name one")
    test = Benchmark(pair.name, (), pair.query, pair.gallery, pair.protocol, pair.distractors)
    return Target(
        pair.unlabelled, test=test if pair.query else None, source=pair.train if joint else (), truth=pair.truth
    )


def links_of(target: Target, pairs: Path | None) -> Links:
    """Return what is known of pairs of pictures: by their tracks, and by a table."""
    links = sample_links(target.samples)
    if pairs is None:
        return links
    return links.then(pair_links(pairs, {sample.path: row for row, sample in enumerate(target.samples)}))
