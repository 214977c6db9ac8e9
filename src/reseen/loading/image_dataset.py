"""Torch ``Dataset`` of samples: pictures and labels.

Dimensions: N samples, H x W pixels.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from reseen.errors import DataError
from reseen.labels import ordered_for_draws
from reseen.loading.transforms import Transforms, resize
from reseen.storage import read_picture
from reseen.types import MODALITIES, Identity, Sample


class Draw(NamedTuple):
    """Row of a picture, and the seed of its augmentation."""

    row: int
    seed: int


class DatasetItem(NamedTuple):
    """One picture of a batch.

    Attributes:
        image: uint8 (3, H, W).
        label: The index of its identity among ``ImageDataset.identities``.
        row: Its sample's row.
    """

    image: Tensor
    label: int
    row: int


class ImageDataset(Dataset[DatasetItem]):
    """Pictures of samples, varied by a transform, decoded once where they fit into memory.

    An item is asked for by its row, or by a ``Draw``: a row and a seed. With a seed the transform's randomness (from
    torch's generator, as torchvision's is) depends on nothing else, so that it is the same in any worker process, on
    any rank and after a resume. Where nothing random is done, rows are enough.

    Args:
        samples: N samples.
        transform: From uint8 (3, H, W) to uint8 (3, H', W'), or one such for each modality; all pictures of a batch
            must come out alike.
        size: (height, width) to bring each picture to before the transform; None leaves them as they are.
        cache: Keep every picture, decoded and at ``size``, while all N together take at most so many bytes; None
            reads the file each time. Worker processes that are forked share what is kept.

    Raises:
        DataError: Transforms differ by modality, and a picture's modality is none of theirs.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        transform: Transforms,
        *,
        size: tuple[int, int] | None = None,
        cache: int | None = 2 * 1024**3,
    ) -> None:
        self.samples = samples
        self.transform = transform
        if not callable(transform) and (lost := next((s for s in samples if s.modality not in transform), None)):
            raise DataError(
                f"expected every picture to be {' or '.join(transform)}, as each is varied in its own way, "
                f"got {lost.modality} for {lost.path}; give the modality of each picture, or vary all alike"
            )
        self.identities, self.labels = number_identities(samples)
        self._resize = None if size is None else resize(size)
        self._kept = None if size is None or cache is None else Kept.within(cache, len(samples), size)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, which: int | Draw) -> DatasetItem:
        row, seed = which if isinstance(which, Draw) else (which, None)
        with seeded(seed):
            transform = self.transform if callable(self.transform) else self.transform[str(self.samples[row].modality)]
            return DatasetItem(transform(self.picture(row)), int(self.labels[row]), row)

    def picture(self, row: int) -> Tensor:
        """Return a sample's picture before the transform, uint8 (3, H, W)."""
        if self._kept is not None and self._kept.has[row]:
            return self._kept.pictures[row].clone()
        picture = torch.tensor(read_picture(self.samples[row])).permute(2, 0, 1)
        if self._resize is not None:
            picture = self._resize(picture)
        if self._kept is not None:
            self._kept.pictures[row] = picture
            self._kept.has[row] = True  # After the pixels: another process may be looking.
        return picture.contiguous()


class Kept:
    """Cache of N decoded pictures, shared between a process and those forked from it.

    The memory is anonymous and claimed as it is written; unlike torch's shared tensors it needs no /dev/shm, which
    is small in containers. A process that is not forked starts with none.
    """

    def __init__(self, count: int, size: tuple[int, int]) -> None:
        height, width = size
        self.pictures = shared_bytes(count * 3 * height * width).view(count, 3, height, width)
        self.has = shared_bytes(count)
        self._made_of = (count, size)

    @classmethod
    def within(cls, limit: int, count: int, size: tuple[int, int]) -> Kept | None:
        """Return room for ``count`` pictures, or None where they take more than ``limit`` bytes."""
        return cls(count, size) if 0 < count * 3 * size[0] * size[1] <= limit else None

    def __reduce__(self) -> tuple[Any, ...]:
        return Kept, self._made_of


def shared_bytes(count: int) -> Tensor:
    """Return zeros, uint8 (count,), in memory that forked processes share."""
    return torch.frombuffer(mmap.mmap(-1, count), dtype=torch.uint8)


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Context manager that seeds torch's CPU generator and restores it; does nothing at None."""
    if seed is None:
        yield
        return
    generator = torch.default_generator
    before = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(before)


def number_modalities(samples: Sequence[Sample]) -> Tensor | None:
    """Return for each sample 0 where it is visible and 1 where it is infrared, (N,); None where none says.

    Raises:
        DataError: Only some say, or one says something else.
    """
    modalities = {s.modality for s in samples}
    if modalities <= {None}:
        return None
    if not modalities <= set(MODALITIES):
        raise DataError(
            f"expected every training picture to be {' or '.join(MODALITIES)}, or none to say, "
            f"got {', '.join(sorted(map(str, modalities)))}; mend the modality of each"
        )
    return torch.tensor([MODALITIES.index(str(s.modality)) for s in samples])


def number_identities(samples: Sequence[Sample]) -> tuple[tuple[Identity, ...], NDArray[np.int64]]:
    """Return the distinct identities in order, and for each sample the index of its own, (N,)."""
    identities = ordered_for_draws({s.identity for s in samples})
    index = {name: number for number, name in enumerate(identities)}
    return tuple(identities), np.array([index[s.identity] for s in samples], dtype=np.int64)
