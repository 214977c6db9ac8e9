"""The gallery of many machines: the same interface on a Milvus server or cluster, version 2.3 or later.

Filters are pushed down: Milvus looks only at the rows that pass them. **Consistency: strong**: a search sees every
change whose call had returned, from any process, before it began. Milvus has no transactions over several requests:
more than `BATCH` rows go in several, each whole or not at all, and a broken call can simply be repeated, since an
item's id is its content. Any number of processes may write; two that add the same row at once both call it new. What
a server has acknowledged is in its own log, hence nothing is flushed; Milvus Lite has a `Client` for that.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient, MilvusException

from reseen.errors import GalleryError
from reseen.gallery.backends.base import Backend, Facts, Groups, Hit, ImportState
from reseen.gallery.backends.milvus.client import Client
from reseen.gallery.backends.milvus.imports import Imports
from reseen.gallery.backends.milvus.indexes import KINDS
from reseen.gallery.backends.milvus.rows import COLUMNS, as_item, as_time, condition, decoded, encoded, row
from reseen.gallery.records import Compaction, Item, Label, Mark, Where
from reseen.gallery.rows import Rows
from reseen.labels import ordered
from reseen.slicing import chunks

BATCH = 500
"""Rows of one request; with its picture a row may take 64 kB, and a request 64 MB."""
BYTES, IN_FLIGHT = 2**24, 4
"""Bytes of vectors of one request without pictures, and such requests at once."""
MAX_TEXT = 65_535
"""Bytes that a text column of Milvus can hold."""
MAX_ANSWERS = 16_384
"""Answers that Milvus gives at most."""
FACTS, INDEX, IMPORTS, CAMERA, TIMES, MARK = "facts", "index", "imports", "camera:", "times:", "mark:"


PROBES, NEAREST = 200, 10
"""Vectors of the gallery that recall is measured with, and how many answers of each are compared."""
LITE, TLS = "milvus-lite", "milvus+https"


class Made(NamedTuple):
    """The index that searches go through.

    Attributes:
        kind: One of `KINDS`.
        breadth: How far an approximate search looks.
        recall: What was measured so; None where nothing was.
    """

    kind: str
    breadth: int | None = None
    recall: float | None = None


class Address(NamedTuple):
    """Where Milvus is.

    Attributes:
        uri: As its client takes it.
        token: Likewise; empty for none.
        name: Of the gallery's collection.
    """

    uri: str
    token: str
    name: str


class MilvusBackend(Backend):
    """A gallery in two collections of a Milvus server: ``NAME`` for the items, ``NAME_notes`` for what is known of it.

    Args:
        location: ``milvus://[user:password@]host:port/name``, or ``milvus+https://`` for TLS, as for Zilliz Cloud; the
            token may be in the environment's RESEEN_MILVUS_TOKEN. ``milvus-lite://file.db/name`` is a file of Milvus
            Lite, for one process at a time.
        create: Make the gallery where there is none.
        approximate_above: `compact` gives a gallery of more items an index for approximate search; None keeps every
            search as near to exact as its index can.
        recall: What an approximate search must find of the ten nearest; how far it looks is measured on the gallery
            when the index is made, against a search of all vectors.
        index: Kind of the index for approximate search, one of `KINDS`.
        breadth: How far an approximate search looks, in the index's own terms; nothing is measured then.
        import_storage: A folder or URL of the server's own storage, through which it takes rows in by bulk import;
            Milvus Lite has none, and makes no use of it.
        import_path: What the server calls that folder; its absolute path, or a URL's path below the bucket, if not
            given.

    Raises:
        GalleryError: There is no such gallery, or no server answers.
    """

    options = frozenset({"approximate_above", "recall", "index", "breadth", "import_storage", "import_path"})

    def __init__(
        self,
        location: str,
        *,
        create: bool,
        approximate_above: int | None = None,
        recall: float = 0.99,
        index: str = "IVF_FLAT",
        breadth: int | None = None,
        import_storage: str | None = None,
        import_path: str | None = None,
    ) -> None:
        address = address_of(location)
        self._name, self.location = address.name, without_password(location)
        self._notes = f"{self._name}_notes"
        self._approximate_above, self._recall, self._breadth = approximate_above, recall, breadth
        self._writer = f"{TIMES}{uuid.uuid4().hex}"
        self._met: set[str] = set()
        self._ends: tuple[float, ...] = ()
        if index not in KINDS:
            raise GalleryError(f"expected an index among {', '.join(KINDS)}, got {index}; name one of them")
        if import_path is not None and import_storage is None:
            raise GalleryError(f"expected import_storage beside the import_path {import_path}, got none; name it too")
        self._kind = index
        with self._translate_errors():
            self._client = Client(address.uri, address.token)
            if not self._client.has_collection(self._notes):
                if not create:
                    raise GalleryError(f"expected a gallery at {self.location}, found none; `reseen index` makes one")
                self._make_notes()
            for name, vector in ((self._notes, "nothing"), (self._name, "vector")):
                if self._client.has_collection(name):
                    self._make_ready(name, vector)
        self._imports = Imports(self._client, self._name, import_storage, import_path)

    @classmethod
    def from_location(cls, location: str, *, create: bool, options: Mapping[str, Any]) -> MilvusBackend:
        return cls(location, create=create, **options)

    def read_facts(self) -> Facts:
        return Facts(**json.loads(self.note(FACTS) or '{"model": null, "dim": null}'))

    def begin(self, model: str | None, dim: int) -> None:
        if self.dim is not None:
            return
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=32)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
        for name in ("identity", "camera", "track", "source", "extra", "picture"):
            schema.add_field(name, DataType.VARCHAR, max_length=MAX_TEXT)
        schema.add_field("time", DataType.DOUBLE)
        schema.add_field("timed", DataType.BOOL)
        self._make(self._name, schema)
        self.put_note(FACTS, json.dumps({"model": model, "dim": dim}))

    def add(self, rows: Rows, *, look_up: bool = True) -> int:
        new = 0
        self._remember(rows.cameras, rows.times)
        if not look_up and not any(rows.pictures):
            self._write_over(rows)
            return len(rows)
        with self._translate_errors():
            for part in chunks(len(rows), BATCH):
                batch = [row(rows, n) for n in range(part.start, part.stop)]
                held = {record["id"] for record in self._get([made["id"] for made in batch], ["id"])}
                fresh = {made["id"]: made for made in batch if made["id"] not in held}
                if fresh:
                    self._client.upsert(self._name, list(fresh.values()))
                new += len(fresh)
        return new

    def _write_over(self, rows: Rows) -> None:
        size = max(1, BYTES // rows.vectors[0].nbytes)

        def send(start: int) -> None:
            batch = {made["id"]: made for n in range(start, min(start + size, len(rows))) if (made := row(rows, n))}
            self._client.upsert(self._name, list(batch.values()))

        with self._translate_errors(), ThreadPoolExecutor(IN_FLIGHT) as pool:
            for _ in pool.map(send, range(0, len(rows), size)):
                pass

    def start_import(self, rows: Rows) -> str | None:
        with self._translate_errors():
            if not self._imports.offered():
                return None
        self._remember(rows.cameras, rows.times)
        self.put_note(IMPORTS, "begun")
        with self._translate_errors():
            return self._imports.start(rows)

    def import_state(self, job: str) -> ImportState:
        with self._translate_errors():
            return self._imports.state(job)

    def finish_imports(self) -> None:
        if self.note(IMPORTS):
            with self._translate_errors():
                self._imports.finish()
            self.put_note(IMPORTS, "")

    def update(self, ids: Sequence[str], changes: Mapping[str, Any]) -> int:
        self._remember([changes.get("camera")], [changes.get("time")])
        written = dict(changes)
        for name in {"identity", "camera", "track"} & set(written):
            written[name] = encoded(written[name])
        if "source" in written:
            written["source"] = encoded(written["source"])
        if "time" in written:
            written |= as_time(written["time"])
        count = 0
        with self._translate_errors():
            for part in chunks(len(ids), BATCH):
                held = self._get(ids[part], [*COLUMNS, "vector", "picture"])
                if held:
                    self._client.upsert(self._name, [record | written for record in held])
                count += len(held)
        return count

    def rename(self, identity: Label, new: Label) -> int:
        with self._translate_errors():
            named = self._all(self._name, condition(Where(identities=[identity])), ["id"], None)
            ids = [record["id"] for record in named]
        return self.update(ids, {"identity": new})

    def delete(self, ids: Sequence[str]) -> int:
        with self._translate_errors():
            held = [record["id"] for record in self._get(ids, ["id"])]
            deleted = set(held)
            # Verdicts first: a call that broke off in between can then be repeated.
            if marks := [name for name, mark in self._marks() if mark.item in deleted] if held else []:
                self._client.delete(self._notes, ids=marks)
            for part in chunks(len(held), BATCH):
                self._client.delete(self._name, ids=held[part])
        return len(held)

    def search(
        self, queries: NDArray[np.float32], k: int, where: Where, *, exact: bool, answered: Groups | None = None
    ) -> list[list[Hit]]:
        limit = min(k, MAX_ANSWERS)
        made = Made(**json.loads(self.note(INDEX) or '{"kind": "FLAT"}'))
        breadth = None if exact or self._approximate_above is None else (self._breadth or made.breadth)
        with self._translate_errors():
            return self._search(queries, limit, made.kind, breadth, condition(where, answered))

    def _search(
        self, queries: NDArray[np.float32], limit: int, kind: str, breadth: int | None, filter: str = ""
    ) -> list[list[Hit]]:
        parameters = KINDS[kind].search_parameters(breadth, limit)
        answer = self._client.search(
            self._name,
            queries.tolist(),
            filter=filter,
            limit=limit,
            search_params={"metric_type": "COSINE", "params": parameters},
        )
        return [[Hit(hit["id"], float(hit["distance"])) for hit in hits] for hits in answer]

    def items(self, ids: Sequence[str]) -> list[Item | None]:
        with self._translate_errors():
            held = {record["id"]: record for record in self._get(ids, COLUMNS)}
        return [as_item(held[name]) if name in held else None for name in ids]

    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        with self._translate_errors():
            held = {record["id"]: record["vector"] for record in self._get(ids, ["id", "vector"])}
        return np.array([held[name] for name in ids], np.float32).reshape(len(ids), self.dim or 0)

    def select(self, where: Where, limit: int) -> list[str]:
        if self.dim is None:
            return []
        with self._translate_errors():
            return [record["id"] for record in self._all(self._name, condition(where), ["id"], limit)]

    def count(self, where: Where) -> int:
        if self.dim is None:
            return 0
        with self._translate_errors():
            records = self._client.query(self._name, filter=condition(where), output_fields=["count(*)"])
        return int(records[0]["count(*)"])

    def cameras(self) -> list[Label]:
        with self._translate_errors():
            labels = [decoded(record["text"]) for record in self._noted(CAMERA)]
        return ordered(x for x in labels if x is not None and self.count(Where(cameras=[x])))

    def identities(self) -> list[Label]:
        if self.dim is None:
            return []
        with self._translate_errors():
            named = self._all(self._name, condition(Where(named=True)), ["id", "identity"], None)
            return ordered({decoded(record["identity"]) for record in named})

    def times(self) -> tuple[float, float] | None:
        with self._translate_errors():
            known = [json.loads(record["text"]) for record in self._noted(TIMES)]
        if not known or not self.count(Where(since=-np.inf)):
            return None
        return min(first for first, _ in known), max(last for _, last in known)

    def pictured(self, ids: Sequence[str]) -> set[str]:
        with self._translate_errors():
            return {record["id"] for record in self._get(ids, ["id", "picture"]) if record["picture"]}

    def picture(self, item: str) -> bytes | None:
        with self._translate_errors():
            records = self._get([item], ["id", "picture"])
        return base64.b64decode(records[0]["picture"]) if records and records[0]["picture"] else None

    def note(self, name: str) -> str | None:
        with self._translate_errors():
            records = self._client.get(self._notes, ids=[name], output_fields=["text"])
        return records[0]["text"] if records else None

    def put_note(self, name: str, text: str) -> None:
        if len(text.encode()) > MAX_TEXT:
            raise GalleryError(
                f"expected a note of at most {MAX_TEXT} bytes on Milvus, got {len(text.encode())} for {name}"
            )
        with self._translate_errors():
            self._client.upsert(self._notes, [{"id": name, "text": text, "nothing": [0.0, 0.0]}])

    def mark(self, mark: Mark) -> None:
        if self.dim is None or self.items([mark.item]) == [None]:
            return
        note = json.dumps([mark.query, mark.item, mark.similarity, mark.same])
        self.put_note(_mark_name(mark.query, mark.item), note)

    def unmark(self, query: str, item: str) -> None:
        if self.dim is not None:
            with self._translate_errors():
                self._client.delete(self._notes, ids=[_mark_name(query, item)])

    def marks(self) -> list[Mark]:
        with self._translate_errors():
            return sorted((mark for _, mark in self._marks()), key=lambda mark: (mark.query, mark.item))

    def _marks(self) -> Iterator[tuple[str, Mark]]:
        for record in self._noted(MARK):
            yield record["id"], Mark(*json.loads(record["text"]))

    def compact(self) -> Compaction:
        count = self.count(Where())
        if self.dim is not None:
            wanted = self._approximate_above is not None and count > self._approximate_above
            with self._translate_errors():
                self._client.flush(self._name)
                made = self._make_approximate() if wanted else Made("FLAT")
                # While an index is made, nobody can search: one that compares with all is left as it is.
                if not wanted and self._client.describe_index(self._name, "vector")["index_type"] != "FLAT":
                    self._make_index("FLAT")
            self.put_note(INDEX, json.dumps(made._asdict()))
        return Compaction(count)

    def _make_approximate(self) -> Made:
        if self._breadth is not None:
            self._make_index(self._kind)
            return Made(self._kind, self._breadth)
        self._make_index("FLAT")
        some = [record["id"] for record in self._all(self._name, "", ["id"], PROBES)]
        queries = self.vectors(some)
        truth = [{hit.id for hit in hits} for hits in self._search(queries, NEAREST, "FLAT", None)]
        self._make_index(self._kind)

        def recall(breadth: int) -> float:
            answer = self._search(queries, NEAREST, self._kind, breadth)
            shares = [len(t & {hit.id for hit in hits}) / len(t) for t, hits in zip(truth, answer, strict=True)]
            return sum(shares) / len(shares)

        for breadth in KINDS[self._kind].breadths:
            if (measured := recall(breadth)) >= self._recall:
                break
        return Made(self._kind, breadth, measured)

    def _make_index(self, kind: str) -> None:
        self._client.release_collection(self._name)
        self._client.drop_index(self._name, "vector")
        self._client.create_index(self._name, self._index(kind))
        self._client.load_collection(self._name)

    def close(self) -> None:
        self._client.close()

    def _remember(self, cameras: Sequence[Label | None], times: Sequence[float | None]) -> None:
        """Note cameras and times, which Milvus lists only by reading every row; no writer changes another's notes."""
        for camera in {encoded(camera) for camera in cameras if camera is not None} - self._met:
            name = hashlib.blake2b(camera.encode(), digest_size=16).hexdigest()
            self.put_note(CAMERA + name, camera)
            self._met.add(camera)
        timed = [*self._ends, *(time for time in times if time is not None)]
        if timed and (ends := (min(timed), max(timed))) != self._ends:
            self.put_note(self._writer, json.dumps(ends))
            self._ends = ends

    def _noted(self, beginning: str) -> Iterator[dict[str, Any]]:
        return self._all(self._notes, f'id like "{beginning}%"', ["id", "text"], None)

    def _get(self, ids: Sequence[str], columns: list[str]) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = []
        for part in chunks(len(ids), BATCH):
            records += self._client.get(self._name, ids=list(ids[part]), output_fields=columns)
        return [dict(row) for row in records]

    def _all(self, name: str, filter: str, columns: list[str], limit: int | None) -> Iterator[dict[str, Any]]:
        rows = self._client.query_iterator(
            name, filter=filter, output_fields=columns, batch_size=1000, limit=-1 if limit is None else limit
        )
        try:
            while batch := self._next(rows):
                yield from batch
        finally:
            rows.close()

    def _next(self, rows: Any) -> list[dict[str, Any]]:
        with self._client.turn:
            return cast(list[dict[str, Any]], rows.next())

    def _make_notes(self) -> None:
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=64)
        schema.add_field("text", DataType.VARCHAR, max_length=MAX_TEXT)
        schema.add_field("nothing", DataType.FLOAT_VECTOR, dim=2)  # Milvus wants a vector in every collection.
        self._make(self._notes, schema, vector="nothing")

    def _make(self, name: str, schema: Any, vector: str = "vector") -> None:
        with self._translate_errors():
            try:
                self._client.create_collection(
                    name, schema=schema, index_params=self._index("FLAT", vector), consistency_level="Strong"
                )
            except MilvusException:
                if not self._client.has_collection(name):  # Another process may have made it meanwhile.
                    raise

    def _make_ready(self, name: str, vector: str) -> None:
        """Have a collection searched, which a maker or a `compact` that was killed may have left without an index."""
        if not self._client.list_indexes(name):
            self._client.create_index(name, self._index("FLAT", vector))
        self._client.load_collection(name)  # Milvus Lite lets go of all when it starts.

    def _index(self, kind: str, vector: str = "vector") -> Any:
        made = self._client.prepare_index_params()
        made.add_index(vector, index_type=kind, metric_type="COSINE", params=dict(KINDS[kind].parameters))
        return made

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except MilvusException as error:
            reason = " ".join(str(error.message).split())
            raise GalleryError(
                f"expected an answer from {self.location}, found: {reason}; check the address, whether it takes TLS "
                "(milvus+https://) and a token, and the server's log"
            ) from None


def address_of(location: str) -> Address:
    """Return where a gallery's location points.

    Raises:
        GalleryError: It is not written as it should be.
    """
    scheme, _, rest = location.partition("://")
    file, _, name = rest.rpartition("/")
    if scheme == LITE and file and name.isidentifier():
        if not Path(file).absolute().parent.is_dir():
            raise GalleryError(f"expected a folder for {file}, found none; make it first")
        return Address(str(Path(file).absolute()), "", name)
    place = urlsplit(location)
    port, name = place.port or (443 if scheme == TLS else None), place.path.strip("/")
    if scheme == LITE or not (place.hostname and port and name.isidentifier()):
        form = f"{LITE}://file.db/name" if scheme == LITE else f"{scheme}://host:port/name"
        raise GalleryError(f"expected {form} with a name of letters and digits, got {without_password(location)}")
    credentials = ":".join(unquote(part) for part in (place.username, place.password) if part)
    token = credentials or os.environ.get("RESEEN_MILVUS_TOKEN", "")
    return Address(f"{'https' if scheme == TLS else 'http'}://{place.hostname}:{port}", token, name)


def without_password(location: str) -> str:
    """Return a location as it may be shown."""
    return re.sub("^(milvus[^/]*://)[^/]*@", r"\1", location)


def _mark_name(query: str, item: str) -> str:
    return MARK + hashlib.blake2b(json.dumps([query, item]).encode(), digest_size=16).hexdigest()
