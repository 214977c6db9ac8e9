"""Vectors of parts into the server of the package milvus, by its bulk import and by requests."""

import importlib
import importlib.util
import tempfile
from pathlib import Path
from time import perf_counter

from benchmarks.scale import VECTORS, vector_parts

from reseen.gallery import Gallery
from reseen.gallery.ingest import add_parts


def main() -> None:
    if importlib.util.find_spec("milvus") is None:
        print("not measured: the package milvus is not installed")
        return
    with tempfile.TemporaryDirectory() as folder:
        server = importlib.import_module("milvus").MilvusServer()
        server.set_base_dir(f"{folder}/milvus")
        server.start()
        try:
            for part_rows in (8192, 50_000):
                measure(Path(folder), part_rows, f"milvus://127.0.0.1:{server.listen_port}")
        finally:
            server.stop()


def measure(root: Path, part_rows: int, server: str) -> None:
    """Fill two galleries with the same parts, each until searches find all."""
    parts = vector_parts(root / str(part_rows), part_rows)
    for way, storage in (("bulk import", str(root / "storage")), ("requests", None)):
        name = f"{way.split()[0]}_{part_rows}"
        with Gallery(f"{server}/{name}", "model", import_storage=storage) as gallery:
            start, rows = perf_counter(), 0
            for added, _ in add_parts(gallery, parts):
                rows, last = rows + added, perf_counter()
            seconds, loading = perf_counter() - start, perf_counter() - last
            assert rows == len(gallery) == VECTORS
        print(
            f"parts of {part_rows:,}, {way}: {VECTORS / seconds:,.0f} rows a second; of {seconds:.0f} seconds "
            f"{loading:.0f} after the last part",
            flush=True,
        )
