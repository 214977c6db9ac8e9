"""Settings of a training, changed by name."""

import pytest

from reseen.studies.settings import changed, merged, shared, with_loss

TERMS = [
    {"loss": {"class_path": "IdentityLoss"}, "on": "embedding"},
    {"loss": {"class_path": "AdaSPLoss", "init_args": {"temperature": 0.04}}, "on": "branch.*", "weight": 0.1},
]


def test_groups_are_merged_and_classes_replaced():
    base = {"model": {"height": 64, "resnet": {"ibn": "a"}}, "loss": {"class_path": "A", "init_args": {"x": 1}}}
    changes = {"model": {"resnet": {"stem": "usual"}}, "loss": {"class_path": "B"}}
    assert merged(base, changes) == {
        "model": {"height": 64, "resnet": {"ibn": "a", "stem": "usual"}},
        "loss": {"class_path": "B"},
    }
    assert base["loss"]["class_path"] == "A"


def test_a_flags_name_reaches_the_arguments_of_a_class():
    settings = {"loss": {"class_path": "FIDILoss", "init_args": {"alpha": 1.05}}}
    found = changed(settings, {"loss.beta": 0.7, "loss_weight": 2, "model.resnet.ibn": "a"})
    assert found == {
        "loss": {"class_path": "FIDILoss", "init_args": {"alpha": 1.05, "beta": 0.7}},
        "loss_weight": 2,
        "model": {"resnet": {"ibn": "a"}},
    }
    assert changed({}, {"loss.temperature": 0.1})["loss"] == {
        "class_path": "reseen.losses.AdaSPLoss",
        "init_args": {"temperature": 0.1},
    }
    assert changed({}, {"loss": "FIDILoss", "loss.beta": 1})["loss"] == {
        "class_path": "reseen.losses.FIDILoss",
        "init_args": {"beta": 1},
    }


def test_of_terms_every_metric_loss_is_changed():
    first, second = changed({"terms": TERMS}, {"loss.temperature": 0.1})["terms"]
    assert first == TERMS[0]
    assert second["loss"]["init_args"] == {"temperature": 0.1}
    with pytest.raises(ValueError, match="one metric loss to change loss_weight"):
        changed({"terms": TERMS}, {"loss_weight": 0.1})


def test_what_has_no_parts_is_not_asked_for_one():
    with pytest.raises(ValueError, match="a group of settings at seed"):
        changed({"seed": 3}, {"seed.of": 4})


def test_a_loss_takes_the_place_of_another():
    triplet = {"class_path": "reseen.losses.HardTripletLoss"}
    assert with_loss({"loss_weight": 3}, "HardTripletLoss") == {"loss_weight": 3, "loss": triplet}
    assert with_loss({}, "HardTripletLoss", weight=2, alone=True) == {
        "loss": triplet,
        "loss_weight": 2,
        "identity_loss": None,
    }
    assert with_loss({}, "IdentityLoss") == {"loss": None}
    assert with_loss({}, "mine.MyLoss")["loss"] == {"class_path": "mine.MyLoss"}
    assert with_loss({"terms": TERMS}, "HardTripletLoss")["terms"] == [TERMS[0], {**TERMS[1], "loss": triplet}]
    assert with_loss({"terms": TERMS}, "IdentityLoss")["terms"] == [TERMS[0]]
    assert with_loss({"terms": TERMS}, "HardTripletLoss", alone=True)["terms"] == [{**TERMS[1], "loss": triplet}]
    with pytest.raises(ValueError, match="expected a loss among"):
        with_loss({}, "NoSuchLoss")


def test_a_study_takes_a_recipe_and_its_own_data():
    data = {"class_path": "Table"}
    found = shared({"data": data}, recipe="demo", settings={"schedule": {"epochs": 2}})
    assert found["data"] == data
    assert found["schedule"]["epochs"] == 2
    assert found["model"]["backbone"] == "osnet_x0_25"
