"""Fidelity (FIDI: Yan et al., IEEE TMM 2022, section V-C and Table I): how many pictures stand on the wrong side.

Every picture is an anchor against all others. Error-I counts the pictures of other identities that are nearer to the
anchor than its own identity's farthest; Error-II counts those of its own that are farther than the nearest other.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reseen.errors import DataError
from reseen.evaluation.ranks import negatives_before
from reseen.evaluation.similarity import Cosine
from reseen.evaluation.task import RetrievalTask, codes
from reseen.types import Embeddings, Identity


@dataclass(frozen=True, eq=False)
class Fidelity:
    """Erroneous cases per anchor; lower is better.

    Attributes:
        error_1: Mean number of other identities' pictures nearer than the farthest of one's own.
        error_2: Mean number of one's own identity's pictures farther than the nearest of another's.
        num_anchors: Pictures that have another of their identity; the means are over these.
        per_anchor: (num_anchors, 2) both counts.
        rows: (num_anchors,) rows of the anchors.
    """

    error_1: float
    error_2: float
    num_anchors: int
    per_anchor: NDArray[np.int64]
    rows: NDArray[np.intp]


def fidelity(
    embeddings: Embeddings, *, distractors: Collection[Identity] = (), include_distractors: bool = False
) -> Fidelity:
    """Return the fidelity of embeddings: how often identities overlap, on training or test pictures.

    Args:
        embeddings: All pictures; cameras play no part.
        distractors: Identities which are nobody's, as Market-1501's 0.
        include_distractors: Lets them stand as other identities; they are anchors in no case. By default they are left
            out altogether.

    Raises:
        DataError: No identity has two pictures, or there is one identity only.

    Note:
        Nearness is the cosine, which orders pictures as Euclidean distance between unit vectors does. The paper does
        not say how it counts distractors, nor pictures that are alone in their identity.

    Example:
        >>> from reseen.types import Sample
        >>> samples = [Sample(f"{row}.jpg", identity=row // 2) for row in range(4)]
        >>> fidelity(Embeddings.of(torch.eye(2)[[0, 0, 1, 0]], samples)).error_1  # 1, 0, 0 and 1
        0.5
    """
    nobody = np.isin(embeddings.identities.astype(object), np.array([*distractors], dtype=object))
    rows = np.arange(len(embeddings))
    if nobody.any() and not include_distractors:
        rows = np.flatnonzero(~nobody)
        embeddings, nobody = embeddings[rows], nobody[rows]
    identities = codes(embeddings.identities, embeddings.identities)[0]
    own = np.arange(len(embeddings))
    # Each distractor is an identity of its own, so that none has a positive.
    identities[nobody] = len(own) + own[nobody]
    # Each picture is under a camera of its own, so that it is neither to itself.
    task = RetrievalTask(Cosine(embeddings, embeddings), identities, identities, own, own)
    nearer, farther = np.zeros(len(own), np.int64), np.zeros(len(own), np.int64)
    num_positives = np.zeros(len(own), np.int64)
    for queries, of, before in negatives_before(task, ties=False, only_last=True):
        # The farthest positive has the most negatives before it; those with any are farther than the nearest of these.
        most = np.zeros(len(queries), np.int64)
        np.maximum.at(most, of, before)
        nearer[queries] = most
        farther[queries] = np.bincount(of[before > 0], minlength=len(queries))
        num_positives[queries] = np.bincount(of, minlength=len(queries))
    counted = num_positives > 0
    if not counted.any() or len(np.unique(identities)) < 2:
        raise DataError(
            "expected two identities or more, one of them with two pictures or more: fidelity compares pairs"
        )
    per_anchor = np.stack([nearer[counted], farther[counted]], axis=1)
    means = [math.fsum(column) / len(column) for column in per_anchor.T]
    return Fidelity(means[0], means[1], len(per_anchor), per_anchor, rows[counted])
