"""Adaptation: rounds of embedding, clustering and training, until label-free signs say that it is enough."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from reseen import checkpoint
from reseen.adaptation.rounds import Memory, Round, memory_of, one_camera, pseudo_labelled, with_instances
from reseen.discovery import Clustering, Clusters, Links, group
from reseen.discovery.agreement import agreement, alone
from reseen.embedding.model import embed
from reseen.errors import RunError
from reseen.files import make_folder, write_atomically
from reseen.loading import IdentityBatchSampler, Transforms
from reseen.losses import PairLoss, SupConLoss
from reseen.model_evaluation import evaluate_model
from reseen.models import Embedder
from reseen.parallel import keep_threads
from reseen.training import Schedule, Term, train
from reseen.types import Benchmark, Embeddings, Identity, Sample

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """What a model is adapted to.

    Attributes:
        samples: N training pictures; their identities are not looked at.
        test: Query and gallery with labels, to say whether it helped; None where there are none.
        source: Labelled pictures that take part in the training.
        truth: (N,) who is on the training pictures, to measure the clusters; None where unknown.
        links: What is known of pairs of training pictures.
    """

    samples: Sequence[Sample]
    test: Benchmark | None = None
    source: Sequence[Sample] = ()
    truth: Sequence[Identity] | None = None
    links: Links = dataclasses.field(default_factory=Links.none)


@dataclass(frozen=True)
class Adaptation:
    """What an adaptation did.

    Attributes:
        rounds: What each began with; the last one is of the model after the last training.
        chosen: Number of the round whose model was kept: that of the highest silhouette.
        reason: Why it ended.
    """

    rounds: tuple[Round, ...]
    chosen: int
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"rounds": [r.to_dict() for r in self.rounds], "chosen": self.chosen, "reason": self.reason}


def adapt(
    model: Embedder,
    target: Target,
    out: str | Path,
    *,
    terms: Sequence[Term] | None = None,
    clustering: Clustering = Clustering(),
    memory: Memory = Memory(),
    batches: IdentityBatchSampler = IdentityBatchSampler(8, 4),
    schedule: Schedule = Schedule(epochs=2, learning_rate=3.5e-4, warmup=0.5, final_factor=0.1),
    transform: Transforms | None = None,
    rounds: int = 10,
    stable: float = 0.98,
    patience: int = 3,
    evaluate: bool = True,
    precision: Literal["fp32", "bf16", "fp16"] = "fp32",
    workers: int = 0,
    seed: int = 0,
    config: str | None = None,
    resume: bool = False,
) -> Adaptation:
    """Adapt a model to pictures without labels; its folder then holds the model of the best round.

    Each round embeds the pictures, groups them (`discover`), and trains on the groups as if they were identities, by
    the loop of `train`, from the weights of the round before. No label of the target is in anything that a round trains
    on. A run that was killed at any moment and resumed ends, on the CPU, with the same weights bit for bit.

    Args:
        model: The model to start from; changed in place.
        target: Pictures, and what else is known.
        out: The run's folder; must not exist, or be empty, unless ``resume``. ``rounds/NN`` are runs of their own.
        terms: Losses; `SupConLoss` at temperature 0.05 on the embedding if not given, which with the memory is that of
            Cluster Contrast. Losses over pairs on ``embedding`` compare a batch with the memory of clusters, those on
            other outputs with itself.
        clustering: How pictures are grouped.
        memory: What batches are compared with.
        batches: Clusters in a batch, at most as many as there are, and pictures of each.
        schedule: Of each round.
        transform: Augmentation, as for `train`.
        rounds: How many at most.
        stable: End when the adjusted Rand index of two rounds' groups reaches this.
        patience: End after so many rounds without a higher silhouette.
        evaluate: Score every round's model on the test pictures; false: the first and the chosen one only.
        precision: As for `train`.
        workers: Processes that read pictures.
        seed: Seed of all random numbers.
        config: The run's resolved configuration, YAML.
        resume: Go on with the run in ``out``.

    Raises:
        RunError: The folder is in use, or has a run of other settings.
        TrainingError: There are fewer than two groups, or a loss is not finite.
        DataError: A picture cannot be read, or links contradict one another.
    """
    for name, number in (("rounds", rounds), ("patience", patience)):
        if number < 1:
            raise ValueError(f"expected {name} of 1 or more, got {number}")
    folder = Path(out)
    _open(folder, resume=resume, config=config)
    keep_threads(folder / "threads")
    terms = [Term(SupConLoss(0.05))] if terms is None else list(terms)
    first = copy.deepcopy(model.state_dict())
    history: list[Round] = []
    labels: list[np.ndarray[Any, Any]] = []
    reason = f"after {rounds} rounds"
    for number in range(rounds + 1):
        place = folder / "rounds" / f"{number:02d}"
        vectors = embed(model, target.samples, num_workers=workers)
        clusters = group(vectors, clustering, target.links)
        last = number == rounds
        scored = target.test is not None and (evaluate or number == 0)
        history.append(_measure_round(number, clusters, target, labels, model if scored else None))
        labels.append(clusters.labels)
        _log_round(history[-1])
        best = max(range(len(history)), key=lambda n: history[n].silhouette)
        if history[-1].stability is not None and history[-1].stability >= stable:
            reason, last = f"groups were stable after round {number}", True
        elif number - best >= patience:
            reason, last = f"no higher silhouette in {patience} rounds", True
        if last:
            break
        _train_round(model, target, vectors, clusters, place, number, terms=terms, memory=memory, batches=batches,
                     schedule=schedule, transform=transform, precision=precision, workers=workers, seed=seed,
                     resume=resume)  # fmt: skip
        write_atomically(place / "clusters.json", json.dumps(clusters.labels.tolist()).encode())
    best = max(range(len(history)), key=lambda n: history[n].silhouette)
    if best != history[-1].number:  # The model that a round begins with is the one that the round before trained.
        weights = folder / "rounds" / f"{best - 1:02d}" / "last.safetensors"
        model.load_state_dict(checkpoint.load(weights).state_dict() if best else first)
    return _finish(model, target, folder, Adaptation(tuple(history), best, reason), config=config, seed=seed)


def _open(folder: Path, *, resume: bool, config: str | None) -> None:
    """Make the folder, or see that it holds the run to go on with.

    Raises:
        RunError: It is in use, or its run had other settings.
    """
    path = folder / "config.yaml"
    if not resume and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"expected a new folder for the adaptation, found {folder} in use; choose another, or resume it")
    make_folder(folder)
    if config is None:
        return
    if resume and path.is_file() and path.read_text() != config:
        raise RunError(
            f"expected the settings of {path} to go on with its run, got others; give the same command with "
            "--resume true, or choose another folder"
        )
    write_atomically(path, config.encode())


def _measure_round(
    number: int, clusters: Clusters, target: Target, before: Sequence[np.ndarray[Any, Any]], model: Embedder | None
) -> Round:
    """Return what is known of a round before it trains; labels are used for what only the report has."""
    signs = Round(
        number,
        clusters.count,
        int((clusters.labels < 0).sum()),
        clusters.eps,
        clusters.silhouette,
        stability=agreement(alone(before[-1]), alone(clusters.labels)).ari if before else None,
        num_one_camera=one_camera(clusters, target.samples),
    )
    if target.truth is not None:
        true = agreement([repr(each) for each in target.truth], alone(clusters.labels))
        signs = dataclasses.replace(signs, ari=true.ari, v_measure=true.v_measure)
    if model is not None and target.test is not None:
        report = evaluate_model(model, target.test, further=False).report
        signs = dataclasses.replace(signs, mean_ap=report.mean_ap, rank_1=report.cmc(1))
    return signs


def _log_round(latest: Round) -> None:
    scores = "" if latest.mean_ap is None or latest.rank_1 is None else (
        f"; test mAP {100 * latest.mean_ap:.1f} %, rank 1 {100 * latest.rank_1:.1f} %"
    )  # fmt: skip
    logger.info(
        "round %d: %d groups, %d pictures in none, silhouette %.3f%s%s",
        *(latest.number, latest.num_clusters, latest.num_left_out, latest.silhouette),
        "" if latest.stability is None else f", agreement with the last round {latest.stability:.2f}",
        scores,
    )


def _train_round(
    model: Embedder,
    target: Target,
    vectors: Embeddings,
    clusters: Clusters,
    place: Path,
    number: int,
    *,
    terms: Sequence[Term],
    memory: Memory,
    batches: IdentityBatchSampler,
    schedule: Schedule,
    seed: int,
    resume: bool,
    workers: int,
    **options: Any,
) -> None:
    """Train on the groups; a round that is done is loaded, one that was cut off is gone on with."""
    if resume and (place / "clusters.json").is_file():
        model.load_state_dict(checkpoint.load(place / "last.safetensors").state_dict())
        return
    if memory.left_out == "instances" and clusters.count > 1:
        clusters = with_instances(clusters)
    data = pseudo_labelled(target.samples, clusters, target.source)
    source = embed(model, target.source, num_workers=workers) if target.source else None
    num_identities = len({sample.identity for sample in data.train})
    train(
        data,
        model,
        [dataclasses.replace(term, loss=copy.deepcopy(term.loss)) for term in terms],  # Classifiers are built anew.
        dataclasses.replace(batches, identities=min(batches.identities, num_identities)),
        schedule,
        place,
        candidates=memory_of(memory, data, vectors, clusters, source) if compares_embeddings(terms) else None,
        evaluate_every=None,
        workers=workers,
        seed=seed * 1000 + number,
        resume=resume and place.is_dir(),
        **options,
    )


def _finish(
    model: Embedder, target: Target, folder: Path, result: Adaptation, *, config: str | None, seed: int
) -> Adaptation:
    """Keep the chosen round's model, and what happened."""
    best = result.rounds[result.chosen]
    if target.test is not None and best.mean_ap is None:
        report = evaluate_model(model, target.test, further=False).report
        best = dataclasses.replace(best, mean_ap=report.mean_ap, rank_1=report.cmc(1))
        rounds = tuple(best if r.number == best.number else r for r in result.rounds)
        result = dataclasses.replace(result, rounds=rounds)
    provenance = {"adapted in rounds": result.chosen, "seed": seed, "silhouette": best.silhouette}
    checkpoint.save(folder / "last.safetensors", model, provenance=provenance, config=config)
    write_atomically(folder / "adaptation.json", json.dumps(result.to_dict(), indent=2).encode())
    return result


def compares_embeddings(terms: Sequence[Term]) -> bool:
    """Return whether a loss over pairs stands on the embedding, where the memory of clusters is."""
    parts = (part for term in terms if term.output == "embedding" for part in term.loss.modules())
    return any(isinstance(part, PairLoss) for part in parts)
