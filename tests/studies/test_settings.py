"""Settings of a training, changed by name."""

import pytest

from reseen import recipes
from reseen.recipes.objective import weight_of
from reseen.studies.settings import changed, merged, named_loss, shared, terms_of, title_of, with_loss

TERMS = [
    {"loss": {"class_path": "IdentityLoss"}, "output": "embedding"},
    {"loss": {"class_path": "AdaSPLoss", "init_args": {"temperature": 0.04}}, "output": "branch.*", "weight": 0.1},
]


def test_groups_are_merged_and_classes_replaced():
    base = {"model": {"height": 64, "resnet": {"ibn": "a"}}, "loss": {"class_path": "A", "init_args": {"x": 1}}}
    changes = {"model": {"resnet": {"stem": "usual"}}, "loss": {"class_path": "B"}}
    assert merged(base, changes) == {
        "model": {"height": 64, "resnet": {"ibn": "a", "stem": "usual"}},
        "loss": {"class_path": "B"},
    }
    assert base["loss"]["class_path"] == "A"


IDENTITY = {"loss": {"class_path": "reseen.losses.IdentityLoss"}, "output": "embedding", "weight": None}


def metric(name, **arguments):
    """Return the terms of a run that says no more than its metric loss."""
    loss = {"class_path": f"reseen.losses.{name}", **({"init_args": arguments} if arguments else {})}
    return [IDENTITY, {"loss": loss, "output": "feature", "weight": None}]


def test_a_flags_name_reaches_the_arguments_of_a_class():
    settings = {"terms": metric("FIDILoss", alpha=1.05)}
    found = changed(settings, {"loss.beta": 0.7, "loss_weight": 2, "model.resnet.ibn": "a"})
    (identity, fidi) = metric("FIDILoss", alpha=1.05, beta=0.7)
    assert found == {"terms": [identity, {**fidi, "weight": 2}], "model": {"resnet": {"ibn": "a"}}}
    assert changed({}, {"loss.temperature": 0.1})["terms"] == metric("AdaSPLoss", temperature=0.1)
    assert changed({}, {"loss": "FIDILoss", "loss.beta": 1})["terms"] == metric("FIDILoss", beta=1)
    assert changed({}, {"candidates": "MoReID", "candidates.memory_size": 8})["candidates"]["init_args"] == {
        "memory_size": 8
    }


def test_of_terms_every_metric_loss_is_changed():
    several = [*TERMS, {**TERMS[1], "output": "feature"}]
    first, *others = changed({"terms": several}, {"loss.temperature": 0.1})["terms"]
    assert first == TERMS[0]
    assert [other["loss"]["init_args"] for other in others] == [{"temperature": 0.1}] * 2
    assert changed({"terms": TERMS}, {"loss_weight": 0.2})["terms"] == [TERMS[0], {**TERMS[1], "weight": 0.2}]
    with pytest.raises(ValueError, match="one term with a metric loss to change its weight"):
        changed({"terms": several}, {"loss_weight": 0.1})
    with pytest.raises(ValueError, match=r"a loss to change loss\.temperature, got none"):
        changed({"terms": TERMS[:1]}, {"loss.temperature": 0.1})


def test_what_has_no_parts_is_not_asked_for_one():
    with pytest.raises(ValueError, match="a group of settings at seed"):
        changed({"seed": 3}, {"seed.of": 4})


def test_a_loss_takes_the_place_of_another():
    triplet = {"class_path": "reseen.losses.HardTripletLoss"}
    assert with_loss({"seed": 3}, "HardTripletLoss") == {"seed": 3, "terms": metric("HardTripletLoss")}
    alone = with_loss({}, "HardTripletLoss", weight=2, alone=True)["terms"]
    assert alone == [{"loss": triplet, "output": "feature", "weight": 2}]
    assert with_loss({}, "IdentityLoss") == with_loss({}, "IdentityLoss", alone=True) == {"terms": [IDENTITY]}
    assert with_loss({}, "mine.MyLoss")["terms"][1]["loss"] == {"class_path": "mine.MyLoss"}
    assert with_loss({"terms": TERMS}, "HardTripletLoss")["terms"] == [TERMS[0], {**TERMS[1], "loss": triplet}]
    assert with_loss({"terms": TERMS}, "IdentityLoss")["terms"] == [TERMS[0]]
    assert with_loss({"terms": TERMS}, "HardTripletLoss", alone=True)["terms"] == [{**TERMS[1], "loss": triplet}]
    with pytest.raises(ValueError, match="expected a loss among"):
        with_loss({}, "NoSuchLoss")


CENTER = {"loss": "CenterLoss", "output": "feature", "weight": 0.0005}


def losses_of(settings):
    return [path.rpartition(".")[2] for term in terms_of(settings) for path in [_path(term["loss"])]]


def _path(loss):
    return loss if isinstance(loss, str) else loss["class_path"]


CIRCLE_SOFTMAX = [
    name for name in recipes.names() if any("CircleSoftmax" in loss for loss in losses_of(recipes.settings_of(name)))
]


def test_there_are_recipes_with_a_circle_softmax():
    assert len(CIRCLE_SOFTMAX) >= 16


@pytest.mark.parametrize("recipe", CIRCLE_SOFTMAX)
def test_a_circle_softmax_is_no_metric_loss(recipe):
    base = recipes.settings_of(recipe)
    others = [t for t in terms_of(base) if _path(t["loss"]) != "CircleSoftmaxLoss"]
    assert losses_of(with_loss(base, "IdentityLoss")) == ["CircleSoftmaxLoss"]
    assert losses_of(with_loss(base, "FIDILoss")) == ["CircleSoftmaxLoss", "FIDILoss"]
    assert losses_of(with_loss(base, "FIDILoss", alone=True)) == ["FIDILoss"]
    (metric,) = (t for t in terms_of(changed(base, {"loss.metric": "other"})) if t not in terms_of(base))
    assert [_path(metric["loss"])] == [_path(t["loss"]) for t in others]
    assert metric["loss"]["init_args"]["metric"] == "other"
    (circle,) = (t for t in terms_of(changed(base, {"identity_loss.scale": 32})) if t not in terms_of(base))
    assert circle["loss"]["init_args"]["scale"] == 32
    assert losses_of(changed(base, {"identity_loss": None})) == [_path(t["loss"]) for t in others]


def test_center_loss_stays_beside_the_metric_loss_that_it_helps():
    terms = [TERMS[0], {**TERMS[1], "output": "feature"}, CENTER]
    assert with_loss({"terms": terms}, "FIDILoss")["terms"] == [
        TERMS[0],
        {"loss": {"class_path": "reseen.losses.FIDILoss"}, "output": "feature", "weight": 0.1},
        CENTER,
    ]
    assert losses_of(with_loss({"terms": terms}, "IdentityLoss")) == ["IdentityLoss"]
    assert losses_of(with_loss({"terms": terms}, "FIDILoss", alone=True)) == ["FIDILoss"]


def test_a_loss_comes_in_where_there_was_none():
    (identity, new) = with_loss({"terms": TERMS[:1]}, "FIDILoss", weight=0.5)["terms"]
    assert identity == TERMS[0]
    assert new == {**metric("FIDILoss")[1], "weight": 0.5, "role": "metric"}


def test_a_named_loss_keeps_the_arguments_that_the_recipe_gives_it():
    base = recipes.settings_of("veri776/adasp_only")
    assert with_loss(base, "AdaSPLoss")["terms"][0]["loss"]["init_args"] == {"temperature": 0.05}
    assert with_loss(base, "AdaSPLoss(temperature=0.07)")["terms"][0]["loss"]["init_args"] == {"temperature": 0.07}
    assert with_loss(base, "SPHLoss")["terms"][0]["loss"] == {"class_path": "reseen.losses.SPHLoss"}
    assert changed(base, {"loss": "AdaSPLoss"})["terms"][0]["loss"]["init_args"] == {"temperature": 0.05}
    terms = with_loss(recipes.settings_of("veri776/moreid_triplet"), "HardTripletLoss")["terms"]
    assert terms[1]["loss"]["init_args"] == {"margin": None}


def test_arguments_stand_behind_a_name():
    given = "HardTripletLoss(margin=null)", "mine.MyLoss(kind=cosine, on=True, x=[1, 2.5])"
    assert named_loss(given[0], {})["init_args"] == {"margin": None}
    assert named_loss(given[1], {}) == {
        "class_path": "mine.MyLoss",
        "init_args": {"kind": "cosine", "on": True, "x": [1, 2.5]},
    }
    assert title_of(given[0], alone=False) == "CE + HardTriplet(margin=null)"
    assert title_of("mine.MyLoss(x=0.5)", alone=True) == "My(x=0.5)"
    for wrong in ("FIDILoss(0.7)", "FIDILoss(beta=", "FIDILoss(beta=f(1))", "FIDILoss(**x)"):
        with pytest.raises(ValueError, match="a loss with arguments as in"):
            named_loss(wrong, {})


def test_what_settings_say_of_single_losses_changes_the_recipes_terms():
    settings = {"loss": "HardTripletLoss", "loss_weight": 0.5, "loss_output": "embedding", "identity_loss": None}
    (term,) = shared({}, recipe="market1501/baseline2_fidi", settings=settings)["terms"]
    triplet = {"class_path": "reseen.losses.HardTripletLoss"}
    assert term == {"loss": triplet, "output": "embedding", "weight": 0.5}
    assert "terms" not in shared({}, settings={"seed": 3})


def test_a_study_takes_a_recipe_and_its_own_data():
    data = {"class_path": "Table"}
    found = shared(data, recipe="demo", settings={"schedule": {"epochs": 2}})
    assert found["data"] == data
    assert found["schedule"]["epochs"] == 2
    assert found["model"]["backbone"] == "osnet_x0_25"


def test_a_weight_that_is_not_named_is_that_of_the_loss() -> None:
    wrapped = {"class_path": "CrossModal", "init_args": {"loss": {"class_path": "ExpATLoss"}}}
    assert [weight_of({"loss": loss}) for loss in ("AdaSPLoss", "HardTripletLoss", wrapped)] == [0.1, 1.0, 0.1]
    assert weight_of({"loss": "AdaSPLoss", "weight": 0.3}) == 0.3
    assert weight_of({"loss": "AdaSPLoss", "weight": None}) == 0.1
    assert weight_of({"loss": "torch.nn.Identity"}) == 1.0  # of another library
