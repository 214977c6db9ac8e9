import shutil

import pytest
from tests.datasets.miniatures import odd, pictures

from reseen.datasets import Folder
from reseen.errors import DataError


def test_one_folder_for_each_identity(tmp_path):
    pictures(tmp_path / "Bella", ["2.jpg", "1.JPG", "more/3.png"])
    pictures(tmp_path / "Alma", ["1.jpg"])
    odd(tmp_path / "Alma")
    folder = Folder(tmp_path, test_identities=0)
    assert folder.name == tmp_path.name
    assert [(s.identity, s.path) for s in folder.train] == [
        ("Alma", f"{tmp_path}/Alma/1.jpg"),
        ("Bella", f"{tmp_path}/Bella/1.JPG"),
        ("Bella", f"{tmp_path}/Bella/2.jpg"),
        ("Bella", f"{tmp_path}/Bella/more/3.png"),
    ]


def test_a_pattern_reads_names(tmp_path):
    pictures(tmp_path / "images", [f"{i:03d}_0{c}_{k}.jpg" for i in range(6) for c in (1, 2) for k in (1, 2)])
    folder = Folder(tmp_path, pattern=r"(?P<identity>\d+)_0(?P<camera>\d)_", test_identities=2)
    assert {s.identity for s in (*folder.train, *folder.gallery)} == {f"{i:03d}" for i in range(6)}
    assert {s.camera for s in folder.query} == {1, 2}
    assert (len(folder.train), len(folder.query), len(folder.gallery)) == (16, 4, 8)


def test_a_pattern_reads_everything(tmp_path):
    pictures(tmp_path / "TRAIN" / "1", ["visible_c1_t7_12.5.jpg"])
    pictures(tmp_path / "train" / "2", ["visible_c1_t8_13.jpg"])
    pictures(tmp_path / "query" / "3", ["infrared_c2_t9_14.jpg"])
    pictures(tmp_path / "gallery" / "3", ["visible_c1.jpg"])
    pattern = (
        r"^(?P<split>\w+)/(?P<identity>\d+)/(?P<modality>[a-z]+)_c(?P<camera>\d)"
        r"(_t(?P<track>\d+)_(?P<time>[\d.]+))?\.jpg"
    )
    folder = Folder(tmp_path, pattern=pattern)
    (query,), (gallery,) = folder.query, folder.gallery
    assert (query.identity, query.camera, query.modality, query.track, query.time) == (3, 2, "infrared", 9, 14.0)
    assert (gallery.track, gallery.time) == (None, None)
    assert sorted(s.identity for s in folder.train) == [1, 2]


def test_a_split_of_train_and_test_folders(tmp_path):
    for split, people in (("train", "ab"), ("test", "cd")):
        pictures(tmp_path / split, [f"{person}/{k}.jpg" for person in people for k in range(3)])
    folder = Folder(tmp_path, pattern=r"^(?P<split>\w+)/(?P<identity>\w+)/")
    assert (len(folder.train), len(folder.query), len(folder.gallery)) == (6, 2, 4)


def test_other_pictures_stop_it_or_are_skipped(tmp_path):
    pictures(tmp_path, ["1_1.jpg", "2_1.jpg", "logo.png"])
    pattern = r"(?P<identity>\d+)_"
    with pytest.raises(DataError, match=r"expected pictures in .* to match .*, found logo\.png; mend the pattern"):
        Folder(tmp_path, pattern=pattern, test_identities=0)
    assert len(Folder(tmp_path, pattern=pattern, others="skip", test_identities=0).train) == 2
    shutil.move(tmp_path / "logo.png", tmp_path / "logo.txt")
    with pytest.raises(DataError, match="expected pictures that match"):
        Folder(tmp_path, pattern=r"(?P<identity>x)", others="skip")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"(?P<identity>\d+", "expected a regular expression as pattern"),
        (r"(?P<person>\d+)", "expected a pattern with the group identity.*got person"),
        (r"\d+", "got no named group"),
    ],
)
def test_a_wrong_pattern_is_explained(tmp_path, pattern, message):
    with pytest.raises(ValueError, match=message):
        Folder(tmp_path, pattern=pattern)


def test_real_pictures(shared):
    people = Folder(shared / "data" / "pku_reid", pattern=r"(?P<identity>\d+)_0(?P<camera>\d)_", test_identities=14)
    assert len({s.identity for s in people.train}) == 36
    assert (len(people.train), len(people.query), len(people.gallery)) == (576, 28, 224)
    pattern = r"(?P<identity>\w+_\d+)_cam(?P<camera>\d)"
    vehicles = Folder(shared / "data" / "vehicle_2cam", pattern=pattern, test_identities=102)
    assert (len(vehicles.train), len(vehicles.query), len(vehicles.gallery)) == (810, 204, 204)


def test_the_identities_to_test_on_are_the_same_in_every_version(tmp_path):
    """Figures of one version can be compared with those of the next: what a seed draws is part of the protocol."""
    names = [f"{number:03}" for number in range(90, 110)]
    pictures(tmp_path, [f"{name}_{camera}.jpg" for name in names for camera in (1, 2)])
    padded = Folder(tmp_path, pattern=r"(?P<identity>\d+)_(?P<camera>\d)", test_identities=5)
    drawn = [names[place] for place in (2, 4, 6, 13, 19)]
    assert sorted({str(s.identity) for s in padded.query}) == drawn
