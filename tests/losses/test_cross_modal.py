"""What is particular to two modalities; the values are checked against loops."""

import pytest
import torch

from reseen.geometry import Candidates
from reseen.losses import AcrossRanks, CrossBatchMemory, CrossModal, ExpATLoss, HardTripletLoss, IdentityLoss

X = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(4).repeat(2)
INFRARED = torch.arange(8) >= 4


def test_modalities_may_be_numbers() -> None:
    loss = CrossModal(ExpATLoss())
    assert loss(X, Y, modalities=INFRARED.long()) == loss(X, Y, modalities=INFRARED)


def test_the_directions_are_weighted() -> None:
    both, forth, back = (
        CrossModal(ExpATLoss(), visible=v, infrared=i)(X, Y, modalities=INFRARED) for v, i in ((1, 1), (1, 0), (0, 1))
    )
    torch.testing.assert_close(forth + back, both)
    torch.testing.assert_close(
        CrossModal(ExpATLoss(), visible=2, infrared=3)(X, Y, modalities=INFRARED), 2 * forth + 3 * back
    )


def test_one_modality_alone_has_no_pairs() -> None:
    x = X.clone().requires_grad_()
    loss = CrossModal(HardTripletLoss())(x, Y, modalities=torch.zeros(8, dtype=torch.bool))
    loss.backward()
    assert loss == 0
    assert (x.grad == 0).all()


def test_wrappers_say_that_they_take_modalities() -> None:
    assert CrossModal(ExpATLoss()).takes_modalities
    assert AcrossRanks(CrossBatchMemory(CrossModal(ExpATLoss()), 8, 4)).takes_modalities
    assert not AcrossRanks(ExpATLoss()).takes_modalities
    assert not ExpATLoss().takes_modalities


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match=r"expected modalities \(8,\), which anchors are infrared, got None"):
        CrossModal(ExpATLoss())(X, Y)
    with pytest.raises(ValueError, match=r"expected modalities \(8,\).*got \(7,\)"):
        CrossModal(ExpATLoss())(X, Y, modalities=INFRARED[1:])
    with pytest.raises(ValueError, match=r"give Candidates\(..., modalities=...\)"):
        CrossModal(ExpATLoss())(X, Y, Candidates(X, Y, 0), modalities=INFRARED)
    with pytest.raises(ValueError, match="expected a loss over pairs in CrossModal, got IdentityLoss"):
        CrossModal(AcrossRanks(IdentityLoss()))
