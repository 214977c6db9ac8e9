"""Clusters, their silhouettes and their links, against scikit-learn on dense matrices and against slow loops."""

import numpy as np
import pytest
import scipy.sparse as sparse
from numpy.typing import NDArray
from sklearn.cluster import DBSCAN, HDBSCAN
from sklearn.metrics import adjusted_rand_score, silhouette_samples

from reseen.discovery import Clustering, Links, cluster
from reseen.discovery.clustering import numbered_by_size, of_tracks, respecting, silhouettes
from reseen.errors import DataError
from reseen.evaluation.reranking.jaccard import KReciprocal
from reseen.types import Embeddings

N = 160


def people(seed: int = 0, spread: float = 0.7) -> Embeddings:
    generator = np.random.default_rng(seed)
    identities = np.arange(N) % 16
    vectors = generator.standard_normal((16, 24))[identities] + spread * generator.standard_normal((N, 24))
    return Embeddings(vectors, identities)


def distances(spread: float = 0.7) -> sparse.csr_array:
    return KReciprocal(10, 3, 0.0).neighbour_distances(people(spread=spread))


def full(found: sparse.csr_array) -> NDArray[np.float64]:
    """The same with every pair: those that are absent are at 1."""
    stored, dense = found.tocoo(), np.ones(found.shape)
    dense[stored.coords] = stored.data
    np.fill_diagonal(dense, 0)
    return dense


def grouped(found: sparse.csr_array, links: Links | None = None, **options: object) -> NDArray[np.int64]:
    links = Links.none() if links is None else links
    return cluster(found, Clustering(**options), links, [f"picture {row}" for row in range(N)]).labels  # type: ignore[arg-type]


def links(must: list[tuple[int, int]] = [], cannot: list[tuple[int, int]] = []) -> Links:  # noqa: B006
    return Links(*(np.array(pairs, np.int64).reshape(-1, 2) for pairs in (must, cannot)))


@pytest.mark.parametrize("spread", [0.5, 0.9])
@pytest.mark.parametrize("eps", [0.3, 0.5, 0.7])
def test_dbscan_is_that_of_the_dense_matrix(eps: float, spread: float) -> None:
    found = distances(spread)
    expected = DBSCAN(eps=eps, min_samples=4, metric="precomputed").fit_predict(full(found))
    labels = grouped(found, eps=eps)
    assert adjusted_rand_score(expected, labels) == 1
    assert ((labels < 0) == (expected < 0)).all()


@pytest.mark.parametrize("spread", [0.5, 0.9])
def test_hdbscan_is_that_of_the_dense_matrix(spread: float) -> None:
    found = distances(spread)
    dense = np.maximum(full(found), np.finfo(np.float32).eps * (1 - np.eye(N)))
    expected = HDBSCAN(min_samples=4, min_cluster_size=4, metric="precomputed", copy=True).fit_predict(dense)
    assert len(np.unique(expected)) > 10
    assert adjusted_rand_score(expected, grouped(found, method="hdbscan")) == 1


def test_hdbscan_of_equal_pictures() -> None:
    """A stored distance of 0 is a pair, not the absence of one."""
    twice = Embeddings(np.repeat(np.eye(16, 24), 10, axis=0), np.arange(N))
    labels = grouped(KReciprocal(10, 1, 0.0).neighbour_distances(twice), method="hdbscan")
    assert adjusted_rand_score(np.repeat(np.arange(16), 10), labels) == 1


@pytest.mark.parametrize("spread", [0.5, 0.9])
def test_silhouettes_are_those_of_the_dense_matrix(spread: float) -> None:
    found = distances(spread)
    labels = grouped(found, eps=0.5)
    kept = np.flatnonzero(labels >= 0)
    expected = silhouette_samples(full(found)[np.ix_(kept, kept)], labels[kept], metric="precomputed")
    np.testing.assert_allclose(silhouettes(found, labels)[kept], expected, atol=1e-5)
    assert not silhouettes(found, labels)[labels < 0].any()


def test_silhouettes_without_neighbours_in_other_groups() -> None:
    apart = sparse.csr_array(sparse.block_diag([np.full((3, 3), 0.25)] * 2))
    apart.setdiag(0)
    apart.eliminate_zeros()
    np.testing.assert_allclose(silhouettes(apart, np.repeat([0, 1], 3)), 0.75)
    np.testing.assert_allclose(silhouettes(apart, np.repeat([0, -1], 3)), [0.75] * 3 + [0] * 3)
    assert not silhouettes(apart, np.full(6, -1)).any()


def test_the_radius_is_that_of_the_highest_silhouette() -> None:
    found = cluster(distances(0.9), Clustering(), Links.none(), [""] * N)
    assert len(found.trials) == 9
    assert found.eps == max(found.trials, key=lambda trial: trial.silhouette).eps
    assert found.silhouette == max(trial.silhouette for trial in found.trials)
    assert adjusted_rand_score(np.arange(N) % 16, found.labels) > 0.85
    alone = cluster(distances(0.9), Clustering(eps=0.3), Links.none(), [""] * N)
    assert [trial.eps for trial in alone.trials] == [0.3]


def test_groups_are_numbered_by_size() -> None:
    found = cluster(distances(0.9), Clustering(), Links.none(), [""] * N)
    assert (np.diff(np.bincount(found.labels[found.labels >= 0])) <= 0).all()
    assert found.count == found.labels.max() + 1


def test_a_must_link_joins_two_groups() -> None:
    before = grouped(distances(0.5))
    after = grouped(distances(0.5), links(must=[(0, 1)]))
    assert before[0] != before[1]
    assert after[0] == after[1]
    joined = np.where(before == before[1], before[0], before)
    assert adjusted_rand_score(joined, after) == 1


def test_must_linked_pictures_that_lie_apart_are_a_group() -> None:
    alone = sparse.csr_array((N, N), dtype=np.float32)
    assert (grouped(alone, eps=0.5) == -1).all()
    labels = grouped(alone, links(must=[(3, 5), (5, 9)]), eps=0.5)
    assert labels[[3, 5, 9]].tolist() == [0, 0, 0]
    assert (np.delete(labels, [3, 5, 9]) == -1).all()


def test_a_cannot_link_splits_a_group_where_it_hangs_together_least() -> None:
    merged = grouped(distances(0.5), links(must=[(0, 1)]))
    assert merged[0] == merged[1]
    found = distances(0.5).tolil()
    found[0, 1] = found[1, 0] = 0.49  # a bridge between two individuals, by which they are one group
    found[16, 17] = found[17, 16] = 0.49
    bridged = found.tocsr()
    assert grouped(bridged, eps=0.5)[0] == grouped(bridged, eps=0.5)[1]
    labels = grouped(bridged, links(cannot=[(32, 33)]), eps=0.5)
    assert adjusted_rand_score(np.arange(N) % 16, labels) == 1


@pytest.mark.parametrize("method", ["dbscan", "hdbscan"])
def test_links_are_respected_whatever_the_distances(method: str) -> None:
    generator = np.random.default_rng(0)
    for spread in (0.5, 0.9, 1.5):
        pairs = generator.integers(0, N, (60, 2))
        same = pairs[:, 0] % 16 == pairs[:, 1] % 16
        given = Links(
            np.concatenate([pairs[same], generator.permutation(np.arange(0, N, 16)).reshape(-1, 2)]), pairs[~same]
        )
        labels = grouped(distances(spread), given, method=method)
        for one, other in given.must:
            assert labels[one] == labels[other] >= 0
        for one, other in given.cannot:
            assert labels[one] != labels[other] or labels[one] == -1


def test_no_links_change_nothing() -> None:
    labels = grouped(distances(0.9))
    assert (numbered_by_size(respecting(labels, distances(0.9), Links.none(), within=0.5)) == labels).all()


def test_links_that_contradict_one_another_are_refused() -> None:
    given = links(must=[(1, 2), (2, 3)], cannot=[(3, 1)])
    with pytest.raises(DataError, match=r"expected pairs that agree .* picture 3 and picture 1 are two"):
        grouped(distances(), given)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"method": "kmeans"}, "expected method dbscan or hdbscan"),
        ({"eps": 1.2}, "expected eps between 0 and 1"),
        ({"min_samples": 1}, "expected min_samples of 2"),
        ({"method": "hdbscan", "eps": 0.5}, "expected eps with dbscan alone"),
    ],
)
def test_wrong_options_are_named(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Clustering(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["dbscan", "hdbscan"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_pictures(count: int, method: str) -> None:
    few = people()[slice(0, count)]
    found = cluster(KReciprocal(10, 3, 0.0).neighbour_distances(few), Clustering(method=method), Links.none(), [""] * 3)  # type: ignore[arg-type]
    assert found.labels.tolist() == [-1] * count
    assert found.count == 0


def test_a_track_is_where_most_of_its_pictures_are_and_joins_no_groups() -> None:
    raw = np.array([0, 0, 0, 1, 0, 1, 1, 1, -1, -1, 1])
    track = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2])
    assert of_tracks(raw, track).tolist() == [0] * 4 + [1] * 4 + [-1] * 3
    nowhere = sparse.csr_array((11, 11), dtype=np.float32)
    along = np.array([(row, row + 1) for row in range(10) if track[row] == track[row + 1]])
    tracks = Links(along, np.empty((0, 2), np.int64), along)
    assert respecting(raw, nowhere, tracks, within=0.5).tolist() == [0] * 4 + [1] * 4 + [2] * 3
    said = Links(along, tracks.cannot)  # A person's word joins all that it touches.
    assert len(set(respecting(raw, nowhere, said, within=0.5).tolist())) == 1
