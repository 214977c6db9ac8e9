"""Retrieval task: two sets of embeddings under a protocol, as data.

Dimensions: Q queries, G gallery entries.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from reseen.distributed import on_all_ranks, rank
from reseen.errors import DataError
from reseen.evaluation.similarity import Codes, Cosine, GroupMax, MaskSameLocation, Reranking, Scores
from reseen.types import Embeddings, Labels, Protocol, join_labels

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class RetrievalTask:
    """A query set and a gallery: how alike they are, and who is positive, negative or neither.

    A gallery entry of the query's identity is positive, or neither if they share a camera; every other is negative,
    or neither if it scores minus infinity.

    Attributes:
        scores: (Q, G).
        query_identities: (Q,) codes from 0.
        gallery_identities: (G,) codes; equal to a query's for the same identity.
        query_cameras: (Q,) codes, or None where the camera does not matter.
        gallery_cameras: (G,) codes, or None.
        across_ranks: The gallery is this process' part of one that lies on all of them.
    """

    scores: Scores
    query_identities: Codes
    gallery_identities: Codes
    query_cameras: Codes | None = None
    gallery_cameras: Codes | None = None
    across_ranks: bool = False

    @cached_property
    def gallery_by_identity(self) -> tuple[Codes, Codes]:
        """Return the gallery's rows (G,) by identity, and where each identity's rows start among them."""
        order = np.argsort(self.gallery_identities, kind="stable")
        num_identities = int(self.query_identities.max(initial=-1)) + 1
        return order, np.searchsorted(self.gallery_identities[order], np.arange(num_identities + 1))

    def on_ranks(self, value: T) -> list[T]:
        """Return the value of every rank that has a part of the gallery."""
        return on_all_ranks(lambda: value) if self.across_ranks else [value]

    def by_identity(self) -> RetrievalTask:
        """Return the task in which each identity of the gallery is one entry, as good as its best picture."""
        scores = self.scores
        if self.query_cameras is not None and self.gallery_cameras is not None:
            num_cameras = 1 + max(self.query_cameras.max(initial=0), self.gallery_cameras.max(initial=0))
            scores = MaskSameLocation(
                scores,
                self.query_identities * num_cameras + self.query_cameras,
                self.gallery_identities * num_cameras + self.gallery_cameras,
            )
        num_identities = 1 + max(self.on_ranks(int(self.gallery_identities.max(initial=-1))))
        grouped = GroupMax(scores, self.gallery_identities, num_groups=num_identities, across_ranks=self.across_ranks)
        return RetrievalTask(grouped, self.query_identities, np.arange(num_identities))


def build_task(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    *,
    reranking: Reranking | None = None,
    across_ranks: bool = False,
) -> RetrievalTask:
    """Return the task of searching a gallery with queries under a protocol.

    Args:
        query: What is searched with; under ``across_ranks`` the same on every process.
        gallery: What is searched in.
        protocol: Who is positive, negative or neither. Its repeats and its measure play no part.
        reranking: Gives better scores or vectors; None for the cosine of the vectors as they are.
        across_ranks: ``gallery`` is this process' part of a gallery that lies on all of them.

    Raises:
        DataError: The protocol needs cameras or tracks which the data does not have.
    """
    scores = _scores(query, gallery, reranking)
    whole, mine = gallery_of_all_ranks(gallery) if across_ranks else (gallery, slice(None))
    identities = codes(query.identities, whole.identities)
    query_cameras, gallery_cameras = None, None
    if protocol.same_camera == "exclude":
        query_cameras, gallery_cameras = codes(*_cameras(query, whole, protocol))
    if protocol.locations is not None:
        query_locations, gallery_locations = codes(*(_locations(c, protocol) for c in _cameras(query, whole, protocol)))
        scores = MaskSameLocation(scores, query_locations, gallery_locations[mine])
    if not protocol.by_track:
        cameras = None if gallery_cameras is None else gallery_cameras[mine]
        return RetrievalTask(scores, identities[0], identities[1][mine], query_cameras, cameras, across_ranks)
    track, first = _tracks(whole, protocol)
    grouped = GroupMax(scores, track[mine], num_groups=len(first), across_ranks=across_ranks)
    cameras = None if gallery_cameras is None else gallery_cameras[first]
    return RetrievalTask(grouped, identities[0], identities[1][first], query_cameras, cameras)


def _scores(query: Embeddings, gallery: Embeddings, reranking: Reranking | None) -> Scores:
    better = (query, gallery) if reranking is None else reranking(query, gallery)
    return better if isinstance(better, Scores) else Cosine(*better)


def codes(first: Labels, second: Labels) -> tuple[Codes, Codes]:
    """Return codes from 0 in the order of appearance, equal where labels are; an integer never equals a string."""
    import pandas as pd

    both = pd.factorize(join_labels([first, second]))[0].astype(np.intp)
    return both[: len(first)], both[len(first) :]


def _tracks(gallery: Embeddings, protocol: Protocol) -> tuple[Codes, Codes]:
    """Return the track of each picture, codes from 0, and the first picture of each track."""
    import pandas as pd

    if gallery.tracks is None or bool(pd.isna(gallery.tracks).any()):
        raise DataError(f"{protocol.name} ranks tracks: give the track of every gallery picture")
    # Under another identity or camera the same number is another track.
    keys = [key for key in (gallery.tracks, gallery.identities, gallery.cameras) if key is not None]
    combined = np.stack([pd.factorize(key)[0] for key in keys], axis=1)
    _, first, track = np.unique(combined, axis=0, return_index=True, return_inverse=True)
    return track.reshape(-1), first


def gallery_of_all_ranks(gallery: Embeddings) -> tuple[Embeddings, slice]:
    """Return the labels (and no vectors) of all ranks' galleries in the order of the ranks, and this rank's rows."""
    labels = dataclasses.replace(gallery, vectors=gallery.vectors.new_empty(len(gallery), 0), paths=None)
    parts = on_all_ranks(lambda: labels)
    start = sum(len(part) for part in parts[: rank()])
    return Embeddings.joined(parts), slice(start, start + len(gallery))


def _cameras(query: Embeddings, gallery: Embeddings, protocol: Protocol) -> tuple[Labels, Labels]:
    import pandas as pd

    columns = []
    for name, embeddings in (("query", query), ("gallery", gallery)):
        column = embeddings.cameras
        missing = len(embeddings) if column is None else int(pd.isna(column).sum())
        if column is None or missing:
            raise DataError(
                f"{protocol.name} needs the camera of every picture, and {missing} of {len(embeddings)} {name} "
                "pictures have none: give them a camera, or use any_view (same_camera: keep)"
            )
        columns.append(column)
    return columns[0], columns[1]


def _locations(cameras: Labels, protocol: Protocol) -> Labels:
    assert protocol.locations is not None
    # A camera that is not named stands in a place of its own, which no place's name can equal.
    places = (protocol.locations.get(camera, ("camera", camera)) for camera in cameras.tolist())
    return np.fromiter(places, dtype=object, count=len(cameras))
