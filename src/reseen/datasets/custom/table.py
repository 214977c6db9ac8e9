"""User data from a CSV or Parquet table."""

from pathlib import Path
from typing import Literal

from reseen.datasets.custom.samples import table_samples
from reseen.datasets.custom.splitting import divide
from reseen.types import Benchmark


class Table(Benchmark):
    """Pictures listed in a CSV or Parquet file, one row each.

    Columns: ``path`` (from the table's folder, or absolute) and ``identity`` (empty or ``unknown``: nobody known, hence
    a distractor in the gallery, neither trained on nor searched for); where known, ``camera``; ``split`` (train, query,
    gallery, or test to have queries and gallery chosen; a picture may have a row as query and one in the gallery);
    ``modality`` (visible, infrared); the crop to use in pixels, as ``left, top, width, height`` or in another form of
    `reseen.tables.BOXES`; ``time`` in seconds; ``track``; ``view``, from which side. Other columns are ignored.
    Identities, cameras and tracks in the plain form of an integer are integers, any others text: 0002 and 2 stay apart.

    Args:
        path: The table; .parquet is read as Parquet, anything else as text separated by commas, semicolons or tabs.
        root: The folder that the pictures' paths start from; the table's own if not given.
        same_camera: What becomes of pictures by the query's own camera: those of its identity are left out of the
            ranking (exclude), all are (exclude_all), or all count (keep); auto is exclude if the pictures to test on
            have cameras, else keep.
        test_identities: Where there is no column split: how many identities to test on, or their share if not a whole
            number; the others are trained on.
        queries: Of the split test: search with one picture of each identity under each camera, or with all.
        seed: Draws identities to test on and queries.
        query_camera: Search with pictures by this camera only.
        gallery_camera: Search in pictures by this camera only.
        query_modality: Search with visible or infrared pictures only.
        gallery_modality: Search in visible or infrared pictures only.

    Raises:
        DataError: The table is missing or damaged, lacks a column, names a picture that is not there, or does not make
            a sound benchmark.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        root: str | Path | None = None,
        same_camera: Literal["exclude", "exclude_all", "keep", "auto"] = "auto",
        test_identities: int | float = 0.3,
        queries: Literal["one", "all"] = "one",
        seed: int = 0,
        query_camera: str | int | None = None,
        gallery_camera: str | int | None = None,
        query_modality: Literal["visible", "infrared"] | None = None,
        gallery_modality: Literal["visible", "infrared"] | None = None,
    ) -> None:
        path = Path(path).expanduser()
        folder = None if root is None else Path(root).expanduser()
        parts = divide(
            *table_samples(path, root=folder, required=("identity",)),
            source=path,
            same_camera=same_camera,
            test_identities=test_identities,
            queries=queries,
            seed=seed,
            query_camera=query_camera,
            gallery_camera=gallery_camera,
            query_modality=query_modality,
            gallery_modality=gallery_modality,
        )
        super().__init__(path.stem, *parts, further=parts.across_modalities())
