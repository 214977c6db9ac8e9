"""Bulk import into Milvus: files, jobs, and what a killed run leaves, on Milvus Lite with jobs of its own beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

pytest.importorskip("pymilvus")

from pymilvus import MilvusClient, MilvusException

from reseen.cli import main
from reseen.embedding.making import PartOptions, make_parts
from reseen.embedding.manifest import ParquetManifest
from reseen.embedding.parts import finished_work
from reseen.errors import GalleryError
from reseen.gallery import Gallery, Where, ingest
from reseen.gallery.backends.milvus import imports
from reseen.gallery.backends.milvus.imports import parquet_file, server_path
from reseen.gallery.ingest import BEGUN, IMPORT, add_parts, part_notes
from reseen.gallery.rows import as_rows
from reseen.storage import StorageFolder
from tests.embedding.drawn import Mean, draw
from tests.s3 import KEYS, s3_server

NAMES = iter(range(1000))


class Jobs:
    """Import jobs of a server: each is complete at the second look, and its rows are found once they are loaded.

    Args:
        client: Where the rows go.
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        self.files: dict[int, str] = {}
        self.states: dict[int, Iterator[int]] = {}
        self.unloaded: list[list[dict[str, Any]]] = []
        self.done, self.forgotten = set[int](), set[int]()

    def do_bulk_insert(self, name: str, partition: str, files: list[str]) -> int:
        task = 400_000_000_000_000_000 + len(self.files)
        (self.files[task],), self.states[task] = files, iter((2, 6))
        return task

    def get_bulk_insert_state(self, task: int) -> Any:
        if task in self.forgotten:
            raise MilvusException(message=f"key not found[key=by-dev/meta/importtask/{task}]")
        state, reason = next(self.states[task], 6), ""
        if not Path(self.files[task]).is_file() and state == 6 and task not in self.done:
            state, reason = 1, f"failed to get file size of '{self.files[task]}',\nno such file"
        elif state == 6 and task not in self.done:
            self.unloaded.append(parquet.read_table(self.files[task]).to_pylist())
            self.done.add(task)
        return SimpleNamespace(task_id=task, state=state, failed_reason=reason)

    def list_bulk_insert_tasks(self, limit: int, name: str) -> list[Any]:
        return [self.get_bulk_insert_state(task) for task in self.files if task not in self.forgotten]

    def load(self, name: str) -> None:
        for rows in self.unloaded:
            # A server would hold these twice.
            assert not self.client.get(name, ids=[row["id"] for row in rows], output_fields=["id"])
            self.client.insert(name, rows)
        self.unloaded = []


@pytest.fixture
def place(milvus_address: str) -> str:
    return f"milvus://{milvus_address}/imports_{os.getpid()}_{next(NAMES)}"


@pytest.fixture
def jobs(place: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    client = MilvusClient(uri=f"http://{place.split('/')[2]}")
    jobs = Jobs(client)
    monkeypatch.setattr(imports, "grpc_handler", lambda client: jobs)
    monkeypatch.setattr(MilvusClient, "get_server_version", lambda self: "v2.4.0")
    monkeypatch.setattr(MilvusClient, "refresh_load", lambda self, name: jobs.load(name))
    for module in (ingest, imports):
        monkeypatch.setattr(module, "PAUSE", 0.0)
    yield jobs
    client.close()


@pytest.fixture
def folder(tmp_path: Path) -> StorageFolder:
    folder = StorageFolder(str(tmp_path / "parts"))
    manifest = ParquetManifest(str(draw(tmp_path / "pictures", 25)))
    make_parts(folder, manifest, Mean(), PartOptions(part_rows=10))
    return folder


def opened(place: str, storage: Path | str, **options: Any) -> Gallery:
    return Gallery(place, Mean.fingerprint, import_storage=str(storage), **options)


def files(storage: Path) -> list[str]:
    return [path.name for path in storage.rglob("*") if path.is_file() and path.name[0] != "."]


def test_the_columns_of_a_file() -> None:
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    rows = as_rows(
        vectors,
        identities=["old", 7, "new"],
        cameras=None,
        tracks=None,
        times=[None, 2.5, None],
        sources=["a", "b", "a"],
        extras=None,
        pictures=None,
        contents=[b"a", b"b", b"a"],
    )
    table = parquet.read_table(pa.BufferReader(parquet_file(rows)))
    assert table.schema.field("vector").type == pa.list_(pa.float32())
    assert table.schema.field("time").type == pa.float64()
    assert table.schema.field("timed").type == pa.bool_()
    assert table.drop_columns(["id", "extra", "picture"]).to_pylist() == [
        {"vector": [4, 5], "identity": '"new"', "camera": "", "track": "", "source": '"a"', "time": 0, "timed": False},
        {"vector": [2, 3], "identity": "7", "camera": "", "track": "", "source": '"b"', "time": 2.5, "timed": True},
    ]
    assert table["id"].to_pylist() == [rows.ids[0], rows.ids[1]]


@pytest.mark.parametrize(
    ("storage", "expected"),
    [("/data/in", "/data/in"), ("s3://bucket/a/b?region=eu-west-1", "a/b"), ("s3://bucket", "")],
)
def test_what_the_server_calls_a_folder(storage: str, expected: str) -> None:
    assert server_path(storage) == expected


def test_refusals(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(GalleryError, match="expected import_storage beside the import_path x, got none"):
        Gallery(place, import_path="x")
    with pytest.raises(GalleryError, match="got import_storage, of which it makes no use"):
        Gallery(tmp_path / "gallery", import_storage="x")
    with pytest.raises(SystemExit):
        main(["index", place, "--pictures", "x", "--import_storage", "y"])
    assert "expected --import_storage with --vectors" in capsys.readouterr().err


def test_parts_are_imported_once(jobs: Jobs, place: str, folder: StorageFolder, tmp_path: Path) -> None:
    with opened(place, tmp_path / "in") as gallery:
        assert list(add_parts(gallery, folder)) == [(10, 10), (10, 10), (5, 5)]
        assert len(jobs.files) == 3
        assert len(gallery.select()) == 25
        assert gallery.cameras() == [7, "007"]
        assert gallery.count(Where(named=True)) == 20
        assert list(add_parts(gallery, folder)) == [(0, 0)] * 3
        assert len(jobs.files) == 3
        assert files(tmp_path / "in") == []


def test_a_path_of_the_server(jobs: Jobs, place: str, folder: StorageFolder, tmp_path: Path) -> None:
    with opened(place, tmp_path / "in", import_path="bulk") as gallery:
        with pytest.raises(GalleryError, match=r"^[^\n]*got: failed to get file size of 'bulk/[^\n]*$"):
            list(add_parts(gallery, folder))
        assert all(path.startswith(f"bulk/{place.rpartition('/')[2]}/") for path in jobs.files.values())
    with opened(place, tmp_path / "in") as gallery:  # with the path that it should have been
        assert list(add_parts(gallery, folder)) == [(10, 10), (10, 10), (5, 5)]
        assert len(gallery.select()) == len(gallery) == 25
        assert files(tmp_path / "in") == []


@pytest.mark.parametrize("noted", [True, False], ids=["after the note of the job", "before it"])
@pytest.mark.parametrize("storage", [True, False], ids=["to import again", "without a storage"])
def test_a_stopped_run_goes_on(
    jobs: Jobs, place: str, folder: StorageFolder, tmp_path: Path, noted: bool, storage: bool
) -> None:
    class Stopped(BaseException):
        pass

    with opened(place, tmp_path / "in") as gallery:
        keep = gallery.put_note

        def put_note(name: str, text: str) -> None:
            if not text.startswith(IMPORT) or noted:
                keep(name, text)
            if text.startswith(IMPORT) and len(jobs.files) == 2:
                raise Stopped

        gallery.put_note = put_note  # type: ignore[method-assign]
        with pytest.raises(Stopped):
            list(add_parts(gallery, folder))
    with opened(place, tmp_path / "in") if storage else Gallery(place, Mean.fingerprint) as gallery:
        # The first two parts came in by their jobs; where nothing was noted of these, their rows are looked for.
        earlier = (0, 0) if noted else (10, 0)
        assert list(add_parts(gallery, folder)) == [earlier, earlier, (5, 5)]
        assert len(jobs.files) == (3 if storage else 2)
        assert len(gallery.select()) == len(gallery) == 25
        if storage:
            assert files(tmp_path / "in") == []


def test_a_job_that_the_server_has_forgotten(jobs: Jobs, place: str, folder: StorageFolder, tmp_path: Path) -> None:
    with opened(place, tmp_path / "in") as gallery:
        list(add_parts(gallery, folder))
        (named,) = [x.id for x in gallery.items(gallery.select()) if x is not None and x.source == "12.png"]
        gallery.update([named], identity="Ann")
        work = finished_work(folder)
        for note, task in zip(part_notes(work), jobs.files, strict=True):
            gallery.put_note(note, f'{IMPORT}["[{task}, \\"x\\"]", "{gallery.note(note)}"]')
            jobs.forgotten.add(task)
        assert list(add_parts(gallery, folder)) == [(10, 0), (10, 0), (5, 0)]
        assert [x.identity for x in gallery.items([named]) if x is not None] == ["Ann"]
        assert BEGUN not in [gallery.note(note) for note in part_notes(work)]


def test_held_rows_are_written_over(jobs: Jobs, place: str, tmp_path: Path) -> None:
    vectors = np.eye(4, dtype=np.float32)
    with opened(place, tmp_path / "in") as gallery:
        gallery.add(vectors[:2], identities=["old"] * 2)
        gallery.start_import(vectors[:3], identities=["new"] * 3)
        assert not jobs.done
        gallery.start_import(vectors[3:], identities=["new"])
        assert not jobs.done
        gallery.finish_imports()
        assert [gallery.count(Where(identities=[name])) for name in ("old", "new")] == [0, 4]
        gallery.start_import(vectors[:1])
        gallery.start_import(vectors[:2])  # A row of a running job; that ends first.
        assert len(jobs.done) == 3


def shared(gallery: Gallery) -> None:
    """Import rows that are held, and one of a job that is running."""
    vectors = np.eye(12, dtype=np.float32) - 2
    gallery.add(vectors[:2], identities=["old"] * 2)
    gallery.start_import(vectors[:3], identities=["new"] * 3)
    gallery.start_import(vectors[2:4], identities=["newer"] * 2)
    gallery.finish_imports()
    assert [gallery.count(Where(identities=[name])) for name in ("old", "new", "newer")] == [0, 2, 2]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # sockets that its package leaves open
def test_a_full_server(full_milvus_address: str, folder: StorageFolder, tmp_path: Path) -> None:
    place = f"milvus://{full_milvus_address}/imports_{os.getpid()}_{next(NAMES)}"
    expected = pytest.raises(GalleryError, match=r"^[^\n]*got: failed to get file size of '/nowhere[^\n]*$")
    with opened(place, tmp_path / "in", import_path="/nowhere") as gallery, expected:
        list(add_parts(gallery, folder))
    with opened(place, tmp_path / "in") as gallery:
        assert list(add_parts(gallery, folder)) == [(10, 10), (10, 10), (5, 5)]
        assert len(gallery.select()) == len(gallery) == 25
        assert files(tmp_path / "in") == []
        one = gallery.select()[:1]
        assert gallery.search(gallery.vectors(one), 1)[0][0].item.id == one[0]
        shared(gallery)
        assert len(gallery) == 29


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the S3 server, and sockets that Milvus's package leaves open
def test_a_full_server_whose_storage_is_s3(folder: StorageFolder, tmp_path: Path) -> None:
    milvus = pytest.importorskip("milvus")
    server = milvus.MilvusServer()
    server.set_base_dir(str(tmp_path / "milvus"))
    with s3_server() as (port, query):
        storage = {"address": "127.0.0.1", "port": port, "bucketName": "bucket", "rootPath": "files", "useSSL": "false"}
        for name, value in (storage | {"accessKeyID": KEYS, "secretAccessKey": KEYS}).items():
            server.config.set(f"minio.{name}", value)
        server.config.set("common.storageType", "minio")
        try:
            server.start()
        except Exception as error:  # whatever keeps this server from running here
            pytest.skip(f"the Milvus server does not run here: {error}")
        inbox = f"s3://bucket/in{query}"
        try:
            with opened(f"milvus://127.0.0.1:{server.listen_port}/people", inbox) as gallery:
                assert list(add_parts(gallery, folder)) == [(10, 10), (10, 10), (5, 5)]
                assert len(gallery.select()) == len(gallery) == 25
                one = gallery.select()[:1]
                assert gallery.search(gallery.vectors(one), 1)[0][0].item.id == one[0]
                assert not StorageFolder(inbox).names("people")
                shared(gallery)
                assert len(gallery) == 29
        finally:
            server.stop()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_killed_import_goes_on(full_milvus_address: str, tmp_path: Path) -> None:
    place = f"milvus://{full_milvus_address}/imports_{os.getpid()}_{next(NAMES)}"
    folder, random = StorageFolder(str(tmp_path / "parts")), np.random.default_rng(0)
    manifest = ParquetManifest(str(draw(tmp_path / "pictures", 125)))
    make_parts(folder, manifest, Mean(), PartOptions(part_rows=10))
    words = [sys.executable, "-m", "reseen", "index", place, "--vectors", str(folder)]
    words += ["--import_storage", str(tmp_path / "in")]
    killed = 0
    for _ in range(6):
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log)
        while not any((tmp_path / "in").rglob("*.parquet")) and process.poll() is None:
            time.sleep(0.02)
        time.sleep(random.uniform(0, 4))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    assert killed >= 3
    subprocess.run(words, check=True)
    with Gallery(tmp_path / "local", Mean.fingerprint) as local, Gallery(place, Mean.fingerprint) as gallery:
        list(add_parts(local, folder))
        assert sorted(gallery.select()) == sorted(local.select())
        assert len(gallery) == 125
        assert files(tmp_path / "in") == []


@pytest.mark.parametrize("disguised", [False, True])
def test_milvus_lite_takes_requests(
    place: str, folder: StorageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disguised: bool
) -> None:
    if "RESEEN_MILVUS" in os.environ:
        pytest.skip("another server")
    if disguised:  # as a server that has no such call
        monkeypatch.setattr(MilvusClient, "get_server_version", lambda self: "v9")
    with opened(place, tmp_path / "in") as gallery:
        assert list(add_parts(gallery, folder)) == [(10, 10), (10, 10), (5, 5)]
        assert len(gallery) == 25
    assert not (tmp_path / "in").exists()
