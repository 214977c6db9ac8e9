"""``evaluate`` against the bare product of the same features: time, and memory.

Dimensions: Q queries, G gallery pictures, D components.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from benchmarks.memory import MB, fastest, peak_of, use_all_cores, verdict

from reseen.evaluation import Report, evaluate
from reseen.protocols import cross_camera
from reseen.types import Embeddings

MARKET = (3_368, 15_913, 2_048)
MILLION = (1_000, 1_000_000, 512)
BLOCK = 4_000


def drawn(num: int, dim: int, *, identities: int, seed: int) -> Embeddings:
    """Draw clusters that overlap, seen by six cameras."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(identities, (num,), generator=generator)
    cameras = torch.randint(6, (num,), generator=generator)
    centres = 0.3 * torch.randn(identities, dim, generator=torch.Generator().manual_seed(99))
    vectors = torch.randn(num, dim, generator=generator)
    for start in range(0, num, BLOCK):
        vectors[start : start + BLOCK] += centres[labels[start : start + BLOCK]]
    return Embeddings(vectors, labels.numpy(), cameras=cameras.numpy())


def market() -> Callable[[], Report]:
    Q, G, D = MARKET
    query, gallery = drawn(Q, D, identities=750, seed=0), drawn(G, D, identities=750, seed=1)
    return lambda: evaluate(query, gallery, cross_camera)


def million(path: str) -> Callable[[], Report]:
    Q, G, D = MILLION
    query = drawn(Q, D, identities=50_000, seed=0)
    labels = np.random.default_rng(0).integers(0, 50_000, G)
    gallery = Embeddings(np.load(path, mmap_mode="r"), labels, cameras=labels % 7)  # type: ignore[arg-type]
    return lambda: evaluate(query, gallery, cross_camera)


def main() -> None:
    use_all_cores()
    searching_market()
    searching_a_million()


def searching_market() -> None:
    Q, G, D = MARKET
    query, gallery = drawn(Q, D, identities=750, seed=0), drawn(G, D, identities=750, seed=1)
    product, evaluation = fastest(
        lambda: query.vectors @ gallery.vectors.T, lambda: evaluate(query, gallery, cross_camera), repeats=7
    )
    print(f"evaluate {Q:,} x {G:,} x {D:,}: {evaluation:.2f} s, bare product {product:.2f} s")
    verdict("time over the bare product", evaluation / product, most=1.4)
    verdict("MB above the features", peak_of(market).above / MB, most=300)


def searching_a_million() -> None:
    Q, G, D = MILLION
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "gallery.npy"))
        written = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(G, D))
        for start in range(0, G, BLOCK):
            written[start : start + BLOCK] = np.random.default_rng(start).standard_normal((BLOCK, D), dtype=np.float32)
        del written
        queries, mapped, out = torch.randn(Q, D), np.load(path, mmap_mode="c"), torch.empty(Q, BLOCK)

        def bare_product() -> None:
            for start in range(0, G, BLOCK):
                torch.mm(queries, torch.from_numpy(mapped[start : start + BLOCK]).T, out=out)

        product, evaluation = fastest(bare_product, million(path), repeats=2)
        print(f"evaluate {Q:,} x {G:,} x {D:,} from a mapped file: {evaluation:.1f} s, bare product {product:.1f} s")
        verdict("time over the bare product", evaluation / product, most=1.8)
        verdict("MB in all", peak_of(million, path).total / MB, most=2048)


if __name__ == "__main__":
    main()
