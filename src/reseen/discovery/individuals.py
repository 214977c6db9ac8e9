"""Discovery of individuals: embeddings to groups, their number, and the most valuable questions.

Dimensions: N pictures, D components.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch.nn import functional as F

from reseen.discovery.clustering import Clustering, Clusters, cluster
from reseen.discovery.links import Ints, Links
from reseen.discovery.questions import (
    Floats,
    GroupParts,
    Probability,
    Question,
    alikeness,
    corrected,
    fit_probability,
    number_interval,
    pairs_to_judge,
    parts_of,
    questions,
    undecided,
)
from reseen.evaluation.reranking.jaccard import KReciprocal
from reseen.types import Embeddings


@dataclass(frozen=True, eq=False)
class Individuals:
    """Individuals on N unlabelled pictures.

    Attributes:
        clusters: The groups.
        links: What was known of pairs.
        parts: Parts of the groups, P of them.
        pairs: (n, 2) pairs of parts that may be one individual.
        probability: (n,) that they are.
        part_probability: (n,) likewise, by the likeness of the parts alone: what the number is estimated by, since one
            individual often makes a group under each camera.
        num_questions: How many questions at most.
    """

    clusters: Clusters
    links: Links
    parts: GroupParts
    pairs: Ints
    probability: Floats
    part_probability: Floats
    num_questions: int | None = None

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """The questions, the most valuable first."""
        return tuple(questions(self.parts, self.pairs, self.probability, limit=self.num_questions))

    @cached_property
    def interval(self) -> tuple[int, int]:
        """Between how many individuals there are; see `number_interval`."""
        return number_interval(self.parts, self.pairs, self.part_probability)


def discover(
    embeddings: Embeddings,
    options: Clustering = Clustering(),
    *,
    links: Links | None = None,
    probability: Probability | None = None,
    num_questions: int | None = None,
) -> Individuals:
    """Group pictures into individuals.

    Args:
        embeddings: N pictures; identities are not looked at. Cameras are used where they are known.
        options: How to group.
        links: What is known of pairs; none if not given.
        probability: From the mean cosine of two groups, as the vectors came, to the probability that they are one;
            None to fit it to the groups.
        num_questions: How many questions at most; None for all.

    Raises:
        DataError: The links contradict one another, or a vector is not finite.
    """
    links = Links.none() if links is None else links
    clusters = group(embeddings, options, links)
    plain = probability is not None or not options.camera_means
    compared = unit(embeddings) if plain else without_camera_means(embeddings, links.units(len(embeddings)))
    rows, cameras = compared.vectors.double().numpy(), camera_codes(embeddings)
    parts = parts_of(rows, clusters.labels, cameras, links.units(len(embeddings)))
    every = pairs_to_judge(parts)
    curve = probability or fit_probability(parts, *every)
    if curve is undecided:  # All groups may be known to be one individual each.
        whole = parts_of(rows, clusters.labels, cameras)
        curve = fit_probability(whole, *pairs_to_judge(whole))
    pairs, alike = pairs_to_judge(parts, links.cannot) if len(links.cannot) else every
    likely = curve(alike)
    part_curve = probability or fit_probability(parts, every[0], alikeness(parts, every[0], wholes=False))
    by_parts = part_curve(alikeness(parts, pairs, wholes=False))
    if clusters.unlinked is not None and len(links.must) + len(links.cannot):
        asked = parts_of(rows, clusters.unlinked, cameras)
        likely = corrected(curve, parts, pairs, alike, asked, links)
    return Individuals(clusters, links, parts, pairs, likely, by_parts, num_questions)


def group(embeddings: Embeddings, options: Clustering, links: Links) -> Clusters:
    """Return the groups alone; see `discover`."""
    N = len(embeddings)
    compared = without_camera_means(embeddings, links.units(N)) if options.camera_means else embeddings
    distances = KReciprocal(options.k1, options.k2, 0.0).neighbour_distances(compared)
    names = [str(row) for row in range(N)] if embeddings.paths is None else embeddings.paths.tolist()
    return cluster(distances, options, links, names)


def without_camera_means(embeddings: Embeddings, units: Ints | None = None) -> Embeddings:
    """Return embeddings at unit length with each camera's mean taken off, and scaled to unit length again.

    Args:
        embeddings: Where cameras are unknown they are only scaled.
        units: (N,) which pictures were taken in one go; each such unit counts once in its camera's mean.
    """
    scaled = unit(embeddings)
    camera = camera_codes(embeddings)
    if camera is None:
        return scaled
    rows = np.arange(len(embeddings)) if units is None else units
    weight = torch.from_numpy(1 / np.bincount(rows)[rows]).to(scaled.vectors)
    centred = torch.empty_like(scaled.vectors)
    for number in range(camera.max(initial=-1) + 1):
        own = torch.from_numpy(np.flatnonzero(camera == number))
        mean = (weight[own] @ scaled.vectors[own]) / weight[own].sum()
        centred[own] = F.normalize(scaled.vectors[own] - mean)
    return dataclasses.replace(scaled, vectors=centred)


def unit(embeddings: Embeddings) -> Embeddings:
    """Return embeddings at unit length."""
    return dataclasses.replace(embeddings, vectors=F.normalize(embeddings.vectors.float()))


def camera_codes(embeddings: Embeddings) -> Ints | None:
    """Return each picture's camera (N,) as a number; None where cameras are unknown."""
    if embeddings.cameras is None:
        return None
    codes: Ints = np.unique([repr(each) for each in embeddings.cameras], return_inverse=True)[1].astype(np.int64)
    return codes
