"""One table in many forms is one table; whatever would be read as something else is refused."""

import csv
import io
import logging
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from reseen.errors import DataError
from reseen.tables import BOXES, TWO_CORNERS, TextTable, read_table
from reseen.types import Box

COLUMNS = ("path", "identity", "camera", "track", "time")
NAMES: list[int | str | None] = [0, 7, -3, 2**63 - 1, "001", "1.00", "anna b", "[/b]", "NA", "né", 'Al "Bo" C', None]
"""Labels that a reader may confuse; commas and the like are added where a form can hold them."""


def drawn(seed: int) -> list[dict[str, Any]]:
    """Draw what pictures show: the truth that every form of the table must give again."""
    generator = np.random.default_rng(seed)

    def label(others: list[int | str | None] = NAMES) -> int | str | None:
        return others[generator.integers(len(others))]

    return [
        {
            "path": f"{number}.png",
            "identity": label([*NAMES, "a, b; c"]),
            "camera": label(),
            "track": label(),
            "time": None if generator.random() < 0.3 else float(generator.integers(100)),
            "box": None if generator.random() < 0.3 else Box(*map(int, generator.integers([-9, -9, 1, 1], 90))),
        }
        for number in range(generator.integers(1, 12))
    ]


def cells(row: dict[str, Any], form: tuple[str, ...]) -> dict[str, Any]:
    """Return a row with its box in one of the forms, None where nothing is known."""
    box = row["box"]
    if box is None:
        sides = [None] * len(form)
    elif form == ("bbox",):
        sides = [str(list(box))]
    elif form in TWO_CORNERS:
        sides = [box.left, box.top, box.left + box.width, box.top + box.height]
    else:
        sides = list(box)
    return {name: row[name] for name in COLUMNS} | dict(zip(form, sides, strict=True))


def text_of(rows: list[dict[str, Any]], separator: str = ",", **options: Any) -> str:
    """Write rows as any program writes CSV."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]), delimiter=separator, **options)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def forms(rows: list[dict[str, Any]], folder: Path, generator: np.random.Generator) -> dict[str, Path]:
    """Write one table in every form there is."""
    plain = [cells(row, ("left", "top", "width", "height")) for row in rows]
    upper = [{name.upper(): value for name, value in row.items()} for row in plain]
    padded = [{f" {name} ": value for name, value in row.items()} for row in plain]
    order = generator.permutation(list(plain[0]))
    blanks = [", ".join('"' + str("" if v is None else v).replace('"', '""') + '"' for v in r.values()) for r in plain]
    texts = {
        "commas": text_of(plain),
        "semicolons": text_of(plain, ";"),
        "tabs": text_of(plain, "\t"),
        "blanks after commas": "\n".join([", ".join(plain[0]), *blanks]),
        "everything quoted": text_of(plain, quoting=csv.QUOTE_ALL),
        "a mark at the beginning": "\ufeff" + text_of(plain),
        "the mark, and quoted": "\ufeff" + text_of(plain, ";", quoting=csv.QUOTE_ALL),
        "capitals": text_of(upper),
        "blanks in the header": text_of(padded),
        "lines of Unix": text_of(plain, lineterminator="\n"),
        "lines of old Macs": text_of(plain, lineterminator="\r"),
        "blank lines": text_of(plain).replace("\r\n", "\r\n\r\n") + "\n\n,,,\n",
        "blank lines at the beginning": "\n \n" + text_of(plain, ";"),
        "no line end at the end": text_of(plain).rstrip(),
        "a trailing comma in the rows": text_of(plain).replace("\r\n", ",\r\n").replace(",\r\n", "\r\n", 1),
        "a trailing comma everywhere": text_of([row | {"": None} for row in plain]),
        "another order, other columns": text_of(
            [{n: row[n] for n in order} | {"remark": 1, "sex": "f"} for row in plain]
        ),
        "numbered by pandas": text_of([{"": n, **row} for n, row in enumerate(plain)]),
    }
    for form in BOXES[2:]:
        texts["box as " + " ".join(form)] = text_of([cells(row, form) for row in rows])
    box = [cells(row, ("bbox",)) for row in rows]
    texts["box in one column"] = text_of(box)
    texts["box in one column, by blanks"] = text_of(
        [row | {"bbox": str(row["bbox"] or "").strip("[]").replace(",", "")} for row in box]
    )
    paths = {}
    for name, text in texts.items():
        paths[name] = folder / f"{len(paths)}.csv"
        paths[name].write_text(text, encoding="utf-8", newline="")
    texts_of = {n: [None if row[n] is None else str(row[n]) for row in plain] for n in COLUMNS[1:4]}
    labels = pd.DataFrame(plain).assign(**{n: pd.Series(v, dtype=object) for n, v in texts_of.items()})
    labels.to_parquet(folder / "text.parquet")
    boxes = labels.drop(columns=["left", "top", "width", "height"])
    boxes["bbox"] = [None if row["box"] is None else [float(side) for side in row["box"]] for row in rows]
    boxes.to_parquet(folder / "boxes.PARQUET")
    return paths | {"Parquet": folder / "text.parquet", "Parquet with a list": folder / "boxes.PARQUET"}


def read(path: Path) -> list[dict[str, Any]]:
    table = read_table(path, required=("path", "identity"), optional=COLUMNS, boxes=True)
    columns = {
        "path": table.texts("path"),
        "identity": table.identities(),
        "camera": table.labels("camera"),
        "track": table.labels("track"),
        "time": table.numbers("time"),
        "box": table.boxes(),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@pytest.mark.parametrize("seed", range(15))
def test_one_table_in_many_forms_gives_the_same(seed: int, tmp_path: Path) -> None:
    rows = drawn(seed)
    written = forms(rows, tmp_path, np.random.default_rng(seed))
    assert len(written) > 30
    for name, path in written.items():
        found = read(path)
        assert found == rows, name
        assert [type(row["identity"]) for row in found] == [type(row["identity"]) for row in rows], name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('path,identity\na,"Ann\nb,Bob\n', r"unexpected end of data \(line 3\); look for a stray quote"),
        ('path,identity\na,"Ann" x\n', r"\(line 2\); look for a stray quote"),
        ('path,identity\na,"Ann\nb,Bob"\nc,Eve\n', "a line break in quotes that end in line 3; look for a stray quote"),
        ('path,remark,identity\na,"x\nb,y",Bob\n', "a line break in quotes that end in line 3"),
        ('path,"identity\na,1"\nb,2\n', "a line break in quotes that end in line 2"),
        ("path,identity,camera,identity\na,1,2,3\n", "each column once in .*, found identity twice"),
        ("path,identity,Identity \na,1,2\n", "found identity twice"),
        ("path,identity\na,1\npath,identity\nb,2\n", "found them again in line 3"),
        ("path,identity\na,1,2\n", "expected 2 values, as many as columns, in line 2 of .*, found 3: 'a,1,2'"),
        ("path,identity,camera\na,1\n", "expected 3 values, as many as columns, in line 2 of .*, found 2"),
        ("path|identity\na|1\n", r"expected columns path and identity in .*, found path\|identity"),
        ("path,identity\n", "expected one row or more"),
        ("", "expected columns path and identity"),
        ("path,identity\na,x\0y\n", "expected identity on one line|NUL"),
        ("path,identity,x_1,y_1\na,1,2,3\n", "box .*in one form in .*xmin, ymin, .*found columns of x_1, y_1; rename"),
        ("path,identity,bounding_box\na,1,2\n", "found columns of bounding_box"),
        ("path,identity,x1,y1,x2,y2,bbox\na,1,2,3,4,5,6\n", "found columns of bbox and of x1, y1, x2, y2"),
        ("path,identity,bbox\na,1,1 2 3\n", "expected bbox of a crop in .*, found 1, 2, 3 in row 1"),
        ("path,identity,bbox\na,1,1 2 3 four\n", "expected a number as bbox in .*, found 'four' in row 1"),
        ("path,identity,xmin,ymin,xmax,ymax\na,1,5,5,5,9\n", "found 5, 5, 5, 9 in row 1"),
        ("path,identity,x,y,w,h\na,1,5,5,inf,9\n", "expected a number as x, y, w, h in .*, found 'inf'"),
        ("path,identity,x,y,w,h\na,1,5,,1,9\n", "found 5, nothing, 1, 9 in row 1"),
    ],
)
def test_what_would_be_read_as_something_else_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message) as refused:
        read(tmp_path / "own.csv")
    assert "\n" not in str(refused.value)
    assert "own.csv" in str(refused.value)


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_other_encodings_are_refused(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "own.csv").write_text("path,identity\na,é\n", encoding=encoding)
    with pytest.raises(DataError, match=r"own\.csv, found other bytes; save it as UTF-8"):
        read(tmp_path / "own.csv")


def test_columns_passed_over_are_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "own.csv").write_text("path,identity,date,x,Bbox,width,height\na,1,2020,3,,640,480\n")
    table = read_table(tmp_path / "own.csv", required=("path", "identity"), boxes=True)
    assert table.boxes() == [None]
    (record,) = caplog.records
    assert record.getMessage().endswith("own.csv: date, x, width, height")


def test_integers_with_gaps_come_from_parquet_as_integers(tmp_path: Path) -> None:
    frame = pd.DataFrame({"path": ["a", "b"], "identity": [3, None], "camera": np.array([2**63, 1], np.uint64)})
    frame.to_parquet(tmp_path / "own.parquet")
    table = read_table(tmp_path / "own.parquet", required=("path",), optional=COLUMNS)
    assert (table.identities(), table.labels("camera")) == ([3, None], [str(2**63), 1])


def test_a_parquet_file_whose_columns_are_damaged_is_refused(tmp_path: Path) -> None:
    """Its footer is whole, so that it opens."""
    pd.DataFrame({"path": [f"{n}.png" for n in range(1000)]}).to_parquet(tmp_path / "own.parquet")
    content = bytearray((tmp_path / "own.parquet").read_bytes())
    content[4:200] = bytes(196)
    (tmp_path / "own.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"expected a table of CSV or Parquet at .*own\.parquet, got: "):
        read_table(tmp_path / "own.parquet", required=("path",))


def test_a_column_that_is_not_there_is_empty() -> None:
    table = TextTable(Path("own.csv"), {"path": ["a", "b"]})
    assert (len(table), table.labels("camera"), table.identities()) == (2, [None, None], [None, None])
    assert (table.numbers("time"), table.boxes()) == ([None, None], [None, None])


def test_a_file_made_to_fill_the_memory_is_refused(tmp_path: Path) -> None:
    block = pa.table({"path": pa.DictionaryArray.from_arrays(np.zeros(2_000_000, np.int32), ["a.png"])})
    parquet.write_table(block, tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 10_000
    with pytest.raises(DataError, match="2,000,000 rows in"):
        read_table(tmp_path / "a.parquet", required=("path",))


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match="a pipe or device"):
        read_table(tmp_path / name, required=("path",))


@pytest.mark.parametrize("first", ["path", "other"])
def test_a_hundred_thousand_columns_are_no_days_work_and_no_page_of_names(
    tmp_path: Path, first: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    names = [first, *(f"c{number}" for number in range(100_000))]
    (tmp_path / "a.csv").write_text(f"{','.join(names)}\n{','.join(names)[::-1]}\n")
    began = time.process_time()
    if first == "path":
        assert len(read_table(tmp_path / "a.csv", required=("path",))) == 1
        said = caplog.text
    else:
        with pytest.raises(DataError, match="and 99,981 more; rename them") as refused:
            read_table(tmp_path / "a.csv", required=("path",))
        said = str(refused.value)
    assert len(said) < 1000
    assert time.process_time() - began < 10
