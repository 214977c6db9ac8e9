"""RegDB (Nguyen et al., Sensors 2017), divided as by Ye et al., AAAI 2018."""

from pathlib import Path
from typing import Literal

from reseen.datasets.benchmarks.layout import find_root, read_pairs
from reseen.protocols import regdb
from reseen.tables import require_files
from reseen.types import Benchmark, PublishedData, Sample

PUBLISHED = {"train": (4_120, 206), "query": (2_060, 206), "gallery": (2_060, 206)}
FOLDERS = {"visible": ("visible", 1), "thermal": ("infrared", 2)}


class RegDB(Benchmark):
    """RegDB: 412 persons, ten visible and ten thermal pictures of each.

    A result is the mean over ten divisions of the persons, each with a network trained on it: `reseen study splits`.
    Both directions are measured.

    Args:
        root: The folder RegDB or the one above it.
        trial: Which of the ten divisions, from 1.
        direction: Which comes first and guides training: to search with visible pictures in thermal ones, or with
            thermal pictures in visible ones.

    Raises:
        DataError: A folder or a list is not there, a line is of another form, or a picture is missing.
        ValueError: There is no such trial.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        trial: int = 1,
        direction: Literal["visible_to_thermal", "thermal_to_visible"] = "visible_to_thermal",
    ) -> None:
        if not 1 <= trial <= 10:
            raise ValueError(f"expected trial from 1 to 10, got {trial}")
        folder = find_root(root, entries=["Visible", "Thermal", "idx"], inside=["RegDB"])
        train = _read(folder, "train", "visible", trial) + _read(folder, "train", "thermal", trial)
        # Labels start at 0 in each part; those to test on are counted on from those to train on.
        offset = 1 + max((int(s.identity) for s in train), default=-1)
        visible, thermal = (_read(folder, "test", kind, trial, offset=offset) for kind in ("visible", "thermal"))
        forth = Benchmark(f"RegDB-{trial}", (), visible, thermal, regdb(direction="visible_to_thermal"))
        back = Benchmark(f"RegDB-{trial}", (), thermal, visible, regdb(direction="thermal_to_visible"))
        first, other = (forth, back) if direction == "visible_to_thermal" else (back, forth)
        super().__init__(first.name, train, first.query, first.gallery, first.protocol, further=(other,))

    @classmethod
    def published(cls, **arguments: object) -> PublishedData:
        """Return the name and the size in the papers' tables."""
        return PublishedData("regdb", PUBLISHED)


def _read(folder: Path, part: str, kind: str, trial: int, *, offset: int = 0) -> tuple[Sample, ...]:
    path = folder / "idx" / f"{part}_{kind}_{trial}.txt"
    modality, camera = FOLDERS[kind]
    samples = [Sample(f"{folder}/{name}", label + offset, camera, modality) for name, label in read_pairs(path)]
    require_files((s.path for s in samples), source=path)
    return tuple(samples)
