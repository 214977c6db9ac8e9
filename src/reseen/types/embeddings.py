"""Embeddings: vectors with the labels of the pictures behind them.

Dimensions: N samples, D components of an embedding.
"""

from __future__ import annotations

import dataclasses
import mmap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reseen.types.sample import Sample

if TYPE_CHECKING:
    from torch import Tensor

Labels = NDArray[Any]
# The columns that may be absent; a sample has each in the singular.
COLUMNS = ("cameras", "modalities", "tracks", "paths")
SINGULAR = dict(zip(COLUMNS, ("camera", "modality", "track", "path"), strict=True))


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Embeddings (N, D) with the labels of their pictures.

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

        original: Any = self.vectors
        if isinstance(original, np.memmap) and original.mode != "c" and isinstance(original.base, mmap.mmap):
            object.__setattr__(self, "_file", original.base)
        vectors = original if isinstance(original, Tensor) else _as_tensor(np.asanyarray(original))
        if vectors.ndim != 2 or not vectors.is_floating_point():
            raise ValueError(f"expected vectors (N, D) of a floating type, got {tuple(vectors.shape)} {vectors.dtype}")
        object.__setattr__(self, "vectors", vectors)
        for name in ("identities", *COLUMNS):
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
        columns = {name: column[rows] for name in COLUMNS if (column := getattr(self, name)) is not None}
        return Embeddings(self.vectors[index], self.identities[rows], **columns)

    @classmethod
    def joined(cls, parts: Sequence[Embeddings]) -> Embeddings:
        """Return several embeddings as one; a column that one of them lacks is absent."""
        import torch

        columns = {name: [getattr(part, name) for part in parts] for name in ("identities", *COLUMNS)}
        whole = {name: join_labels(each) for name, each in columns.items() if all(c is not None for c in each)}
        return cls(torch.cat([part.vectors for part in parts]), **whole)

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
        columns = {name: [getattr(sample, SINGULAR[name]) for sample in samples] for name in COLUMNS}
        known = {name: as_labels(values) for name, values in columns.items() if any(v is not None for v in values)}
        return cls(vectors, as_labels([sample.identity for sample in samples]), **known)


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
