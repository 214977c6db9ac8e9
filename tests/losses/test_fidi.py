"""The shape of the FIDI penalty, as the paper describes it."""

import math
from typing import Literal

import pytest
import torch

from reseen.geometry import Relation
from reseen.losses import FIDILoss

ALPHAS = [1.05, 1.5, 2.0, 4.0]


def penalty(
    d: torch.Tensor,
    same: bool,
    alpha: float = 1.05,
    beta: float = 0.5,
    probability: Literal["exponential", "sigmoid"] = "exponential",
) -> torch.Tensor:
    """Return what pairs at distances d (N,) cost."""
    yes = torch.full((len(d), 1), same)
    relation = Relation(yes, ~yes, torch.zeros_like(yes), 1)
    return FIDILoss(alpha, beta, probability).per_anchor(d[:, None], relation)[:, 0]


@pytest.mark.parametrize("alpha", ALPHAS)
def test_limits_of_equation_7(alpha: float) -> None:
    bound = math.log(alpha / (alpha - 1))
    ends = torch.tensor([0.0, 1e4], dtype=torch.float64)
    torch.testing.assert_close(penalty(ends, True, alpha), torch.tensor([0.0, bound], dtype=torch.float64))
    torch.testing.assert_close(penalty(ends, False, alpha), torch.tensor([bound, 0.0], dtype=torch.float64))


@pytest.mark.parametrize("alpha", ALPHAS)
def test_penalties_are_bounded_and_monotone(alpha: float) -> None:
    d = torch.linspace(0, 60, 5000, dtype=torch.float64)
    same, other, bound = penalty(d, True, alpha), penalty(d, False, alpha), math.log(alpha / (alpha - 1))
    assert (same.diff() >= -1e-15).all()
    assert (other.diff() < 0).all()
    for each in (same, other):
        assert each.min() > -1e-14
        assert each.max() <= bound + 1e-14


@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_the_sigmoid_has_the_same_ends_and_is_half_as_steep_at_small_differences(beta: float) -> None:
    bound = math.log(1.05 / 0.05)
    ends = torch.tensor([0.0, 1e4], dtype=torch.float64)
    torch.testing.assert_close(penalty(ends, False, 1.05, beta, "sigmoid"), ends.new_tensor([bound, 0.0]))
    torch.testing.assert_close(penalty(ends, True, 1.05, beta, "sigmoid"), ends.new_tensor([0.0, bound]))
    d = torch.tensor([0.0, 1e-6], dtype=torch.float64)
    exponential, sigmoid = (-penalty(d, False, 1.05, beta, kind).diff() / 1e-6 for kind in ("exponential", "sigmoid"))
    torch.testing.assert_close(exponential, ends.new_tensor([beta * bound]), rtol=1e-4, atol=0)
    torch.testing.assert_close(sigmoid, ends.new_tensor([beta * bound / 2]), rtol=1e-4, atol=0)


def test_another_probability_is_refused() -> None:
    with pytest.raises(ValueError, match="expected probability exponential or sigmoid, got 'tanh'"):
        FIDILoss(probability="tanh")  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_nothing_is_nan_where_u_underflows(dtype: torch.dtype) -> None:
    d = torch.tensor([0.0, 1e-8, 200.0, 1e3, 1e6], dtype=dtype, requires_grad=True)
    for same in (True, False):
        (gradient,) = torch.autograd.grad(penalty(d, same).sum(), d)
        assert gradient.isfinite().all()


def test_pairs_of_one_identity_or_of_others_alone_are_valid() -> None:
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    assert FIDILoss()(x, torch.zeros(4, dtype=torch.int64)) > 0
    assert FIDILoss()(x, torch.arange(4)) > 0


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.5), (0.5, 0.5), (1.05, 0.0), (1.05, -1.0), (math.nan, 0.5)])
def test_parameters_without_a_meaning_are_refused(alpha: float, beta: float) -> None:
    with pytest.raises(ValueError, match="expected alpha above 1 and beta above 0, got"):
        FIDILoss(alpha, beta)
