"""HE's closed form against its definition, searched, and against the triplet loss."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reseen.geometry import Relation
from reseen.losses import HardTripletLoss, HELoss

distances = st.lists(st.floats(0, 10, width=32), min_size=1, max_size=8)


def cost_of_row(positives: list[float], negatives: list[float]) -> float:
    d = torch.tensor([positives + negatives], dtype=torch.float64)
    positive = torch.arange(d.shape[1])[None] < len(positives)
    return HELoss().per_anchor(d, Relation(positive, ~positive, torch.zeros_like(positive), d.shape[1])).item()


@settings(max_examples=100, deadline=None)
@given(distances, distances)
def test_it_is_the_least_cost_over_all_boundaries(positives: list[float], negatives: list[float]) -> None:
    def cost(t: float) -> float:
        return sum(max(p - t, 0) for p in positives) + sum(max(t - n, 0) for n in negatives)

    least = min(cost(t) for t in positives + negatives)  # it is convex and bends only there
    assert cost_of_row(positives, negatives) == pytest.approx(least, abs=1e-9)


def test_gradient_is_one_on_each_hard_sample() -> None:
    """As many positives beyond the boundary as negatives within it: the envelope theorem."""
    d = torch.tensor([[3.0, 1.0, 2.0, 0.5, 2.5, 4.0]], dtype=torch.float64, requires_grad=True)
    positive = torch.tensor([[True, True, True, False, False, False]])
    HELoss().per_anchor(d, Relation(positive, ~positive, torch.zeros_like(positive), 6)).sum().backward()
    assert d.grad.tolist() == [[1.0, 0.0, 0.0, -1.0, 0.0, 0.0]]


def test_with_one_positive_it_is_the_triplet_loss_without_margin() -> None:
    x = torch.randn(12, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = torch.arange(6).repeat(2)
    torch.testing.assert_close(HELoss()(x, y), HardTripletLoss(0.0)(x, y), rtol=1e-12, atol=0)


def test_where_identities_separate_it_is_0() -> None:
    y = torch.arange(3).repeat(4)
    x = 10 * torch.eye(3)[y] + 0.1 * torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    assert HELoss()(x, y) == 0


def test_a_metric_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="expected metric 'euclidean' or 'cosine', got 'manhattan'"):
        HELoss("manhattan")  # type: ignore[arg-type]
