"""User data from folders or file-name patterns."""

import re
from pathlib import Path
from typing import Literal

from reseen.datasets.custom.records import OPTIONAL, read_samples, splits_of
from reseen.datasets.custom.splitting import divide
from reseen.errors import DataError, describe
from reseen.pictures import find_pictures
from reseen.tables import TextTable
from reseen.types import Benchmark

GROUPS = ("identity", *OPTIONAL)


class Folder(Benchmark):
    r"""Pictures in one folder per identity, or anywhere under a root if their names tell who they show.

    A pattern is a regular expression with named groups: ``identity`` and, where known, ``camera``, ``modality``
    (visible, infrared), ``time`` (seconds), ``track``, ``view`` and ``split`` (train, query, gallery, or test to have
    queries and gallery chosen). It is looked for in each picture's path from the root, written with forward slashes:
    ``(?P<identity>\d+)_(?P<camera>\d)_`` reads ``0012_3_000451.jpg``, and
    ``^(?P<split>\w+)/(?P<identity>[^/]+)/cam(?P<camera>\d)`` reads ``train/anna/cam2_17.png``. An identity ``unknown``
    is nobody known: a distractor in the gallery, neither trained on nor searched for.

    Args:
        root: The folder.
        pattern: Tells what a path says of a picture; if not given, the first folder is the identity.
        others: Pictures that do not match the pattern: stop (error) or ignore them (skip).
        same_camera: What becomes of pictures by the query's own camera: those of its identity are left out of the
            ranking (exclude), all are (exclude_all), or all count (keep); auto is exclude if the pictures to test on
            have cameras, else keep.
        test_identities: Where the pattern has no split: how many identities to test on, or their share if not a whole
            number; the others are trained on.
        queries: Of the split test: search with one picture of each identity under each camera, or with all.
        seed: Draws identities to test on and queries.
        query_camera: Search with pictures by this camera only.
        gallery_camera: Search in pictures by this camera only.
        query_modality: Search with visible or infrared pictures only.
        gallery_modality: Search in visible or infrared pictures only.

    Raises:
        DataError: The folder is missing or empty, a picture does not match, or the pictures do not make a sound
            benchmark.
        ValueError: The pattern is no regular expression, or has other groups.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        pattern: str | None = None,
        others: Literal["error", "skip"] = "error",
        same_camera: Literal["exclude", "exclude_all", "keep", "auto"] = "auto",
        test_identities: int | float = 0.3,
        queries: Literal["one", "all"] = "one",
        seed: int = 0,
        query_camera: str | int | None = None,
        gallery_camera: str | int | None = None,
        query_modality: Literal["visible", "infrared"] | None = None,
        gallery_modality: Literal["visible", "infrared"] | None = None,
    ) -> None:
        root = Path(root).expanduser()
        compiled = _compile(pattern if pattern is not None else r"^(?P<identity>[^/]+)/")
        names = walk(root)
        kept = [name for name in names if compiled.search(name)] if others == "skip" else names
        if not kept:
            example = names[0] if names else describe(root)
            raise DataError(f"expected pictures that match {compiled.pattern} in {root}, found {example}")
        rows = TextTable(root, {"path": kept, **columns_of(kept, compiled, root)})
        parts = divide(
            read_samples(rows, root=root),
            splits_of(rows),
            source=root,
            same_camera=same_camera,
            test_identities=test_identities,
            queries=queries,
            seed=seed,
            query_camera=query_camera,
            gallery_camera=gallery_camera,
            query_modality=query_modality,
            gallery_modality=gallery_modality,
        )
        super().__init__(root.resolve().name, *parts, further=parts.across_modalities())


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"expected a regular expression as pattern, got {pattern!r}: {error}") from error
    if "identity" not in compiled.groupindex or set(compiled.groupindex) - set(GROUPS):
        raise ValueError(
            f"expected a pattern with the group identity, and {', '.join(GROUPS[1:])} if known, got "
            f"{', '.join(compiled.groupindex) or 'no named group'} in {pattern!r}"
        )
    return compiled


def columns_of(names: list[str], pattern: re.Pattern[str], root: Path) -> dict[str, list[str]]:
    """Return what a pattern reads from each of some names, by group.

    Raises:
        DataError: A name does not match.
    """
    matches = [pattern.search(name) for name in names]
    if None in matches:
        raise DataError(
            f"expected pictures in {root} to match {pattern.pattern}, found {names[matches.index(None)]}; "
            f"mend the pattern, or ignore such pictures with others=skip"
        )
    matched = [match.groupdict("") for match in matches if match]
    return {group: [groups[group] for groups in matched] for group in pattern.groupindex}


def walk(root: Path) -> list[str]:
    """Return the paths of all pictures under a folder, from it, with forward slashes, sorted."""
    if not root.is_dir():
        raise DataError(f"expected a folder of pictures at {root}, found {describe(root)}")
    return find_pictures(root)
