"""Necks: which vectors the metric loss gets, and which the classifier."""

import pytest
import torch

from reseen.models.backbones.base import SideInfo
from reseen.models.layers.necks import NECKS, build_neck

VECTORS = torch.randn(8, 5, generator=torch.Generator().manual_seed(0)) * 3 + 2


def normalised(vectors: torch.Tensor) -> torch.Tensor:
    return (vectors - vectors.mean(0)) / (vectors.var(0, unbiased=False) + 1e-5).sqrt()


def test_bnneck_normalises_the_embedding_only() -> None:
    feature, embedding = build_neck("bnneck", 5)(VECTORS, SideInfo())
    assert feature is VECTORS
    torch.testing.assert_close(embedding, normalised(VECTORS))


def test_the_common_norm_gives_metric_loss_and_classifier_the_same_vectors() -> None:
    feature, embedding = build_neck("common", 5)(VECTORS, SideInfo())
    assert feature is embedding
    torch.testing.assert_close(embedding, normalised(VECTORS))


def test_rectified_is_the_positive_part_of_the_norm() -> None:
    feature, embedding = build_neck("rectified", 5)(VECTORS, SideInfo())
    assert feature is embedding
    torch.testing.assert_close(embedding, normalised(VECTORS).clamp(min=0))


def test_a_second_norm_follows_the_rectified_one() -> None:
    feature, embedding = build_neck("rectified_bnneck", 5)(VECTORS, SideInfo())
    assert feature is embedding
    torch.testing.assert_close(embedding, normalised(normalised(VECTORS).clamp(min=0)))


def test_no_neck_changes_nothing() -> None:
    feature, embedding = build_neck("none", 5)(VECTORS, SideInfo())
    assert feature is embedding is VECTORS


@pytest.mark.parametrize("name", ["bnneck", "common"])
def test_the_bias_is_fixed(name: str) -> None:
    for per_modality in (False, True):
        biases = [p for n, p in build_neck(name, 5, per_modality=per_modality).named_parameters() if "bias" in n]
        assert len(biases) == 1 + per_modality
        assert not any(b.requires_grad for b in biases)


@pytest.mark.parametrize("name", NECKS)
def test_with_a_norm_per_modality_each_modality_is_as_if_alone(name: str) -> None:
    modalities = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])
    together = build_neck(name, 5, per_modality=True)(VECTORS, SideInfo(modalities=modalities)).embedding
    for m in (0, 1):
        alone = build_neck(name, 5)(VECTORS[modalities == m], SideInfo()).embedding
        torch.testing.assert_close(together[modalities == m], alone)


def test_without_a_norm_there_is_none_per_modality() -> None:
    with pytest.raises(ValueError, match="choose another neck"):
        build_neck("none", 5, per_modality=True)


def test_without_modalities_a_norm_per_modality_says_what_it_misses() -> None:
    with pytest.raises(ValueError, match="expected modalities"):
        build_neck("bnneck", 5, per_modality=True)(VECTORS, SideInfo())
