"""What travels between floors: samples, embeddings, protocols, benchmarks.

Dimensions: N samples, D components of an embedding.
"""

from __future__ import annotations

import dataclasses
import mmap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from torch import Tensor

Identity = int | str
Camera = int | str
Labels = NDArray[Any]
AnyBenchmark = TypeVar("AnyBenchmark", bound="Benchmark")


class Box(NamedTuple):
    """A rectangle of a picture, in pixels from its top left corner."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture of one individual: where it is and what is known of it.

    Attributes:
        path: The picture's file; for a picture that is drawn rather than read, the name to show.
        identity: Who or what is on it; any integer or string.
        camera: Who took it, or None where that is unknown.
        modality: ``"visible"`` or ``"infrared"``, or None where the data has one kind only.
        time: When it was taken, in seconds of any one clock.
        track: The sequence of pictures it belongs to, where a protocol ranks tracks.
        box: The part of the picture to use; None for the whole.
        view: From which side it is seen, for networks that are told.
        draw: Draws the picture, uint8 RGB (H, W, 3), in place of reading ``path``; must pickle.
    """

    path: str
    identity: Identity
    camera: Camera | None = None
    modality: str | None = None
    time: float | None = None
    track: int | str | None = None
    box: Box | None = None
    view: int | str | None = None
    draw: Callable[[], NDArray[np.uint8]] | None = None


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Vectors with what is known of the picture behind each.

    Any array-like is taken; vectors stay where they are (a memory-mapped array is not read).

    Attributes:
        vectors: (N, D), any floating type.
        identities: (N,), integers or strings.
        cameras: (N,), integers or strings, or None where unknown.
        modalities: (N,), or None.
        tracks: (N,), or None.
        paths: (N,) names of the pictures, or None.

    Raises:
        ValueError: The vectors are not (N, D), or a column is not (N,).
    """

    vectors: Tensor
    identities: Labels
    cameras: Labels | None = None
    modalities: Labels | None = None
    tracks: Labels | None = None
    paths: Labels | None = None
    _file: mmap.mmap | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        from torch import Tensor  # Here, not above: exported models run where there is no torch.

        given: Any = self.vectors
        if isinstance(given, np.memmap) and given.mode != "c" and isinstance(given.base, mmap.mmap):
            object.__setattr__(self, "_file", given.base)
        vectors = given if isinstance(given, Tensor) else _as_tensor(np.asanyarray(given))
        if vectors.ndim != 2 or not vectors.is_floating_point():
            raise ValueError(f"expected vectors (N, D) of a floating type, got {tuple(vectors.shape)} {vectors.dtype}")
        object.__setattr__(self, "vectors", vectors)
        for name in ("identities", "cameras", "modalities", "tracks", "paths"):
            column = getattr(self, name)
            if column is None and name != "identities":
                continue
            values = as_labels(column)
            if values.shape != (len(vectors),):
                raise ValueError(
                    f"expected {name} ({len(vectors)},) beside vectors {tuple(vectors.shape)}, got {values.shape}"
                )
            object.__setattr__(self, name, values)

    def __len__(self) -> int:
        return len(self.vectors)

    def __reduce__(self) -> tuple[Any, ...]:
        # What was mapped arrives as an ordinary copy: a mapping belongs to one process.
        return Embeddings, tuple(getattr(self, f.name) for f in dataclasses.fields(self) if f.init)

    def __getitem__(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Embeddings:
        """Return the given rows, in the given order."""
        import torch

        index: Any = rows if isinstance(rows, slice) else torch.from_numpy(np.asarray(rows))

        def column(values: Labels | None) -> Labels | None:
            return None if values is None else values[rows]

        return Embeddings(
            self.vectors[index],
            self.identities[rows],
            cameras=column(self.cameras),
            modalities=column(self.modalities),
            tracks=column(self.tracks),
            paths=column(self.paths),
        )

    @classmethod
    def joined(cls, parts: Sequence[Embeddings]) -> Embeddings:
        """Return several embeddings as one; a column that one of them lacks is absent."""
        import torch

        def column(name: str) -> Labels | None:
            columns = [getattr(part, name) for part in parts]
            return None if any(c is None for c in columns) else join_labels(columns)

        return cls(
            torch.cat([part.vectors for part in parts]),
            join_labels([part.identities for part in parts]),
            cameras=column("cameras"),
            modalities=column("modalities"),
            tracks=column("tracks"),
            paths=column("paths"),
        )

    @property
    def mapped(self) -> bool:
        """Whether the vectors lie in a file that is mapped into memory."""
        return self._file is not None

    def forget(self) -> None:
        """Let go of the memory that reading a mapped file has filled; the file is read again when needed.

        Without it a pass over a gallery that is larger than the memory allowed leaves all of it resident.
        """
        if self._file is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._file.madvise(mmap.MADV_DONTNEED)

    @classmethod
    def of(cls, vectors: Tensor, samples: Sequence[Sample]) -> Embeddings:
        """Put vectors (N, D) beside the N samples that they were computed from."""

        def column(name: str) -> Labels | None:
            values = [getattr(s, name) for s in samples]
            return None if all(v is None for v in values) else as_labels(values)

        return cls(
            vectors,
            as_labels([s.identity for s in samples]),
            cameras=column("camera"),
            modalities=column("modality"),
            tracks=column("track"),
            paths=column("path"),
        )


def _as_tensor(array: NDArray[Any]) -> Tensor:
    """Share an array's memory with a tensor, a read-only one (a mapped file) included."""
    import torch

    with warnings.catch_warnings():
        # torch warns that it cannot forbid writing; nobody here writes into vectors.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ", category=UserWarning)
        return torch.from_numpy(array)


def as_labels(values: ArrayLike | Tensor) -> Labels:
    """Return labels as a one-dimensional array; integers stay integers, anything mixed stays as it is.

    Integers beyond 64 bits stay Python's own: NumPy would round them to float64, where many become one.
    """
    if isinstance(values, np.ndarray):
        return values
    if hasattr(values, "detach"):
        return values.detach().cpu().numpy()
    listed = list(values)  # type: ignore[arg-type]
    if listed and all(isinstance(v, (int, np.integer)) and -(2**63) <= v < 2**63 for v in listed):
        return np.asarray(listed, dtype=np.int64)
    labels = np.empty(len(listed), dtype=object)
    labels[:] = listed
    return labels


def join_labels(columns: Sequence[Labels]) -> Labels:
    """Put columns one after the other; where integers meet strings each stays what it is."""
    if len({column.dtype.kind for column in columns}) > 1:
        columns = [column.astype(object) for column in columns]
    return np.concatenate(columns)


class Trial(NamedTuple):
    """One repeat of a protocol: which rows are queries and which are the gallery."""

    query: NDArray[np.intp]
    gallery: NDArray[np.intp]


@dataclass(frozen=True)
class Protocol:
    """Who counts as positive, negative or neither for a query, how often, and by which measure.

    A gallery picture of the query's identity is a positive, any other a negative, except those which the fields
    below make neither. A protocol is a value; calling it with changes gives another, as in
    ``cross_camera(average_precision="trapezoid")``.

    Attributes:
        name: Printed in every result.
        same_camera: ``"exclude"`` makes the query's identity under the query's own camera neither.
        locations: Camera -> place. A gallery picture taken where the query was taken is neither, whoever it shows.
        average_precision: ``"step"``: the mean of the precisions at the hits; ``"trapezoid"``: the mean of each with
            the precision one place before it, as in the official MATLAB code.
        unique_identities: The cumulative match curve counts each gallery identity once, at its best picture.
        by_track: The gallery's entries are its tracks; a track scores as its best picture.
        draws: The cumulative match curve is the mean over so many draws of one gallery picture per identity, made for
            each query among the pictures that are not neither; None for the whole gallery at once.
        seed: Where ``draws`` start.
        trials: Gives the repeats from query and gallery; None for one repeat with everything.
    """

    name: str
    same_camera: Literal["exclude", "keep"] = "exclude"
    locations: Mapping[Camera, int | str] | None = None
    average_precision: Literal["step", "trapezoid"] = "step"
    unique_identities: bool = False
    by_track: bool = False
    draws: int | None = None
    seed: int = 0
    trials: Callable[[Embeddings, Embeddings], Iterator[Trial]] | None = None

    def __call__(self, **changes: Any) -> Protocol:
        """Return this protocol with some fields changed."""
        return dataclasses.replace(self, **changes) if changes else self

    @property
    def rule(self) -> str:
        """What is applied, in words, for a report to print beside the name."""
        left_out = {"exclude": "same identity and same camera left out", "keep": "same camera kept"}[self.same_camera]
        said = [left_out, f"{self.average_precision} AP"]
        if self.locations:
            said.append("same place left out")
        if self.by_track:
            said.append("ranked by track")
        if self.unique_identities:
            said.append("CMC counts each identity once")
        if self.draws:
            said.append(f"CMC over {self.draws} draws of one picture per identity, seed {self.seed}")
        if self.trials:
            said.append(f"repeats by {self.trials}")
        return "; ".join(said)


@dataclass(frozen=True)
class Benchmark:
    """Pictures to train on, pictures to search with, pictures to search in, and the rule of the search.

    Attributes:
        name: Printed in every result.
        train: May be empty.
        query: May be empty where the data is for training only.
        gallery: As ``query``.
        protocol: Who counts as a match.
        distractors: Gallery identities which are nobody's: never a query, left out of fidelity by default.
        further: What else a finished model is measured on, where a table has several settings or directions: other
            rules, or other parts of these very queries and gallery pictures. Nothing to train on.
        arguments: What its class was called with, positional and named: another process makes the same data set of
            them.
    """

    # Of each instance; no field, lest data sets derived from others by their fields take it for one.
    arguments: ClassVar[tuple[tuple[Any, ...], dict[str, Any]]]

    name: str
    train: tuple[Sample, ...]
    query: tuple[Sample, ...]
    gallery: tuple[Sample, ...]
    protocol: Protocol
    distractors: frozenset[Identity] = frozenset()
    further: tuple[Benchmark, ...] = ()

    def __new__(cls: type[AnyBenchmark], *args: Any, **named: Any) -> AnyBenchmark:
        """Keep the arguments of the class, of whichever one of its subclasses."""
        benchmark = super().__new__(cls)
        object.__setattr__(benchmark, "arguments", (args, named))
        return benchmark
