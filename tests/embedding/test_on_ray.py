"""Ray: the parts of several workers are those of one process, byte for byte, also when workers are killed."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from tests.embedding.drawn import draw, parts

from reseen import checkpoint
from reseen.embedding import load
from reseen.embedding.making import PartOptions, make_parts, vector_model
from reseen.embedding.manifest import ParquetManifest
from reseen.errors import DataError
from reseen.models import Embedder, ModelSpec
from reseen.storage import StorageFolder

pytest.importorskip("ray")

from reseen.embedding.on_ray import make_parts_on_ray

pytestmark = [pytest.mark.slow, pytest.mark.faults]  # Ray takes half a minute of two cores to start and stop.

OPTIONS = PartOptions(part_rows=20, batch_size=8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "last.safetensors"
    torch.manual_seed(0)
    checkpoint.save(path, Embedder(ModelSpec("osnet_x0_25", height=32, width=16)))
    return path


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(Path(__file__).parents[2])])
    )


def workers() -> list[int]:
    """Return the actors' processes that are at work on a part."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            name = (process / "cmdline").read_bytes() if process.name.isdigit() else b""
        except OSError:  # it has ended
            continue
        if name.startswith(b"ray::Maker.make"):
            found.append(int(process.name))
    return found


def kill_some(out: Path, stop: threading.Event, kills: int, killed: list[int]) -> None:
    """Kill a worker each time that a part has been written, until it has been done so often."""
    while not stop.is_set() and len(killed) < kills:
        if len(list(out.glob("parts/*"))) > len(killed) and (found := [w for w in workers() if w not in killed]):
            os.kill(found[0], signal.SIGKILL)
            killed.append(found[0])
        time.sleep(0.01)


@pytest.mark.filterwarnings("ignore")  # Ray leaves files and processes for the interpreter to close.
@pytest.mark.parametrize("kills", [1, 5])
def test_two_workers_one_killed(tmp_path: Path, model: Path, kills: int) -> None:
    manifest = draw(tmp_path / "pictures", 20 * 6 * kills, rows_of_group=50)
    (tmp_path / "pictures" / "5.png").write_bytes(b"no picture")
    make_parts(
        StorageFolder(str(tmp_path / "one")),
        ParquetManifest(str(manifest)),
        vector_model(load(model)),
        OPTIONS,
        workers=1,
    )
    stop, killed = threading.Event(), list[int]()
    out = tmp_path / "ray"
    killer = threading.Thread(target=kill_some, args=(out, stop, kills, killed))
    killer.start()
    tally = make_parts_on_ray(StorageFolder(str(out)), str(manifest), str(model), OPTIONS, actors=2, progress=False)
    stop.set()
    killer.join()
    assert len(killed) == kills
    assert (tally.parts, tally.rows, tally.quarantined) == (6 * kills, 120 * kills, 1)
    assert parts(out) == parts(tmp_path / "one")


@pytest.mark.filterwarnings("ignore")
def test_a_machine_is_lost(tmp_path: Path, model: Path) -> None:
    """Of two, the one that is not the head: the part of its actor, and what its tasks had read, are made again."""
    from ray.cluster_utils import Cluster

    manifest = draw(tmp_path / "pictures", 240, rows_of_group=50)
    alone, out = StorageFolder(str(tmp_path / "one")), tmp_path / "ray"
    make_parts(alone, ParquetManifest(str(manifest)), vector_model(load(model)), OPTIONS, workers=1)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    lost = threading.Event()
    try:
        other = cluster.add_node(num_cpus=2)
        cluster.wait_for_nodes()

        def lose() -> None:
            while len(list(out.glob("parts/*"))) < 2:
                time.sleep(0.01)
            cluster.remove_node(other, allow_graceful=False)
            lost.set()

        killer = threading.Thread(target=lose, daemon=True)
        killer.start()
        where = (StorageFolder(str(out)), str(manifest), str(model), OPTIONS)
        made = make_parts_on_ray(*where, address=cluster.address, actors=4, progress=False)
        killer.join(60)
    finally:
        cluster.shutdown()
    assert lost.is_set()
    assert (made.parts, made.rows, made.quarantined) == (12, 240, 0)
    assert parts(out) == parts(tmp_path / "one")


@pytest.mark.filterwarnings("ignore")
def test_what_the_user_can_mend_is_said_as_it_is(tmp_path: Path, model: Path) -> None:
    manifest = draw(tmp_path / "pictures", 20)
    for n in range(20):
        (tmp_path / "pictures" / f"{n}.png").unlink()
    with pytest.raises(DataError, match=r"can be read in rows 0 to 19, got none; the first: .*found no such file"):
        make_parts_on_ray(StorageFolder(str(tmp_path / "out")), str(manifest), str(model), OPTIONS, progress=False)
