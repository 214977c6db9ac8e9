"""Every recipe: what the command line makes of it, and two steps of its optimiser on a few tiny pictures."""

import copy
import csv
import dataclasses
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.recipes.stepping import (
    HEIGHT,
    IDENTITIES,
    RECIPES,
    WIDTH,
    network,
    parsed,
    pictures,
    spectra,
    terms,
    tiny,
)

from reseen.cli.parser import WrongArgumentsError, parse
from reseen.errors import DataError
from reseen.loading import number_modalities
from reseen.recipes import FOLDER, path_of, settings_of
from reseen.recipes.objective import role_of
from reseen.training import BatchCandidates, Objective
from reseen.zoo import find


def kind(name: str) -> str:
    """All of a recipe that two steps put to the test; recipes of one kind differ in data, lengths and rates only."""
    settings = parsed(name)
    return repr(
        (
            tiny(name),
            [(str(term.loss), term.output) for term in terms(name)],
            settings["schedule"].optimizer,
            type(settings["candidates"]),
            spectra(name),
        )
    )


def one_of_each_kind() -> Iterator[Any]:
    """Give one recipe of each kind, those with the same network one after the other; all but the first are slow."""
    for _, ones in itertools.groupby(sorted(RECIPES, key=kind), key=tiny):
        for number, (_, alike) in enumerate(itertools.groupby(ones, key=kind)):
            yield pytest.param(next(alike), marks=[pytest.mark.slow] if number else [])


@pytest.mark.parametrize("name", RECIPES)
def test_the_command_line_takes_it(name: str) -> None:
    settings = parsed(name)
    schedule = settings["schedule"]
    rates = [schedule.factor(epoch) for epoch in range(schedule.epochs)]
    assert all(0 < rate <= 1 for rate in rates)
    assert max(rates) > 0.9
    assert schedule.freeze < schedule.epochs
    weights = settings["model"].weights
    named = (None, "imagenet", "efficientnet-lite0-package")
    if (published := find(weights or "")) is not None:
        assert settings["model"].backbone == published.spec["backbone"]
    else:
        assert weights in named or re.fullmatch(r"https://\S+#sha256=[0-9a-f]{64}", weights)
    if not name.startswith("demo"):
        # Its own data set takes its arguments, and goes on to miss the files.
        with pytest.raises(DataError, match="no-such-folder"):
            parse("train", ["--config", name, "--data.root", "no-such-folder", "--out", "unused"])
        assert settings["workers"] > 0


@pytest.mark.parametrize("name", RECIPES)
def test_no_key_is_without_effect(name: str) -> None:
    given = yaml.safe_load(path_of(name).read_text())
    schedule = given["schedule"]
    assert not {"loss", "loss_weight", "loss_output", "identity_loss"} & set(given)
    assert "momentum" not in schedule or schedule["optimizer"] == "sgd"
    assert not {"cosine_after", "final_factor"} & set(schedule) or "milestones" not in schedule
    assert {"data", "model", "terms", "batches", "augmentation", "schedule"} <= set(given) or name == "demo"
    assert {"backbone", "height", "width"} <= set(given["model"])
    assert {"identities", "images"} <= set(given["batches"])
    assert {"epochs", "learning_rate"} <= set(schedule)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("evaluate_every", "evaluate_very"),
        ("erase", "erases"),
        ("milestones", "milestone"),
        ("{margin", "{margins"),
        ("last_stride", "stride"),
        ("Market1501", "Market1502"),
    ],
)
def test_a_key_that_is_not_used_is_refused(right: str, wrong: str, tmp_path: Path) -> None:
    text = path_of("market1501/bot").read_text()
    assert right in text
    (tmp_path / "recipe.yaml").write_text(text.replace(right, wrong))
    with pytest.raises(WrongArgumentsError):
        parse("train", ["--config", str(tmp_path / "recipe.yaml"), "--data.root", "X", "--out", "unused"])


@pytest.mark.parametrize("name", RECIPES)
def test_every_term_knows_its_role(name: str) -> None:
    given = settings_of(name).get("terms") or []
    classifiers = ("IdentityLoss", "CircleSoftmaxLoss")
    for term in given:
        found = term["loss"]["class_path"] if isinstance(term["loss"], dict) else term["loss"]
        expected = "identity" if found in classifiers else "auxiliary" if found == "CenterLoss" else "metric"
        assert role_of(term) == expected


@pytest.mark.parametrize(
    ("term", "role"),
    [
        ({"loss": "reseen.losses.ArcFaceLoss"}, "identity"),
        ({"loss": {"class_path": "AcrossRanks", "init_args": {"loss": {"class_path": "IdentityLoss"}}}}, "identity"),
        ({"loss": {"class_path": "CrossModal", "init_args": {"loss": "HELoss"}}}, "metric"),
        ({"loss": "CenterLoss", "role": "metric"}, "metric"),
        ({"loss": "torch.nn.MSELoss"}, "metric"),  # a class of one's own that says nothing
    ],
)
def test_a_loss_by_any_name_and_in_any_wrapper_tells_its_role(term: dict[str, Any], role: str) -> None:
    assert role_of(term) == role


@pytest.mark.parametrize("name", list(one_of_each_kind()))
def test_two_steps(name: str) -> None:
    settings, images = parsed(name), pictures(spectra(name))
    model, schedule = network(tiny(name)).train(), settings["schedule"]
    torch.manual_seed(0)
    objective = Objective(model, terms(name), IDENTITIES)
    optimizers = schedule.optimizers(objective)
    candidates = copy.deepcopy(
        settings["candidates"] or BatchCandidates()
    )  # what it keeps is large, and the settings stay
    candidates.setup(model, objective.pair_outputs)
    vary = settings["augmentation"].transforms((HEIGHT, WIDTH))
    batches = dataclasses.replace(settings["batches"], identities=2, images=2).over(images.samples)
    modalities = number_modalities(images.samples)
    learned = [p for p in objective.parameters() if p.requires_grad]
    before = [p.detach().clone() for p in learned[-3:]]
    for draws in itertools.islice(batches, 2):
        drawn = [images[draw] for draw in draws]
        of = [images.samples[draw.row].modality for draw in draws]
        batch = [
            (vary if callable(vary) else vary[modality])(item.image) for item, modality in zip(drawn, of, strict=True)
        ]
        side = None if modalities is None else modalities[[draw.row for draw in draws]]
        places = model.side_info([images.samples[draw.row] for draw in draws], known=True)
        values = objective(torch.stack(batch), torch.tensor([item.label for item in drawn]), side, candidates, **places)
        assert values.shape == (len(objective.names),)
        assert values.isfinite().all()
        (objective.weights @ values).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in learned)
        schedule.set_rates(optimizers[0], schedule.warmup)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        candidates.on_step_end(model)
    assert not any(torch.equal(old, new) for old, new in zip(before, learned[-3:], strict=True))


def test_every_published_row_has_its_recipe_and_every_recipe_tells_its_figures() -> None:
    with (FOLDER / "published.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["recipe"]]
    assert {row["recipe"] for row in rows} <= set(RECIPES)
    for row in rows:
        comment = path_of(row["recipe"]).read_text().partition("\ndata:")[0]
        assert comment.startswith("#")
        if row["recipe"] != "veri776/adasp":  # the best of two tables, of which the others are its variants
            figures = [row[key] for key in ("mean_ap", "rank_1", "rank_5") if row[key]]
            assert all(figure in comment for figure in figures), row
