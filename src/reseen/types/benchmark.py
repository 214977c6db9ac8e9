"""Benchmark: training, query and gallery pictures with their protocol, and its validation."""

from __future__ import annotations

import inspect
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from reseen.description import KeepsArguments, html_table
from reseen.errors import DataError
from reseen.types.protocol import Protocol
from reseen.types.sample import Box, Camera, Identity, Sample

logger = logging.getLogger(__name__)
ObjectKind = Literal["person", "vehicle"]


class PublishedData(NamedTuple):
    """Name and size of a data set in the papers' tables.

    Attributes:
        name: In the tables, which tell its tests apart; None where no published score is to be compared with.
        counts: Pictures and identities of each part; empty where they are not known.
    """

    name: str | None = None
    counts: Mapping[str, tuple[int, int]] = {}


class Benchmark(KeepsArguments):
    """Data set with training, query and gallery pictures, and the protocol of its evaluation.

    A data set is a subclass, whose constructor takes where its files are and ends by calling this one, which then
    checks it. An instance of this class itself is taken as it is: `require_sound` checks it.

    Args:
        name: Printed in every result.
        train: May be empty.
        query: May be empty where the data is for training only.
        gallery: As ``query``.
        protocol: Who counts as a match.
        distractors: Gallery identities which are nobody's: never a query, left out of fidelity by default.
        further: What else a finished model is measured on, where a table has several settings or directions: other
            rules, or other parts of these very queries and gallery pictures. Nothing to train on.

    Attributes:
        kind: What its pictures show, where that is known: some losses have another weight for vehicles.

    Raises:
        DataError: A subclass is not sound.
    """

    kind: ObjectKind | None = None

    def __init__(
        self,
        name: str,
        train: Sequence[Sample],
        query: Sequence[Sample],
        gallery: Sequence[Sample],
        protocol: Protocol,
        distractors: frozenset[Identity] = frozenset(),
        further: Sequence[Benchmark] = (),
    ) -> None:
        self.name = name
        self.train, self.query, self.gallery = tuple(train), tuple(query), tuple(gallery)
        self.protocol = protocol
        self.distractors = distractors
        self.further = tuple(further)
        if type(self) is not Benchmark:
            require_sound(self)
            self._compare_counts()

    @classmethod
    def published(cls, **arguments: Any) -> PublishedData:
        """Return what the papers' tables say of the data set made with these arguments, which need not be there."""
        return PublishedData()

    def _compare_counts(self) -> None:
        """Log one warning where pictures or identities of a part are not as many as published."""
        args, named = self.arguments
        bound = inspect.signature(type(self)).bind(*args, **named)
        bound.apply_defaults()
        differing = []
        for part, expected in self.published(**bound.arguments).counts.items():
            samples: Sequence[Sample] = getattr(self, part)
            own = len(samples), len({sample.identity for sample in samples})
            if own != expected:
                counts = "{:,} pictures of {:,} identities instead of {:,} of {:,}".format(*own, *expected)
                differing.append(f"{part} {counts}")
        if differing:
            logger.warning("%s is not as published, nor will its scores be: %s", self.name, "; ".join(differing))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and {**vars(self), "arguments": ()} == {**vars(other), "arguments": ()}

    def __hash__(self) -> int:
        return hash((self.name, len(self.train), self.query, self.gallery))

    def __repr__(self) -> str:
        counts = f"{len(self.train):,} to train, {len(self.query):,} queries, {len(self.gallery):,} in the gallery"
        return f"{type(self).__name__}({self.name!r}: {counts}; {self.protocol.name})"

    def _repr_html_(self) -> str:
        parts = {name: getattr(self, name) for name in ("train", "query", "gallery")}
        rows = [
            [
                name,
                f"{len(part):,}",
                f"{len({s.identity for s in part}):,}",
                len({s.camera for s in part} - {None}) or "",
            ]
            for name, part in parts.items()
        ]
        columns = ["part", "pictures", "identities", "cameras"]
        return html_table(f"{self.name}, protocol {self.protocol.name}", columns, rows)


def require_sound(benchmark: Benchmark) -> None:
    """Make sure that a benchmark can be trained on and tested with, as far as its table tells.

    Raises:
        DataError: A picture comes twice, identities to train on are tested, one identity alone is trained on, there are
            queries without a gallery or the reverse, cameras are missing where the protocol needs them, a picture
            would find itself, or no query has a match.
    """
    name, train, query, gallery = benchmark.name, benchmark.train, benchmark.query, benchmark.gallery
    if not (train or query or gallery):
        raise DataError(f"expected pictures in {name}, found none")
    for part in ("train", "query", "gallery"):
        _require_distinct(getattr(benchmark, part), f"{part} of {name}")

    in_train = {(s.path, s.box) for s in train}
    if leaked := [s for s in (*query, *gallery) if (s.path, s.box) in in_train]:
        raise DataError(
            f"expected other pictures to train on than to test on in {name}, found {len(leaked):,} in both, "
            f"first {leaked[0].path}; take them out of one of the two"
        )
    trained = {s.identity for s in train}
    tested = ({s.identity for s in query} | {s.identity for s in gallery}) - benchmark.distractors
    if len(trained) == 1:
        raise DataError(f"expected two identities or more to train on in {name}, found only {trained.pop()!r}")
    if shared := trained & tested:
        raise DataError(
            f"expected other identities to train on than to test on in {name}, found {len(shared):,} in both, "
            f"as {min(shared, key=str)!r}; test on others"
        )
    if bool(query) != bool(gallery):
        raise DataError(f"expected queries and a gallery in {name}, found {len(query):,} and {len(gallery):,} pictures")
    if query:
        _require_matches(benchmark)


def _require_distinct(samples: Sequence[Sample], where: str) -> None:
    seen: dict[tuple[str, Box | None], Identity] = {}
    for sample in samples:
        key = (sample.path, sample.box)
        if key in seen:
            raise DataError(
                f"expected every picture once in {where}, found {sample.path} twice, "
                f"as {seen[key]!r} and {sample.identity!r}; take one out"
            )
        seen[key] = sample.identity


def _require_matches(benchmark: Benchmark) -> None:
    name, protocol = benchmark.name, benchmark.protocol
    excludes = protocol.same_camera == "exclude"
    if excludes or protocol.locations is not None:
        without = [s for s in (*benchmark.query, *benchmark.gallery) if s.camera is None]
        if without:
            raise DataError(
                f"expected a camera of every picture to test on in {name}, since {protocol.name} needs it, "
                f"found {len(without):,} without, first {without[0].path}; add them, or set same_camera to keep"
            )
    cameras: dict[Identity, set[Camera | None]] = defaultdict(set)
    for sample in benchmark.gallery:
        cameras[sample.identity].add(sample.camera)
    if not any(cameras[s.identity] - ({s.camera} if excludes else set()) for s in benchmark.query):
        raise DataError(
            f"expected a match for some query in {name}, found none: no query's identity is in the gallery"
            + (" under another camera; to count the same camera too, set same_camera to keep" if excludes else "")
        )
    if not excludes and protocol.trials is None:
        searched = {(s.path, s.box) for s in benchmark.gallery}
        itself = [s for s in benchmark.query if (s.path, s.box) in searched]
        if itself:
            raise DataError(
                f"expected queries outside the gallery of {name}, since {protocol.name} would let a picture find "
                f"itself, found {len(itself):,} inside, first {itself[0].path}; take them out of one of the two"
            )
