"""Embedding of samples by a model: into memory, or onto the disk in shards (`reseen.embedding.parts`).

Dimensions: N samples, B pictures of a batch, D components.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader

from reseen.distributed import num_ranks, rank
from reseen.embedding.parts import Turn, open_embeddings, write_shards
from reseen.errors import CheckpointError, one_line
from reseen.loading import ImageDataset, test_transform
from reseen.models import Embedder, eval_mode
from reseen.parallel import usable
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
    dtype: Literal["float32", "float16"] = "float32",
    shard: int = 8192,
    batch_size: int = 64,
    num_workers: int = 0,
    mirrored: bool = False,
    progress: bool = False,
) -> Embeddings:
    """Embed pictures onto the disk, a shard at a time, and open what was written.

    A folder that holds some finished shards of the same work is gone on with. Under ``torch.distributed`` every process
    calls this with all samples and the same folder, and the shards are shared out.

    Args:
        folder: Where to.
        model: Its mode is left as it was.
        samples: N samples, embedded in their order; identities, and each other column, are of one type.
        dtype: Of the numbers on the disk.
        shard: Rows that are finished together: what an interruption can cost.
        batch_size: Pictures at a time.
        num_workers: Processes that read pictures.
        mirrored: Average the vectors of each picture and of its mirror image.
        progress: Draw a bar.

    Raises:
        RunError: The folder holds other work.
        DataError: A picture cannot be read; it is named.
    """

    def vectors_of(rows: Sequence[Sample]) -> NDArray[np.float32]:
        batches = _vectors(model, rows, batch_size=batch_size, num_workers=num_workers, mirrored=mirrored)
        return torch.cat([batch.cpu() for batch in batches]).numpy()

    write_shards(
        Path(folder),
        samples,
        vectors_of,
        model=fingerprint_of_model(model),
        dim=model.dims["embedding"],
        dtype=dtype,
        mirrored=mirrored,
        shard=shard,
        progress=progress,
        turn=Turn(rank(), num_ranks(), dist.barrier) if num_ranks() > 1 else Turn(),
    )
    return open_embeddings(folder, checked=False)  # Just looked at, or just written.


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
            side = _side(model, [samples[row] for row in rows.tolist()], device)
            with network_errors(model):
                vectors = model.embed(images, **side)
                if mirrored:
                    vectors = (vectors + model.embed(images.flip(-1), **side)) / 2
            yield vectors


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
    told = hashlib.sha256(repr(model.spec).encode())
    for name, tensor in model.state_dict().items():
        told.update(name.encode())
        told.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return told.hexdigest()
