"""Pictures whose individuals need not be known: a folder or a table."""

from __future__ import annotations

import re
from pathlib import Path

from reseen.datasets.custom.folder import GROUPS, columns_of, walk
from reseen.datasets.custom.records import OPTIONAL, read_samples
from reseen.errors import DataError
from reseen.tables import TextTable, read_table, require_files
from reseen.types import Sample


def folder_samples(root: Path, *, pattern: str | None = None) -> list[Sample]:
    """Return the pictures below a folder.

    Args:
        root: The folder.
        pattern: Regular expression with any of the groups of `Folder`, looked for in each path from the folder; None
            where paths say nothing. Who a picture shows is ``unknown`` where it does not say.

    Raises:
        DataError: There is no picture, or one does not match.
        ValueError: The pattern is no regular expression, or has other groups.
    """
    names = walk(root)
    if not names:
        raise DataError(f"expected pictures in {root}, found none; check the path")
    columns = {} if pattern is None else columns_of(names, _compile(pattern), root)
    return read_samples(TextTable(root, {"path": names, **columns}), root=root)


def table_samples(path: Path, *, root: Path | None = None) -> list[Sample]:
    """Return the pictures of a table of ``path`` and, where known, what `Table` reads besides.

    Args:
        path: CSV or Parquet.
        root: The folder that paths start from; None for the table's own.

    Raises:
        DataError: The table cannot be read, or names a picture that is not there.
    """
    rows = read_table(path, required=("path",), optional=("identity", *OPTIONAL), boxes=True)
    samples = read_samples(rows, root=path.parent if root is None else root)
    require_files(dict.fromkeys(sample.path for sample in samples), source=path)
    return samples


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"expected a regular expression as pattern, got {pattern!r}: {error}") from error
    if not compiled.groupindex or set(compiled.groupindex) - set(GROUPS):
        raise ValueError(
            f"expected a pattern with groups among {', '.join(GROUPS)}, got "
            f"{', '.join(compiled.groupindex) or 'no named group'} in {pattern!r}"
        )
    return compiled
