"""One round of an adaptation: pseudo-labels from clusters, and the training on them.

Dimensions: N pictures of the target, R training pictures of a round, D components.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from reseen.discovery import Clusters
from reseen.errors import TrainingError
from reseen.loading import number_identities
from reseen.protocols import any_view
from reseen.training import ClusterContrast
from reseen.types import Benchmark, Embeddings, Sample


@dataclass(frozen=True)
class Memory:
    """The memory of clusters that batches are compared with.

    Attributes:
        momentum: Share of itself that a proxy keeps at a step.
        update: A proxy follows the mean of its pictures in a batch, or the hardest of them.
        by_camera: A proxy for each camera's part of a cluster, where cameras are known; false: one for each cluster.
        positives: Proxies that an anchor is drawn to: all of its cluster, or those of other cameras only.
        left_out: Pictures in no cluster: ignored; negatives for everybody; or instances, each a group of its own, which
            is trained on (SpCL).
        teacher: Momentum of a mean teacher, whose vectors the proxies follow in place of the network's; null for none.
    """

    momentum: float = 0.1
    update: Literal["mean", "hardest"] = "mean"
    by_camera: bool = True
    positives: Literal["all", "other"] = "all"
    left_out: Literal["ignore", "negatives", "instances"] = "ignore"
    teacher: float | None = None


@dataclass(frozen=True)
class Round:
    """What a round began with, and how the model did.

    Attributes:
        number: From 0, the model as it came.
        num_clusters: Groups found in the target.
        num_left_out: Pictures in none.
        eps: Radius of the clustering.
        silhouette: Mean silhouette, without labels.
        stability: Adjusted Rand index of this round's groups and the last one's, pictures in none standing alone.
        num_one_camera: Groups that one camera alone has seen.
        mean_ap: Of the test pictures, where there are any; 0 to 1.
        rank_1: Likewise.
        ari: Adjusted Rand index of the groups and the truth, where that is known; pictures in none stand alone.
        v_measure: V-measure, likewise.
    """

    number: int
    num_clusters: int
    num_left_out: int
    eps: float | None
    silhouette: float
    stability: float | None = None
    num_one_camera: int = 0
    mean_ap: float | None = None
    rank_1: float | None = None
    ari: float | None = None
    v_measure: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return dataclasses.asdict(self)


def with_instances(clusters: Clusters) -> Clusters:
    """Return clusters with each picture that is in none as one of its own, numbered after the others."""
    labels, lonely = clusters.labels.copy(), clusters.labels < 0
    labels[lonely] = clusters.count + np.arange(lonely.sum())
    return dataclasses.replace(clusters, labels=labels)


def pseudo_labelled(target: Sequence[Sample], clusters: Clusters, source: Sequence[Sample]) -> Benchmark:
    """Return a round's training data: the pictures of each cluster as one identity, and the source's with their own.

    Raises:
        TrainingError: There are fewer than two clusters.
    """
    if clusters.count < 2:
        raise TrainingError(
            f"expected at least two groups among {len(target):,} pictures, found {clusters.count}; lower "
            "clustering.min_samples, or start from a model that fits these pictures better"
        )
    grouped = np.flatnonzero(clusters.labels >= 0).tolist()
    train = [dataclasses.replace(target[row], identity=int(clusters.labels[row])) for row in grouped]
    return Benchmark("pseudo-labels", [*train, *source], (), (), any_view)


def memory_of(
    options: Memory, data: Benchmark, vectors: Embeddings, clusters: Clusters, source: Embeddings | None
) -> ClusterContrast:
    """Return the memory of a round's clusters.

    Args:
        options: Of the memory.
        data: As of `pseudo_labelled`.
        vectors: (N, D) of the target.
        clusters: Of the target.
        source: Vectors of the source's pictures; None where they take no part.
    """
    grouped = torch.from_numpy(np.flatnonzero(clusters.labels >= 0))
    strangers = torch.from_numpy(np.flatnonzero(clusters.labels < 0))
    parts = [vectors.vectors[grouped], *([] if source is None else [source.vectors])]
    cameras = np.unique([repr(sample.camera) for sample in data.train], return_inverse=True)[1].astype(np.int64)
    return ClusterContrast(
        torch.cat(parts),
        number_identities(data.train)[1],
        cameras if options.by_camera else None,
        momentum=options.momentum,
        update=options.update,
        positives=options.positives,
        teacher=options.teacher,
        strangers=vectors.vectors[strangers] if options.left_out == "negatives" else None,
    )


def one_camera(clusters: Clusters, samples: Sequence[Sample]) -> int:
    """Return how many clusters one camera alone has seen; 0 where cameras are unknown."""
    seen: dict[int, set[object]] = {}
    for label, sample in zip(clusters.labels.tolist(), samples, strict=True):
        seen.setdefault(label, set()).add(sample.camera)
    return sum(len(cameras) == 1 and cameras != {None} for label, cameras in seen.items() if label >= 0)
