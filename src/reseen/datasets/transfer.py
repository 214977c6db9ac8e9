"""Pair of data sets: a labelled source to train on, and a target whose labels are hidden from training."""

import dataclasses

from reseen.datasets.joined import mark_with_source
from reseen.labels import UNKNOWN
from reseen.types import Benchmark, Identity, Sample


class Transfer(Benchmark):
    """A target without labels: `reseen adapt` adapts a model to its training pictures, and its test pictures score it.

    ``train`` is the source's alone, so that `reseen train` measures the direct transfer; the target's training pictures
    are in ``unlabelled``, where everybody is unknown. On the command line::

        --data Transfer --data.source Market1501 --data.source.root A --data.target DukeMTMCReID --data.target.root B

    Args:
        target: The data set to adapt to; the identities of its training pictures are used in reports alone.
        source: A labelled data set, whose pictures may take part in the adaptation; none if not given.

    Attributes:
        unlabelled: The target's training pictures, of unknown identity.
        truth: Who is on each of them, for reports.

    Raises:
        DataError: The result is not sound.
    """

    unlabelled: tuple[Sample, ...]
    truth: tuple[Identity, ...]

    def __init__(self, target: Benchmark, *, source: Benchmark | None = None) -> None:
        super().__init__(
            name=target.name if source is None else f"{source.name} to {target.name}",
            train=() if source is None else mark_with_source(source.name, source),
            query=target.query,
            gallery=target.gallery,
            protocol=target.protocol,
            distractors=target.distractors,
            further=target.further,
        )
        object.__setattr__(self, "unlabelled", tuple(dataclasses.replace(s, identity=UNKNOWN) for s in target.train))
        object.__setattr__(self, "truth", tuple(s.identity for s in target.train))
