"""A gallery of a million sightings against bare FAISS: adding, opening, and every way of searching.

Takes 7 GB of disk and 6 GB of memory, half of which may be the disk's cache.

Dimensions: N sightings, D components, Q queries.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import faiss
import numpy as np
from benchmarks.memory import fastest, verdict
from numpy.typing import NDArray

from reseen.gallery import Gallery, Where

N, D, Q = 1_000_000, 512, 200
PICTURES = 20
"""Of each individual, in no order; cosines within are about 0.6, between about 0."""
SPREAD = 0.8
CAMERAS = 10
BLOCK = 10_000
K = 10

Vectors = NDArray[np.float32]


def seen(people: NDArray[np.int64], *, seed: int) -> Vectors:
    """Draw a vector (n, D) for a picture of each individual named."""
    who, at = np.unique(people, return_inverse=True)
    centres = np.stack([np.random.default_rng([1, w]).standard_normal(D, dtype=np.float32) for w in who.tolist()])
    noise = np.random.default_rng([2, seed]).standard_normal((len(people), D), dtype=np.float32)
    vectors = centres[at] + np.float32(SPREAD) * noise
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main(count: int = N) -> None:
    queries = seen(np.random.default_rng(3).integers(count // PICTURES, size=Q), seed=count)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        bare = adding(folder, count)
        opening(folder)
        with Gallery(folder) as gallery:
            exactly(gallery, bare, queries)
            del bare  # 2 GB
            truth = [{match.item.id for match in matches} for matches in gallery.search(queries, K)]
        begun = perf_counter()
        with Gallery(folder, approximate_above=count // 2) as lists, Gallery(folder) as gallery:
            print(f"  lists made in {perf_counter() - begun:.0f} s")
            approximately(lists, gallery, queries, truth)


def adding(folder: Path, count: int) -> faiss.IndexFlatIP:
    """Fill a gallery and, off the clock, bare FAISS."""
    bare, seconds, work = faiss.IndexFlatIP(D), [], 0.0
    people = np.random.default_rng(0).permutation(count) // PICTURES
    with Gallery(folder) as gallery:
        for start in range(0, count, BLOCK):
            rows = np.arange(start, min(start + BLOCK, count))
            vectors = seen(people[rows], seed=start)
            begun, busy = perf_counter(), process_time()
            gallery.add(
                vectors,
                identities=people[rows].tolist(),
                cameras=(rows % CAMERAS).tolist(),
                times=rows.astype(float).tolist(),
                sources=[f"{row}.jpg" for row in rows],
            )
            seconds.append(perf_counter() - begun)
            work += process_time() - busy
            bare.add(vectors)
        begun = perf_counter()
    print(f"gallery of {count:,} x {D}: added in {sum(seconds):.1f} s, index file in {perf_counter() - begun:.1f} s")
    print(f"  {count / work:,.0f} vectors a second of the processor's time")
    verdict("vectors added a second", count / sum(seconds), least=20_000)
    verdict("of these, in the middle call", BLOCK / float(np.median(seconds)), least=20_000)
    return bare


def opening(folder: Path) -> None:
    (seconds,) = fastest(lambda: Gallery(folder).close(), repeats=5)
    verdict("seconds to open", seconds, most=5)


def exactly(gallery: Gallery, bare: faiss.IndexFlatIP, queries: Vectors) -> None:
    """Search for one picture at a time: all sightings, and those of one camera in ten."""
    query, here = queries[:1], Where(cameras=[3])
    bits = np.packbits(np.arange(bare.ntotal) % CAMERAS == 3, bitorder="little")
    selector = faiss.IDSelectorBitmap(bare.ntotal, faiss.swig_ptr(bits))
    whole, kept, ours, filtered = fastest(
        lambda: bare.search(query, K),
        lambda: bare.search(query, K, params=faiss.SearchParameters(sel=selector)),
        lambda: gallery.search(query, K),
        lambda: gallery.search(query, K, where=here),
        repeats=15,
    )
    print(f"  bare FAISS {whole * 1e3:.0f} ms a query, {kept * 1e3:.0f} ms with its own filter")
    print(f"  gallery {ours * 1e3:.0f} ms a query, {filtered * 1e3:.0f} ms with one camera of {CAMERAS}")
    verdict("exact search over bare FAISS", ours / whole, most=1.3)
    verdict("filtered search over bare FAISS with its own filter", filtered / kept, most=2)


def approximately(lists: Gallery, exact: Gallery, queries: Vectors, truth: list[set[str]]) -> None:
    """Search by lists, one picture at a time."""
    found = [lists.search(query[None], K)[0] for query in queries]
    again = sum(len(ids & {match.item.id for match in matches}) for ids, matches in zip(truth, found, strict=True))

    def searching(gallery: Gallery) -> Callable[[], object]:
        return lambda: [gallery.search(query[None], K) for query in queries[:5]]

    quick, slow = fastest(searching(lists), searching(exact), repeats=7)
    print(f"  by lists {quick / 5 * 1e3:.1f} ms a query, exactly {slow / 5 * 1e3:.0f} ms")
    verdict(f"recall@{K} by lists", again / (K * len(queries)), least=0.98)
    verdict("times as quick by lists", slow / quick, least=10)


if __name__ == "__main__":
    main()
