"""MSMT17 (Wei et al., Person Transfer GAN to Bridge Domain Gap for Person Re-identification, CVPR 2018)."""

from pathlib import Path
from typing import Literal

from reseen.datasets.benchmarks.layout import read_pairs
from reseen.errors import DataError, contents_of
from reseen.protocols import cross_camera
from reseen.tables import require_files
from reseen.types import Benchmark, PublishedData, Sample

PUBLISHED = {"train": (30_248, 1_041), "query": (11_659, 3_060), "gallery": (82_161, 3_060)}
PUBLISHED_WITH_VAL = {**PUBLISHED, "train": (32_621, 1_041)}

PICTURES = {"V1": ("train", "test"), "V2": ("mask_train_v2", "mask_test_v2")}


class MSMT17(Benchmark):
    """MSMT17: 4,101 persons under fifteen cameras, cross-camera matches only.

    Version 2 is version 1 with blurred faces. Some papers train on the pictures of list_val.txt too, others do not;
    the name of the benchmark says what was done.

    Args:
        root: The folder MSMT17_V1, MSMT17_V2 or MSMT17, or the one above it.
        version: V1 (folders train and test) or V2 (mask_train_v2 and mask_test_v2); if not given, what is there.
        with_val: Train on list_val.txt too, as TransReID and CLIP-ReID do; torchreid and fast-reid do not.

    Raises:
        DataError: The folders or a list are not there, a line is of another form, or a picture is missing.
    """

    def __init__(self, root: str | Path, *, version: Literal["V1", "V2"] | None = None, with_val: bool = False) -> None:
        folder, version = _find(Path(root).expanduser(), [version] if version else ["V1", "V2"])
        train_folder, test_folder = (folder / name for name in PICTURES[version])
        train = _read(folder / "list_train.txt", train_folder)
        if with_val:
            train += _read(folder / "list_val.txt", train_folder)
        # Identities start at 0 in each part; those to test on are counted on from those to train on.
        offset = 1 + max((int(s.identity) for s in train), default=-1)
        query = _read(folder / "list_query.txt", test_folder, offset=offset)
        gallery = _read(folder / "list_gallery.txt", test_folder, offset=offset)
        name = f"MSMT17-{version} ({'train + val' if with_val else 'train without val'})"
        super().__init__(name, train, query, gallery, cross_camera)

    @classmethod
    def published(cls, *, with_val: bool = False, **arguments: object) -> PublishedData:
        """Return the name and the size in the papers' tables."""
        return PublishedData("msmt17", PUBLISHED_WITH_VAL if with_val else PUBLISHED)


def _find(root: Path, versions: list[Literal["V1", "V2"]]) -> tuple[Path, Literal["V1", "V2"]]:
    for folder in (root, root / "MSMT17_V1", root / "MSMT17_V2", root / "MSMT17"):
        for version in versions:
            if all((folder / name).is_dir() for name in PICTURES[version]):
                return folder, version
    wanted = " or ".join(", ".join(PICTURES[version]) for version in versions)
    raise DataError(
        f"expected the folders {wanted} in {root}, or in its folder MSMT17_V1, MSMT17_V2 or MSMT17; "
        f"found {contents_of(root)}; check the root"
    )


def _read(path: Path, folder: Path, *, offset: int = 0) -> tuple[Sample, ...]:
    samples = []
    for name, identity in read_pairs(path):
        fields = name.rpartition("/")[2].split("_")
        if len(fields) < 3 or not fields[2].isdigit():
            raise DataError(
                f"expected pictures such as 0000/0000_000_01_0303morning_0015_0.jpg in {path}, found {name}"
            )
        samples.append(Sample(f"{folder}/{name}", identity + offset, int(fields[2])))
    require_files((s.path for s in samples), source=path)
    return tuple(samples)
