"""SYSU-MM01 (Wu et al., RGB-Infrared Cross-Modality Person Re-Identification, ICCV 2017)."""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reseen.datasets.benchmarks.layout import (
    find_root,
    list_folders,
    list_pictures,
    read_lines,
    read_matlab,
)
from reseen.errors import DataError, contents_of
from reseen.protocols import sysu_mm01
from reseen.types import Benchmark, Camera, Identity, PublishedData, Sample

VISIBLE = (1, 2, 4, 5)
SETTINGS: tuple[tuple[Literal["all", "indoor"], Literal[1, 10]], ...] = (
    ("all", 1),
    ("all", 10),
    ("indoor", 1),
    ("indoor", 10),
)
INFRARED = (3, 6)
PUBLISHED = {"train": (34_167, 395), "query": (3_803, 96)}


class SYSUMM01(Benchmark):
    """SYSU-MM01: 491 persons under four visible and two infrared cameras; infrared queries, visible gallery.

    The four settings of the papers' tables are all measured; ``search`` and ``shots`` say which comes first, and guides
    training. Each of a setting's repeats takes one (or ten) pictures of each person under each visible camera into the
    gallery: those of the official rand_perm_cam.mat where it lies in the root, in exp or in data_split, else drawn.

    Args:
        root: The folder SYSU-MM01 or the one above it.
        search: In all visible cameras, or in the indoor ones (1 and 2).
        shots: How many pictures of a person under a camera are in the gallery: 1 (single-shot) or 10 (multi-shot).
        trials: How many repeats.
        seed: Draws them where the official permutations are not there.
        with_val: Train on the 99 persons of val_id too, as nearly all papers do, or on the 296 of train_id alone.

    Raises:
        DataError: A folder or a list is not there, or is of another form.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        search: Literal["all", "indoor"] = "all",
        shots: Literal[1, 10] = 1,
        trials: int = 10,
        seed: int = 0,
        with_val: bool = True,
    ) -> None:
        folder = find_root(root, entries=["cam1", "cam2", "cam3", "cam4", "cam5", "cam6", "exp"], inside=["SYSU-MM01"])
        pictures = _read(folder)
        trained = _read_ids(folder / "exp", "train_id") | (_read_ids(folder / "exp", "val_id") if with_val else set())
        tested = _read_ids(folder / "exp", "test_id")
        train = tuple(s for s in pictures if s.identity in trained)
        query = tuple(s for s in pictures if s.identity in tested and s.camera in INFRARED)
        gallery = tuple(s for s in pictures if s.identity in tested and s.camera in VISIBLE)
        permutations = _read_permutations(folder, gallery)
        name = f"SYSU-MM01 ({'train + val' if with_val else 'train without val'})"
        first, *others = [
            sysu_mm01(search=cameras, shots=number, trials=trials, seed=seed, permutations=permutations)
            for cameras, number in sorted(SETTINGS, key=lambda setting: setting != (search, shots))
        ]
        further = tuple(Benchmark(name, (), query, gallery, protocol) for protocol in others)
        super().__init__(name, train, query, gallery, first, further=further)

    @classmethod
    def published(cls, *, with_val: bool = True, **arguments: object) -> PublishedData:
        """Return the name and the size in the papers' tables."""
        return PublishedData("sysu_mm01", PUBLISHED if with_val else {})


def _read(folder: Path) -> list[Sample]:
    """Return all pictures by camera, person and name."""
    samples = []
    for camera in range(1, 7):
        modality = "infrared" if camera in INFRARED else "visible"
        for person in list_folders(folder / f"cam{camera}"):
            if not person.isdigit():
                raise DataError(f"expected folders such as 0001 in {folder / f'cam{camera}'}, found {person}")
            samples += [
                Sample(f"{folder}/cam{camera}/{person}/{name}", int(person), camera, modality)
                for name in list_pictures(folder / f"cam{camera}" / person)
            ]
    return samples


def _read_ids(folder: Path, name: str) -> set[int]:
    """Return the persons of a list: one line, parted by commas, or the variable ``id`` of a .mat file."""
    text, mat = folder / f"{name}.txt", folder / f"{name}.mat"
    if text.exists():
        words = ",".join(read_lines(text)).split(",")
        if not all(word.strip().isdigit() for word in words):
            raise DataError(f"expected numbers parted by commas in {text}, found {words[0]!r}")
        return {int(word) for word in words}
    if mat.exists():
        variables = read_matlab(mat)
        if "id" not in variables:
            raise DataError(f"expected the variable id in {mat}, found {', '.join(variables)}")
        return {int(i) for i in variables["id"].ravel()}
    raise DataError(f"expected the list {name}.txt or {name}.mat in {folder}, found {contents_of(folder)}")


def _read_permutations(
    folder: Path, gallery: tuple[Sample, ...]
) -> dict[tuple[Identity, Camera], NDArray[np.intp]] | None:
    """Return the official permutations (trials, n), counted from 0, of each person's pictures under each camera."""
    paths = [folder / place / "rand_perm_cam.mat" for place in (".", "exp", "data_split")]
    path = next((p for p in paths if p.exists()), None)
    if path is None:
        return None
    variables = read_matlab(path)
    permutations: dict[tuple[Identity, Camera], NDArray[np.intp]] = {}
    for identity, camera in {(int(s.identity), int(s.camera or 0)) for s in gallery}:
        try:
            permutation = variables["rand_perm_cam"].ravel()[camera - 1].ravel()[identity - 1]
        except (IndexError, KeyError) as error:
            raise DataError(f"expected a permutation of person {identity} under camera {camera} in {path}") from error
        permutations[identity, camera] = np.atleast_2d(permutation).astype(np.intp) - 1
    return permutations
