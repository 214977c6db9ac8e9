"""Ranks, lists, fidelity and histograms against long double sums, on data made to be decided by the last bit."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from reseen.evaluation import evaluate, fidelity, ranked_list, rounding, score_histogram, similarity
from reseen.evaluation import ranks as ranks_module
from reseen.evaluation import tiles as tiles_module
from reseen.protocols import any_view, cross_camera, cuhk03_classic, veri_track
from reseen.types import Embeddings, Protocol

UNDECIDABLE = 1e-14
PROTOCOLS = [
    cross_camera,
    any_view,
    any_view(locations={1: 1, 2: 1}),
    veri_track,
    cross_camera(unique_identities=True),
    cuhk03_classic(draws=2),
]


def near_copies(
    generator: np.random.Generator, centres: NDArray[Any], num: int, dtype: Any, *, near: bool
) -> NDArray[Any]:
    """Vectors around centres: a third copies of others, a third with one number one bit away, one in ten zero."""
    vectors = centres[generator.integers(0, 3, num)] + 0.3 * generator.standard_normal((num, centres.shape[1]))
    vectors = vectors.astype(dtype)
    for row in range(1, num):
        kind, at = generator.integers(0, 9), generator.integers(0, vectors.shape[1])
        if kind < 6:
            vectors[row] = vectors[generator.integers(0, row)]
        # Of float64 one bit is below what float64 decides.
        if kind < 3 and near and dtype is not np.float64:
            vectors[row, at] = np.nextafter(vectors[row, at], dtype(generator.choice([-9, 9])))
    vectors[generator.random(num) < 0.1] = 0
    return vectors[generator.permutation(num)]


def side(generator: np.random.Generator, vectors: NDArray[Any]) -> Embeddings:
    labels = [generator.integers(0, n, len(vectors)) for n in (4, 3, 3)]
    return Embeddings(vectors, labels[0], cameras=labels[1], tracks=labels[2])


def cosines(query: NDArray[Any], gallery: NDArray[Any]) -> NDArray[Any]:
    """Return all cosines (Q, G) by sums of long doubles, which no BLAS makes."""
    sides = [np.asarray(v, np.longdouble) for v in (query, gallery)]
    lengths = [np.sqrt((v * v).sum(axis=1)) for v in sides]
    found: NDArray[Any] = (sides[0][:, None] * sides[1][None]).sum(axis=2) / np.where(
        np.outer(*lengths) == 0, 1, np.outer(*lengths)
    )
    return found


def decidable(found: NDArray[Any]) -> bool:
    """Whether no two scores of a query differ by the roundings of float64 alone."""
    gaps = np.diff(np.sort(found, axis=1), axis=1)
    return not ((gaps > 0) & (gaps < UNDECIDABLE)).any()


def literal(query: Embeddings, gallery: Embeddings, protocol: Protocol, found: NDArray[Any]) -> list[list[Any]]:
    """Return for each query (score, positive, row, identity) of all that is not neither, in the order of its list."""
    places = protocol.locations or {}
    lists = []
    for q in range(len(query)):
        entries: dict[Any, Any] = {}
        for g in range(len(gallery)):
            same, camera = gallery.identities[g] == query.identities[q], gallery.cameras[g]  # type: ignore[index]
            own_camera = query.cameras[q]  # type: ignore[index]
            if protocol.same_camera == "exclude" and same and camera == own_camera:
                continue
            if places and places.get(camera, ("", camera)) == places.get(own_camera, ("", own_camera)):
                continue
            key = (gallery.tracks[g], gallery.identities[g], camera) if protocol.by_track else g  # type: ignore[index]
            entry = (-found[q, g], same, g, gallery.identities[g])
            entries[key] = min(entries.get(key, entry), entry)
        lists.append(sorted(entries.values()))
    return lists


def check(seed: int) -> bool:
    """Compare one case, and return whether it was decidable."""
    generator = np.random.default_rng(seed)
    dim, dtype = int(generator.choice([2, 3, 17, 64, 300])), generator.choice([np.float32, np.float32, np.float64])
    num_queries, num_gallery = int(generator.integers(1, 12)), int(generator.integers(2, 50))
    centres = generator.standard_normal((3, dim)) + generator.choice([0, 2])
    # A near copy of a query is as near to one as the query itself, but for less than float64 decides.
    query = side(generator, near_copies(generator, centres, num_queries, dtype, near=False))
    gallery = side(generator, near_copies(generator, centres, num_gallery, dtype, near=True))
    found = cosines(query.vectors.numpy(), gallery.vectors.numpy())
    if not decidable(found):
        return False
    protocol = PROTOCOLS[seed % len(PROTOCOLS)]
    lists = literal(query, gallery, protocol, found)
    right = [[entry[1] for entry in entries] for entries in lists]
    torch.set_num_threads(int(generator.integers(1, 3)))
    if any(any(r) for r in right):
        report = evaluate(query, gallery, protocol)
        ranks = [np.flatnonzero(r) + 1 for r in right]
        aps = [np.mean(np.arange(1, len(r) + 1) / r) if len(r) else np.nan for r in ranks]
        np.testing.assert_allclose(report.per_query["average_precision"], aps, atol=1e-12, rtol=0)
        assert [r[0] for r in ranks if len(r)] == report.per_query["first_rank"].dropna().tolist()
        if protocol.unique_identities:
            once = [list(dict.fromkeys(entry[3] for entry in entries)) for entries in lists]
            first = [o.index(i) + 1 for o, i, r in zip(once, query.identities, right, strict=True) if any(r)]
            assert report.first_ranks[0].tolist() == first
        if protocol.draws:
            assert report.first_ranks[0].tolist() == [
                drawn(q, e, query, protocol) for q, e in enumerate(lists) if any(right[q])
            ]
    if not protocol.by_track:
        top = int(generator.integers(1, 9))
        shown = ranked_list(query, gallery, protocol, top=top)
        for q, entries in enumerate(lists):
            assert shown.rows[q].tolist() == ([e[2] for e in entries] + [-1] * top)[:top]
            assert shown.positive[q].tolist() == (right[q] + [False] * top)[:top]
            np.testing.assert_allclose(shown.scores[q, : len(entries)], [-e[0] for e in entries][:top], atol=1e-14)
    histogram = score_histogram(query, gallery, any_view, bins=8)
    edges = np.linspace(-1, 1, 9)
    if np.abs(found[:, :, None] - edges).min() > UNDECIDABLE:
        same = query.identities[:, None] == gallery.identities
        assert histogram.positive.tolist() == np.histogram(found[same].astype(float).clip(-1, 1), edges)[0].tolist()
        assert histogram.negative.tolist() == np.histogram(found[~same].astype(float).clip(-1, 1), edges)[0].tolist()
    everything = near_copies(generator, centres, num_gallery, dtype, near=False)
    if decidable(all_pairs := cosines(everything, everything)):
        check_fidelity(side(generator, everything), all_pairs)
    return True


def drawn(q: int, entries: list[Any], query: Embeddings, protocol: Protocol) -> list[int]:
    """Return the place of the right one in each of a query's drawn galleries."""
    generator, by_row = np.random.default_rng([protocol.seed, q]), {entry[2]: entry for entry in entries}
    places = []
    for _ in range(protocol.draws or 0):
        once: dict[Any, Any] = {}
        for row in generator.permutation(sorted(by_row)):
            once.setdefault(by_row[row][3], by_row[row])
        places.append([e[1] for e in sorted(once.values())].index(True) + 1)
    return places


def check_fidelity(everything: Embeddings, found: NDArray[Any]) -> None:
    same = everything.identities[:, None] == everything.identities
    own = same & ~np.eye(len(same), dtype=bool)
    anchors = np.flatnonzero(own.any(axis=1))
    if len(anchors) and not same.all():
        nearer = [int((found[a][~same[a]] > found[a][own[a]].min()).sum()) for a in anchors]
        farther = [int((found[a][own[a]] < found[a][~same[a]].max()).sum()) for a in anchors]
        assert fidelity(everything).per_anchor.T.tolist() == [nearer, farther]


def test_a_nearest_other_one_bit_from_ones_own() -> None:
    """The nearest other of 30 anchors is one bit away from a picture of their own that is not the farthest."""
    generator, num = np.random.default_rng(0), 300
    anchors, noise = generator.standard_normal((num // 3, 1, 32)), generator.standard_normal((num // 3, 3, 32))
    vectors = (anchors + np.array([0, 0.3, 0.6])[:, None] * noise).reshape(num, 32).astype(np.float32)
    for number, at in enumerate(generator.integers(0, 32, 30)):
        vectors[200 + number] = vectors[3 * number + 1]
        vectors[200 + number, at] = np.nextafter(vectors[200 + number, at], np.float32(generator.choice([-9, 9])))
    found = cosines(vectors, vectors)
    check_fidelity(Embeddings(vectors, np.arange(num) // 3), found)


@pytest.fixture(autouse=True)
def one_thread_again() -> Any:
    yield
    torch.set_num_threads(1)


@pytest.mark.parametrize("first", range(0, 300, 30))
def test_long_doubles_say_the_same(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    in_tiles(first // 30, monkeypatch)
    assert sum(map(check, range(first, first + 30))) >= 20


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1_000, 11_000, 500))
def test_long_doubles_say_the_same_ten_thousand_times(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    in_tiles(first // 500, monkeypatch)
    assert sum(map(check, range(first, first + 500))) > 350


def in_tiles(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut the work otherwise for every number."""
    monkeypatch.setattr(tiles_module, "MAX_ROWS", [2**12, 7, 16, 1][number % 4])
    monkeypatch.setattr(tiles_module, "MAX_QUERIES", [2**12, 3][number % 2])
    monkeypatch.setattr(ranks_module, "SORT_CHUNK", [2**17, 20, 1][number % 3])
    monkeypatch.setattr(ranks_module, "SORT_WIDTH", [2**9, 8, 5, 1][number % 4])
    monkeypatch.setattr(similarity, "PAIR_ELEMENTS", [2**18, 40][number % 2])


def test_a_gallery_of_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third are copies under another identity, a fifth one last bit away: one figure, however it is computed."""
    generator, num, dim = np.random.default_rng(0), 2500, 2048
    vectors = generator.standard_normal((num, dim)).astype(np.float32) + np.float32(0.5)
    copies, others = np.arange(num // 3), num // 3 + generator.integers(0, num // 2, num // 3)
    vectors[copies] = vectors[others]
    moved = np.arange(num - num // 5, num)
    vectors[moved] = vectors[num // 3 + generator.integers(0, num // 4, len(moved))]
    at = generator.integers(0, dim, len(moved))
    vectors[moved, at] = np.nextafter(vectors[moved, at], np.float32(9))
    gallery = Embeddings(vectors, generator.integers(0, 100, num))
    rows = generator.permutation(num)[:15]
    noise = (0.02 * generator.standard_normal((15, dim))).astype(np.float32)
    query = Embeddings(vectors[rows] + noise, gallery.identities[rows])
    found = cosines_in_blocks(query.vectors.numpy(), vectors)
    order = np.lexsort((np.broadcast_to(query.identities[:, None] == gallery.identities, found.shape), -found), axis=1)
    right = gallery.identities[order] == query.identities[:, None]
    aps = [np.mean(np.arange(1, r.sum() + 1) / (np.flatnonzero(r) + 1)) for r in right]
    for threads, tile, shuffled in [(1, 2**12, False), (2, 2**12, False), (1, 100, False), (2, 333, True)]:
        monkeypatch.setattr(tiles_module, "MAX_ROWS", tile)
        torch.set_num_threads(threads)
        part = gallery[np.random.default_rng(1).permutation(num)] if shuffled else gallery
        report = evaluate(query, part, any_view)
        np.testing.assert_allclose(report.per_query["average_precision"], aps, atol=1e-12, rtol=0)


def cosines_in_blocks(query: NDArray[Any], gallery: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([cosines(query, gallery[start : start + 100]) for start in range(0, len(gallery), 100)], 1)


def test_a_tie_beyond_the_last_place_is_broken_as_in_the_report() -> None:
    query, gallery = Embeddings(np.ones((1, 4)), [7]), Embeddings(np.ones((40, 4)), [*range(100, 139), 7])
    for order in (np.arange(40), np.arange(40)[::-1].copy()):
        shown = ranked_list(query, gallery[order], any_view, top=2)
        assert not shown.positive.any()
    assert evaluate(query, gallery, any_view).per_query["first_rank"].tolist() == [40]


def test_vectors_that_float32_cannot_tell_apart_are_told_apart() -> None:
    """Every cosine lies within 1e-7 of every other."""
    generator = np.random.default_rng(0)
    query, gallery = (1 + 1e-4 * generator.standard_normal((num, 64)) for num in (30, 200))
    found = cosines(query, gallery)
    who = generator.integers(0, 5, 200)
    report = evaluate(Embeddings(query, np.arange(30) % 5), Embeddings(gallery, who), any_view)
    right = (who[np.argsort(-found, axis=1)] == (np.arange(30) % 5)[:, None]).tolist()
    aps = [np.mean(np.arange(1, sum(r) + 1) / (np.flatnonzero(r) + 1)) for r in right]
    np.testing.assert_allclose(report.per_query["average_precision"], aps, atol=1e-12, rtol=0)


def test_a_bound_too_narrow_is_widened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounding.ErrorBound, "_calibrate", lambda self: None)
    monkeypatch.setattr(rounding.ErrorBound, "learn", lambda self, tile, exact: None)
    bound = rounding.ErrorBound(similarity.Cosine(*(Embeddings(np.ones((2, 3)), [0, 1]),) * 2))
    with pytest.raises(rounding.BoundExceededError):
        bound.exact(np.array([0]), np.array([0]), np.array([0.999]))


def test_reduced_precision_is_off_while_ranks_are_made() -> None:
    query, gallery = (
        Embeddings(v, np.arange(len(v)) % 7)
        for v in np.split(np.random.default_rng(0).standard_normal((300, 64)), [40])
    )
    expected = evaluate(query, gallery, any_view).to_dict()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu"):
            assert evaluate(query, gallery, any_view).to_dict() == expected
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
