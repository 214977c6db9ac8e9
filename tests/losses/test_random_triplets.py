"""One positive and one negative of each anchor, drawn anew."""

import pytest
import torch

from reseen.losses import (
    CrossBatchMemory,
    CrossModal,
    ExpATLoss,
    FIDILoss,
    HardTripletLoss,
    IdentityLoss,
    RandomTriplets,
)
from reseen.losses.random_triplets import draw

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(12, 4, generator=GENERATOR, dtype=torch.float64)
Y = torch.arange(3).repeat_interleave(4)
INFRARED = torch.arange(12) % 2 == 1


def test_each_choice_is_as_probable() -> None:
    torch.manual_seed(0)
    mask = torch.tensor([[True, False, True, True], [False, False, False, False], [False, True, False, False]])
    drawn = torch.stack([draw(mask) for _ in range(3000)])
    assert (drawn.sum(2) == mask.any(1)).all()
    torch.testing.assert_close(drawn.double().mean(0)[0], mask[0].double() / 3, atol=0.03, rtol=0)


def test_the_loss_is_that_of_drawn_triplets_across_modalities() -> None:
    """Of all triplets (a, p, n) with p and n of the other modality, the mean over draws is the mean, by a slow loop."""
    u = torch.nn.functional.normalize(X)
    expected = 0.0
    for modality in (False, True):
        anchors = [i for i in range(12) if INFRARED[i] == modality]
        others = [i for i in range(12) if INFRARED[i] != modality]
        for a in anchors:
            values = [
                torch.exp(torch.relu(u[a] @ u[n]) - u[a] @ u[p] + 1)
                for p in others
                for n in others
                if Y[p] == Y[a] != Y[n]
            ]
            expected += torch.stack(values).mean() / len(anchors)
    torch.manual_seed(0)
    loss = CrossModal(RandomTriplets(ExpATLoss()))
    values = torch.stack([loss(X, Y, modalities=INFRARED) for _ in range(2000)])
    assert values.std() > 0.01
    torch.testing.assert_close(values.mean(), expected, rtol=0.01, atol=0)


def test_where_there_is_one_triplet_it_is_the_loss_itself() -> None:
    two = torch.tensor([0, 0, 1])
    torch.testing.assert_close(RandomTriplets(HardTripletLoss())(X[:3], two), HardTripletLoss()(X[:3], two))


def test_seeded_and_with_a_gradient_of_the_drawn_ones_only() -> None:
    x = X.clone().requires_grad_()
    loss = RandomTriplets(FIDILoss())
    values = []
    for _ in range(2):
        torch.manual_seed(3)
        values.append(loss(x, Y))
    assert values[0] == values[1]
    (gradient,) = torch.autograd.grad(values[0], x)
    assert gradient.isfinite().all()
    assert gradient.any()


def test_what_cannot_be_drawn_from_is_refused() -> None:
    with pytest.raises(ValueError, match="got CrossModal; wrap RandomTriplets instead"):
        RandomTriplets(CrossModal(ExpATLoss()))
    with pytest.raises(ValueError, match="got IdentityLoss"):
        RandomTriplets(IdentityLoss())
    with pytest.raises(ValueError, match="take CrossBatchMemory away"):
        CrossBatchMemory(RandomTriplets(ExpATLoss()), 8, 4).double()(X, Y)
