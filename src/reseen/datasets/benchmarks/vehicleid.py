"""VehicleID (Liu et al., Deep Relative Distance Learning, CVPR 2016)."""

from pathlib import Path
from typing import Literal

from reseen.datasets.benchmarks.layout import find_root, read_pairs
from reseen.protocols import vehicle_id, vehicle_id_retrieval
from reseen.tables import require_files
from reseen.types import Benchmark, PublishedData, Sample

SIZES = {"small": 800, "medium": 1_600, "large": 2_400, "3200": 3_200, "6000": 6_000, "13164": 13_164}
PUBLISHED_TRAIN = (113_346, 13_164)
PUBLISHED_TEST = {"small": (6_493, 800), "medium": (13_377, 1_600), "large": (19_777, 2_400)}


class VehicleID(Benchmark):
    """VehicleID: 26,267 vehicles seen from the front or the back, without labels of cameras.

    Query and gallery hold the same pictures; each of the protocol's seeded repeats draws one of every vehicle for the
    gallery, and searches with all others. The variant ``retrieval`` draws the query and searches in the others, which
    is far easier to score at: its figures are under a name of their own.

    Args:
        root: The folder VehicleID_V1.0 or the one above it.
        size: The list to test on: small (800 vehicles), medium (1,600), large (2,400), or 3200, 6000, 13164.
        variant: The published search, or its reverse (retrieval).
        repeats: How often the gallery is drawn.
        seed: Draws them.

    Raises:
        DataError: The folder or a list is not there, a line is of another form, or a picture is missing.
    """

    kind = "vehicle"

    def __init__(
        self,
        root: str | Path,
        *,
        size: Literal["small", "medium", "large", "3200", "6000", "13164"] = "small",
        variant: Literal["published", "retrieval"] = "published",
        repeats: int = 10,
        seed: int = 0,
    ) -> None:
        folder = find_root(root, entries=["image", "train_test_split"], inside=["VehicleID_V1.0", "VehicleID"])
        train = _read(folder / "train_test_split" / "train_list.txt", folder / "image")
        test = _read(folder / "train_test_split" / f"test_list_{SIZES[size]}.txt", folder / "image")
        require_files((s.path for s in (*train, *test)), source=folder / "train_test_split")
        protocol = vehicle_id if variant == "published" else vehicle_id_retrieval
        super().__init__(f"VehicleID-{size}", train, test, test, protocol(repeats=repeats, seed=seed))

    @classmethod
    def published(cls, *, size: str = "small", **arguments: object) -> PublishedData:
        """Return the name and the size in the papers' tables."""
        test = {"query": PUBLISHED_TEST[size]} if size in PUBLISHED_TEST else {}
        return PublishedData(f"vehicleid_{size}", {"train": PUBLISHED_TRAIN, **test})


def _read(path: Path, folder: Path) -> tuple[Sample, ...]:
    return tuple(Sample(f"{folder}/{name}.jpg", identity) for name, identity in read_pairs(path))
