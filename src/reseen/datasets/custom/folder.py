"""User data from folders or file-name patterns."""

from pathlib import Path
from typing import Literal

from reseen.datasets.custom.samples import folder_samples
from reseen.datasets.custom.splitting import divide
from reseen.types import Benchmark


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
        pattern = r"^(?P<identity>[^/]+)/" if pattern is None else pattern
        parts = divide(
            *folder_samples(root, pattern=pattern, required=("identity",), others=others),
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
