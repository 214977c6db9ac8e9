"""CUHK03 (Li et al., DeepReID, CVPR 2014), by its new protocol (Zhong et al., CVPR 2017) or its classic one."""

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np

from reseen.datasets.benchmarks.cuhk03_release import read_release, read_test_sets
from reseen.datasets.benchmarks.layout import MARKET_FOLDERS, TrainQueryGallery, read_market_folder, read_matlab
from reseen.errors import DataError, contents_of
from reseen.protocols import cross_camera, cuhk03_classic
from reseen.types import Benchmark, PublishedData

Boxes = Literal["labeled", "detected"]

RELEASE = Path("cuhk03_release") / "cuhk-03.mat"
PUBLISHED = {
    "labeled": {"train": (7_368, 767), "query": (1_400, 700), "gallery": (5_328, 700)},
    "detected": {"train": (7_365, 767), "query": (1_400, 700), "gallery": (5_332, 700)},
}


class CUHK03(Benchmark):
    """CUHK03: 1,467 persons, each under two cameras.

    The new protocol is read from the folders of CUHK03-NP, cuhk03-np/{labeled,detected}/bounding_box_train and so on,
    or from cuhk03_release/cuhk-03.mat beside cuhk03_new_protocol_config_{labeled,detected}.mat. The classic one needs
    cuhk-03.mat; its result is the mean over twenty splits, each with a network trained on it. Pictures of cuhk-03.mat
    are read from it when they are needed; nothing is written.

    Args:
        root: The folder with the above in it.
        boxes: Persons cut out by hand (labeled) or by a detector (detected); figures of the two do not compare.
        variant: new (767 persons to train on, 700 to test on) or classic (1,367 and 100, one gallery picture each).
        split: Of the classic protocol, which split, from 1 to 20.
        seed: Of the classic protocol, draws the gallery.

    Raises:
        DataError: The folders or files are not there, or are of another form.
        ValueError: There is no such split.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        boxes: Boxes = "labeled",
        variant: Literal["new", "classic"] = "new",
        split: int = 1,
        seed: int = 0,
    ) -> None:
        if not 1 <= split <= 20:
            raise ValueError(f"expected split from 1 to 20, got {split}")
        root = Path(root).expanduser()
        if variant == "classic":
            name, parts = f"CUHK03-{boxes}, split {split}", _classic(root, boxes, split)
        else:
            name, parts = f"CUHK03-{boxes}", _new(root, boxes)
        super().__init__(name, *parts, cuhk03_classic(seed=seed) if variant == "classic" else cross_camera)

    @classmethod
    def published(cls, *, boxes: Boxes = "labeled", variant: str = "new", **arguments: object) -> PublishedData:
        """Return the name and the size in the papers' tables, which are of the new protocol."""
        return PublishedData(f"cuhk03_{boxes}", PUBLISHED[boxes]) if variant == "new" else PublishedData()


def _new(root: Path, boxes: Boxes) -> TrainQueryGallery:
    config = f"cuhk03_new_protocol_config_{boxes}.mat"
    for folder in (root, root / "cuhk03-np", root / "cuhk03"):
        if all((folder / boxes / part).is_dir() for part in MARKET_FOLDERS):
            train, query, gallery = (read_market_folder(folder / boxes / part) for part in MARKET_FOLDERS)
            return train, query, gallery
        if (folder / RELEASE).exists() and (folder / config).exists():
            return _configured(folder / RELEASE, folder / config, boxes)
    raise DataError(
        f"expected {boxes}/{{{','.join(MARKET_FOLDERS)}}}, or {RELEASE} with {config}, in {root}, or in its folder "
        f"cuhk03-np or cuhk03; found {contents_of(root)}; check the root"
    )


def _configured(release: Path, config: Path, boxes: Boxes) -> TrainQueryGallery:
    """Divide the release as the configuration of the new protocol says."""
    samples = read_release(release, boxes)
    variables = read_matlab(config)
    try:
        names = [str(name.item()) for name in variables["filelist"].ravel()]
        labels = variables["labels"].ravel().tolist()
        rows = [variables[f"{part}_idx"].ravel().astype(np.intp) - 1 for part in ("train", "query", "gallery")]
        pictures = [dataclasses.replace(samples[n], identity=int(i)) for n, i in zip(names, labels, strict=True)]
        train, query, gallery = (tuple(pictures[row] for row in part) for part in rows)
    except (ValueError, KeyError, IndexError) as error:
        raise DataError(f"expected the new protocol of {release} in {config}, got: {error!r}") from error
    return train, query, gallery


def _classic(root: Path, boxes: Boxes, split: int) -> TrainQueryGallery:
    path = next((p for p in (root / RELEASE, root / "cuhk03" / RELEASE, root / RELEASE.name) if p.exists()), None)
    if path is None:
        raise DataError(f"expected {RELEASE} in {root}, found {contents_of(root)}; the classic protocol needs it")
    samples = read_release(path, boxes)
    test_sets = read_test_sets(path)
    if len(test_sets) < split:
        raise DataError(f"expected test set {split} in {path}, found {len(test_sets)}")
    tested = test_sets[split - 1]
    train = tuple(s for s in samples.values() if s.identity not in tested)
    test = tuple(s for s in samples.values() if s.identity in tested)
    return train, test, test
