"""What words on a command line become."""

import inspect

import pytest

from reseen import losses
from reseen.commands.calling import parse

DRAWN = ["--data", "Synthetic", "--out", "unused"]


@pytest.mark.parametrize("before", [[], ["--config", "veri776/adasp"]])
@pytest.mark.parametrize("name", ["SupConLoss", "EasyPositiveLoss", "RankedListLoss", "MultiSimilarityLoss"])
def test_another_loss_begins_with_its_own_defaults(name: str, before: list[str]) -> None:
    loss = parse("train", [*before, *DRAWN, "--loss", name])[1]["loss"]
    assert type(loss).__name__ == name
    for parameter in inspect.signature(getattr(losses, name)).parameters.values():
        assert getattr(loss, parameter.name) == parameter.default


def test_an_argument_holds_for_the_class_it_was_given_to() -> None:
    assert parse("train", [*DRAWN, "--loss.temperature", "0.2"])[1]["loss"].temperature == 0.2
    both = ["--loss", "SupConLoss", "--loss.temperature", "0.5"]
    assert parse("train", [*DRAWN, *both])[1]["loss"].temperature == 0.5
    assert parse("train", ["--config", "veri776/adasp", *DRAWN, "--loss_weight", "1"])[1]["loss"].temperature == 0.05
