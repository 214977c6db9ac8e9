"""Evaluation of a matrix of distances or similarities that was computed elsewhere.

Dimensions: Q queries, G gallery entries.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from reseen.evaluation.evaluator import evaluate
from reseen.evaluation.report import Report
from reseen.evaluation.similarity import Rows, Scores, TileFunction
from reseen.types import Embeddings, Protocol


class MatrixScores(Scores):
    """Scores of a whole matrix.

    Args:
        similarities: (Q, G), higher is more alike.
    """

    def __init__(self, similarities: Tensor) -> None:
        self.similarities = similarities.double()
        self.shape = (similarities.shape[0], similarities.shape[1])

    def rows(self, query: Rows) -> TileFunction:
        """Return the function from gallery rows to the tile (q, g) of these query rows."""
        part = self.similarities[query]
        return lambda gallery: part[:, gallery].clone()


def evaluate_matrix(
    matrix: Tensor | ArrayLike,
    query_identities: ArrayLike,
    gallery_identities: ArrayLike,
    protocol: Protocol,
    *,
    kind: Literal["distance", "similarity"],
    query_cameras: ArrayLike | None = None,
    gallery_cameras: ArrayLike | None = None,
) -> Report:
    """Score a matrix under a protocol, as other libraries compute it: a NumPy array or a tensor.

    Args:
        matrix: (Q, G) distances or similarities.
        query_identities: (Q,).
        gallery_identities: (G,).
        protocol: Who is positive, negative or neither, such as `reseen.protocols.cross_camera`.
        kind: ``"distance"`` falls with likeness, ``"similarity"`` rises.
        query_cameras: (Q,), for a protocol that looks at cameras.
        gallery_cameras: (G,), likewise.

    Raises:
        ValueError: The shapes do not fit one another, or a number is not finite.
        DataError: As in `evaluate`.

    Example:
        >>> from reseen.protocols import any_view
        >>> distances = [[0.1, 0.9, 0.5], [0.8, 0.7, 0.2]]
        >>> report = evaluate_matrix(distances, ["ann", "ben"], ["ann", "ben", "cleo"], any_view, kind="distance")
        >>> report.mean_ap, report.cmc(1)
        (0.75, 0.5)
    """
    values = torch.as_tensor(matrix)
    if values.ndim != 2 or not values.isfinite().all():
        raise ValueError(f"expected finite numbers (Q, G), got {tuple(values.shape)} or some that are not finite")
    expected = (len(np.asarray(query_identities)), len(np.asarray(gallery_identities)))
    if values.shape != expected:
        raise ValueError(
            f"expected a matrix {expected}, a row for each query and a column for each picture of the gallery, got "
            f"{tuple(values.shape)}"
        )
    # Nothing of the vectors is looked at: the matrix is what is compared.
    query, gallery = (
        Embeddings(torch.ones(count, 1), np.asarray(identities), None if cameras is None else np.asarray(cameras))
        for count, identities, cameras in zip(
            values.shape, (query_identities, gallery_identities), (query_cameras, gallery_cameras), strict=True
        )
    )
    similarities = values if kind == "similarity" else -values.double()
    return evaluate(query, gallery, protocol, reranking=lambda *_: MatrixScores(similarities))
