"""Margin classifiers against another library, and in their limits."""

import math

import pytest
import torch
from pytorch_metric_learning.losses import ArcFaceLoss as TheirArcFace
from pytorch_metric_learning.losses import CosFaceLoss as TheirCosFace
from torch import Tensor, nn
from torch.nn import functional as F

from reseen.geometry import Candidates
from reseen.losses import ArcFaceLoss, CircleLoss, CircleSoftmaxLoss, CosFaceLoss, IdentityLoss
from reseen.losses.margin_softmax import MarginSoftmaxLoss


def batch() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(5).repeat(3)
    weight = torch.randn(5, 8, dtype=torch.float64, generator=generator)
    return weight[y] + torch.randn(15, 8, dtype=torch.float64, generator=generator), y, weight


def with_weight(loss: MarginSoftmaxLoss, weight: Tensor) -> MarginSoftmaxLoss:
    loss.build(*weight.shape)
    loss.weight = nn.Parameter(weight.clone())
    return loss


def test_cos_face_equals_another_library() -> None:
    x, y, weight = batch()
    theirs = TheirCosFace(5, 8, margin=0.35, scale=64)
    theirs.W = nn.Parameter(weight.T.clone())
    torch.testing.assert_close(with_weight(CosFaceLoss(), weight)(x, y), theirs(x, y), rtol=1e-10, atol=0)


def test_arc_face_equals_another_library() -> None:
    x, y, weight = batch()
    theirs = TheirArcFace(5, 8, margin=math.degrees(0.5), scale=64)
    theirs.W = nn.Parameter(weight.T.clone())
    torch.testing.assert_close(with_weight(ArcFaceLoss(), weight)(x, y), theirs(x, y), rtol=1e-6, atol=0)


def test_arc_face_falls_with_the_angle_all_the_way() -> None:
    angle = torch.linspace(0, math.pi, 1000, dtype=torch.float64)[:, None]
    logits = ArcFaceLoss().target_logits(angle.cos())
    assert (logits.diff(dim=0) < 1e-9).all()
    early = angle[:, 0] < math.pi - 0.51
    torch.testing.assert_close(logits[early], (angle[early] + 0.5).cos(), rtol=0, atol=1e-7)


def test_circle_softmax_of_one_identity_against_another_is_the_pair_loss_on_proxies() -> None:
    x, y, weight = batch()
    classifier = with_weight(CircleSoftmaxLoss(margin=0.25, scale=128), weight)
    proxies = Candidates(weight, torch.arange(5), None)
    torch.testing.assert_close(classifier(x, y), CircleLoss(0.25, 128)(x, y, proxies), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_without_margin_they_are_cross_entropy_over_scaled_cosines(smoothing: float) -> None:
    x, y, weight = batch()
    logits = 16 * F.normalize(x) @ F.normalize(weight).T
    expected = F.cross_entropy(logits, y, label_smoothing=smoothing)
    for kind in (CosFaceLoss, ArcFaceLoss):
        loss = with_weight(kind(margin=0.0, scale=16, smoothing=smoothing), weight)
        torch.testing.assert_close(loss(x, y), expected, rtol=1e-7, atol=0)


def test_sizes_are_given_once_and_together() -> None:
    x, y, _ = batch()
    assert IdentityLoss(7, 8).weight.shape == (7, 8)
    with pytest.raises(ValueError, match="expected num_identities and dim, or neither, got 7 and None"):
        IdentityLoss(7)
    with pytest.raises(ValueError, match=r"expected IdentityLoss to know its identities.*call build"):
        IdentityLoss()(x, y)
    with pytest.raises(ValueError, match=r"expected embeddings \(A, 9\), got \(15, 8\)"):
        IdentityLoss(5, 9)(x, y)
    with pytest.raises(ValueError, match=r"expected smoothing in \[0, 1\), got 1"):
        IdentityLoss(smoothing=1)
