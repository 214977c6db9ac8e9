"""A manifest of drawn pictures, and a model for them that needs no torch and counts what it is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray
from PIL import Image

from reseen.embedding.making import Resize, VectorModel
from reseen.pictures import Pixels
from reseen.types import Sample


class Mean(VectorModel):
    """The mean colour of a picture's quarters."""

    fingerprint, dim, prepare = "f" * 64, 12, Resize((8, 4))

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def vectors(self, images: Pixels, samples: Sequence[Sample], *, mirrored: bool) -> NDArray[np.float32]:
        self.batches.append([Path(sample.path).name for sample in samples])
        means = images.reshape(len(images), 2, 4, 2, 2, 3).mean((2, 4), dtype=np.float32)
        return means.reshape(len(images), 12)


def draw(folder: Path, count: int, *, rows_of_group: int = 7) -> Path:
    """Draw pictures and their manifest, in row groups that parts cut through."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for n in range(count):
        Image.fromarray(random.integers(0, 256, (8, 4, 3), dtype=np.uint8)).save(folder / f"{n}.png")
    table = pa.table(
        {
            "path": [f"{n}.png" for n in range(count)],
            "identity": [None if n % 5 == 0 else n % 4 for n in range(count)],
            "camera": ["007" if n % 2 else "7" for n in range(count)],
            "weather": [["rain", "sun"][n % 2] for n in range(count)],
        }
    )
    parquet.write_table(table, folder / "manifest.parquet", row_group_size=rows_of_group)
    return folder / "manifest.parquet"


def parts(folder: Path) -> dict[str, bytes]:
    """Return the bytes of everything that was made, by name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}
