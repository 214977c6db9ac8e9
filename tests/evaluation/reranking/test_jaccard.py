"""k-reciprocal encoding against a dense reading of the paper; its published figures are in test_evaluation."""

import importlib

import numpy as np
import pytest
from numpy.typing import NDArray

from reseen.evaluation.reranking import k_reciprocal
from reseen.types import Embeddings

module = importlib.import_module("reseen.evaluation.reranking.jaccard")
neighbours = importlib.import_module("reseen.evaluation.reranking.neighbours")


def random_set(seed: int, num: int) -> Embeddings:
    generator = np.random.default_rng(seed)
    identities = generator.integers(0, 10, num)
    vectors = np.random.default_rng(99).standard_normal((10, 12))[identities] + generator.standard_normal((num, 12))
    return Embeddings(vectors, identities)


def dense(query: Embeddings, gallery: Embeddings, k1: int, k2: int, weight: float) -> NDArray[np.float64]:
    """Equations 1 to 12 of the paper with sets and N x N matrices."""
    x = np.concatenate([query.vectors.numpy(), gallery.vectors.numpy()])
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    squared = ((x[:, None] - x[None]) ** 2).sum(-1)
    squared = squared / squared.max(1, keepdims=True)
    order = np.argsort(squared, axis=1, kind="stable")
    N = len(x)

    def mutual(i: int, k: int) -> set[int]:
        return {j for j in order[i, : k + 1] if i in order[j, : k + 1]}

    code = np.zeros((N, N))
    for i in range(N):
        near = mutual(i, k1)
        wider = set(near)
        for j in near:
            theirs = mutual(j, round(k1 / 2))
            if len(theirs & near) > 2 / 3 * len(theirs):
                wider |= theirs
        members = sorted(wider)
        code[i, members] = np.exp(-squared[i, members])
        code[i] /= code[i].sum()
    code = np.stack([code[order[i, :k2]].mean(0) for i in range(N)])
    Q = len(query)
    smaller = np.minimum(code[:Q, None], code[None, Q:]).sum(-1)
    larger = np.maximum(code[:Q, None], code[None, Q:]).sum(-1)
    return (1 - weight) * (1 - smaller / larger) + weight * squared[:Q, Q:]


@pytest.mark.parametrize(("k1", "k2", "weight"), [(20, 6, 0.3), (7, 1, 0.0), (5, 3, 1.0), (10, 11, 0.5), (1, 1, 0.3)])
def test_dense(k1: int, k2: int, weight: float) -> None:
    query, gallery = random_set(0, 15), random_set(1, 60)
    found = k_reciprocal(k1=k1, k2=k2, weight=weight)(query, gallery)
    assert found.shape == (15, 60)
    np.testing.assert_allclose(found.distances(), dense(query, gallery, k1, k2, weight), atol=1e-6)


def test_fewer_pictures_than_neighbours() -> None:
    for num in (4, 2, 1):  # of 1 + num pictures in all; codes are averaged over 6, or as many as there are
        query, gallery = random_set(0, 1), random_set(1, num)
        found = k_reciprocal()(query, gallery).distances()
        np.testing.assert_allclose(found, dense(query, gallery, 20, 6, 0.3), atol=1e-6)


def test_four_pictures_by_hand() -> None:
    gallery = Embeddings(np.array([[0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]]), np.arange(3))
    found = k_reciprocal()(Embeddings(np.array([[1.0, 0.0]]), np.arange(1)), gallery).distances()
    np.testing.assert_allclose(found, [[0.0375, 0.1875, 0.3]], atol=1e-6)


def test_any_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    query, gallery = random_set(0, 15), random_set(1, 60)
    whole = k_reciprocal()(query, gallery).distances()
    monkeypatch.setattr(module, "SHARED_CHUNK", 50)
    monkeypatch.setattr(neighbours, "MAX_QUERIES", 7)
    monkeypatch.setattr(neighbours, "MAX_ROWS", 11)
    scores = k_reciprocal()(query, gallery)
    rows, columns = np.array([3, 14, 0]), np.array([59, 2])
    np.testing.assert_allclose(scores.distances(rows, columns), whole[rows][:, columns], atol=1e-6)
    np.testing.assert_allclose(scores.rows(slice(4, 9))(slice(7, 33)), -whole[4:9, 7:33], atol=1e-6)
    query_rows, gallery_rows = (index.reshape(-1) for index in np.indices((15, 60)))
    exact = scores.exact(query_rows, gallery_rows)
    assert exact.tolist() == k_reciprocal()(query, gallery).exact(query_rows, gallery_rows).tolist()
    np.testing.assert_allclose(exact.reshape(15, 60), -whole, atol=1e-6)


def test_equal_pictures() -> None:
    """Every distance is zero or undefined by a scale of zero; nothing may become NaN."""
    same = Embeddings(np.ones((30, 4)), [0] * 30)
    found = k_reciprocal()(same[slice(0, 5)], same[slice(5, 30)]).distances()
    assert found.isfinite().all()


@pytest.mark.parametrize("wrong", [{"k1": 0}, {"k2": 0}, {"k2": 22}, {"weight": 1.5}, {"weight": -0.1}])
def test_out_of_range(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected k1"):
        k_reciprocal(**wrong)


@pytest.mark.parametrize(("k1", "k2"), [(20, 6), (7, 1), (10, 11)])
def test_distances_within_a_set(k1: int, k2: int) -> None:
    """Those of the paper with the set for both sides; what is not stored is at distance 1."""
    every = random_set(1, 60)
    found = module.KReciprocal(k1, k2, 0.3).neighbour_distances(every)
    full = np.ones((60, 60))
    stored = found.tocoo()
    full[stored.coords] = stored.data
    np.fill_diagonal(full, 0)
    np.testing.assert_allclose(full, dense_within(every, k1, k2), atol=1e-6)
    assert found.nnz < 60 * 59 or k1 > 7
    assert (found - found.T).nnz == 0
    assert not found.diagonal().any()


def dense_within(every: Embeddings, k1: int, k2: int) -> NDArray[np.float64]:
    """Take each picture for the query in turn: the paper's codes are of query and gallery together."""
    x = every.vectors.numpy()
    rows = []
    for i in range(len(x)):
        others = np.delete(np.arange(len(x)), i)
        row = np.zeros(len(x))
        row[others] = dense(every[np.array([i])], every[others], k1, k2, 0.0)[0]
        rows.append(row)
    return np.stack(rows)


def test_distances_of_equal_codes_are_stored() -> None:
    twice = Embeddings(np.repeat(np.eye(4), 5, axis=0), np.arange(20))
    found = module.KReciprocal(4, 1, 0.0).neighbour_distances(twice)
    assert found[0, 1] == 0
    assert found.nnz == 20 * 4
