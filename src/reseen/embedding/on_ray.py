"""Making of parts on a Ray cluster: an actor for each network, tasks that read pictures, a driver that hands out parts.

What a lost worker or machine was making is made again by another. The driver knows numbers of parts, and no rows.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Container
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from rich.progress import Progress

from reseen.embedding.encoder import load
from reseen.embedding.making import PartOptions, Tally, log_tally, make_numbered, vector_model
from reseen.embedding.manifest import ParquetManifest
from reseen.embedding.parts import part_name
from reseen.errors import ReseenError, RunError, one_line
from reseen.extras import needs
from reseen.storage import StorageFolder, is_url

MAX_TRIES = 5
"""How often a part is begun whose workers are lost."""
READERS = 8
"""Tasks that read pictures for one network at once."""
SECONDS = 10
"""How long the address of a cluster is waited for; Ray itself waits for minutes."""
PASSED_VARIABLES = (
    "RESEEN_TRUST",
    "RESEEN_UNCHECKED",
    "RESEEN_SCALE",
    "RESEEN_MAX_PIXELS",
    "OMP_NUM_THREADS",
    "PYTHONPATH",
)


def make_parts_on_ray(
    folder: StorageFolder,
    manifest: str,
    model: str,
    options: PartOptions,
    *,
    address: str | None = None,
    actors: int | None = None,
    progress: bool = True,
) -> Tally:
    """Make all parts that are not there, or not what they should be; as `make_parts`, and byte for byte the same.

    Args:
        folder: Where to, for every machine of the cluster.
        manifest: Location of the manifest, likewise.
        model: Of `reseen.load`; a run, a checkpoint or an exported model is read by every machine.
        options: How.
        address: Of the cluster, or ``"auto"``; None starts one of this machine alone, and ends it.
        actors: Networks that run at once; None for one a GPU, or one for two cores where there is none.
        progress: Draw a bar.

    Raises:
        ReseenError: As `make_parts`, or Ray is not installed, has no such cluster, or loses every worker of a part.
    """
    with needs("ray"):
        import ray
    variables = {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ}
    try:
        _require_listening(address)
        ray.init(
            address=address,
            runtime_env={"env_vars": variables},
            include_dashboard=False if address is None else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise RunError(f"expected a Ray cluster at {address}, got: {one_line(error)}; start it, or mend it") from None
    try:
        return _drive(ray, folder, manifest, model, options, actors=actors, progress=progress)
    finally:
        ray.shutdown()


def _require_listening(address: str | None) -> None:
    """Make sure that something listens where a cluster is said to be: ``host:port`` or ``ray://host:port``.

    Raises:
        OSError: Nothing does.
    """
    place = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address or ""
    host, _, port = place.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS).close()


def _drive(
    ray: Any,
    folder: StorageFolder,
    manifest: str,
    model: str,
    options: PartOptions,
    *,
    actors: int | None,
    progress: bool,
) -> Tally:
    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0))
    source = ParquetManifest(manifest)
    count = min(actors or gpus or max(1, int(resources.get("CPU", 1)) // 2), max(1, len(source) // options.part_rows))
    place = StorageFolder(_absolute(folder.location))
    model = os.path.abspath(model) if os.path.exists(model) else model
    # Without a core of its own: a network waits most of the time, and tasks that read pictures must always find one.
    maker = ray.remote(num_cpus=0, num_gpus=1 if gpus else 0)(Maker)

    def started() -> Any:
        return maker.remote(place, _absolute(manifest), model, options)

    try:
        idle = [started()]
        work = options.work(source, *ray.get(idle[0].model_facts.remote()))
        work.begin(place)
        idle += [started() for _ in range(count - 1)]
        tally, queue = Tally(), PartQueue(work.num_parts, place.names("parts"))
        running: dict[Any, tuple[Any, int]] = {}
        with Progress(disable=not progress) as bars:
            bar = bars.add_task("Embedding", total=work.num_parts)
            while True:
                while idle and (number := queue.take()) is not None:
                    actor = idle.pop()
                    running[actor.make.remote(number, queue.may_be_there(number))] = (actor, number)
                if not running:
                    break
                (done,), _ = ray.wait(list(running), num_returns=1)
                actor, number = running.pop(done)
                try:
                    tally += ray.get(done)
                    idle.append(actor)
                    bars.advance(bar)
                except ray.exceptions.RayTaskError:
                    raise
                except ray.exceptions.RayError as error:  # The worker is gone, or its machine.
                    if queue.give_back(number) == MAX_TRIES:
                        raise RunError(
                            f"expected part {number} from Ray, lost its worker {MAX_TRIES} times: {one_line(error)}; "
                            "see whether it has memory enough"
                        ) from error
                    ray.kill(actor)
                    idle.append(started())
    except ray.exceptions.RayTaskError as error:
        raise _cause(error) from error
    log_tally(tally, folder)
    return tally


class PartQueue:
    """Numbers of parts to hand out, of which lost ones come back; holds no more than what is under way or was lost.

    Args:
        count: How many parts there are.
        present: Names of the files of those that seem to be there.
    """

    def __init__(self, count: int, present: Container[str] = ()) -> None:
        self._present, self._numbers = present, iter(range(count))
        self._again: deque[int] = deque()
        self._lost: dict[int, int] = {}

    def take(self) -> int | None:
        """Return the next part; None where all have been handed out."""
        return self._again.popleft() if self._again else next(self._numbers, None)

    def may_be_there(self, number: int) -> bool:
        """Return whether a part has to be looked at before it is made."""
        return number in self._lost or Path(part_name(number)).name in self._present

    def give_back(self, number: int) -> int:
        """Take a part back whose worker is gone, and return how often that has happened to it."""
        self._lost[number] = self._lost.get(number, 0) + 1
        self._again.append(number)
        return self._lost[number]


class Maker:
    """Actor that makes parts with a network of its own."""

    def __init__(self, folder: StorageFolder, manifest: str, model: str, options: PartOptions) -> None:
        self.folder, self.options = folder, options
        self.model, self.manifest = vector_model(load(model)), ParquetManifest(manifest)
        self.work = options.work(self.manifest, self.model.fingerprint, self.model.dim)

    def model_facts(self) -> tuple[str, int]:
        """Return the model's fingerprint and D."""
        return self.model.fingerprint, self.model.dim

    def make(self, number: int, is_there: bool) -> Tally:
        """Make a part, unless it is there as it should be."""
        present = {Path(part_name(number)).name} if is_there else set()
        where = (self.folder, self.work, self.manifest, self.model)
        return make_numbered(*where, [number], self.options, present=present, pool=TaskPool(), ahead=READERS)


class TaskPool(Executor):
    """Tasks of the cluster that read pictures."""

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """Let a task do some work; one that is lost is done again."""
        import ray

        task = ray.remote(num_cpus=1, max_retries=MAX_TRIES)(work)
        future: Future[Any] = task.remote(*arguments, **options).future()
        return future


def _absolute(location: str) -> str:
    return location if is_url(location) else os.path.abspath(location)


def _cause(error: Any) -> Exception:
    """Return what a task or an actor raised, through however many of them it came."""
    while (cause := getattr(error, "cause", None)) is not None:
        error = cause
    if isinstance(error, ReseenError):
        return error
    return RunError(f"expected parts from Ray, got: {type(error).__name__}: {one_line(error)}; see the logs of Ray")
