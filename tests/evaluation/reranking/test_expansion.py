"""Expansion and augmentation against loops."""

import numpy as np
import pytest
from numpy.typing import NDArray

from reseen.evaluation import evaluate
from reseen.evaluation.reranking import alpha_query_expansion, average_query_expansion, database_augmentation
from reseen.protocols import any_view
from reseen.types import Embeddings


def random_set(seed: int, num: int, noise: float = 1.0) -> Embeddings:
    generator = np.random.default_rng(seed)
    identities = generator.integers(0, 10, num)
    centres = np.random.default_rng(99).standard_normal((10, 12))
    vectors = centres[identities] + noise * generator.standard_normal((num, 12))
    return Embeddings(vectors, identities, cameras=identities % 2, paths=[f"{i}" for i in range(num)])


def unit(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def expanded(x: NDArray[np.float64], gallery: NDArray[np.float64], k: int, power: float) -> NDArray[np.float64]:
    """The vector itself with weight one, and its k nearest with a power of their cosine."""
    rows = []
    for row in unit(x):
        cosine = unit(gallery) @ row
        nearest = np.argsort(-cosine)[:k]
        rows.append(row + sum(max(cosine[j], 0) ** power * unit(gallery)[j] for j in nearest))
    return unit(np.array(rows))


@pytest.mark.parametrize("k", [1, 5, 100])
def test_queries(k: int) -> None:
    query, gallery = random_set(0, 20), random_set(1, 80)
    x, g = query.vectors.numpy(), gallery.vectors.numpy()
    for method, power in ((average_query_expansion(k=k), 0.0), (alpha_query_expansion(k=k, power=3), 3.0)):
        new, same = method(query, gallery)
        assert same is gallery
        np.testing.assert_allclose(new.vectors, expanded(x, g, k, power), atol=1e-5)
        assert new.identities is query.identities
        assert new.paths is query.paths


def test_gallery() -> None:
    query, gallery = random_set(0, 20), random_set(1, 80)
    same, new = database_augmentation(k=4, power=2)(query, gallery)
    assert same is query
    g = gallery.vectors.numpy()
    for row in range(80):
        others = np.delete(g, row, axis=0)
        np.testing.assert_allclose(new.vectors[row], expanded(g[[row]], others, 4, 2)[0], atol=1e-5)


@pytest.mark.parametrize("method", [average_query_expansion(), alpha_query_expansion(), database_augmentation()])
def test_they_help_where_neighbours_are_right(method: object) -> None:
    query, gallery = random_set(0, 40, noise=1.2), random_set(1, 200, noise=1.2)
    plain = evaluate(query, gallery, any_view).mean_ap
    assert evaluate(query, gallery, any_view, reranking=method).mean_ap > plain + 0.02  # type: ignore[arg-type]


def test_out_of_range() -> None:
    with pytest.raises(ValueError, match="k of at least 1"):
        average_query_expansion(k=0)
    with pytest.raises(ValueError, match="power of at least 0"):
        alpha_query_expansion(power=-1)
