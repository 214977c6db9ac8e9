import pandas as pd
import pytest
from tests.datasets.miniatures import lines, picture

from reseen.datasets import Table
from reseen.errors import DataError
from reseen.types import Box


@pytest.fixture
def write(tmp_path):
    """Write a table and the pictures that it names."""

    def write(*rows, name="own.csv", touch=True):
        header = rows[0].replace(";", ",").replace("\t", ",").split(",")
        separator = max(",;\t", key=rows[0].count)
        for row in rows[1:]:
            path = row.split(separator)[header.index("path")]
            if touch and path:
                picture(tmp_path / path)
        lines(tmp_path / name, *rows)
        return tmp_path / name

    return write


def test_every_column_is_read(write, tmp_path):
    path = write(
        "path,identity,camera,split,modality,left,top,width,height,time,track,view,remark",
        "a.jpg,7,1,train,visible,1,2,3,4.4,10.5,2,front,nice",
        "b.jpg,8,1,train,infrared,,,,,,,,",
        "c.jpg,9,1,query,visible,-1,0,2,2,11,5,,",
        "d.jpg,9,2,gallery,visible,,,,,12,5,,",
    )
    table = Table(path)
    assert table.name == "own"
    first, second = table.train
    assert first.path == str(tmp_path / "a.jpg")
    assert (first.identity, first.camera, first.modality) == (7, 1, "visible")
    assert (first.box, first.time, first.track, first.view) == (Box(1, 2, 3, 4), 10.5, 2, "front")
    assert (second.identity, second.modality) == (8, "infrared")
    assert (second.box, second.time, second.track, second.view) == (None, None, None, None)
    assert table.query[0].box == Box(-1, 0, 2, 2)
    assert [s.camera for s in table.gallery] == [2]
    assert table.protocol.name == "cross_camera"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_spreadsheets_in_any_country_can_write_it(tmp_path, separator):
    picture(tmp_path / "a.jpg")
    picture(tmp_path / "b.jpg")
    rows = ["Path,Identity ,SPLIT", "a.jpg,anna,Train", "b.jpg,ben,train"]
    (tmp_path / "own.csv").write_text("\r\n".join(rows).replace(",", separator), encoding="utf-8-sig")
    assert [s.identity for s in Table(tmp_path / "own.csv").train] == ["anna", "ben"]


def test_parquet_gives_what_csv_gives(write, tmp_path):
    path = write(
        "path,identity,camera,split,time",
        "a.jpg,3,1,train,",
        "b.jpg,4,2,train,5",
        "c.jpg,5,1,query,6",
        "d.jpg,5,2,gallery,7",
    )
    frame = pd.read_csv(path).assign(embedding=[[0.0, 1.0]] * 4, remark=[None, "x", None, "y"])
    frame.to_parquet(tmp_path / "own.parquet")
    other = Table(tmp_path / "own.parquet")
    table = Table(path)
    assert (other.train, other.query, other.gallery) == (table.train, table.query, table.gallery)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["2", "10"], [2, 10]),
        (["0002", "2"], ["0002", 2]),
        (["2", "anna"], [2, "anna"]),
        (["-3", "0"], [-3, 0]),
        (["NA", "None"], ["NA", "None"]),
        (["1.0", "2"], [1, 2]),
    ],
)
def test_labels_stay_apart_as_they_are_written(write, written, read):
    path = write("path,identity,split", f"a.jpg,{written[0]},train", f"b.jpg,{written[1]},train")
    assert [s.identity for s in Table(path).train] == read


def test_a_picture_may_be_query_and_in_the_gallery_where_its_camera_does_not_count(write):
    rows = ["a.jpg,1,1,query", "a.jpg,1,1,gallery", "b.jpg,1,2,gallery"]
    table = Table(write("path,identity,camera,split", *rows))
    assert len(table.query) == 1
    assert len(table.gallery) == 2
    with pytest.raises(DataError, match=r"would let a picture find itself, found 1 inside, first .*a\.jpg"):
        Table(write("path,identity,camera,split", *rows), same_camera="keep")


def test_same_camera_follows_the_cameras_unless_told(write):
    rows = ["path,identity,camera,split", "a.jpg,1,1,query", "b.jpg,1,2,gallery", "c.jpg,2,,train", "d.jpg,3,,train"]
    assert Table(write(*rows)).protocol.name == "cross_camera"
    assert Table(write(*rows), same_camera="keep").protocol.name == "any_view"
    without = write("path,identity,split", "a.jpg,1,query", "b.jpg,1,gallery")
    assert Table(without).protocol.name == "any_view"
    with pytest.raises(DataError, match=r"expected a camera of every picture to test on.*found 2 without"):
        Table(without, same_camera="exclude")


def test_pictures_may_lie_elsewhere(write, tmp_path):
    picture(tmp_path / "disk" / "a.jpg")
    picture(tmp_path / "disk" / "b.jpg")
    path = write("path,identity,split", "a.jpg,1,train", f"{tmp_path}/disk/b.jpg,2,train", touch=False)
    assert [s.path for s in Table(path, root=tmp_path / "disk").train] == [
        str(tmp_path / "disk" / "a.jpg"),
        str(tmp_path / "disk" / "b.jpg"),
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["path,person", "a.jpg,1"], "expected columns path and identity in .*found path, person"),
        (["path,identity,Identity", "a.jpg,1,2"], "expected each column once in .*, found identity twice"),
        (["path,identity"], "expected one row or more"),
        (["path,identity,split", ",1,train"], "expected path in every row of .*, found none in row 1"),
        (
            ["path,identity,split", "a.jpg,1,val"],
            "expected only the splits train, test, query, gallery in .*, found 'val'",
        ),
        (["path,identity,modality", "a.jpg,1,thermal"], "expected modality visible or infrared in .*, found 'thermal'"),
        (["path,identity,time", "a.jpg,1,noon"], "expected a number as time in .*, found 'noon' in row 1"),
        (
            ["path,identity,left,top", "a.jpg,1,3,4"],
            "expected the box of a picture in one form in .*, found columns of left, top; rename",
        ),
        (["path,identity,left,top,width,height", "a.jpg,1,3,4,0,2"], "found 3, 4, 0, 2 in row 1"),
        (["path,identity,split", "a.jpg,1,train", "b.jpg,1,train"], "expected two identities or more to train on"),
        (["path,identity,split", "a.jpg,1,train", "a.jpg,2,train"], r"found .*a\.jpg twice, as 1 and 2"),
        (
            ["path,identity,split", "a.jpg,1,train", "b.jpg,2,train", "c.jpg,2,query", "d.jpg,2,gallery"],
            "expected other identities to train on than to test on in own, found 1 in both, as 2",
        ),
        (
            ["path,identity,split", "a.jpg,1,train", "b.jpg,2,train", "a.jpg,3,query", "d.jpg,3,gallery"],
            "expected other pictures to train on than to test on in own, found 1 in both",
        ),
        (
            ["path,identity,split", "a.jpg,1,query", "b.jpg,2,gallery"],
            "expected a match for some query in own, found none",
        ),
        (["path,identity,camera,split", "a.jpg,1,1,query", "b.jpg,1,1,gallery"], "under another camera"),
        (["path,identity,split", "a.jpg,1,query"], "found 1 queries that the gallery of 0"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(write, rows, message):
    path = write(*rows)
    with pytest.raises(DataError, match=message) as failure:
        Table(path)
    assert "\n" not in str(failure.value)


def test_missing_pictures_are_counted(write, tmp_path):
    path = write("path,identity,split", "there/a.jpg,1,train", "there/b.jpg,2,train", "gone/c.jpg,3,train", touch=False)
    picture(tmp_path / "there" / "a.jpg")
    with pytest.raises(
        DataError, match=r"expected the 3 pictures that .*own\.csv names, found 2 missing, first .*there/b\.jpg"
    ):
        Table(path)


def test_a_damaged_table_is_named(tmp_path):
    for name, content in (("own.csv", b"\xff\xfe\x00"), ("own.parquet", b"PAR1 no"), ("empty.csv", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=f"expected .*{name}"):
            Table(tmp_path / name)


def test_a_picture_of_nobody_known_is_a_distractor(write):
    """Neither trained on nor searched for; in the gallery it is another individual than any query."""
    rows = ["a.jpg,1,1,train", "b.jpg,2,1,train", "c.jpg,,1,train", "d.jpg,3,1,query", "e.jpg,Unknown,1,query"]
    rows += ["f.jpg,3,2,gallery", "g.jpg,,2,gallery", "h.jpg,unknown,1,gallery"]
    table = Table(write("path,identity,camera,split", *rows))
    assert [s.identity for s in table.train] == [1, 2]
    assert [s.identity for s in table.query] == [3]
    assert [s.identity for s in table.gallery] == [3, "unknown", "unknown"]
    assert table.distractors == {"unknown"}
    unsplit = write("path,identity,camera", *(f"{p}{c}.jpg,{p},{c}" for p in "abcd" for c in (1, 2)), "x.jpg,unknown,1")
    drawn = Table(unsplit, test_identities=0.5)
    assert [s.identity for s in (*drawn.train, *drawn.query, *drawn.gallery)].count("unknown") == 1
    assert drawn.gallery[-1].identity == "unknown"
    trained = Table(unsplit, test_identities=0)
    assert (len(trained.train), len(trained.query), len(trained.gallery)) == (8, 0, 0)


def test_backslashes_are_hinted_at(write, tmp_path):
    path = write("path,identity,split", "pics\\a.jpg,1,train", "pics\\b.jpg,2,train", touch=False)
    with pytest.raises(DataError, match=r"found 2 missing, first .*pics\\a\.jpg; written on Windows\? write /"):
        Table(path)
