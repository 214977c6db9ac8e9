"""Engines of other projects, from a checkout: pictures a second of theirs on files that are given.

``python -m benchmarks.peers PROJECT PATH NETWORK FOLDER HEIGHT WIDTH BATCH STEPS WORKERS`` prints the figure last. Each
runs in a process of its own, whose interpreter must have what the project needs. Files are named
``identity_camera_number.jpg``.
"""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple


class Given(NamedTuple):
    """What is to be measured: a network at a size, on the files of a folder."""

    network: str
    folder: Path
    height: int
    width: int
    batch: int
    steps: int
    workers: int

    def items(self) -> list[tuple[str, int, int]]:
        """Return path, identity and camera of each file, identities from 0."""
        paths = sorted(self.folder.glob("*.jpg"))
        number = {name: n for n, name in enumerate(sorted({path.name.split("_")[0] for path in paths}))}
        return [(str(p), number[p.name.split("_")[0]], int(p.name.split("_")[1])) for p in paths]


def torchreid(given: Given) -> float:
    """Return the speed of its triplet engine: OSNet or ResNet-50, label smoothing, its flip, crop and erasing."""
    project = importlib.import_module("torchreid")
    items = given.items()

    class Files(project.data.ImageDataset):  # type: ignore[misc, name-defined]
        dataset_dir = ""

        def __init__(self, root: str = "", **options: Any) -> None:
            super().__init__(items, items[:1], [(path, pid, cam + 1) for path, pid, cam in items[:1]], **options)

    project.data.register_image_dataset("files", Files)
    data = project.data.ImageDataManager(
        sources="files",
        height=given.height,
        width=given.width,
        batch_size_train=given.batch,
        workers=given.workers,
        num_instances=4,
        train_sampler="RandomIdentitySampler",
        transforms=["random_flip", "random_crop", "random_erase"],
    )
    model = project.models.build_model(given.network, data.num_train_pids, loss="triplet", pretrained=False)
    optimizer = project.optim.build_optimizer(model, optim="adam", lr=0.0003)
    engine = project.engine.ImageTripletEngine(data, model, optimizer=optimizer, label_smooth=True)
    engine.set_model_mode("train")
    batches = (batch for _ in itertools.count() for batch in engine.train_loader)
    return _speed(lambda: engine.forward_backward(next(batches)), given)


def fast_reid(given: Given) -> float:
    """Return the speed of its trainer: ResNet-50 and losses as it has them, its flip, padding and erasing."""
    config = importlib.import_module("fastreid.config")
    data, bases = importlib.import_module("fastreid.data"), importlib.import_module("fastreid.data.datasets.bases")
    items = [(path, f"files_{pid}", f"files_c{cam}") for path, pid, cam in given.items()]

    class Files(bases.ImageDataset):  # type: ignore[misc, name-defined]
        def __init__(self, root: str = "", **options: Any) -> None:
            super().__init__(items, items[:1], items[:1], **options)

    importlib.import_module("fastreid.data.datasets").DATASET_REGISTRY.register(Files)
    settings = config.get_cfg()
    changes = {
        "DATASETS.NAMES": ("Files",),
        "DATALOADER.NUM_WORKERS": given.workers,
        "DATALOADER.SAMPLER_TRAIN": "NaiveIdentitySampler",
        "INPUT.SIZE_TRAIN": [given.height, given.width],
        "INPUT.PADDING.ENABLED": True,
        "INPUT.REA.ENABLED": True,
        "MODEL.DEVICE": _device(),
        "MODEL.BACKBONE.PRETRAIN": False,
        "MODEL.HEADS.NUM_CLASSES": len({pid for _, pid, _ in items}),
        "SOLVER.IMS_PER_BATCH": given.batch,
    }
    settings.merge_from_list([part for change in changes.items() for part in change])
    model = importlib.import_module("fastreid.modeling").build_model(settings)
    optimizer, wrapper = importlib.import_module("fastreid.solver").build_optimizer(settings, model)
    trainer = importlib.import_module("fastreid.engine.train_loop").SimpleTrainer(
        model, data.build_reid_train_loader(settings), optimizer, wrapper
    )
    with importlib.import_module("fastreid.utils.events").EventStorage(0) as trainer.storage:
        return _speed(trainer.run_step, given)


PROJECTS: dict[str, Callable[[Given], float]] = {"torchreid": torchreid, "fast_reid": fast_reid}


def _device() -> str:
    torch = importlib.import_module("torch")
    return "cuda" if torch.cuda.is_available() else "cpu"


def _speed(step: Callable[[], object], given: Given) -> float:
    """Return the pictures a second of the fastest of four windows, after the first step."""
    torch = importlib.import_module("torch")
    step()
    best = float("inf")
    for _ in range(4):
        start = perf_counter()
        for _ in range(given.steps):
            step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        best = min(best, perf_counter() - start)
    return given.steps * given.batch / best


def run(words: list[str]) -> None:
    """Run what the command line says."""
    project, path, network, folder, *numbers = words
    sys.path.insert(0, path)
    print(PROJECTS[project](Given(network, Path(folder), *map(int, numbers))))


if __name__ == "__main__":
    run(sys.argv[1:])
