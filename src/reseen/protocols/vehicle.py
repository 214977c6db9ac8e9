"""The protocols of the vehicle data sets; VeRi-776 from image to image is ``cross_camera``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from reseen.errors import DataError
from reseen.types import Embeddings, Protocol, Trial

veri_track = Protocol("veri_track", by_track=True)
"""VeRi-776 from image to track: a track scores as its best picture, and the identity's tracks under the query's camera
are neither (PROVID, Liu et al., IEEE TMM 2018)."""

veri_wild = Protocol("veri_wild")
"""VERI-Wild as its README asks: same identity and same camera left out. The code first released kept them, which is
``veri_wild(name="veri_wild, same camera kept", same_camera="keep")``."""


def vehicle_id(*, repeats: int = 10, seed: int = 0) -> Protocol:
    """VehicleID: one picture of each identity, drawn at random, is the gallery, and all others are queries.

    There are no cameras and nothing is left out. A query has one positive, so that its average precision is one over
    the rank. An identity with a single picture gives no query.

    Query and gallery of the benchmark are both all test pictures, in the same order.

    Args:
        repeats: How often the gallery is drawn; the report is the mean, with the deviation.
        seed: Where the draws start.
    """
    return Protocol("vehicle_id", same_camera="keep", trials=OnePerIdentity("gallery", repeats=repeats, seed=seed))


def vehicle_id_retrieval(*, repeats: int = 10, seed: int = 0) -> Protocol:
    """VehicleID reversed, as image retrieval papers measure it: one query per identity, all others are the gallery.

    Its first rank is far higher than that of :func:`vehicle_id`, and the two cannot be compared.
    """
    return Protocol(
        "vehicle_id_retrieval", same_camera="keep", trials=OnePerIdentity("query", repeats=repeats, seed=seed)
    )


@dataclass(frozen=True)
class OnePerIdentity:
    """Repeats in which one picture of each identity goes to one side, and every other picture to the other.

    Attributes:
        side: Where the one picture goes.
        repeats: How many draws.
        seed: Where they start.
    """

    side: Literal["query", "gallery"]
    repeats: int = 10
    seed: int = 0

    def __str__(self) -> str:
        return f"{self.repeats} draws of one {self.side} picture per identity, seed {self.seed}"

    def __call__(self, query: Embeddings, gallery: Embeddings) -> Iterator[Trial]:
        """Draw the repeats.

        Raises:
            DataError: Query and gallery are not the same pictures.
        """
        import pandas as pd

        if len(query) != len(gallery) or (query.identities != gallery.identities).any():
            raise DataError(
                f"expected all test pictures both as query and as gallery, got {len(query)} queries and "
                f"{len(gallery)} gallery pictures: the protocol draws each side itself"
            )
        identities = pd.factorize(query.identities)[0]
        generator = np.random.default_rng(self.seed)
        for _ in range(self.repeats):
            shuffled = generator.permutation(len(query))
            _, first = np.unique(identities[shuffled], return_index=True)
            one = np.sort(shuffled[first])
            others = np.setdiff1d(np.arange(len(query)), one)
            yield Trial(one, others) if self.side == "query" else Trial(others, one)
