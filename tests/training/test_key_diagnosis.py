import pytest
import torch
from torch import Tensor

from reseen.geometry import Candidates, MemoryCandidates
from reseen.losses import HELoss
from reseen.training.key_diagnosis import hardness


def literal(x: Tensor, y: Tensor, past: Tensor, past_y: Tensor) -> tuple[list[float], list[bool]]:
    """The middle of each anchor's best boundaries, and for each negative within its own whether it is of the past."""
    boundaries, from_past = [], []
    for i in range(len(x)):
        positives = [float((x[i] - x[j]).norm()) for j in range(len(x)) if j != i and y[j] == y[i]]
        negatives = [(float((x[i] - x[j]).norm()), False) for j in range(len(x)) if y[j] != y[i]]
        negatives += [(float((x[i] - c).norm()), True) for c, label in zip(past, past_y, strict=True) if label != y[i]]
        every = sorted(positives + [d for d, _ in negatives])
        costs = [sum(max(p - t, 0) for p in positives) + sum(max(t - n, 0) for n, _ in negatives) for t in every]
        best = [t for t, cost in zip(every, costs, strict=True) if cost <= min(costs) + 1e-5]
        boundaries.append((min(best) + max(best)) / 2)
        from_past += [old for d, old in negatives if d < boundaries[-1] - 1e-6]
    return boundaries, from_past


@pytest.mark.parametrize("seed", range(5))
def test_the_boundary_is_where_he_is_least(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x, past = torch.randn(12, 3, generator=generator), torch.randn(30, 3, generator=generator)
    y, past_y = torch.arange(4).repeat(3), torch.randint(5, (30,), generator=generator)
    stored = MemoryCandidates(past, past_y, past.norm(dim=1), torch.ones(30, dtype=torch.bool))
    found = hardness(x, y, Candidates(x, y, stored=(stored,)))
    boundaries, from_past = literal(x, y, past, past_y)
    assert found["boundary of HE"] == pytest.approx(sum(boundaries) / len(boundaries), abs=1e-5)
    assert found["hard negatives from the dictionary"] == pytest.approx(sum(from_past) / len(from_past))


def test_what_is_undefined_is_left_out() -> None:
    apart, y = torch.tensor([[0.0, 0], [0, 1], [9, 0], [9, 1]]), torch.tensor([0, 0, 1, 1])
    assert HELoss()(apart, y) == 0
    assert hardness(apart, y, Candidates(apart, y)) == {"boundary of HE": pytest.approx(5.0, abs=0.02)}
    assert hardness(apart, torch.arange(4), Candidates(apart, torch.arange(4))) == {}
    assert hardness(apart, 0 * y, Candidates(apart, 0 * y)) == {}
