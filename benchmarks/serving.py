"""The server under 32 clients against the bare model: pictures a second, and whether every answer is right.

The bare model gets pictures already decoded, in full batches. The server gets JPEG files one by one, decodes them, runs
the same model, searches its gallery and answers in JSON. The two take turns. Clients, server and model share the
machine, so the clients' own work counts against the server. Where other programs disturb the clock, the seconds of CPU
that a picture takes say more.
"""

from __future__ import annotations

import http.client
import io
import json
import multiprocessing
import os
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from benchmarks.memory import verdict
from PIL import Image

from reseen.embedding.encoder import load
from reseen.gallery import Gallery
from reseen.pictures import resized

NUM_CLIENTS = 32
BATCH = 32
SECONDS = 6.0
ROUNDS = 7
MOST = 1 / 0.8
PEOPLE = 64
TOKEN = "a token for the benchmark"
BACKBONES = ("osnet_x1_0", "osnet_x0_25")  # the smaller takes hardly longer than a request does by itself


class Done(NamedTuple):
    """Pictures, and pictures a second."""

    count: int
    rate: float


def paint(identity: int, number: int) -> bytes:
    """Return a JPEG file (160 x 64) of somebody: colours of their own, and noise."""
    colours = np.random.default_rng(identity).integers(0, 256, (10, 4, 3))
    noise = np.random.default_rng([identity, number]).normal(0, 8, (160, 64, 3))
    pixels = (colours.repeat(16, 0).repeat(16, 1) + noise).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


def exported(backbone: str, folder: Path) -> Path:
    """Write a network with first weights as ONNX."""
    import torch

    from reseen.export import export
    from reseen.models import Embedder, ModelSpec

    torch.manual_seed(0)
    return export(Embedder(ModelSpec(backbone)), folder / f"{backbone}.onnx").path


def serve(model: Path, folder: Path, started: Connection) -> None:
    """Serve a gallery of one picture of each of the people, and say on which port."""
    from reseen.serving import Limits, create_app, listen, run

    encoder = load(model, "cpu")
    with Gallery(folder, encoder.fingerprint) as gallery, listen(port=0) as listening:
        vectors = encoder([Image.open(io.BytesIO(paint(i, 0))) for i in range(PEOPLE)], batch_size=BATCH)
        gallery.add(vectors, identities=list(range(PEOPLE)))
        started.send(listening.getsockname()[1])
        run(create_app(gallery, encoder, token=TOKEN, limits=Limits(batch=BATCH)), listening)


def bare(model: Path, calls: Connection) -> None:
    """Run the model on full batches for some seconds whenever called, and say how many pictures it did a second."""
    encoder = load(model, "cpu")
    pictures = [np.asarray(Image.open(io.BytesIO(paint(i, 0)))) for i in range(BATCH)]
    batch = np.stack([resized(picture, encoder.size) for picture in pictures])
    encoder.encode(batch)
    calls.send(None)
    while (seconds := calls.recv()) is not None:
        count, begun = 0, time.perf_counter()
        while (taken := time.perf_counter() - begun) < seconds:
            encoder.encode(batch)
            count += BATCH
        calls.send(Done(count, count / taken))


@contextmanager
def process(target: object, *arguments: object) -> Iterator[tuple[int, Connection]]:
    """Run a function in a process of its own that can use every core; give its number and a line to it."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    os.environ["OMP_NUM_THREADS"] = str(os.cpu_count() or 1)
    running = multiprocessing.get_context("spawn").Process(target=target, args=(*arguments, there))  # type: ignore[arg-type]
    running.start()
    assert running.pid is not None
    try:
        yield running.pid, here
    finally:
        running.terminate()
        running.join()


def ask(port: int, seconds: float) -> tuple[Done, int]:
    """Let the clients search for some seconds; return what was done, and how many answers were wrong."""
    done, wrong = [0] * NUM_CLIENTS, [0] * NUM_CLIENTS
    files = [(identity, paint(identity, 1)) for identity in range(PEOPLE)]
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "image/jpeg"}
    until = time.perf_counter() + seconds

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while time.perf_counter() < until:
            identity, body = files[(7 * number + done[number]) % PEOPLE]
            connection.request("POST", "/search?k=1", body, headers)
            answer = json.loads(connection.getresponse().read())
            done[number] += 1
            wrong[number] += answer["matches"][0]["identity"] != identity
        connection.close()

    begun = time.perf_counter()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(NUM_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Done(sum(done), sum(done) / (time.perf_counter() - begun)), sum(wrong)


def cpu(pid: int) -> float:
    """Return the seconds of CPU that a process has used. Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(backbone: str, folder: Path) -> None:
    model = exported(backbone, folder)
    clock, work = [], []
    with process(bare, model) as (model_pid, calls), process(serve, model, folder / "gallery") as (server_pid, started):
        calls.recv()
        port = started.recv()
        ask(port, SECONDS)
        for _ in range(ROUNDS):
            before = cpu(model_pid), cpu(server_pid)
            calls.send(SECONDS)
            alone = calls.recv()
            served, wrong = ask(port, SECONDS)
            assert wrong == 0, f"{wrong} wrong answers"
            used = cpu(model_pid) - before[0], cpu(server_pid) - before[1]
            clock.append(alone.rate / served.rate)
            work.append((used[1] / served.count) / (used[0] / alone.count))
            print(
                f"{backbone}: bare {alone.rate:.1f} pictures/s, served {served.rate:.1f}, every answer right",
                flush=True,
            )
        calls.send(None)
    verdict("time per picture over the bare model's, median", statistics.median(clock), most=MOST)
    verdict("CPU per picture over the bare model's, median", statistics.median(work), most=MOST)


def main() -> None:
    for backbone in BACKBONES:
        with TemporaryDirectory() as folder:
            measure(backbone, Path(folder))


if __name__ == "__main__":
    main()
