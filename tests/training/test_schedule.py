import math

import pytest
import torch
from tests.training.tiny import model
from torch import Tensor

from reseen.geometry import Candidates
from reseen.losses import HardTripletLoss, IdentityLoss, Loss
from reseen.training import Objective, Schedule, Term


def test_the_rate_rises_linearly_and_falls_along_a_cosine() -> None:
    schedule = Schedule(epochs=20, warmup=4, cosine_after=10, final_factor=0.1)
    assert [schedule.factor(e) for e in (0, 2, 4, 10)] == pytest.approx([0.01, 0.505, 1, 1])
    assert schedule.factor(12.5) == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2)
    assert schedule.factor(15) == pytest.approx(0.55)
    assert schedule.factor(20) == pytest.approx(0.1)


def test_the_warm_up_begins_where_it_is_told_to() -> None:
    """As expAT's code: from a third, over 500 of 30,000 steps, a tenth at 10,000 and at 20,000."""
    schedule = Schedule(epochs=30, warmup=0.5, warmup_factor=1 / 3, milestones=(10, 20))
    found = [schedule.factor(step / 1000) for step in (0, 250, 500, 9_999, 10_000, 21_000)]
    assert found == pytest.approx([1 / 3, 2 / 3, 1, 1, 0.1, 0.01])


def test_biases_may_go_without_decay_where_scales_of_norms_have_it() -> None:
    objective = Objective(model(), [Term(IdentityLoss())], 5)
    (optimizer,) = Schedule(weight_decay=0.5, decay_biases=False).optimizers(objective)
    decay = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    for name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            assert decay[id(parameter)] == (0.0 if name.endswith(".bias") else 0.5), name


def test_the_rate_falls_to_a_tenth_at_each_milestone() -> None:
    schedule = Schedule(epochs=120, warmup=0, milestones=(40, 90))
    assert [schedule.factor(e) for e in (0, 39.99, 40, 89, 90, 119)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_every_parameter_has_its_rate_and_decay() -> None:
    objective = Objective(model(), [Term(IdentityLoss()), Term(HardTripletLoss(), output="feature")], 5)
    schedule = Schedule(
        learning_rate=1.0,
        weight_decay=0.5,
        decay_vectors=False,
        pretrained_factor=0.1,
        bias_factor=2.0,
        loss_factor=3.0,
    )
    (optimizer,) = schedule.optimizers(objective)
    schedule.set_rates(optimizer, 30)
    found = {id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    expected = {
        "model.network.backbone.conv.weight": (0.1, 0.5),
        "model.network.backbone.conv.bias": (0.2, 0.0),
        "model.network.backbone.bn.weight": (0.1, 0.0),
        "model.network.backbone.bn.bias": (0.2, 0.0),
        "model.network.neck.bn.weight": (1.0, 0.0),
        "losses.0.weight": (3.0, 0.5),
    }
    named = dict(objective.named_parameters())
    assert set(named) - set(expected) == {"model.network.neck.bn.bias"}  # fixed by the neck
    assert len(found) == len(expected)
    for name, (rate, decay) in expected.items():
        assert found[id(named[name])] == (pytest.approx(rate * 0.01), decay), name


@pytest.mark.parametrize(
    ("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)]
)
def test_the_optimiser_is_the_one_named(name: str, kind: type) -> None:
    (optimizer,) = Schedule(optimizer=name, momentum=0.7).optimizers(Objective(model(), [Term(IdentityLoss())], 5))  # type: ignore[arg-type]
    assert type(optimizer) is kind
    assert optimizer.defaults.get("momentum", 0.7) == 0.7


def test_sgd_looks_ahead_where_it_is_told_to() -> None:
    objective = Objective(model(), [Term(IdentityLoss())], 5)
    defaults = [Schedule(optimizer="sgd", nesterov=on).optimizers(objective)[0].defaults for on in (False, True)]
    assert [found["nesterov"] for found in defaults] == [False, True]


def test_a_rate_of_ones_own_is_kept_apart_from_weight_and_schedule() -> None:
    class Own(Loss):
        learning_rate = 0.5

        def __init__(self) -> None:
            super().__init__()
            self.centre = torch.nn.Parameter(torch.ones(1))

        def forward(self, embeddings: Tensor, labels: Tensor, candidates: Candidates | None = None) -> Tensor:
            return self.centre.sum()

    schedule = Schedule()
    _, own = schedule.optimizers(Objective(model(), [Term(IdentityLoss()), Term(Own(), weight=0.25)], 5))
    schedule.set_rates(own, 15)
    assert [(g["lr"], len(g["params"])) for g in own.param_groups] == [(2.0, 1)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"accumulation": 0},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"weight_decay": -1.0},
        {"warmup_factor": 0.0},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Schedule(**wrong)  # type: ignore[arg-type]


def test_what_is_not_said_follows_from_data_and_model() -> None:
    few, many = (Schedule().resolved(steps_per_epoch=steps, pretrained=False) for steps in (18, 500))
    assert (few.epochs, many.epochs) == (56, 30)  # 1,000 steps and a few, and 30 epochs
    assert Schedule().resolved(steps_per_epoch=18, pretrained=True).epochs == 30
    assert Schedule(epochs=3, learning_rate=0.1).resolved(steps_per_epoch=18, pretrained=True) == Schedule(
        epochs=3, learning_rate=0.1
    )
    own = model()
    for pretrained, rates in ((False, {3.5e-3}), (True, {3.5e-3, 3.5e-4})):
        own.pretrained = pretrained
        groups = Schedule().optimizers(Objective(own, [Term(IdentityLoss())], 5))[0].param_groups
        assert {round(group["full_rate"], 9) for group in groups} == rates
    assert Schedule(optimizer="sgd").resolved(steps_per_epoch=9, pretrained=False).learning_rate == pytest.approx(0.035)
