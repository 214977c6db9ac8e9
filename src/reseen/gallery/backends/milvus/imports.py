"""Bulk import of Milvus: Parquet files in the storage of the server, and the jobs that take them in.

Dimensions: N rows, D components of a vector.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
import time

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from pymilvus import BulkInsertState, MilvusClient, MilvusException

from reseen.gallery.backends.base import ImportState
from reseen.gallery.backends.milvus.client import LITE
from reseen.gallery.backends.milvus.rows import facts
from reseen.gallery.rows import Rows
from reseen.storage import StorageFolder
from reseen.upstream import grpc_handler

FAILED = (BulkInsertState.ImportFailed, BulkInsertState.ImportFailedAndCleaned)
UNKNOWN = re.compile("not found|not exist")
"""How servers say that they know of no such job."""
LATEST, PAUSE = 1024, 0.5
"""Jobs that are looked through for running ones, as many as Milvus runs at most; seconds between two looks."""


class Imports:
    """Imports into one collection.

    Imported rows do not take the place of held ones, as upserted rows do; so those are deleted first. What is deleted
    before an import has begun to run does not touch its rows, hence two of the same row never run at once.

    Args:
        client: Of the server.
        name: The collection.
        storage: A folder or URL in which the server reads; None where no import is to be begun.
        path: What the server calls it.
    """

    def __init__(self, client: MilvusClient, name: str, storage: str | None, path: str | None) -> None:
        self._client, self._name = client, name
        self.storage = None if storage is None else StorageFolder(storage)
        self._path = server_path(storage or "") if path is None else path
        self._offered: bool | None = None
        self._running: dict[str, set[str]] = {}

    def offered(self) -> bool:
        """Return whether there is a storage to import from, and a server that does so; Milvus Lite does not."""
        if self.storage is not None and self._offered is None:
            self._offered = not self._client.get_server_version().startswith(LITE) and self._answers()
        return bool(self._offered)

    def _answers(self) -> bool:
        try:
            grpc_handler(self._client).list_bulk_insert_tasks(1, self._name)
        except grpc.RpcError as error:
            if isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return False
            raise
        return True

    def start(self, rows: Rows) -> str:
        """Begin to import N rows; return the job."""
        assert self.storage is not None
        ids = list(dict.fromkeys(rows.ids))
        for job in [job for job, others in self._running.items() if not others.isdisjoint(ids)]:
            while self.state(job).outcome == "running":
                time.sleep(PAUSE)
        digest = hashlib.blake2b("".join(ids).encode(), digest_size=16).hexdigest()
        file = f"{self._name}/{digest}.parquet"
        self.storage.write(file, parquet_file(rows))
        self._client.delete(self._name, ids=ids)
        task = grpc_handler(self._client).do_bulk_insert(self._name, "", [posixpath.join(self._path, file)])
        job = json.dumps([task, file])
        self._running[job] = set(ids)
        return job

    def state(self, job: str) -> ImportState:
        """Return how far a job is; the file of one that is complete is removed."""
        task, file = json.loads(job)
        try:
            answer = grpc_handler(self._client).get_bulk_insert_state(task)
        except MilvusException as error:
            if not UNKNOWN.search(str(error.message)):
                raise
            self._running.pop(job, None)
            return ImportState("unknown")
        if answer.state == BulkInsertState.ImportCompleted:
            self._running.pop(job, None)
            if self.storage is not None:
                self.storage.remove(file)
            return ImportState("complete")
        if answer.state in FAILED:
            self._running.pop(job, None)
            return ImportState("failed", " ".join(str(answer.failed_reason).split()))
        return ImportState("running")

    def finish(self) -> None:
        """Wait until no job of the collection is running, have all rows loaded, and remove files that are left."""
        ended = (*FAILED, BulkInsertState.ImportCompleted)
        while any(
            job.state not in ended for job in grpc_handler(self._client).list_bulk_insert_tasks(LATEST, self._name)
        ):
            time.sleep(PAUSE)
        self._client.refresh_load(self._name)
        if self.storage is not None:
            for file in self.storage.names(self._name):
                self.storage.remove(f"{self._name}/{file}")


def server_path(storage: str) -> str:
    """Return what a server most likely calls a folder: its absolute path, or the part of a URL below the bucket."""
    folder = StorageFolder(storage)
    if folder.path is not None:
        return str(folder.path.absolute())
    return str(folder).partition("://")[2].partition("/")[2]


def parquet_file(rows: Rows) -> pa.Buffer:
    """Return rows as a Parquet file of the collection's columns; of a row that is there twice, the last."""
    last = list({name: n for n, name in enumerate(rows.ids)}.values())
    count, dim = len(last), rows.vectors.shape[1]
    components = pa.array(np.ascontiguousarray(rows.vectors[last]).reshape(-1))
    vectors = pa.ListArray.from_arrays(pa.array(np.arange(count + 1) * dim, pa.int32()), components)
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.Table.from_pylist([facts(rows, n) for n in last]).append_column("vector", vectors), sink)
    return sink.getvalue()
