"""Embedding of samples by a model that torch runs: into memory, or onto the disk in parts.

Dimensions: N samples, B pictures of a batch, D components.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader

from reseen.distributed import num_ranks, on_all_ranks, on_first_rank, rank
from reseen.embedding.making import PartOptions, Share, VectorModel, make_parts
from reseen.embedding.manifest import SampleManifest
from reseen.embedding.parts import DType, export_npy, open_embeddings
from reseen.errors import CheckpointError, one_line
from reseen.loading import ImageDataset, test_transform
from reseen.models import Embedder, eval_mode
from reseen.parallel import usable
from reseen.pictures import Pixels
from reseen.storage import StorageFolder
from reseen.types import MODALITIES, Embeddings, Sample


def embed(
    model: Embedder,
    samples: Sequence[Sample],
    *,
    batch_size: int = 64,
    num_workers: int = 0,
    mirrored: bool = False,
    progress: bool = False,
) -> Embeddings:
    """Embed pictures and keep the vectors in memory, float32, where the model is not needed again: on the CPU.

    Args:
        model: Its mode is left as it was.
        samples: N samples, embedded in their order.
        batch_size: Pictures at a time.
        num_workers: Processes that read pictures.
        mirrored: Average the vectors of each picture and of its mirror image.
        progress: Draw a bar.

    Raises:
        DataError: A picture cannot be read; it is named.
    """
    batches = _vectors(model, samples, batch_size=batch_size, num_workers=num_workers, mirrored=mirrored)
    total = -(-len(samples) // batch_size)
    vectors = [batch.cpu() for batch in track(batches, "Embedding", total=total, disable=not progress)]
    return Embeddings.of(torch.cat(vectors) if vectors else torch.empty(0, model.dims["embedding"]), samples)


def embed_to(
    folder: str | Path,
    model: Embedder,
    samples: Sequence[Sample],
    *,
    dtype: DType = "float32",
    part_rows: int = 8192,
    batch_size: int = 64,
    num_workers: int | None = None,
    mirrored: bool = False,
    progress: bool = False,
) -> Embeddings:
    """Embed pictures onto the disk, a part at a time, and open what was written, its vectors left on the disk.

    A folder that holds some finished parts of the same work is gone on with. Under ``torch.distributed`` every process
    calls this with all samples and the same folder, and the parts are shared out.

    Args:
        folder: Where to.
        model: Its mode is left as it was.
        samples: N samples, embedded in their order; identities, and each other column, are of one type.
        dtype: Of the numbers on the disk.
        part_rows: Rows that are finished together: what an interruption can cost.
        batch_size: Pictures at a time.
        num_workers: Threads that read pictures; as many as there are cores if not given.
        mirrored: Average the vectors of each picture and of its mirror image.
        progress: Draw a bar.

    Raises:
        RunError: The folder holds other work.
        DataError: A picture cannot be read; it is named.
    """
    place = StorageFolder(str(folder))
    options = PartOptions(dtype, mirrored, part_rows, batch_size, unreadable="stop")
    on_all_ranks(
        lambda: make_parts(
            place,
            SampleManifest(samples),
            EmbedderModel(model),
            options,
            workers=num_workers,
            share=Share(rank() + 1, num_ranks()),
            progress=progress and rank() == 0,
        )
    )
    on_first_rank(lambda: export_npy(place))
    return open_embeddings(folder, mapped=True)


class EmbedderModel(VectorModel):
    """A model as it is trained and evaluated: with cameras, views and modalities where it takes them.

    Args:
        model: Its mode is left as it was.
    """

    def __init__(self, model: Embedder) -> None:
        self.model = model
        self.fingerprint, self.dim = fingerprint_of_model(model), model.dims["embedding"]
        self.prepare = AsTested((model.spec.height, model.spec.width))

    @contextmanager
    def threads(self, count: int) -> Iterator[ThreadPoolExecutor]:
        """Give threads on which an operation of torch has one core, until the end of the block."""
        own = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                yield pool
        finally:
            torch.set_num_threads(own)  # The last number set is that of every thread to come.

    @torch.no_grad()
    def vectors(self, images: Pixels, samples: Sequence[Sample], *, mirrored: bool) -> NDArray[np.float32]:
        """Return the vectors (B, D) of pictures (B, 3, H, W)."""
        device = next(self.model.parameters()).device
        with eval_mode(self.model):
            embeddings = _embedded(self.model, torch.from_numpy(images).to(device), samples, mirrored=mirrored)
        return embeddings.cpu().numpy()


@dataclass(frozen=True)
class AsTested:
    """Brings pictures to the (height, width) of a model, as (3, H, W), just as its evaluation does."""

    size: tuple[int, int]

    def __call__(self, pixels: Pixels) -> Pixels:
        """Return a picture at that size."""
        return test_transform(self.size)(torch.tensor(pixels).permute(2, 0, 1)).numpy()


@torch.no_grad()
def _vectors(
    model: Embedder, samples: Sequence[Sample], *, batch_size: int, num_workers: int, mirrored: bool
) -> Iterator[Tensor]:
    """Give the vectors (B, D) of one batch after the other, float32, where the model is."""
    device = next(model.parameters()).device
    pictures = ImageDataset(samples, test_transform((model.spec.height, model.spec.width)), cache=None)
    loader = DataLoader(
        pictures, batch_size=batch_size, num_workers=usable(num_workers), pin_memory=device.type == "cuda"
    )
    with eval_mode(model):
        for images, _, rows in loader:
            images = images.to(device, non_blocking=True)
            yield _embedded(model, images, [samples[row] for row in rows.tolist()], mirrored=mirrored)


def _embedded(model: Embedder, images: Tensor, samples: Sequence[Sample], *, mirrored: bool) -> Tensor:
    """Return the vectors (B, D) of pictures (B, 3, H, W) where the model is."""
    side = _side(model, samples, images.device)
    with network_errors(model):
        vectors = model.embed(images, **side)
        return (vectors + model.embed(images.flip(-1), **side)) / 2 if mirrored else vectors


@contextmanager
def network_errors(model: Embedder) -> Iterator[None]:
    """Raise what a network has against pictures of its own size as a `CheckpointError`; a file may have it wrong."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        size = f"{model.spec.height} x {model.spec.width}"
        raise CheckpointError(
            f"expected a network that takes pictures of {size} pixels, got: {one_line(error)}; mend its size"
        ) from error


def _side(model: Embedder, samples: Sequence[Sample], device: torch.device) -> dict[str, Tensor]:
    """Return what the network takes besides pixels: cameras, views, and modalities where it treats them apart."""
    side = model.side_info(samples)
    if model.spec.modalities.stems or model.spec.modalities.norms:
        side["modalities"] = torch.tensor([MODALITIES.index(s.modality or "visible") for s in samples])
    return {name: values.to(device) for name, values in side.items()}


def fingerprint_of_model(model: Embedder) -> str:
    """Return 64 hexadecimal digits that name a network and its weights."""
    digest = hashlib.sha256(repr(model.spec).encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
