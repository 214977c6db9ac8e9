"""Scores, and what wraps them, against whole matrices."""

import numpy as np
import pytest
import torch

from reseen.evaluation.similarity import Cosine, GroupMax, MaskSameLocation, Rows, keep_best, ranges
from reseen.slicing import chunks
from reseen.types import Embeddings


def sides() -> tuple[Embeddings, Embeddings]:
    generator = np.random.default_rng(0)
    query, gallery = generator.standard_normal((30, 8)), generator.standard_normal((50, 8))
    query[3] = 0
    return Embeddings(query, np.arange(30)), Embeddings(gallery, np.arange(50))


def whole() -> torch.Tensor:
    query, gallery = (torch.nn.functional.normalize(e.vectors) for e in sides())
    return (query @ gallery.T).float()


TILES: list[tuple[Rows, Rows]] = [
    (slice(None), slice(None)),
    (slice(3, 9), slice(0, 1)),
    (np.array([5, 3, 5]), slice(7, 40)),
    (slice(0, 0), np.array([1])),
    (np.array([0]), np.array([], dtype=np.intp)),
]


@pytest.mark.parametrize("tile", TILES)
def test_cosine(tile: tuple[Rows, Rows]) -> None:
    found = Cosine(*sides()).rows(tile[0])(tile[1])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, whole()[tile[0]][:, tile[1]], atol=1e-6, rtol=0)


@pytest.mark.parametrize("tile", TILES[:3])
def test_elsewhere(tile: tuple[Rows, Rows]) -> None:
    here, there = np.arange(30) % 4, np.arange(50) % 4
    found = MaskSameLocation(Cosine(*sides()), here, there).rows(tile[0])(tile[1])
    out = here[tile[0]][:, None] == there[tile[1]]
    assert torch.isneginf(found).numpy().tolist() == out.tolist()
    assert torch.equal(found[~torch.from_numpy(out)], Cosine(*sides()).rows(tile[0])(tile[1])[~torch.from_numpy(out)])


@pytest.mark.parametrize("rows", [slice(None), slice(2, 5), np.array([6, 0])])
def test_grouped(rows: Rows) -> None:
    groups = np.random.default_rng(1).integers(0, 6, 50)
    scores = GroupMax(Cosine(*sides()), groups, num_groups=7)
    assert scores.shape == (30, 7)
    expected = torch.stack(
        [whole()[:, torch.from_numpy(groups == g)].amax(1) if (groups == g).any() else torch.full((30,), -torch.inf)
         for g in range(7)], dim=1
    )  # fmt: skip
    torch.testing.assert_close(scores.rows(slice(None))(rows), expected[:, rows], atol=1e-6, rtol=0)
    assert torch.isneginf(expected[:, 6]).all()


def test_best_of_several_tiles() -> None:
    best = None
    for columns in chunks(50, 7):
        best = keep_best(best, whole()[:, columns], columns.start, 10)
    assert best is not None
    scores, rows = whole().topk(10, dim=1)
    assert torch.equal(best[0], scores)
    assert torch.equal(whole().gather(1, best[1]), scores)
    assert torch.equal(best[1][4:], rows[4:])


def test_ranges() -> None:
    assert ranges(np.array([5, 2, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
    assert ranges(np.array([], dtype=np.intp), np.array([], dtype=np.intp)).tolist() == []
