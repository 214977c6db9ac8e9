"""Pooling against loops over positions."""

import pytest
import torch

from reseen.models.layers.pooling import POOLINGS, AveragePooling, GeMPooling, MaxPooling


@pytest.fixture
def features() -> torch.Tensor:
    return torch.randn(2, 3, 12, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("strips", [1, 2, 3, 6])
def test_strips_are_pooled_from_top_to_bottom(features: torch.Tensor, strips: int) -> None:
    height = 12 // strips
    for pooling, reduce in ((AveragePooling(), lambda x: x.mean()), (MaxPooling(), lambda x: x.max())):
        pooled = pooling(features, strips)
        assert pooled.shape == (2, 3, strips)
        for b in range(2):
            for c in range(3):
                for s in range(strips):
                    expected = reduce(features[b, c, s * height : (s + 1) * height])
                    torch.testing.assert_close(pooled[b, c, s], expected)


@pytest.mark.parametrize("strips", [1, 4])
def test_gem_is_the_mean_of_powers(features: torch.Tensor, strips: int) -> None:
    pooled = GeMPooling(2.5)(features, strips)
    height = 12 // strips
    for s in range(strips):
        values = features[:, :, s * height : (s + 1) * height].clamp(min=1e-6).flatten(2)
        torch.testing.assert_close(pooled[:, :, s], values.pow(2.5).mean(2).pow(1 / 2.5), atol=1e-6, rtol=1e-5)


def test_gem_lies_between_mean_and_maximum(features: torch.Tensor) -> None:
    positive = features.abs() + 0.1
    mean, maximum = AveragePooling()(positive), MaxPooling()(positive)
    torch.testing.assert_close(GeMPooling(1.0)(positive), mean, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(GeMPooling(60.0)(positive), maximum, atol=0, rtol=0.08)
    gem = GeMPooling()(positive)
    assert ((mean < gem) & (gem < maximum)).all()


def test_gem_stays_finite_where_the_map_is_zero_and_in_half_precision() -> None:
    features = torch.zeros(1, 2, 4, 4, dtype=torch.float16, requires_grad=True)
    pooling = GeMPooling()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = pooling(features)
    pooled.float().sum().backward()
    assert pooled.dtype == torch.float16
    assert torch.isfinite(pooled).all()
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()
    assert torch.isfinite(pooling.p.grad).all()


@pytest.mark.parametrize("name", POOLINGS)
def test_an_uneven_height_is_still_pooled(name: str) -> None:
    pooled = POOLINGS[name]()(torch.rand(1, 2, 5, 3), 3)
    assert pooled.shape == (1, 2, 3)
