"""The file cuhk-03.mat, in which CUHK03 was released: an HDF5 file of pictures."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from reseen.errors import DataError
from reseen.extras import needs
from reseen.types import Sample

if TYPE_CHECKING:
    import h5py


def read_release(path: Path, boxes: Literal["labeled", "detected"]) -> dict[str, Sample]:
    """Return the pictures of the release by the names that they were given later, such as ``1_001_1_01.png``.

    A name tells the pair of cameras (1 to 5), the person of the pair, the view (1 or 2) and the picture; the view is
    the camera, and the first two are the identity. Pictures stay in the file and are read from it when they are drawn.

    Raises:
        DataError: The file is damaged or of another form.
    """
    samples = {}
    with _open(path) as file:
        for pair, cells in enumerate(_cells(file, boxes), start=1):
            # MATLAB stores columns first: (pictures, persons) here.
            for picture, person in np.ndindex(cells.shape):
                image = file[cells[picture, person]]
                if image.ndim == 3:  # an empty cell is (2,)
                    view = 1 if picture < 5 else 2
                    name = f"{pair}_{person + 1:03d}_{view}_{picture + 1:02d}.png"
                    samples[name] = Sample(
                        f"{path}/{boxes}/{name}",
                        f"{pair}_{person + 1:03d}",
                        view,
                        draw=functools.partial(draw_picture, str(path), image.name),
                    )
    return dict(sorted(samples.items()))


def read_test_sets(path: Path) -> list[frozenset[str]]:
    """Return the identities to test on of each of the twenty classic splits.

    Raises:
        DataError: The file is damaged or of another form.
    """
    with _open(path) as file:
        return [
            frozenset(f"{int(pair)}_{int(person):03d}" for pair, person in test_set.T)
            for test_set in _cells(file, "testsets")
        ]


def draw_picture(path: str, name: str) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) of the release.

    Raises:
        DataError: The file is damaged.
    """
    with needs("hdf5"):
        import h5py

    try:
        # Opened anew for each picture, since an open file does not outlive a fork of the loader's workers.
        with h5py.File(path, "r") as file:
            return np.ascontiguousarray(np.asarray(file[name], dtype=np.uint8).T)
    except (OSError, KeyError) as error:
        raise DataError(f"expected a picture {name} in {path}, got: {error}") from error


def _open(path: Path) -> h5py.File:
    with needs("hdf5"):
        import h5py

    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"expected the HDF5 file of CUHK03 at {path}, got: {error}") from error


def _cells(file: h5py.File, name: str) -> Iterator[NDArray[Any]]:
    if name not in file:
        raise DataError(f"expected the variable {name} in {file.filename}, found {', '.join(file)}")
    for reference in np.asarray(file[name]).ravel():
        yield np.asarray(file[reference])
