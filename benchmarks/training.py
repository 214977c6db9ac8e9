"""Training at the speed of the network: pictures a second of the network alone, with its losses, and of the whole loop.

Alone is a forward and backward pass and the optimiser's step on one batch that stays; with its losses, the same of the
objective, CE and AdaSP; the loop is what ``reseen train`` runs, from JPEG files with the recipe's augmentation. They
take turns in one run, and the fastest of each counts: a window of some steps, so that what an epoch ends with (a saved
state, a checkpoint) is not in it. Files are decoded in the first epoch and kept, so the first has a figure of its own.

``python -m benchmarks training --torchreid PATH --fast_reid PATH`` runs the engines of checkouts on the same files.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from benchmarks.memory import fastest, verdict
from PIL import Image
from torch import nn

from reseen.commands.train import Augmentation
from reseen.datasets import Synthetic
from reseen.loading import IdentityBatchSampler
from reseen.losses import AdaSPLoss, IdentityLoss
from reseen.models import Embedder, ModelSpec
from reseen.protocols import cross_camera
from reseen.training import BatchCandidates, Objective, Schedule, Term, train
from reseen.types import Benchmark, Sample

ROOT = Path(__file__).parents[1]
FILES = (128, 64)  # height and width of Market-1501's
PICTURES = 16  # of an identity
WANTED = 0.95


@dataclass(frozen=True)
class Case:
    """A network, and the batches it is trained with.

    Attributes:
        spec: The network, at its size.
        identities: In a batch, of four pictures each.
        window: Steps that are timed together.
        augmentation: The recipe's.
        peer: The name that other projects give the network.
    """

    spec: ModelSpec
    identities: int
    window: int
    augmentation: Augmentation
    peer: str

    @property
    def batch(self) -> int:
        """Pictures in a batch."""
        return 4 * self.identities

    @property
    def batches(self) -> IdentityBatchSampler:
        """The sampler of its batches."""
        return IdentityBatchSampler(self.identities, 4)


CASES = {
    "osnet": Case(ModelSpec("osnet_x0_25", 128, 64), 16, 4, Augmentation(pad=6), "osnet_x0_25"),
    "resnet": Case(ModelSpec("timm:resnet50.tv_in1k", 256, 128), 2, 1, Augmentation(), "resnet50"),
}


def jpeg_files(folder: Path, identities: int) -> Benchmark:
    """Write drawn people as JPEG files, and return them as training data."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = Synthetic(num_train_identities=identities, num_test_identities=1, height=FILES[0])
    samples = []
    for number, sample in enumerate(drawn.train):
        assert sample.draw is not None
        path = folder / f"{sample.identity}_{sample.camera}_{number}.jpg"
        if not path.exists():
            Image.fromarray(sample.draw()).save(path, quality=90)
        samples.append(Sample(str(path), sample.identity, camera=sample.camera))
    return Benchmark("files", tuple(samples), (), (), cross_camera)


def terms() -> list[Term]:
    return [Term(IdentityLoss()), Term(AdaSPLoss(), "feature", 0.1)]


def steps_of(case: Case, num_identities: int, device: torch.device) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return a step of the network alone, and one of it with its losses."""
    generator = torch.Generator().manual_seed(0)
    size = (case.batch, 3, case.spec.height, case.spec.width)
    images = torch.randint(0, 256, size, dtype=torch.uint8, generator=generator).to(device)
    labels = (torch.arange(case.batch) // 4).to(device)
    schedule = Schedule()

    def network() -> Callable[[], None]:
        model = Embedder(case.spec, pretrained=False).to(device).train()
        (optimizer, *_) = schedule.optimizers(Objective(model, [Term(AdaSPLoss(), "feature")], num_identities))
        slope = torch.randn(case.batch, model.dims["embedding"], generator=generator).to(device)

        def step() -> None:
            model(images).embedding.backward(slope)
            optimizer.step()
            optimizer.zero_grad()

        return step

    def with_losses() -> Callable[[], None]:
        model = Embedder(case.spec, pretrained=False)
        objective: nn.Module = Objective(model, terms(), num_identities).to(device).train()
        optimizers, candidates = schedule.optimizers(objective), BatchCandidates()  # type: ignore[arg-type]

        def step() -> None:
            (objective.weights @ objective(images, labels, None, candidates)).backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()

        return step

    return network(), with_losses()


def loop(case: Case, data: Benchmark, out: Path, *, workers: int) -> tuple[float, float]:
    """Return the pictures a second of the fastest window of the first epoch, which decodes, and of the second."""
    train(
        data,
        Embedder(case.spec, pretrained=False),
        terms(),
        case.batches,
        Schedule(epochs=2),
        out,
        transform=case.augmentation.transforms((case.spec.height, case.spec.width)),
        evaluate_every=None,
        log_every=case.window,
        workers=workers,
    )
    logged = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    speeds = [(line["epoch"], line["images_per_second"]) for line in logged if "images_per_second" in line]
    return max(speed for epoch, speed in speeds if epoch <= 1), max(speed for epoch, speed in speeds if epoch > 1)


def measure(
    case: Case, folder: Path, *, workers: int, rounds: int, peers: Mapping[str, Path], steps: int | None = None
) -> dict[str, float | str]:
    """Return the pictures a second of each by its name, or a peer's last words where it does not run.

    Args:
        case: The network and its batches.
        folder: Where files and runs may be written.
        workers: Processes that read pictures.
        rounds: Turns of each.
        peers: Checkouts of other projects, by the project's name.
        steps: Steps in a window; the case's own if not given.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    windows = 4 if steps is None else 2
    window = case.window if steps is None else steps
    data = jpeg_files(folder / "files", max(case.identities, windows * window * case.identities * 4 // PICTURES))
    identities = len({sample.identity for sample in data.train})

    def waited(step: Callable[[], None]) -> Callable[[], None]:
        def several() -> None:
            for _ in range(window):
                step()
            if device.type == "cuda":
                torch.cuda.synchronize()

        return several

    alone, losses = map(waited, steps_of(case, identities, device))
    found: dict[str, float | str] = {}

    def keep(name: str, speed: float) -> None:
        found[name] = max(float(found.get(name, 0.0)), speed)

    pictures = window * case.batch
    for number in range(rounds):
        for name, seconds in zip(("network alone", "with losses"), fastest(alone, losses, repeats=2), strict=True):
            keep(name, pictures / seconds)
        first, later = loop(case, data, folder / f"run{number}", workers=workers)
        keep("the loop", later)
        keep("the loop, decoding", first)
    for peer, path in peers.items():
        words = [sys.executable, "-m", "benchmarks.peers", peer, str(path), case.peer, str(folder / "files")]
        words += map(str, [case.spec.height, case.spec.width, case.batch, window, workers])
        ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        last = [line for line in (ran.stdout if ran.returncode == 0 else ran.stderr).splitlines() if line.strip()]
        found[peer] = float(last[-1]) if ran.returncode == 0 else f"does not run here: {(last or ['no word'])[-1]}"
    return found


def show(name: str, case: Case, found: Mapping[str, float | str]) -> None:
    """Print the figures of a case, each beside its share of the network's."""
    print(f"{name}: {case.peer} at {case.spec.height} x {case.spec.width}, batches of {case.batch}", flush=True)
    alone = found["network alone"]
    assert isinstance(alone, float)
    for what, speed in found.items():
        if isinstance(speed, str):
            print(f"  {what:20} {speed}")
        else:
            print(f"  {what:20}{speed:8.1f} pictures a second{speed / alone:8.1%} of the network's")
    verdict("share of the network's speed, the loop", float(found["the loop"]) / alone, least=WANTED)


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=CASES, action="append", help="both if not given")
    parser.add_argument("--workers", type=int, default=0, help="processes that read pictures")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each")
    parser.add_argument("--torchreid", type=Path, help="a checkout of torchreid, whose triplet engine runs too")
    parser.add_argument("--fast_reid", type=Path, help="a checkout of fast-reid, whose trainer runs too")
    chosen = parser.parse_args(arguments)
    peers = {name: path for name in ("torchreid", "fast_reid") if (path := getattr(chosen, name)) is not None}
    print(f"{torch.get_num_threads()} thread(s) for the network, {chosen.workers} worker(s)")
    for name in chosen.network or CASES:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(CASES[name], Path(folder), workers=chosen.workers, rounds=chosen.rounds, peers=peers)
        show(name, CASES[name], found)


if __name__ == "__main__":
    main(sys.argv[1:])
