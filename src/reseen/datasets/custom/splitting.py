"""Split of user data into training, query and gallery pictures, for :class:`Table` and :class:`Folder`."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from reseen.errors import DataError
from reseen.labels import UNKNOWN, listed, ordered_for_draws
from reseen.protocols import any_view, cross_camera
from reseen.types import Benchmark, Camera, Identity, Protocol, Sample

SPLITS = ("train", "test", "query", "gallery")
SameCamera = Literal["exclude", "exclude_all", "keep", "auto"]


class Division(NamedTuple):
    """Training, query and gallery pictures, the protocol of the search, and distractors."""

    train: tuple[Sample, ...]
    query: tuple[Sample, ...]
    gallery: tuple[Sample, ...]
    protocol: Protocol
    distractors: frozenset[Identity]

    def across_modalities(self) -> tuple[Benchmark, ...]:
        """Return the searches from one modality in the other, as far as they can find anything."""
        searches = []
        for one, other in itertools.permutations(("visible", "infrared")):
            query = tuple(s for s in self.query if s.modality == one)
            gallery = tuple(s for s in self.gallery if s.modality == other)
            everything = (len(query), len(gallery)) == (len(self.query), len(self.gallery))
            if not everything and {s.identity for s in query} & {s.identity for s in gallery}:
                protocol = self.protocol(name=f"{self.protocol.name}, {one} to {other}")
                searches.append(Benchmark(f"{one} to {other}", (), query, gallery, protocol, self.distractors))
        return tuple(searches)


def divide(
    samples: Sequence[Sample],
    splits: Sequence[str] | None,
    *,
    source: object,
    same_camera: SameCamera,
    test_identities: float,
    queries: Literal["one", "all"],
    seed: int,
    query_camera: Camera | None,
    gallery_camera: Camera | None,
    query_modality: str | None,
    gallery_modality: str | None,
) -> Division:
    """Divide pictures by their splits (``train``, ``test``, ``query``, ``gallery``), or by identity without splits.

    Pictures of the split ``test`` give queries and a gallery. Where the query's own camera is excluded, the queries
    are a drawn picture (or all) of each identity under each camera, and the gallery is everything, as a picture's own
    copy does not count. Where it is kept, the queries are a picture of each identity, and the gallery is the rest.
    An identity that the gallery would not show again is no query. Pictures that show nobody known are in the gallery
    only, as distractors: those of the splits ``gallery`` and ``test``, and without splits all of them. The other
    arguments are those of :class:`Table`.

    Raises:
        DataError: A split is unknown, or nothing is left to test on.
    """
    generator = np.random.default_rng(seed)
    if splits is None:
        splits = _draw_splits([s.identity for s in samples], test_identities, generator, source)
    if unknown := set(splits) - set(SPLITS):
        examples = ", ".join(repr(split) for split in sorted(unknown)[:5])
        raise DataError(f"expected only the splits {', '.join(SPLITS)} in {source}, found {examples}")
    parts: dict[str, list[Sample]] = defaultdict(list)
    distractors: list[Sample] = []
    for sample, split in zip(samples, splits, strict=True):
        if sample.identity != UNKNOWN:
            parts[split].append(sample)
        elif split in ("gallery", "test"):
            distractors.append(sample)

    if same_camera == "auto":
        tested = parts["test"] + parts["query"] + parts["gallery"] + distractors
        same_camera = "exclude" if any(s.camera is not None for s in tested) else "keep"
    searches = _selection("query", query_camera, query_modality, parts["query"] + parts["test"])
    searched = parts["gallery"] + parts["test"] + distractors
    is_searched = _selection("gallery", gallery_camera, gallery_modality, searched)
    query = [s for s in parts["query"] if searches(s)]
    gallery = [s for s in parts["gallery"] if is_searched(s)]
    if test := parts["test"]:
        query_rows = [row for row, s in enumerate(test) if searches(s)]
        gallery_rows = [row for row, s in enumerate(test) if is_searched(s)]
        if queries == "one":
            query_rows = _draw_queries(test, query_rows, generator, by_camera=same_camera != "keep")
        query_rows, gallery_rows = _matched(test, query_rows, gallery_rows, same_camera=same_camera)
        query += [test[row] for row in query_rows]
        gallery += [test[row] for row in gallery_rows]
    if (test or parts["query"] or parts["gallery"]) and not (query and gallery):
        raise DataError(
            f"expected pictures to search with and in, found {len(query):,} queries that the gallery of "
            f"{len(gallery):,} could show again, in {source}; test more identities, or keep the same camera"
        )

    if query:
        gallery += [s for s in distractors if is_searched(s)]
    protocol = any_view if same_camera == "keep" else cross_camera
    if same_camera == "exclude_all":
        cameras = {s.camera for s in gallery if s.camera is not None}
        protocol = protocol(name=f"{protocol.name}, other cameras only", locations={c: c for c in cameras})
    sides = {"query": (query_camera, query_modality), "gallery": (gallery_camera, gallery_modality)}
    limits = [
        f"{side} {value if kind else f'camera {value}'}"
        for side, values in sides.items()
        for kind, value in enumerate(values)
        if value is not None
    ]
    return Division(
        tuple(parts["train"]),
        tuple(query),
        tuple(gallery),
        protocol(name=", ".join([protocol.name, *limits])),
        frozenset([UNKNOWN] if distractors else []),
    )


def _selection(
    side: str, camera: Camera | None, modality: str | None, samples: Sequence[Sample]
) -> Callable[[Sample], bool]:
    """Return the choice of the samples by one camera and of one modality.

    Raises:
        DataError: No sample is by that camera, or none of that modality.
    """
    for kind, value in (("camera", camera), ("modality", modality)):
        # Compared as text, because a command line cannot tell camera 1 from camera "1".
        known = {label for s in samples if (label := getattr(s, kind)) is not None}
        if value is not None and str(value) not in map(str, known):
            raise DataError(f"expected {side}_{kind} among {listed(known)}, got {value!r}")

    def selects(sample: Sample) -> bool:
        return (camera is None or str(sample.camera) == str(camera)) and modality in (None, sample.modality)

    return selects


def _draw_splits(
    identities: Sequence[Identity], test_identities: float, generator: np.random.Generator, source: object
) -> list[str]:
    """Draw the identities to test on: a number of them, or a share."""
    everyone = ordered_for_draws(set(identities) - {UNKNOWN})
    num_test = test_identities if isinstance(test_identities, int) else round(test_identities * len(everyone))
    if not 0 <= num_test <= len(everyone):
        raise DataError(f"expected at most {len(everyone)} identities to test on in {source}, got {test_identities}")
    tested = {everyone[i] for i in generator.permutation(len(everyone))[:num_test]}
    return ["test" if identity in tested or identity == UNKNOWN else "train" for identity in identities]


def _draw_queries(
    samples: Sequence[Sample], rows: Sequence[int], generator: np.random.Generator, *, by_camera: bool
) -> list[int]:
    """Draw a picture of each identity, or of each identity under each camera."""
    groups: dict[tuple[Identity, Camera | None], list[int]] = defaultdict(list)
    for row in rows:
        groups[samples[row].identity, samples[row].camera if by_camera else None].append(row)
    return [int(generator.choice(group)) for group in groups.values()]


def _matched(
    samples: Sequence[Sample], query: list[int], gallery: list[int], *, same_camera: SameCamera
) -> tuple[list[int], list[int]]:
    """Keep the queries that the gallery can show again and, where their camera counts, take them out of it."""
    if same_camera != "keep":
        cameras: dict[Identity, set[Camera | None]] = defaultdict(set)
        for row in gallery:
            cameras[samples[row].identity].add(samples[row].camera)
        return [row for row in query if cameras[samples[row].identity] - {samples[row].camera}], gallery
    others = {samples[row].identity for row in set(gallery) - set(query)}
    query = [row for row in query if samples[row].identity in others]
    taken = set(query)
    return query, [row for row in gallery if row not in taken]
