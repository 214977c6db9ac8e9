"""Many candidates: worked on a few rows at a time, or mined, and still the same loss."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import reseen.geometry
import reseen.losses.base
import reseen.losses.mining
from reseen import losses
from reseen.geometry import Candidates, MemoryCandidates
from reseen.losses import NPairLoss, PairLoss

OF_PAIRS: dict[str, PairLoss] = {
    name: getattr(losses, name)()
    for name in losses.__all__
    if issubclass(getattr(losses, name), PairLoss) and not getattr(losses, name).__abstractmethods__
} | {"NPairLoss(inner_product)": NPairLoss(metric="inner_product")}


def batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(6, 5, dtype=torch.float64, generator=generator)
    y, past_y = torch.arange(6).repeat(3), torch.randint(6, (200,), generator=generator)
    x, past = (
        centres[of] + 0.9 * torch.randn(len(of), 5, dtype=torch.float64, generator=generator) for of in (y, past_y)
    )
    return x.requires_grad_(), y, past, past_y


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def row_blocks(rows: int, columns: int, elements: int = 0) -> Iterator[slice]:
        return reseen.geometry.row_blocks(rows, columns, 700)

    monkeypatch.setattr(reseen.losses.base, "row_blocks", row_blocks)
    monkeypatch.setattr(reseen.losses.mining, "SLOTS_AT_ONCE", 37)


def value_and_gradient(loss: PairLoss, *args: Tensor | Candidates) -> tuple[Tensor, Tensor]:
    value = loss(*args)
    return value.detach(), torch.autograd.grad(value, args[0])[0]


@pytest.mark.parametrize("name", OF_PAIRS)
def test_rows_may_be_worked_on_apart(name: str, few_at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, past, past_y = batch()
    candidates = Candidates(torch.cat([x, past]), torch.cat([y, past_y]), 0)
    apart = value_and_gradient(OF_PAIRS[name], x, y, candidates)
    monkeypatch.undo()
    together = value_and_gradient(OF_PAIRS[name], x, y, candidates)
    torch.testing.assert_close(apart, together, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", OF_PAIRS)
def test_second_derivatives_of_rows_apart(name: str, few_at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, past, past_y = batch()
    candidates = Candidates(torch.cat([x, past]), torch.cat([y, past_y]), 0)

    def penalty() -> tuple[Tensor, Tensor]:
        gradient = torch.autograd.grad(OF_PAIRS[name](x, y, candidates), x, create_graph=True)[0]
        return gradient, torch.autograd.grad(gradient.square().sum(), x, retain_graph=True)[0]

    apart = penalty()
    monkeypatch.undo()
    torch.testing.assert_close(apart, penalty(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", OF_PAIRS)
def test_stored_candidates_are_as_good_as_live_ones(name: str, few_at_once: None) -> None:
    x, y, past, past_y = batch()
    stored = MemoryCandidates(past, past_y, past.norm(dim=1), torch.ones(200, dtype=torch.bool), "keep")
    found = value_and_gradient(OF_PAIRS[name], x, y, Candidates(x, y, 0, stored=(stored,)))
    expected = value_and_gradient(OF_PAIRS[name], x, y, Candidates(torch.cat([x, past]), torch.cat([y, past_y]), 0))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_a_mined_pair_is_measured_exactly() -> None:
    """At norm 30 a float32 product reads this distance 40 times too long."""
    generator = torch.Generator().manual_seed(0)
    past = 30 * torch.nn.functional.normalize(torch.randn(20, 2048, generator=generator))
    x = past[:1] + 5e-4 * torch.nn.functional.normalize(torch.randn(1, 2048, generator=generator))
    stored = MemoryCandidates(past, torch.arange(20), past.norm(dim=1), torch.ones(20, dtype=torch.bool))
    own = torch.tensor([99])
    loss = losses.HardTripletLoss(1.0)(x, own, Candidates(x, own, 0, stored=(stored,)))
    true = (x[0].double() - past[0].double()).norm()
    assert 1 - loss.item() == pytest.approx(true.item(), rel=1e-2)
