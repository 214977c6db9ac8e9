"""The protocols of the data sets that pair visible with infrared pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reseen.errors import DataError
from reseen.types import Camera, Embeddings, Identity, Protocol, Trial

SYSU_PLACES: dict[Camera, int] = {1: 1, 2: 2, 3: 2, 4: 4, 5: 5, 6: 6}
SYSU_VISIBLE = {"all": (1, 2, 4, 5), "indoor": (1, 2)}
SHOTS = {1: "single", 10: "multi"}

Permutations = Mapping[tuple[Identity, Camera], NDArray[Any]]


def sysu_mm01(
    *,
    search: Literal["all", "indoor"] = "all",
    shots: Literal[1, 10] = 1,
    trials: int = 10,
    seed: int = 0,
    permutations: Permutations | None = None,
) -> Protocol:
    """SYSU-MM01: infrared queries (cameras 3 and 6) search a drawn gallery of visible pictures.

    The gallery holds ``shots`` pictures for each identity and visible camera. Cameras 2 and 3 stand in one place, so a
    query from camera 3 ignores everything of camera 2, whoever it shows. The cumulative match curve counts each gallery
    identity once; average precision and INP are those of the whole list.

    Args:
        search: ``"all"``: a gallery from cameras 1, 2, 4 and 5; ``"indoor"``: from 1 and 2.
        shots: Pictures per identity and camera; 10 is multi-shot.
        trials: How many galleries; the report is the mean, with the deviation.
        seed: Where the draws start, where there are no ``permutations``.
        permutations: The official draws: for (identity, camera) an array (trials, n), 0-based into that pair's gallery
            pictures in their order in the gallery; the first ``shots`` of a row are taken.
    """
    gallery = DrawnShots(SYSU_VISIBLE[search], shots, repeats=trials, seed=seed, permutations=permutations)
    return drawn_gallery(f"sysu_mm01, {search} search, {SHOTS.get(shots, shots)} shot", gallery)(locations=SYSU_PLACES)


def drawn_gallery(name: str, gallery: DrawnShots) -> Protocol:
    """The rule of SYSU-MM01 for other cameras: galleries are drawn, no camera's pictures are left out.

    Args:
        name: Printed in every result.
        gallery: Which cameras, how many pictures of an identity under each, how many draws.
    """
    return Protocol(name, same_camera="keep", unique_identities=True, trials=gallery)


def regdb(*, direction: Literal["visible_to_thermal", "thermal_to_visible"] = "visible_to_thermal") -> Protocol:
    """RegDB: nothing is left out. The ten trials are ten splits with a model each, so the mean is one of reports.

    Args:
        direction: Which modality searches which; the data set arranges query and gallery, the name says it.
    """
    return Protocol(f"regdb, {direction.replace('_', ' ')}", same_camera="keep")


@dataclass(frozen=True, eq=False)
class DrawnShots:
    """Repeats in which the gallery is a few pictures of each identity from each of some cameras.

    Attributes:
        cameras: The gallery's cameras.
        shots: Pictures per identity and camera; all of them where there are fewer.
        repeats: How many draws.
        seed: Where they start.
        permutations: Official draws in place of our own; see :func:`sysu_mm01`.
    """

    cameras: tuple[Camera, ...]
    shots: int
    repeats: int = 10
    seed: int = 0
    permutations: Permutations | None = None

    def __str__(self) -> str:
        source = f"seed {self.seed}" if self.permutations is None else "official permutations"
        return f"{self.repeats} galleries of {self.shots} per identity and camera, {source}"

    def __call__(self, query: Embeddings, gallery: Embeddings) -> Iterator[Trial]:
        """Draw the repeats.

        Raises:
            DataError: The gallery has no picture of these cameras, or the permutations lack a pair or do not fit it.
        """
        import pandas as pd

        if gallery.cameras is None or not np.isin(gallery.cameras, self.cameras).any():
            raise DataError(f"expected gallery pictures of cameras {self.cameras}, got none: number the cameras from 1")
        pictures = pd.DataFrame({"identity": gallery.identities, "camera": gallery.cameras})
        groups = pictures.groupby(["identity", "camera"]).indices
        pairs = {pair: rows for pair, rows in groups.items() if pair[1] in self.cameras}
        generator = np.random.default_rng(self.seed)
        for repeat in range(self.repeats):
            drawn = [rows[self._draw(pair, len(rows), repeat, generator)] for pair, rows in sorted(pairs.items())]
            yield Trial(np.arange(len(query)), np.sort(np.concatenate(drawn)))

    def _draw(self, pair: Any, count: int, repeat: int, generator: np.random.Generator) -> NDArray[np.intp]:
        if self.permutations is None:
            return generator.permutation(count)[: self.shots]
        official = self.permutations.get(pair)
        if official is None or len(official) <= repeat or official[repeat].max() >= count:
            got = "none" if official is None else f"{np.shape(official)}"
            raise DataError(
                f"expected official permutations of identity {pair[0]} under camera {pair[1]} for repeat {repeat + 1} "
                f"of {count} pictures, got {got}: check the data set's files"
            )
        return np.asarray(official[repeat][: self.shots], dtype=np.intp)
