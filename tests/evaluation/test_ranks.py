"""Ranks by counting are the places in the sorted list, however the work is cut and the gallery ordered."""

import numpy as np
import pytest
import torch

from reseen.evaluation import build_task, positive_ranks, rounding
from reseen.evaluation import tiles as tiles_module
from reseen.evaluation.reranking import k_reciprocal
from reseen.evaluation.similarity import Cosine, Reranking, Rows, TileFunction
from reseen.evaluation.tiles import query_portions, tile_columns
from reseen.protocols import any_view, cross_camera
from reseen.types import Embeddings


def random_set(seed: int, num: int, *, dtype: torch.dtype = torch.float32) -> Embeddings:
    generator = np.random.default_rng(seed)
    vectors = torch.from_numpy(generator.standard_normal((num, 24))).to(dtype)
    return Embeddings(vectors, generator.integers(0, 9, num), cameras=generator.integers(0, 3, num))


def places(query: Embeddings, gallery: Embeddings) -> list[list[int]]:
    """Sort every list in float64 and look up the right pictures."""
    unit = [torch.nn.functional.normalize(e.vectors.double()).numpy() for e in (query, gallery)]
    found = []
    for row, identity, camera in zip(unit[0] @ unit[1].T, query.identities, query.cameras, strict=True):  # type: ignore[arg-type]
        kept = (gallery.identities != identity) | (gallery.cameras != camera)
        order = np.argsort(-row[kept])
        found.append((np.flatnonzero(gallery.identities[kept][order] == identity) + 1).tolist())
    return found


def as_lists(query: Embeddings, gallery: Embeddings) -> list[list[int]]:
    ranks = positive_ranks(build_task(query, gallery, cross_camera))
    return [part.tolist() for part in np.split(ranks.ranks, ranks.starts[1:-1])]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_places_in_the_list(dtype: torch.dtype) -> None:
    query, gallery = random_set(0, 40, dtype=dtype), random_set(1, 300, dtype=dtype)
    assert as_lists(query, gallery) == places(query, gallery)


def test_cut_into_small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    query, gallery = random_set(0, 25), random_set(1, 100)
    whole = as_lists(query, gallery)
    monkeypatch.setattr(tiles_module, "MAX_ROWS", 7)
    monkeypatch.setattr(tiles_module, "MAX_QUERIES", 11)
    monkeypatch.setattr(tiles_module, "POSITIVE_CHUNK", 3)
    assert as_lists(query, gallery) == whole
    monkeypatch.setattr(tiles_module, "MAX_PAIRS", 30)
    monkeypatch.setattr(tiles_module, "TILE_ELEMENTS", 64)
    assert as_lists(query, gallery) == whole


def test_order_does_not_matter() -> None:
    """Every gallery vector stands there three times, under any identity: ties wherever one looks."""
    gallery = random_set(1, 300)
    gallery = Embeddings(gallery.vectors[torch.arange(300) // 3], gallery.identities, cameras=gallery.cameras)
    query = random_set(0, 40)
    shuffled = gallery[np.random.default_rng(0).permutation(300)]
    assert as_lists(query, gallery) == as_lists(query, shuffled)


def test_a_network_without_a_clue_gains_nothing() -> None:
    """All vectors are the same: every stranger comes first."""
    one = torch.randn(1, 512, generator=torch.Generator().manual_seed(0))
    query = Embeddings(one.expand(5, -1), [0] * 5)
    gallery = Embeddings(one.expand(100, -1), [0, 0, *[1] * 98])
    ranks = positive_ranks(build_task(query, gallery, any_view))
    assert ranks.ranks.reshape(5, 2).tolist() == [[99, 100]] * 5


@pytest.mark.parametrize("reranking", [None, k_reciprocal(k1=6, k2=3)])
def test_tiles_on_several_cores(
    reranking: Reranking | None, several_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    query, gallery = random_set(0, 40), random_set(1, 300)
    found = positive_ranks(build_task(query, gallery, cross_camera, reranking=reranking))
    torch.set_num_threads(1)
    monkeypatch.setattr(tiles_module, "MAX_ROWS", 7)
    expected = positive_ranks(build_task(query, gallery, cross_camera, reranking=reranking))
    assert (found.ranks == expected.ranks).all()


def test_many_cores_have_smaller_tiles(several_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What all of them have in hand is bounded."""
    ready = build_task(random_set(0, 40), random_set(1, 300), cross_camera)
    sizes: dict[int, list[int]] = {1: [], 4: [], 12: []}
    monkeypatch.setattr(tiles_module, "MAX_TILES", 4)
    monkeypatch.setattr(tiles_module, "TILE_ELEMENTS", 40 * 60)
    for num_threads, found in sizes.items():
        torch.set_num_threads(num_threads)
        columns = tile_columns(ready, next(query_portions(ready)), threads=True)
        found += [part.stop - part.start for part in columns]
    assert sizes == {1: [60] * 5, 4: [60] * 5, 12: [20] * 15}


def test_empty_sides() -> None:
    assert positive_ranks(build_task(random_set(0, 40)[slice(0, 0)], random_set(1, 9), cross_camera)).counts.shape == (
        0,
    )
    nothing = positive_ranks(build_task(random_set(0, 4), random_set(1, 9)[slice(0, 0)], cross_camera))
    assert nothing.counts.tolist() == [0] * 4


def test_no_matrix_of_queries_by_gallery(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is multiplied at once is bounded, however large the gallery or one identity's share of it."""
    sizes = []
    rows = Cosine.rows

    def watched(self: Cosine, query: Rows) -> TileFunction:
        inner = rows(self, query)

        def tile(gallery: Rows) -> torch.Tensor:
            sizes.append((found := inner(gallery)).numel())
            return found

        return tile

    monkeypatch.setattr(Cosine, "rows", watched)
    monkeypatch.setattr(rounding, "CALIBRATION_ENTRIES", 2**8)
    monkeypatch.setattr(tiles_module, "TILE_ELEMENTS", 2**14)
    monkeypatch.setattr(tiles_module, "MAX_ROWS", 2**8)
    query, gallery = random_set(0, 100), random_set(1, 3_000)
    assert positive_ranks(build_task(query, gallery, cross_camera)).counts.sum() > 10_000
    assert sum(sizes) >= 100 * 3_000
    assert max(sizes) <= 2**14
