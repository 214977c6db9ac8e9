"""How fast `Synthetic` draws on one core, from nothing: no picture is kept."""

from __future__ import annotations

from time import process_time

from benchmarks.memory import verdict

from reseen.datasets import Synthetic
from reseen.types import Sample


def drawing_seconds(samples: tuple[Sample, ...]) -> float:
    """Return the processor time of drawing every sample once."""
    start = process_time()
    for sample in samples:
        assert sample.draw is not None
        sample.draw()
    return process_time() - start


def main() -> None:
    print("Synthetic: 128x64 pictures, one core")
    for kind in ("person", "vehicle"):
        for modality in ("visible", "infrared"):
            samples = Synthetic(kind, num_train_identities=30, width=64, modality=modality).train
            seconds = min(drawing_seconds(samples) for _ in range(7))
            verdict(f"seconds for 1,000 pictures, {kind} {modality}", 1000 * seconds / len(samples), most=1.0)


if __name__ == "__main__":
    main()
