"""Union of data sets for training."""

import dataclasses

from reseen.labels import numbered
from reseen.types import Benchmark, Sample


class Joined(Benchmark):
    """The training pictures of several data sets as one; identities and cameras of different ones stay apart.

    On the command line::

        --data Joined --data.sources+=Market1501 --data.sources.root A --data.sources+=MSMT17 --data.sources.root B

    Args:
        sources: The data sets.
        test: What to test on; the first source if not given.

    Raises:
        ValueError: There are no sources.
        DataError: The result is not sound.

    Example:
        >>> from reseen.datasets import Synthetic
        >>> Joined([Synthetic(num_train_identities=10), Synthetic("vehicle", num_train_identities=20)])
        Joined('...': 480 to train, ...)
    """

    def __init__(self, sources: list[Benchmark], *, test: Benchmark | None = None) -> None:
        if not sources:
            raise ValueError("expected one source or more to join, got none")
        test = test if test is not None else sources[0]
        names = [source.name for source in sources]
        super().__init__(
            name=f"{' + '.join(names)}, tested on {test.name}",
            train=tuple(
                s for name, source in zip(numbered(names), sources, strict=True) for s in mark_with_source(name, source)
            ),
            query=test.query,
            gallery=test.gallery,
            protocol=test.protocol,
            distractors=test.distractors,
            further=test.further,
        )
        kinds = {source.kind for source in sources}
        self.kind = kinds.pop() if len(kinds) == 1 else None


def mark_with_source(name: str, source: Benchmark) -> list[Sample]:
    """Return a source's training pictures, identities and cameras marked with its name."""
    return [
        dataclasses.replace(
            s, identity=f"{name}: {s.identity}", camera=None if s.camera is None else f"{name}: {s.camera}"
        )
        for s in source.train
    ]
