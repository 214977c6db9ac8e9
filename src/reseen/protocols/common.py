"""The rules that do not belong to one data set.

``cross_camera`` is the rule of Market-1501, DukeMTMC-reID, the new protocol of CUHK03, MSMT17, VeRi-776 (image to
image) and VERI-Wild; a data set may use it under its own name, ``cross_camera(name="MSMT17 V2")``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from reseen.errors import DataError
from reseen.samples import Embeddings, Protocol, Trial


@dataclass(frozen=True)
class EachPairOfCameras:
    """Repeats in which the queries of one camera search the pictures of one other, for every ordered pair."""

    def __str__(self) -> str:
        return "ordered pairs of cameras"

    def __call__(self, query: Embeddings, gallery: Embeddings) -> Iterator[Trial]:
        """Give the pairs that have an identity in common.

        Raises:
            DataError: There are no cameras, or no such pair.
        """
        if query.cameras is None or gallery.cameras is None:
            raise DataError("camera_pairs needs the camera of every picture: give them, or use any_view")
        cameras = dict.fromkeys([*query.cameras.tolist(), *gallery.cameras.tolist()])
        pairs = 0
        for searching, searched in permutations((camera for camera in cameras if camera is not None), 2):
            of = Trial(np.flatnonzero(query.cameras == searching), np.flatnonzero(gallery.cameras == searched))
            if set(query.identities[of.query].tolist()) & set(gallery.identities[of.gallery].tolist()):
                pairs += 1
                yield of
        if not pairs:
            raise DataError(f"expected an identity under two cameras or more, found none among cameras {[*cameras]}")


cross_camera = Protocol("cross_camera")
"""A picture of the query's identity from the query's own camera is neither positive nor negative."""

any_view = Protocol("any_view", same_camera="keep")
"""Every gallery picture counts, whichever camera took it; no camera needs to be known."""

camera_pairs = Protocol("camera_pairs", same_camera="keep", trials=EachPairOfCameras())
"""Each camera searches each other one by itself; the report is the mean over the ordered pairs, with the deviation."""
