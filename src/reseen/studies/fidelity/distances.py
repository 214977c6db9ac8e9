"""How far pictures are from their own identity and from others, on average: Figure 1 of the FIDI paper.

Dimensions: N pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from reseen.geometry import unit
from reseen.slicing import chunks
from reseen.types import Embeddings

BINS = 40
ROWS = 1024


class Averages(NamedTuple):
    """Mean distance (N,) from each picture to the others of its identity, and to those of all other identities."""

    same: NDArray[np.float64]
    different: NDArray[np.float64]


class Spread(NamedTuple):
    """Averages, and under which conditions they were found."""

    conditions: Mapping[str, str | int]
    averages: Averages


def average_distances(embeddings: Embeddings) -> Averages:
    """Return how far each of N pictures is from its own identity and from all others, on average.

    Distances are Euclidean, between vectors of length 1: from 0 to 2. A picture that is alone in its identity gets NaN.
    """
    u = unit(embeddings.vectors.float())
    labels = torch.from_numpy(np.unique(embeddings.identities.astype(str), return_inverse=True)[1])
    same, different = torch.empty(len(u), dtype=torch.float64), torch.empty(len(u), dtype=torch.float64)
    for rows in chunks(len(u), ROWS):
        distances = (2 - 2 * (u[rows] @ u.T)).clamp(min=0).sqrt().double()
        own = labels[rows, None] == labels
        anchors = torch.arange(len(u))[rows]
        distances[torch.arange(len(anchors)), anchors] = 0
        same[rows] = (distances * own).sum(1) / (own.sum(1) - 1)
        different[rows] = (distances * ~own).sum(1) / (~own).sum(1)
    return Averages(same.numpy(), different.numpy())


def binned(spreads: Sequence[Spread]) -> pd.DataFrame:
    """Return how many anchors have average distances in each bin, the same bins for all.

    Returns:
        One row for each network, seed, part and bin: ``low``, ``high``, ``same``, ``different``.
    """
    every = np.concatenate([values for spread in spreads for values in spread.averages])
    edges = np.linspace(every.min(), max(every.max(), every.min() + 1e-6), BINS + 1)
    columns = [
        pd.DataFrame(
            {
                **conditions,
                "low": edges[:-1],
                "high": edges[1:],
                "same": np.histogram(averages.same, edges)[0],
                "different": np.histogram(averages.different, edges)[0],
            }
        )
        for conditions, averages in spreads
    ]
    table: pd.DataFrame = pd.concat(columns, ignore_index=True)
    return table
