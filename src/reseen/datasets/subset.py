"""Subset of a data set: fewer training identities."""

import numpy as np

from reseen.labels import ordered_for_draws
from reseen.types import Benchmark


class Subset(Benchmark):
    """A data set of which some identities are trained on, with all of their pictures; it is tested on as before.

    With one seed a smaller share is part of every larger one.

    Args:
        source: The data set.
        share: How many of the identities to train on are kept, above 0 up to 1.
        seed: Of the choice.

    Raises:
        ValueError: The share is out of range.
        DataError: Fewer than two identities are left to train on.

    Example:
        >>> from reseen.datasets import Synthetic
        >>> Subset(Synthetic(num_train_identities=10), share=0.5)
        Subset('Synthetic...': 80 to train, ...)
    """

    def __init__(self, source: Benchmark, *, share: float = 1.0, seed: int = 0) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"expected a share above 0 and up to 1, got {share}")
        everyone = ordered_for_draws({s.identity for s in source.train})
        chosen = np.random.default_rng(seed).permutation(len(everyone))[: round(share * len(everyone))]
        identities = {everyone[row] for row in chosen}
        super().__init__(
            f"{source.name}, {100 * share:g} % of the identities",
            [s for s in source.train if s.identity in identities],
            source.query,
            source.gallery,
            source.protocol,
            source.distractors,
            source.further,
        )
        self.kind = source.kind
