"""Embedding by parts over the bare encoder, vectors into a gallery, a manifest's memory, and two servers over one."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from benchmarks.memory import peak_of, verdict
from PIL import Image

from reseen.embedding import load
from reseen.embedding.manifest import ParquetManifest, Piece
from reseen.embedding.parts import Part, Work, write_part
from reseen.gallery import Gallery
from reseen.gallery.ingest import add_parts
from reseen.pictures import decode, resized
from reseen.storage import StorageFolder

PICTURES, BATCH = 1024, 64
VECTORS, DIM = 100_000, 512
SECONDS, CLIENTS = 8.0, 8


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        embedding(root)
        indexing(root)
        verdict("memory of a manifest, MB per million rows", manifest_memory(root), most=20)
        two_servers(root)


def embedding(root: Path) -> None:
    """Compare `reseen embed` of decoded, resized and embedded pictures with the encoder alone on ready batches."""
    model = root / "model.onnx"
    exported(model)
    paths = drawn(root / "pictures")
    parquet.write_table(pa.table({"path": [path.name for path in paths]}), root / "pictures" / "manifest.parquet")
    encoder = load(model)
    ready = np.stack([resized(decode(path), encoder.size) for path in paths])
    encoder.encode(ready[:BATCH])
    start = perf_counter()
    for at in range(0, PICTURES, BATCH):
        encoder.encode(ready[at : at + BATCH])
    bare = PICTURES / (perf_counter() - start)
    print(f"bare encoder on ready batches, one process: {bare:.0f} pictures a second")
    for processes in (1, 2):
        out = root / f"parts{processes}"
        words = [sys.executable, "-c", EMBED, str(model), str(root / "pictures" / "manifest.parquet"), str(out)]
        start = perf_counter()
        running = [
            subprocess.Popen([*words, str(n + 1), str(processes)], stdout=subprocess.PIPE, text=True)
            for n in range(processes)
        ]
        seconds = max(float(process.communicate()[0]) for process in running)
        rate = PICTURES / seconds
        whole = PICTURES / (perf_counter() - start)
        print(
            f"embed, {processes} process{'es' * (processes > 1)}: {rate:.0f} pictures a second, {rate / bare:.2f} of "
            f"the bare encoder ({whole:.0f} with starting)"
        )


EMBED = """
import sys
from pathlib import Path
from time import perf_counter
from reseen.embedding import load
from reseen.embedding.making import PartOptions, Share, make_parts, vector_model
from reseen.embedding.manifest import ParquetManifest
from reseen.storage import StorageFolder
model, manifest, out, number, total = sys.argv[1:]
made = vector_model(load(model))
start = perf_counter()
share = Share(int(number), int(total))
make_parts(StorageFolder(out), ParquetManifest(manifest), made, PartOptions(part_rows=256), share=share)
print(perf_counter() - start)
"""


def exported(path: Path) -> None:
    """Export OSNet x0.25 with drawn weights."""
    from reseen.export import export
    from reseen.models import Embedder, ModelSpec

    export(Embedder(ModelSpec("osnet_x0_25", height=256, width=128)).eval(), path)


def drawn(folder: Path) -> list[Path]:
    """Draw pictures and write them as JPEG."""
    folder.mkdir()
    random = np.random.default_rng(0)
    paths = [folder / f"{n}.jpg" for n in range(PICTURES)]
    for path in paths:
        coarse = Image.fromarray(random.integers(0, 256, (16, 8, 3), dtype=np.uint8))
        coarse.resize((128, 256), Image.Resampling.BICUBIC).save(path, quality=90)
    return paths


def indexing(root: Path) -> None:
    """Put the vectors of parts into a gallery."""
    folder = vector_parts(root / "vectors", 8192)
    with Gallery(root / "gallery", "model") as gallery:
        start = perf_counter()
        assert sum(new for _, new in add_parts(gallery, folder)) == VECTORS
        verdict("index --vectors, rows a second", VECTORS / (perf_counter() - start), least=20_000)


def vector_parts(path: Path, part_rows: int) -> StorageFolder:
    """Write parts of drawn vectors, as `reseen embed` would."""
    folder, random = StorageFolder(str(path)), np.random.default_rng(0)
    work = Work(VECTORS, DIM, "float32", part_rows, False, "", "model")
    work.begin(folder)
    for number in range(work.num_parts):
        rows = work.rows(number)
        columns = {
            "path": [f"{n % 9}/{n}.jpg" for n in rows],
            "identity": [n // 20 for n in rows],
            "camera": [n % 9 for n in rows],
        }
        part = Part(number, Piece(pa.table(columns), [], {}), {"rows": [rows.start, rows.stop]})
        digests = [n.to_bytes(16, "big") for n in rows]
        write_part(folder, part, random.normal(size=(len(rows), DIM)).astype(np.float32), digests, {})
    return folder


def manifest_memory(root: Path) -> float:
    """Return the megabytes a million rows that a manifest takes while it is read from one end to the other."""
    million, millions = 1_000_000, 5
    folder = root / "manifest"
    folder.mkdir()
    table = pa.table({"path": [f"camera {n % 99}/{n:09d}.jpg" for n in range(million)], "camera": range(million)})
    parquet.write_table(table, folder / "0.parquet", row_group_size=100_000)
    one = peak_of(reading, folder).above / 1e6
    for number in range(1, millions):
        os.link(folder / "0.parquet", folder / f"{number}.parquet")
    several = peak_of(reading, folder).above / 1e6
    print(f"a manifest of 1 million rows takes {one:.0f} MB, of {millions} millions {several:.0f} MB")
    return several / millions


def reading(path: Path) -> Callable[[], object]:
    """Return what reads a manifest part by part, once it has read a part."""
    ParquetManifest(str(path)).piece(0, 8192)

    def read() -> None:
        manifest = ParquetManifest(str(path))
        for start in range(0, len(manifest), 8192):
            manifest.piece(start, min(start + 8192, len(manifest)))

    return read


SERVE = """
import sys
from reseen.cli import main
main(["serve", sys.argv[1], "--model", sys.argv[2], "--port", sys.argv[3], "--open_to_all", "true"])
"""


def two_servers(root: Path) -> None:
    """Search with JPEG files through one and through two servers of one gallery on Milvus Lite."""
    from tests.gallery.milvus_lite_server import free_port, lite_server

    encoder = load(root / "model.onnx")
    files = [path.read_bytes() for path in sorted((root / "pictures").glob("*.jpg"))[:64]]
    with lite_server(root / "milvus") as (address, _):
        place = f"milvus://{address}/people"
        with Gallery(place, encoder.fingerprint) as gallery:
            random = np.random.default_rng(0)
            gallery.add(random.normal(size=(10_000, encoder.dim)).astype(np.float32), look_up=False)
            gallery.compact()  # Milvus Lite takes half a second to search rows that have not been flushed.
        ports = [free_port(), free_port()]
        words = [sys.executable, "-c", SERVE, place, str(root / "model.onnx")]
        servers = [subprocess.Popen([*words, str(port)], stdout=subprocess.PIPE, text=True) for port in ports]
        try:
            for server in servers:
                assert server.stdout is not None
                while not server.stdout.readline().startswith("page"):
                    assert server.poll() is None
            for count in (1, 2):
                rate = searches([f"http://127.0.0.1:{port}" for port in ports[:count]], files)
                print(f"search through {count} server{'s' * (count > 1)}: {rate:.0f} a second, {os.cpu_count()} cores")
        finally:
            for server in servers:
                server.kill()
                server.wait()


def searches(addresses: list[str], files: list[bytes]) -> float:
    """Return how many searches a second are answered to clients that ask one after the other."""
    stop = threading.Event()

    def ask(client: int) -> int:
        count = 0
        with httpx.Client(base_url=addresses[client % len(addresses)], timeout=30, trust_env=False) as asking:
            while not stop.is_set():
                body = files[(client + count) % len(files)]
                asking.post("/search?k=5", content=body, headers={"Content-Type": "image/jpeg"}).raise_for_status()
                count += 1
        return count

    with ThreadPoolExecutor(CLIENTS) as pool:
        asked = [pool.submit(ask, client) for client in range(CLIENTS)]
        start = perf_counter()
        threading.Event().wait(SECONDS)
        stop.set()
        return sum(client.result() for client in asked) / (perf_counter() - start)
