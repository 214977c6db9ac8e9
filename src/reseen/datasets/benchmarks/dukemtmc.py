"""DukeMTMC-reID (Zheng et al., ICCV 2017) and Occluded-Duke (Miao et al., ICCV 2019)."""

import functools
import logging
from collections.abc import Sequence
from pathlib import Path

from reseen.datasets.benchmarks.layout import TrainQueryGallery, read_market_layout
from reseen.protocols import cross_camera
from reseen.types import Benchmark, Identity, PublishedData

logger = logging.getLogger(__name__)

PUBLISHED = {"train": (16_522, 702), "query": (2_228, 702), "gallery": (17_661, 1_110)}
PUBLISHED_OCCLUDED = {"train": (15_618, 702), "query": (2_210, 519), "gallery": (17_661, 1_110)}


class DukeMTMCReID(Benchmark):
    """DukeMTMC-reID: 1,404 persons under eight cameras and 408 persons that one camera alone saw, as distractors.

    Its authors withdrew it in 2019, since the people on it had not been asked; nothing here downloads it.

    Args:
        root: The folder DukeMTMC-reID or the one above it.

    Raises:
        DataError: The folders are not there, or a picture's name is of another form.
    """

    def __init__(self, root: str | Path) -> None:
        parts, distractors = _read(root, inside=["DukeMTMC-reID"])
        super().__init__("DukeMTMC-reID", *parts, cross_camera, distractors)

    @classmethod
    def published(cls, **arguments: object) -> PublishedData:
        """Return the name and the size in the papers' tables."""
        return PublishedData("dukemtmc", PUBLISHED)


class OccludedDuke(Benchmark):
    """Occluded-Duke: pictures of DukeMTMC-reID divided anew, so that every query is occluded.

    Args:
        root: The folder Occluded_Duke or the one above it.

    Raises:
        DataError: The folders are not there, or a picture's name is of another form.
    """

    def __init__(self, root: str | Path) -> None:
        parts, distractors = _read(root, inside=["Occluded_Duke", "Occluded-Duke"])
        super().__init__("Occluded-Duke", *parts, cross_camera, distractors)

    @classmethod
    def published(cls, **arguments: object) -> PublishedData:
        """Return the name and the size in the papers' tables."""
        return PublishedData("occluded_duke", PUBLISHED_OCCLUDED)


def _read(root: str | Path, *, inside: Sequence[str]) -> tuple[TrainQueryGallery, frozenset[Identity]]:
    """Return the parts, and the gallery's identities that are no query's."""
    _warn_withdrawn()
    train, query, gallery = read_market_layout(root, inside=inside)[1]
    return (train, query, gallery), frozenset(s.identity for s in gallery) - {s.identity for s in query}


@functools.cache
def _warn_withdrawn() -> None:
    logger.warning("DukeMTMC was withdrawn by its authors in 2019; think twice before you use or publish it")
