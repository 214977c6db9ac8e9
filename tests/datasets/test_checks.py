import shutil

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from tests.datasets.miniatures import folder, lines, market, picture, table, vehicleid, veri776

from reseen.datasets import Folder, Joined, Market1501, Synthetic, Table, VehicleID, VeRi776
from reseen.datasets.checks.check import check
from reseen.datasets.checks.plot import plot
from reseen.protocols import any_view, cross_camera
from reseen.storage import read_picture
from reseen.types import Benchmark, Sample


def text(checked):
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        console.print(checked)
    return capture.get()


def messages(checked, *, spoils):
    return [finding.message for finding in checked.findings if finding.spoils == spoils]


@pytest.fixture
def sample(tmp_path):
    """Return a sample of a picture which is written first."""

    def sample(name, identity, camera=None):
        if not (tmp_path / name).exists():
            picture(tmp_path / name)
        return Sample(str(tmp_path / name), identity, camera)

    return sample


def benchmark(train=(), query=(), gallery=(), protocol=cross_camera):
    return Benchmark("own", tuple(train), tuple(query), tuple(gallery), protocol)


def test_a_sound_data_set(tmp_path):
    checked = check(Table(**table(tmp_path)), read_picture)
    assert not checked.spoils
    assert checked.findings == ()
    assert len(checked.pictures) == 16
    assert set(checked.pictures.height) == {8}
    assert set(checked.pictures.width) == {4}
    shown = text(checked)
    assert "animals, cross_camera" in shown
    assert "Nothing here would spoil a result." in shown
    assert next(line for line in shown.split("\n") if "west" in line).split("│")[1:5] == [
        " west   ",
        "     4 ",
        "     2 ",
        "       2 ",
    ]


@pytest.mark.parametrize("damage", ["empty", "cut", "gone", "text"])
def test_pictures_that_cannot_be_read(tmp_path, damage):
    data = Table(**table(tmp_path))
    path = tmp_path / "pictures" / "0_east_0.jpg"
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "cut": path.read_bytes()[:-40], "text": b"no picture"}[damage])
    checked = check(data, read_picture)
    assert checked.spoils
    assert messages(checked, spoils=True) == ["pictures that cannot be read: 1"]
    assert str(path) in checked.findings[0].examples[0]
    assert "This would spoil a result." in text(checked)


def test_flat_pictures_are_told(tmp_path):
    """One of a single value, one of 1,200 pixels of three, and what scaling makes of a thermal camera's counts."""
    data = Table(**table(tmp_path))
    flat, few, deep = (tmp_path / "pictures" / f"{n}_east_0.jpg" for n in range(3))
    Image.new("RGB", (30, 40), (255, 255, 255)).save(flat)
    Image.fromarray(np.arange(1200, dtype=np.uint8).reshape(40, 30) % 3).save(few, format="PNG")
    Image.fromarray(np.arange(28000, 29200, dtype=np.int32).reshape(40, 30)).save(deep, format="TIFF")
    checked = check(data, read_picture)
    assert messages(checked, spoils=True) == ["pictures of one single colour, which show nobody: 1"]
    assert messages(checked, spoils=False) == ["pictures of at most 16 levels of each colour: 1"]
    levels = dict(zip(checked.pictures.path, checked.pictures.levels, strict=True))
    assert (levels[str(flat)], levels[str(few)], levels[str(deep)]) == (1, 3, 256)


def test_copies_of_one_identity_are_noted(tmp_path):
    data = Table(**table(tmp_path))
    shutil.copy(tmp_path / "pictures" / "0_east_0.jpg", tmp_path / "pictures" / "0_east_1.jpg")
    checked = check(data, read_picture)
    assert not checked.spoils
    assert messages(checked, spoils=False) == ["pictures with copies, byte for byte, of the same identity: 1"]


def test_copies_that_spoil(tmp_path):
    pictures = tmp_path / "pictures"
    for copy, message in [
        ("1_west_0", "pictures with copies, byte for byte, under another identity: 1"),
        ("2_west_1", "pictures with copies, byte for byte, under another identity: 1"),
    ]:
        data = Table(**table(tmp_path))
        shutil.copy(pictures / "0_east_0.jpg", pictures / f"{copy}.jpg")
        assert messages(check(data, read_picture), spoils=True) == [message]
    # A query's copy by another camera would be an easy match; by the same camera, it does not count.
    data = Table(**table(tmp_path))
    shutil.copy(pictures / "2_east_0.jpg", pictures / "2_east_1.jpg")
    assert not check(data, read_picture).spoils
    shutil.copy(pictures / "2_east_0.jpg", pictures / "2_west_1.jpg")
    copies = ["queries with copies in the gallery that count as matches: 1"]
    assert messages(check(data, read_picture), spoils=True) == copies
    kept = Table(tmp_path / "animals.csv", same_camera="keep")
    assert messages(check(kept, read_picture), spoils=True) == copies


def test_leaks_between_train_and_test(sample):
    leaky = benchmark(
        [sample("a.jpg", 1, 1), sample("b.jpg", 2, 1)],
        [sample("c.jpg", 2, 1)],
        [sample("b.jpg", 2, 1), sample("d.jpg", 2, 2)],
    )
    assert messages(check(leaky, read_picture), spoils=True) == [
        "pictures to train on with copies among those to test on: 1",
        "identities both trained on and tested on: 1",
    ]


def test_queries_without_a_match(sample):
    query = [sample("a.jpg", 1, 1), sample("b.jpg", 2, 1)]
    gallery = [sample("c.jpg", 1, 2), sample("d.jpg", 2, 1)]
    some = check(benchmark(query=query, gallery=gallery), read_picture)
    assert messages(some, spoils=False) == ["queries without a match, which are left out and counted: 1"]
    assert some.findings[0].examples == (query[1].path,)
    assert not some.spoils
    assert not check(benchmark(query=query, gallery=gallery, protocol=any_view), read_picture).findings
    none = check(benchmark(query=query, gallery=gallery[1:]), read_picture)
    assert messages(none, spoils=True) == ["no query has a match; queries: 2"]


def test_identities_that_give_no_pair(sample):
    train = [
        sample("a.jpg", 1, 1),
        sample("b.jpg", 2, 1),
        sample("c.jpg", 2, 1),
        sample("d.jpg", 3, 1),
        sample("e.jpg", 3, 2),
    ]
    assert messages(check(benchmark(train), read_picture), spoils=False) == [
        "identities to train on with one picture, hence without a positive pair: 1",
        "identities to train on seen by one camera only: 1",
    ]
    mixed = [*train[3:], sample("f.jpg", 4), sample("g.jpg", 4)]
    assert "pictures without a camera, beside others with one: 2" in messages(
        check(benchmark(mixed), read_picture), spoils=False
    )


def test_many_examples_are_counted(sample):
    train = [sample(f"{i}.jpg", i, 1) for i in range(8)]
    (finding,) = check(benchmark(train), read_picture).findings
    assert finding.examples == ("0", "1", "2", "3", "4", "and 3 more")


def test_crops_of_one_picture_are_not_copies(tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=(20, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "frame.png")
    lines(
        tmp_path / "own.csv",
        "path,identity,left,top,width,height,split",
        "frame.png,1,0,0,5,5,train",
        "frame.png,2,5,0,5,7,train",
        "frame.png,2,90,0,5,5,train",
    )
    checked = check(Table(tmp_path / "own.csv"), read_picture)
    assert messages(checked, spoils=True) == ["pictures that cannot be read: 1"]  # the box outside
    assert list(checked.pictures.height) == [5, 7, 0]


def test_published_layouts_are_not_blamed(tmp_path):
    """VeRi-776 has each query in its gallery again, and VehicleID tests with one set of pictures on both sides."""
    data = VeRi776(**veri776(tmp_path / "veri"))
    base = tmp_path / "veri" / "VeRi"
    for name in ("0002_c002_00030600_0.jpg", "0005_c003_00084280_0.jpg"):
        shutil.copy(base / "image_query" / name, base / "image_test" / name)
    assert not check(data, read_picture).spoils
    assert not check(VehicleID(**vehicleid(tmp_path / "vehicleid")), read_picture).spoils
    assert not check(Market1501(**market(tmp_path / "market")), read_picture).spoils


def test_drawn_and_joined_data_sets(tmp_path):
    drawn = Synthetic(num_train_identities=2, num_test_identities=2, num_cameras=2, images_per_camera=2)
    assert not check(drawn, read_picture).spoils
    cows = Folder(**folder(tmp_path / "cows"))
    joined = check(Joined([Market1501(**market(tmp_path / "market")), cows], test=cows), read_picture)
    assert not joined.spoils
    assert "Market-1501: 1" in text(joined)


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_plot(tmp_path, kind):
    path = tmp_path / f"check.{kind}"
    plot(check(Table(**table(tmp_path)), read_picture), path)
    assert path.stat().st_size > 2000
    plot(check(Folder(**folder(tmp_path / "cows")), read_picture), path)  # without cameras


def test_progress_is_drawn_when_asked_for(tmp_path, capsys):
    data = Table(**table(tmp_path))
    check(data, read_picture)
    assert capsys.readouterr().out == ""
    check(data, read_picture, progress=True)
    assert "Reading pictures" in capsys.readouterr().out
