"""Every recipe beside what was published of its settings."""

import csv

import pytest
import yaml

from reseen.cli import main
from reseen.recipes import check, names, path_of
from reseen.recipes.check import TABLE, compared_settings

PAPERS = [name for name in names() if "/" in name]


@pytest.mark.parametrize("name", PAPERS)
def test_a_recipe_has_what_was_published_or_a_reason(name: str) -> None:
    found = compared_settings(name)
    assert len(found) >= 8
    assert [(s.name, s.published, s.here) for s in found if not s.accounted] == []


def test_every_row_is_of_some_recipe_and_has_a_source() -> None:
    with TABLE.open() as file:
        for row in csv.DictReader(file):
            assert row["source"]
            for pattern in row["recipes"].split():
                assert any(check.fnmatch(name, pattern) for name in PAPERS), pattern
            assert isinstance(yaml.safe_load(row["settings"]), dict)


@pytest.mark.parametrize(
    ("recipe", "right", "wrong", "name"),
    [
        ("regdb/expat", "last_stride: 1", "last_stride: 2", "model.resnet.last_stride"),
        ("sysu_mm01/expat", "every: 3", "every: 1", "identity.every"),
        ("sysu_mm01/expat", "smoothing: 0.1", "smoothing: 0.0", "identity.smoothing"),
        ("sysu_mm01/triplet", "decay_biases: false", "decay_biases: true", "schedule.decay_biases"),
        ("regdb/triplet", "warmup: 4.854", "warmup: 3", "warmup_share"),
        ("sysu_mm01/expat", "milestones: [14.33, 28.65]", "milestones: []", "milestones_share"),
        ("vehicleid/baseline2_fidi", "size: large", "size: small", "data.size"),
        ("regdb/expat", "images: 3", "images: 4", "batch"),
        ("sysu_mm01/agw", "nesterov: true", "nesterov: false", "schedule.nesterov"),
        ("veriwild/bot", "warmup: 9.2", "warmup: 10", "warmup_steps"),
        ("market1501/sbs", "warmup_factor: 0.1", "warmup_factor: 0.01", "schedule.warmup_factor"),
        ("market1501/adasp_mgn", "freeze: 5", "freeze: 7", "freeze_steps"),
        ("market1501/circle_only_mgn", "scale: 128", "scale: 64", "metric.scale"),
    ],
)
def test_another_value_is_noticed(
    recipe: str, right: str, wrong: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = path_of(recipe).read_text()
    assert right in text
    changed = yaml.safe_load(text.replace(right, wrong))
    monkeypatch.setattr(check, "settings_of", lambda _: changed)
    assert [setting.name for setting in compared_settings(recipe) if not setting.accounted] == [name]
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        main(["recipes", recipe, "--check", "true"])
    said = capsys.readouterr()
    assert "NOT SAID" in said.out
    assert f"{recipe} {name}" in said.err


def test_the_verb_says_what_differs_and_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    main(["recipes", "--check", "true"])
    said = capsys.readouterr().out
    (row,) = (line for line in said.splitlines() if "WeightedTripletLoss" in line)
    assert "HE in the place of the weighted triplet" in row
    assert "veriwild/moreid_he" in row
    assert f"of {len(PAPERS)} recipes" in said
