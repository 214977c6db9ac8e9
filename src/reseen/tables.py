"""Tables of pictures or of names, in CSV or Parquet: one reader for data sets and galleries. Needs no torch.

A table is read as text, value by value; `TextTable` gives its columns as labels, numbers and boxes. Whatever would be
read as something else than was written (a stray quote, a column named twice, a row of another length) is an error.

Dimensions: N rows.
"""

from __future__ import annotations

import csv
import io
import logging
import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as parquet

from reseen.errors import DataError, contents_of
from reseen.files import require_file
from reseen.labels import parse_identity, parse_label
from reseen.types import Box

log = logging.getLogger(__name__)

CORNER_AND_SIZE = (
    ("left", "top", "width", "height"),
    ("x", "y", "width", "height"),
    ("x", "y", "w", "h"),
    ("bbox_x", "bbox_y", "bbox_w", "bbox_h"),
    ("bbox_x", "bbox_y", "bbox_width", "bbox_height"),
    ("bbox_left", "bbox_top", "bbox_width", "bbox_height"),
)
TWO_CORNERS = (
    ("left", "top", "right", "bottom"),
    ("x_1", "y_1", "x_2", "y_2"),
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"),
    ("bbox_xmin", "bbox_ymin", "bbox_xmax", "bbox_ymax"),
)
BOXES = (("bbox",), *CORNER_AND_SIZE, *TWO_CORNERS)
"""How tables write the part of a picture to use; ``bbox`` is x, y, width and height in one column."""
_OF_A_BOX = {name for form in BOXES for name in form} - {"x", "y"}  # x and y alone may be a place on a map.
_LIKE_A_BOX = re.compile(r"(^|_)(b?box(es)?|bounding)(_|$)")
MANY_ROWS, ROWS_PER_BYTE = 1_000_000, 10
DAMAGE = (OSError, ValueError, OverflowError, pa.ArrowException)
"""What reading a damaged table may raise."""
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class TextTable:
    """Columns of text.

    Attributes:
        source: Where it is from; named in errors.
        columns: N values each, empty where a row knows nothing.
        box: The columns that hold the part of a picture to use, one of `BOXES`; none where there is no such part.
    """

    source: Path | str
    columns: Mapping[str, Sequence[str]]
    box: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __contains__(self, column: str) -> bool:
        return column in self.columns

    def texts(self, column: str) -> Sequence[str]:
        """Return a column (N,) as text; nothing but empty text where the table lacks it."""
        return self.columns.get(column) or [""] * len(self)

    def paths(self, root: Path) -> list[str]:
        """Return the files of the column ``path`` (N,), which starts from a folder where it is not absolute.

        Raises:
            DataError: A row has none.
        """
        paths = self.texts("path")
        if "" in paths:
            raise DataError(f"expected path in every row of {self.source}, found none in row {paths.index('') + 1}")
        return [os.path.join(root, path) for path in paths]

    def labels(self, column: str) -> list[int | str | None]:
        """Return a column (N,) as labels, None where it is empty."""
        return self._each(column, lambda text: parse_label(text) if text else None)

    def identities(self) -> list[int | str | None]:
        """Return who each row shows (N,): None where it is empty or ``unknown``."""
        return self._each("identity", parse_identity)

    def numbers(self, column: str) -> list[float | None]:
        """Return a column (N,) as finite numbers, None where it is empty.

        Raises:
            DataError: A value is none.
        """
        return [self._number(text, column, row) for row, text in enumerate(self.texts(column), start=1)]

    def boxes(self) -> list[Box | None]:
        """Return the part of each picture to use (N,), None for the whole; it may begin outside, but has a size.

        Raises:
            DataError: Numbers are missing or are none, or a part is smaller than a pixel.
        """
        if not self.box:
            return [None] * len(self)
        return [self._box(row, texts) for row, texts in enumerate(zip(*map(self.texts, self.box), strict=True), 1)]

    def _each(self, column: str, parse: Callable[[str], T]) -> list[T]:
        texts = self.texts(column)
        parsed = {text: parse(text) for text in set(texts)}
        return [parsed[text] for text in texts]

    def _number(self, text: str, column: str, row: int) -> float | None:
        if not text:
            return None
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise DataError(f"expected a number as {column} in {self.source}, found {text!r} in row {row}")
        return number

    def _box(self, row: int, texts: Sequence[str]) -> Box | None:
        name = ", ".join(self.box)
        if self.box == ("bbox",):
            texts = re.split(r"[\s,;]+", texts[0].strip("[]() ")) if texts[0].strip("[]() ") else ["", "", "", ""]
            texts = ["" if text.lower() == "nan" else text for text in texts]
        if not any(texts):
            return None
        sides = [self._number(text, name, row) for text in texts]
        known = [side for side in sides if side is not None]
        if len(known) == 4 and self.box in TWO_CORNERS:
            known[2:] = [known[2] - known[0], known[3] - known[1]]
        if len(sides) != 4 or len(known) != 4 or min(known[2:]) < 1:
            box = ", ".join(text or "nothing" for text in texts)
            raise DataError(
                f"expected {name} of a crop in {self.source}, four numbers of at least a pixel or none of them, "
                f"found {box} in row {row}"
            )
        return Box(*map(round, known))


def read_table(path: Path, *, required: Sequence[str], optional: Sequence[str] = (), boxes: bool = False) -> TextTable:
    """Read some columns of a CSV or Parquet file; the names of its other columns are logged.

    Args:
        path: The table; ``.parquet`` is read as Parquet, anything else as text separated by commas, semicolons or tabs.
        required: Columns that must be there; capitals do not count.
        optional: Columns to read where they are there.
        boxes: Read the part of each picture to use, in one of the forms of `BOXES`.

    Raises:
        DataError: The file is missing or damaged, a column is missing or comes twice, a row is of another length than
            the header, there are no rows, a value holds a line break, or boxes are written in no known form.
    """
    try:
        require_file(path)  # Reading goes back to its beginning.
        header, columns = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_text(path)
    except FileNotFoundError:
        raise DataError(f"expected a table at {path}, found {contents_of(path.parent)} in its folder") from None
    except UnicodeDecodeError:
        raise DataError(f"expected a table of text in UTF-8 at {path}, found other bytes; save it as UTF-8") from None
    except DAMAGE as error:
        raise _no_table(path, error) from None
    return as_text_table(path, header, columns, required=required, optional=optional, boxes=boxes)


def as_text_table(
    path: Path | str,
    header: Sequence[str],
    columns: Callable[[int], list[str]],
    *,
    required: Sequence[str],
    optional: Sequence[str] = (),
    boxes: bool = False,
    empty: bool = False,
) -> TextTable:
    """Return some columns of a table, checked as `read_table` does.

    Args:
        path: Where it is from, for messages.
        header: Names of its columns, in small letters.
        columns: Gives a column by its place.
        required: As for `read_table`.
        optional: As for `read_table`.
        boxes: As for `read_table`.
        empty: Take a table without rows.

    Raises:
        DataError: As `read_table`, as far as the columns are concerned.
    """
    if set(required) - set(header):
        wanted = f"{'columns' if len(required) > 1 else 'a column'} {' and '.join(required)}"
        raise DataError(f"expected {wanted} in {path}, found {_in_words(header)}; rename them")
    if twice := sorted(name for name, count in Counter(header).items() if name and count > 1):
        raise DataError(f"expected each column once in {path}, found {_in_words(twice)} twice; rename one")
    box = form_of_boxes(header, path) if boxes else ()
    try:
        read = {name: columns(header.index(name)) for name in header if name in {*required, *optional, *box}}
    except DAMAGE as error:
        raise _no_table(path, error) from None
    passed_over = [name for name in header if name and name not in read]
    if passed_over:
        log.info("ignored columns of %s: %s", path, _in_words(passed_over))
    table = TextTable(path, read, box)
    if not len(table) and not empty:
        raise DataError(f"expected one row or more in {path}, found none")
    for name, values in read.items():
        for row, value in enumerate(values, start=1):
            if not value.isprintable() and ("\0" in value or len(value.splitlines()) > 1):
                raise DataError(f"expected {name} on one line in {path}, found {value[:60]!r} in row {row}; mend it")
    return table


def _in_words(columns: Sequence[str], *, most: int = 20) -> str:
    more = f" and {len(columns) - most:,} more" if len(columns) > most else ""
    return ", ".join(name or "a column without a name" for name in columns[:most]) + more


def _no_table(path: Path | str, error: Exception) -> DataError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
    return DataError(f"expected a table of CSV or Parquet at {path}, got: {reason}; mend the file")


def form_of_boxes(header: Sequence[str], path: Path | str) -> tuple[str, ...]:
    """Return the columns of the part of each picture to use, if there are any.

    Raises:
        DataError: They are of no known form, or of several.
    """
    forms = [form for form in BOXES if set(form) <= set(header)]
    like = [name for name in header if name in _OF_A_BOX or _LIKE_A_BOX.search(name)]
    if len(forms) == 1 or not like:
        return forms[0] if forms else ()
    names = " and of ".join(", ".join(form) for form in forms) or _in_words(like)
    raise DataError(
        f"expected the box of a picture in one form in {path}, as left, top, width, height, or xmin, ymin, xmax, ymax, "
        f"or bbox (x y width height), found columns of {names}; rename them, or what is no box"
    )


def _read_text(path: Path) -> tuple[list[str], Callable[[int], list[str]]]:
    """Return the header of a CSV file, and what gives a column by its place."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        first = next((line for line in file if line.strip()), "")
        file.seek(0)
        separator = max(",;\t", key=first.count)
        lines = csv.reader(file, delimiter=separator, skipinitialspace=True, strict=True)
        try:
            rows = [(lines.line_num, cells) for line in lines if any(cells := [cell.strip() for cell in line])]
        except csv.Error as error:
            raise ValueError(f"{error} (line {lines.line_num}); look for a stray quote") from None
    header = [name.lower() for name in rows[0][1]] if rows else []
    while header and not header[-1]:
        del header[-1]
    for place, (number, cells) in enumerate(rows):
        if len(cells) < len(header) or any(cells[len(header) :]):
            raise DataError(
                f"expected {len(header)} values, as many as columns, in line {number} of {path}, "
                f"found {len(cells)}: {separator.join(cells)[:80]!r}; mend the line, with quotes around a value that "
                f"holds {separator!r}"
            )
        if place and cells[0].lower() == header[0] and [cell.lower() for cell in cells[: len(header)]] == header:
            raise DataError(f"expected the names of the columns once in {path}, found them again in line {number}")
        if not all(map(str.isprintable, cells)) and any(len(cell.splitlines()) > 1 for cell in cells):
            # A stray quote makes one value of all rows up to the next.
            raise DataError(
                f"expected every value on one line in {path}, found a line break in quotes that end in line {number}; "
                "look for a stray quote"
            )
    return header, lambda place: [cells[place] for _, cells in rows[1:]]


def _read_parquet(path: Path) -> tuple[list[str], Callable[[int], list[str]]]:
    """Return the columns' names of a Parquet file, and what gives a column by its place."""
    file = parquet.ParquetFile(path)
    require_possible_rows(file.metadata, path.stat().st_size)
    names = [name for name in file.schema_arrow.names if not name.startswith("__index_level_")]

    def column(place: int) -> list[str]:
        return [as_text(value) for value in file.read(columns=[names[place]]).column(0).to_pylist()]

    return [name.strip().lower() for name in names], column


def require_possible_rows(facts: Any, size: int) -> None:
    """Make sure that a Parquet file is not made to fill the memory: a kilobyte can hold a billion equal rows.

    Args:
        facts: Its metadata.
        size: In bytes.

    Raises:
        ValueError: It has more rows than a file of its size can have that do not all say the same.
    """
    count = max(facts.num_rows, sum(facts.row_group(number).num_rows for number in range(facts.num_row_groups)))
    if count > max(MANY_ROWS, ROWS_PER_BYTE * size):
        raise ValueError(f"{count:,} rows in {size:,} bytes")


def as_text(value: Any) -> str:
    """Return a value of Parquet as text; a column of integers with gaps comes from pandas as 1.0, 2.0, nan."""
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as the text of a CSV file, None as an empty cell."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(columns)
    writer.writerows(rows)
    return file.getvalue()


def require_files(paths: Iterable[str], *, source: object) -> None:
    """Make sure that pictures exist, at the price of listing each of their folders once.

    Raises:
        DataError: One does not; the message counts them and names the first.
    """
    names: dict[str, list[str]] = defaultdict(list)
    total = 0
    for path in paths:
        folder, name = os.path.split(path)
        names[folder].append(name)
        total += 1
    missing = []
    for folder, wanted in names.items():
        present = set(os.listdir(folder)) if os.path.isdir(folder) else set()
        # Asking again serves file systems that are blind to case, whose listings are not.
        missing += [p for n in wanted if n not in present and not os.path.exists(p := os.path.join(folder, n))]
    if missing:
        hint = "; written on Windows? write / for each \\ in the paths" if "\\" in missing[0] else ""
        raise DataError(
            f"expected the {total:,} pictures that {source} names, found {len(missing):,} missing, "
            f"first {missing[0]}{hint}"
        )
