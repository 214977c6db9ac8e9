"""Histogram and ROC of pooled pairs against the list of all pairs."""

import numpy as np
import pytest
import torch

from reseen.errors import DataError
from reseen.evaluation import roc, score_histogram
from reseen.protocols import any_view, cross_camera, sysu_mm01
from reseen.types import Embeddings


def random_set(seed: int, num: int) -> Embeddings:
    generator = np.random.default_rng(seed)
    vectors = generator.standard_normal((num, 6)).astype(np.float32)
    return Embeddings(vectors, generator.integers(0, 9, num), cameras=generator.integers(1, 4, num))


def pairs(query: Embeddings, gallery: Embeddings) -> tuple[np.ndarray, np.ndarray]:
    unit = [torch.nn.functional.normalize(e.vectors.double()).numpy() for e in (query, gallery)]
    scores = unit[0] @ unit[1].T
    same = query.identities[:, None] == gallery.identities
    junk = same & (query.cameras[:, None] == gallery.cameras)  # type: ignore[index]
    return scores[same & ~junk], scores[~same]


def test_histogram() -> None:
    query, gallery = random_set(0, 50), random_set(1, 200)
    found = score_histogram(query, gallery, cross_camera, bins=40)
    for counts, values in zip((found.positive, found.negative), pairs(query, gallery), strict=True):
        assert counts.tolist() == np.histogram(values, bins=found.edges)[0].tolist()


def test_a_cosine_of_one_counts_and_what_is_neither_does_not() -> None:
    one = Embeddings(np.array([[0.1, 0.7, 0.3]], np.float32).repeat(30, 0), [1] * 30, cameras=[3] * 30)
    found = score_histogram(one, one, any_view, bins=10)
    assert found.positive.tolist() == [0] * 9 + [900]
    assert not score_histogram(one, one, cross_camera).positive.any()
    elsewhere = Embeddings(one.vectors, [2] * 30, cameras=[2] * 30)
    assert not score_histogram(one, elsewhere, sysu_mm01()).negative.any()


def test_roc() -> None:
    query, gallery = random_set(0, 50), random_set(1, 200)
    found = roc(query, gallery, cross_camera)
    positive, negative = pairs(query, gallery)
    for fpr in (0, 1e-3, 0.01, 0.1, 0.5, 1):
        threshold = found.threshold_at(fpr)
        assert np.mean(negative >= threshold) <= fpr
        assert np.mean(negative >= threshold - 2**-15) > fpr or threshold == -1
        assert found.tpr_at(fpr) == pytest.approx(np.mean(positive >= threshold))
    assert (np.diff(found.false_positive_rate) >= 0).all()
    assert (np.diff(found.true_positive_rate) >= 0).all()
    with pytest.raises(ValueError, match="from 0 to 1"):
        found.tpr_at(2)


def test_roc_of_one_kind() -> None:
    query, gallery = random_set(0, 5), random_set(1, 20)
    strangers = Embeddings(gallery.vectors, gallery.identities + 100, cameras=gallery.cameras)
    with pytest.raises(DataError, match="one kind only"):
        roc(query, strangers, cross_camera)
