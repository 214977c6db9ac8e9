"""A manifest of 1e9 rows and the handing out of its parts, without vectors: the coordinator's memory and time."""

import heapq
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
from benchmarks.memory import resident

from reseen.embedding.making import Share
from reseen.embedding.manifest import ParquetManifest
from reseen.embedding.on_ray import PartQueue
from reseen.embedding.parts import part_name

FILES, ROWS = 1000, 1_000_000
PART_ROWS, WORKERS, LOST = 8192, 1000, 0.01


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
            other.submit(write, root / "00000.parquet").result()  # whose memory is not measured
        for number in range(1, FILES):  # The same file by a thousand names: footers and rows are read as of others.
            os.link(root / "00000.parquet", root / f"{number:05d}.parquet")
        before = resident()
        with timed() as seconds:
            manifest = ParquetManifest(folder)
        print(
            f"manifest of {len(manifest):,} rows in {FILES:,} files: opened in {seconds():.1f} s, "
            f"{resident() - before:.0f} MB"
        )
        with timed() as seconds:
            for start in (0, 123_456_789, 999_990_000):
                assert len(manifest.piece(start, start + PART_ROWS).samples) == PART_ROWS
        print(f"rows of a part, at three places: {seconds() / 3:.2f} s each, {resident() - before:.0f} MB")
        count = -(-len(manifest) // PART_ROWS)
    shares = [Share(n, WORKERS).of(count) for n in range(1, WORKERS + 1)]
    assert sum(map(len, shares)) == count
    print(f"--part 1/{WORKERS} to {WORKERS}/{WORKERS}: {min(map(len, shares))} to {max(map(len, shares))} parts each")
    hand_out(count)


def write(path: Path) -> None:
    """Write a file of a million rows, in row groups of 100,000."""
    table = pa.table(
        {
            "path": [f"https://pictures.example/{n // 1000:06d}/{n % 1000:03d}.jpg" for n in range(ROWS)],
            "camera": pa.array([n % 512 for n in range(ROWS)], pa.int32()),
            "time": [float(n) for n in range(ROWS)],
        }
    )
    parquet.write_table(table, path, row_group_size=100_000, compression="zstd")


def hand_out(count: int) -> None:
    """Hand out all parts to workers that take some time each, of which one in a hundred parts loses its worker."""
    random.seed(0)
    # A run that had been stopped in the middle: the names of half of the parts are there.
    before = resident()
    queue = PartQueue(count, {Path(part_name(number)).name for number in range(0, count, 2)})
    names, done, lost, clock = resident() - before, bytearray(count), 0, 0.0
    running: list[tuple[float, int]] = []
    started = last = time.perf_counter()
    steps = [count * tenth // 10 for tenth in range(1, 11)]
    made = 0
    while True:
        while len(running) < WORKERS and (number := queue.take()) is not None:
            queue.may_be_there(number)
            heapq.heappush(running, (clock + random.uniform(0.8, 1.2), number))
        if not running:
            break
        clock, number = heapq.heappop(running)
        if random.random() < LOST:
            queue.give_back(number)
            lost += 1
            continue
        done[number] += 1
        made += 1
        if made == steps[0]:
            now = time.perf_counter()
            microseconds = (now - last) / (count / 10) * 1e6
            print(f"  {made:>9,} parts: {microseconds:.1f} us each, {resident() - before:.0f} MB", flush=True)
            last = now
            steps.pop(0)
            if not steps:
                break
    assert set(done) == {1}
    total = time.perf_counter() - started
    print(f"{count:,} parts handed out in {total:.1f} s, {lost:,} of them twice; names of half of them {names:.0f} MB")


@contextmanager
def timed() -> Iterator[Callable[[], float]]:
    """Give a function that says how many seconds the block took."""
    start = time.perf_counter()
    end: list[float] = []
    yield lambda: (end[0] if end else time.perf_counter()) - start
    end.append(time.perf_counter())


if __name__ == "__main__":
    main()
