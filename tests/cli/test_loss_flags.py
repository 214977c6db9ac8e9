"""Flags about losses change what is trained, and config.yaml says exactly that, or they are refused in one line."""

import functools
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.recipes.stepping import RECIPES, spectra

from reseen.cli.parser import WrongArgumentsError, parse
from reseen.recipes import settings_of
from reseen.recipes.objective import name_of, role_of
from reseen.training import Term

FLAGS = [
    ["--loss", "FIDILoss", "--loss.beta", "0.7"],
    ["--loss", "null"],
    ["--loss_weight", "0.3"],
    ["--loss_output", "embedding"],
    ["--identity_loss", "IdentityLoss", "--identity_loss.smoothing", "0.25"],
    ["--identity_loss=ArcFaceLoss"],
    ["--identity_loss", "null"],
    ["--identity_loss.smoothing", "0.125"],
]


def call(name: str | None, flags: list[str]) -> dict[str, Any]:
    """What `reseen train` is called with."""
    recipe = [] if name is None else ["--config", name]
    modality = "visible" if name is None else spectra(name)
    return parse("train", [*recipe, "--data", "Synthetic", "--data.modality", modality, "--out", "unused", *flags])[1]


def described(terms: list[Term]) -> list[tuple[str, str, float | None, str]]:
    """What is trained: the losses as built, with their arguments; role as the loss or the term has it."""
    return [(describe(t.loss), t.output, t.weight, t.role or t.loss.role) for t in terms]


def describe(loss: Any) -> str:
    values = {
        k: v
        for k, v in vars(loss).items()
        if not k.startswith("_") and k not in ("arguments", "training", "learning_rate")
    }
    inside = {k: describe(v) for k, v in loss.named_children()}
    return f"{type(loss).__name__}{sorted({**values, **inside}.items())}"


@functools.cache
def plain(name: str) -> list[tuple[str, str, float | None, str]]:
    """The recipe's own terms."""
    return described(call(name, [])["terms"])


def expected(name: str, flags: list[str]) -> list[tuple[str, str, float | None, str]] | None:
    """The recipe's terms as a reader would change them by hand; None where it is not clear which is meant."""
    flag, _, value = " ".join(flags[:2]).replace("=", " ").partition(" ")
    role = "identity" if flag.startswith("--identity") else "metric"
    own, others = ([t for t in plain(name) if (t[3] == role) is is_own] for is_own in (True, False))
    kinds = {t[0].partition("[")[0] for t in own}
    if flag in ("--loss_weight", "--loss_output"):
        if len(own) != 1:
            return None
        ((loss, output, weight, _),) = own
        new = [(loss, output, 0.3, role)] if flag == "--loss_weight" else [(loss, "embedding", weight, role)]
    elif value == "null":
        new = [] if len(kinds) < 2 else None  # type: ignore[assignment]
    elif flag == "--identity_loss.smoothing":
        if len(own) == 0 or any("smoothing" not in t[0] for t in own):
            return None
        was = [t[0].partition("'smoothing', ")[2].partition(")")[0] for t in own]
        new = [(t[0].replace(f"'smoothing', {w}", "'smoothing', 0.125"), *t[1:]) for t, w in zip(own, was, strict=True)]
    else:
        arguments = {"--loss": {"beta": 0.7}, "--identity_loss": {"smoothing": 0.25} if "Identity" in value else {}}
        kind = value.partition(" ")[0]
        loss = describe(getattr(__import__("reseen.losses", fromlist=[kind]), kind)(**arguments[flag]))
        usual = ("", "embedding" if role == "identity" else "feature", None, role)
        new = [(loss, *t[1:]) for t in own or [usual]]
    return sorted([*new, *others])


def recipes() -> Iterator[Any]:
    """Give every recipe; all but the first with losses of the same roles, in the same wrappers, are slow."""
    seen = set()
    for name in RECIPES:
        terms = settings_of(name)["terms"]
        kind = tuple((role_of(term), "(" in name_of(term["loss"])) for term in terms)
        yield pytest.param(name, marks=[pytest.mark.slow] if kind in seen else [])
        seen.add(kind)


@pytest.mark.parametrize("name", list(recipes()))
def test_what_is_trained_is_what_the_settings_say(name: str) -> None:
    assert [role for *_, role in plain(name)] == [role_of(term) for term in settings_of(name)["terms"]]
    for flags in FLAGS:
        wanted = expected(name, flags)
        if wanted is None:
            with pytest.raises(WrongArgumentsError) as refused:
                call(name, flags)
            assert "\n" not in str(refused.value)
            continue
        made = call(name, flags)
        assert sorted(described(made["terms"])) == wanted, flags
        assert not {"loss", "loss_weight", "loss_output", "identity_loss"} & set(made["resolved"])


@pytest.mark.parametrize("flags", [[], *FLAGS[:3], FLAGS[4]])
@pytest.mark.parametrize("name", [None, "market1501/adasp_mgn", "veri776/sbs", "regdb/expat"])
def test_config_yaml_repeats_what_was_trained(name: str | None, flags: list[str], tmp_path: Any) -> None:
    if name == "market1501/adasp_mgn" and flags and flags[0] in ("--loss_weight", "--loss_output"):
        pytest.skip("refused")
    made = call(name, flags)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(made["resolved"], sort_keys=False))
    again = parse("train", ["--config", str(tmp_path / "config.yaml")])[1]
    assert described(again["terms"]) == described(made["terms"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--config", "market1501/adasp_mgn", "--loss_weight", "0.3"],
            "one term with a metric loss to change its weight",
        ),
        (["--loss", "null", "--loss_weight", "0.3"], "to change its weight, got none"),
        (
            ["--loss", "null", "--loss.temperature", "0.3"],
            "expected a loss for --loss.temperature, as --loss NAME gives one",
        ),
        (["--identity_loss", "null", "--identity_loss.smoothing", "0.3"], "a loss for --identity_loss.smoothing"),
        (["--loss.betta", "0.3"], "betta"),
        (
            ["--terms", "[{loss: FIDILoss}, {loss: HELoss}]", "--loss", "AdaSPLoss"],
            "expected one metric loss to change, got FIDILoss, HELoss; say all losses with --terms",
        ),
        (["--loss", "HELoss", "--print_config"], "no flags about losses beside --print_config"),
    ],
)
def test_a_flag_that_cannot_act_is_refused_in_one_line(arguments: list[str], message: str) -> None:
    with pytest.raises(WrongArgumentsError) as refused:
        parse("train", [*arguments, "--data", "Synthetic", "--out", "unused"])
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_configuration_s_single_losses_change_its_terms_before_the_flags(tmp_path: Any) -> None:
    (tmp_path / "own.yaml").write_text("loss: {class_path: FIDILoss, init_args: {beta: 0.7}}\nloss_weight: 0.3\n")
    files = ["--config", "veri776/adasp", "--config", str(tmp_path / "own.yaml")]
    made = parse("train", [*files, "--data", "Synthetic", "--out", "unused", "--loss.alpha", "1.2"])[1]
    identity, metric = made["terms"]
    assert type(identity.loss).__name__ == "IdentityLoss"
    assert (metric.loss.alpha, metric.loss.beta, metric.weight, metric.output) == (1.2, 0.7, 0.3, "feature")


def test_a_metric_loss_of_another_kind_keeps_its_place() -> None:
    made = parse("train", ["--config", "veri776/adasp", "--data", "Synthetic", "--out", "x", "--loss", "CenterLoss"])[1]
    assert [(type(term.loss).__name__, term.role) for term in made["terms"]] == [
        ("IdentityLoss", None),
        ("CenterLoss", "metric"),
    ]
