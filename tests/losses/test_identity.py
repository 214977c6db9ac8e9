"""The identity loss on some of the pictures of a batch."""

import pytest
import torch

from reseen.losses import IdentityLoss


def test_every_third_picture_is_classified_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(12, 5, generator=generator, requires_grad=True)
    labels = torch.randint(0, 4, (12,), generator=generator)
    all_pictures, anchors = IdentityLoss(4, 5), IdentityLoss(4, 5, every=3)
    anchors.load_state_dict(all_pictures.state_dict())
    value = anchors(x, labels)
    chosen = [0, 3, 6, 9]
    torch.testing.assert_close(value, all_pictures(x[chosen], labels[chosen]))
    (gradient,) = torch.autograd.grad(value, x)
    assert [row for row in range(12) if gradient[row].any()] == chosen


def test_a_step_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="expected every to be 1 or more, got 0"):
        IdentityLoss(every=0)
