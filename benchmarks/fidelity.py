"""``fidelity`` against the bare product of its features."""

from __future__ import annotations

from benchmarks.evaluation import drawn
from benchmarks.memory import fastest, use_all_cores, verdict

from reseen.evaluation import fidelity

PICTURES = (20_000, 512)


def main() -> None:
    use_all_cores()
    N, D = PICTURES
    embeddings = drawn(N, D, identities=1_000, seed=0)
    product, ours = fastest(lambda: embeddings.vectors @ embeddings.vectors.T, lambda: fidelity(embeddings), repeats=4)
    print(f"fidelity of {N:,} x {D}: {ours:.2f} s, bare product {product:.2f} s")
    verdict("time over the bare product", ours / product, most=1.5)


if __name__ == "__main__":
    main()
