"""The papers' tables, and which rows stand beside a measurement."""

import pytest

from reseen import datasets
from reseen.datasets.benchmarks import cuhk03, dukemtmc, msmt17, veri776
from reseen.recipes import names, path_of, published_data
from reseen.reporting import Repeated
from reseen.studies.results.published import (
    Measured,
    beside,
    canonical,
    parse_changes,
    published,
    published_counts,
    same,
)
from reseen.studies.settings import changed, shared, with_loss

VERI = {"class_path": "reseen.datasets.VeRi776", "init_args": {"root": "/data/veri"}}
RECIPES = set(names())


def on(data, recipe, **settings):
    return shared(data, recipe=recipe, settings=settings)


def test_every_row_says_where_it_stands_and_gives_a_score():
    for row in published():
        assert row.paper, row
        assert row.table, row
        assert row.row, row
        scores = [score for score in (row.mean_ap, row.rank_1, row.rank_5) if score is not None]
        assert scores, row
        assert all(5 < score < 100 for score in scores), row
        assert row.rank_1 is None or row.rank_5 is None or row.rank_1 < row.rank_5


def test_the_tables_are_whole():
    """Counted in the papers: rows times data sets."""
    counts = {}
    for row in published():
        counts[row.paper, row.table] = counts.get((row.paper, row.table), 0) + 1
    assert counts["FIDI", "Table II"] == 9 * 4 + 2 + 38
    assert counts["FIDI", "Table III"] == 2 * 2 + 10 + 6
    assert counts["expAT", "README"] == 4 * 2 + 2
    assert counts["AdaSP", "Table S2"] == 3 * 2 * 5
    assert counts["AdaSP", "Table S3"] == 5
    assert counts["AdaSP", "Table S4"] == 9
    assert counts["AdaSP", "README"] == 3 * 6
    assert counts["HE", "supplement C"] == 2 * 3
    assert counts["HE", "supplement D"] == 3
    assert counts["HE", "supplement E"] == 5 * 2


def test_counts_of_table_s1_are_those_of_the_data_sets_or_say_how_they_differ():
    found = {row["data"]: (int(row["identities"]), int(row["images"]), row["note"]) for row in published_counts()}
    assert list(found) == ["cuhk03", "market1501", "dukemtmc", "msmt17", "veri776", "vehicleid", "veriwild"]

    def total(parts):  # pictures, and persons trained on and searched for
        return sum(images for images, _ in parts.values()), parts["train"][1] + parts["query"][1]

    images, persons = total(dukemtmc.PUBLISHED)
    assert found["dukemtmc"][:2] == (persons, images)
    images, persons = total(msmt17.PUBLISHED_WITH_VAL)
    assert found["msmt17"][:2] == (persons, images)
    veri = veri776.PUBLISHED  # each query picture is in the gallery too
    assert found["veri776"][:2] == (veri["train"][1] + veri["query"][1], veri["train"][0] + veri["gallery"][0])
    for boxes, parts in cuhk03.PUBLISHED.items():
        images, persons = total(parts)
        assert found["cuhk03"][0] == persons
        assert found["cuhk03"][1] != images
        assert f"{images:,} ({boxes.replace('labeled', 'labelled')})" in found["cuhk03"][2]
    assert {name for name, (*_, note) in found.items() if note} == {"cuhk03", "dukemtmc", "vehicleid"}


def test_errors_of_the_papers_are_corrected_and_marked():
    swapped = [row for row in published() if "swapped" in row.note]
    assert {(row.data, row.mean_ap) for row in swapped if row.row.startswith("SP-H")} == {
        ("market1501", 87.5),
        ("dukemtmc", 80.5),
    }
    assert any(row.note.startswith("sic") and row.rank_1 == 79.4 for row in published())


def test_a_row_stands_beside_the_same_recipe_on_the_same_data():
    found = {row.row for row in same(on(VERI, "veri776/adasp"))}
    assert found == {"lambda 0.5", "temperature 0.05"}
    other_data = {"class_path": "reseen.datasets.Market1501", "init_args": {"root": "/data"}}
    assert same(on(other_data, "veri776/adasp")) == []
    assert same(on(VERI, "veri776/adasp", schedule={"epochs": 3})) == []
    assert same({"data": VERI}) == []


def test_rows_of_a_grid_are_found_by_what_they_change():
    base = on(VERI, "veri776/adasp", workers=2, seed=7)
    (row,) = same(changed(base, {"loss.temperature": 0.02}))
    assert (row.row, row.mean_ap, row.rank_1) == ("temperature 0.02", 76.0, 94.3)
    (row,) = same(changed(base, {"loss_weight": 0.1}))
    assert row.rank_1 == 97.1


def test_another_loss_in_a_recipe_is_the_recipe_of_that_loss():
    data = {"class_path": "Market1501"}
    (row,) = same(with_loss(on(data, "market1501/baseline2_contrastive"), "FIDILoss"))
    assert (row.row, row.mean_ap) == ("Baseline2 (FIDI)", 86.8)
    assert not same(with_loss(on(data, "market1501/baseline2_contrastive"), "AdaSPLoss"))


def test_a_named_loss_stands_beside_the_row_of_its_recipe():
    base = on(VERI, "veri776/adasp")
    assert {row.row for row in same(with_loss(base, "AdaSPLoss"))} == {"lambda 0.5", "temperature 0.05"}
    assert {row.row for row in same(with_loss(base, "AdaSPLoss(temperature=0.04)"))} == {"temperature 0.04"}
    (row,) = same(with_loss(on(VERI, "veri776/moreid_triplet_plain"), "HardTripletLoss"))
    assert row.mean_ap == 77.7
    assert same(with_loss(on(VERI, "veri776/moreid_he_plain"), "HardTripletLoss")) == []  # the paper's is soft
    assert same(with_loss(on(VERI, "veri776/moreid_he_plain"), "HardTripletLoss(margin=null)")) == [row]


def test_changes_are_read_as_values():
    assert parse_changes("loss_weight=0.3; model.resnet.ibn=a") == {"loss_weight": 0.3, "model.resnet.ibn": "a"}
    assert parse_changes("") == {}


@pytest.mark.parametrize("row", [row for row in published() if row.changes], ids=lambda row: row.row)
def test_what_a_row_changes_can_be_changed(row):
    if row.recipe in RECIPES:
        assert path_of(row.recipe).is_file()
        assert same(changed(on({"class_path": _class_of(row.data)}, row.recipe), parse_changes(row.changes)))


def test_several_ways_of_saying_the_same_are_the_same():
    usual = canonical(shared(1, settings={"loss_weight": 2}))
    term = {"loss": {"class_path": "AdaSPLoss", "init_args": {"temperature": 0.04}}, "output": "feature", "weight": 2.0}
    identity = {"loss": {"class_path": "reseen.losses.IdentityLoss"}, "role": "identity"}
    assert canonical({"terms": [identity, term]}) == usual
    assert canonical(shared(1, settings={"loss": "AdaSPLoss", "loss_weight": 2})) == usual
    assert canonical({"terms": [identity, term], "model": {"height": 64}}) != usual


def test_data_sets_are_told_apart_as_papers_do():
    def name(kind, **arguments):
        return published_data({"class_path": kind, "init_args": arguments}).name

    assert name("CUHK03", boxes="detected") == "cuhk03_detected"
    assert name("reseen.datasets.VehicleID") == "vehicleid_small"
    assert name("Synthetic") is None
    assert name("CUHK03", variant="classic") is None  # the tables are of the new protocol,
    assert name("Market1501", distractors_500k=True) is None  # and without the further distractors
    known = {row.data for row in published()}
    assert {name(_class_of(data)) for data in known} <= known


def test_the_section_says_both_figures_and_the_doubts():
    data = {"class_path": "CUHK03", "init_args": {"boxes": "detected"}}
    settings = on(data, "cuhk03_detected/adasp_resnet152")
    section = beside([Measured("mine", settings, Repeated((0.5, 0.6)), Repeated((0.7,)))])
    for text in ("55.0 ± 7.1", "69.2", "79.4", "AdaSP, Table S2"):
        assert text in section.body
    assert "sic" in section.note
    assert "it counts 1467 identities on 13164 pictures; the new protocol has 14,096" in section.note
    assert beside([Measured("mine", {"data": {"class_path": "Table"}}, Repeated((0.5,)), Repeated((0.5,)))]) is None


def _class_of(name):
    tests = {kind: getattr(datasets, kind).published().name for kind in datasets.__all__}
    return next(kind for kind, test in tests.items() if test and test.partition("_")[0] == name.partition("_")[0])
