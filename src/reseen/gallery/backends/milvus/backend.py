"""The gallery of many machines: the same interface on a Milvus server or cluster, version 2.3 or later.

Filters are pushed down: Milvus looks only at the rows that pass them. **Consistency: strong**: a search sees every
change whose call had returned, from any process, before it began. Milvus has no transactions over several requests:
more than `BATCH` rows go in several, each whole or not at all, and a broken call can simply be repeated, since an
item's id is its content. Milvus counts on one writer at a time here, for the number of new rows it reports.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient, MilvusException

from reseen.errors import GalleryError
from reseen.gallery.backends.base import Backend, Facts, Groups, Hit
from reseen.gallery.backends.milvus.rows import COLUMNS, as_item, as_time, condition, decoded, encoded, row
from reseen.gallery.records import Compaction, Item, Label, Mark, Where
from reseen.gallery.rows import Rows
from reseen.labels import ordered
from reseen.slicing import chunks

BATCH = 500
"""Rows of one request; with its picture a row may take 64 kB, and a request 64 MB."""
MAX_TEXT = 65_535
"""Bytes that a text column of Milvus can hold."""
MAX_ANSWERS = 16_384
"""Answers that Milvus gives at most."""
LISTS = 1024
FACTS, CAMERAS, TIMES, MARK = "facts", "cameras", "times", "mark:"


class MilvusBackend(Backend):
    """A gallery in two collections of a Milvus server: ``NAME`` for the items, ``NAME_notes`` for what is known of it.

    Args:
        location: ``milvus://[user:password@]host:port/name``.
        create: Make the gallery where there is none.
        approximate_above: `compact` gives a gallery of more items inverted lists, of which an approximate search looks
            into an eighth; None keeps every search exact.

    Raises:
        GalleryError: There is no such gallery, or no server answers.
    """

    options = frozenset({"approximate_above"})

    def __init__(self, location: str, *, create: bool, approximate_above: int | None = None) -> None:
        place = urlsplit(location)
        self._name, self.location = place.path.strip("/"), without_password(location)
        self._notes = f"{self._name}_notes"
        self._approximate_above = approximate_above
        if not (place.hostname and place.port and self._name.isidentifier()):
            raise GalleryError(
                f"expected milvus://host:port/name with a name of letters and digits, got {self.location}"
            )
        with self._translate_errors():
            token = f"{place.username}:{place.password}" if place.username else ""
            self._client = MilvusClient(uri=f"http://{place.hostname}:{place.port}", token=token)
            if not self._client.has_collection(self._notes):
                if not create:
                    raise GalleryError(f"expected a gallery at {self.location}, found none; `reseen index` makes one")
                self._make_notes()

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

    def add(self, rows: Rows) -> int:
        new = 0
        self._remember(rows.cameras, rows.times)
        with self._translate_errors():
            for part in chunks(len(rows), BATCH):
                batch = [row(rows, n) for n in range(part.start, part.stop)]
                held = {found["id"] for found in self._get([made["id"] for made in batch], ["id"])}
                fresh = {made["id"]: made for made in batch if made["id"] not in held}
                if fresh:
                    self._client.upsert(self._name, list(fresh.values()))
                new += len(fresh)
        return new

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
                    self._client.upsert(self._name, [found | written for found in held])
                count += len(held)
        return count

    def rename(self, identity: Label, new: Label) -> int:
        with self._translate_errors():
            named = self._all(self._name, condition(Where(identities=[identity])), ["id"], None)
            ids = [found["id"] for found in named]
        return self.update(ids, {"identity": new})

    def delete(self, ids: Sequence[str]) -> int:
        with self._translate_errors():
            held = [found["id"] for found in self._get(ids, ["id"])]
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
        probes = LISTS if exact or self._approximate_above is None else LISTS // 8
        with self._translate_errors():
            found = self._client.search(
                self._name,
                queries.tolist(),
                filter=condition(where, answered),
                limit=min(k, MAX_ANSWERS),
                search_params={"metric_type": "COSINE", "params": {"nprobe": probes}},
            )
        return [[Hit(hit["id"], float(hit["distance"])) for hit in hits] for hits in found]

    def items(self, ids: Sequence[str]) -> list[Item | None]:
        with self._translate_errors():
            held = {found["id"]: found for found in self._get(ids, COLUMNS)}
        return [as_item(held[name]) if name in held else None for name in ids]

    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        with self._translate_errors():
            held = {found["id"]: found["vector"] for found in self._get(ids, ["id", "vector"])}
        return np.array([held[name] for name in ids], np.float32).reshape(len(ids), self.dim or 0)

    def select(self, where: Where, limit: int) -> list[str]:
        if self.dim is None:
            return []
        with self._translate_errors():
            return [found["id"] for found in self._all(self._name, condition(where), ["id"], limit)]

    def count(self, where: Where) -> int:
        if self.dim is None:
            return 0
        with self._translate_errors():
            found = self._client.query(self._name, filter=condition(where), output_fields=["count(*)"])
        return int(found[0]["count(*)"])

    def cameras(self) -> list[Label]:
        labels = [decoded(text) for text in self._known_cameras()]
        return ordered(x for x in labels if x is not None and self.count(Where(cameras=[x])))

    def identities(self) -> list[Label]:
        if self.dim is None:
            return []
        with self._translate_errors():
            named = self._all(self._name, condition(Where(named=True)), ["id", "identity"], None)
            return ordered({decoded(found["identity"]) for found in named})

    def times(self) -> tuple[float, float] | None:
        known = self.note(TIMES)
        if known is None or not self.count(Where(since=-np.inf)):
            return None
        first, last = json.loads(known)
        return first, last

    def pictured(self, ids: Sequence[str]) -> set[str]:
        with self._translate_errors():
            return {found["id"] for found in self._get(ids, ["id", "picture"]) if found["picture"]}

    def picture(self, item: str) -> bytes | None:
        with self._translate_errors():
            found = self._get([item], ["id", "picture"])
        return base64.b64decode(found[0]["picture"]) if found and found[0]["picture"] else None

    def note(self, name: str) -> str | None:
        with self._translate_errors():
            found = self._client.get(self._notes, ids=[name], output_fields=["text"])
        return found[0]["text"] if found else None

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
        for found in self._all(self._notes, f'id like "{MARK}%"', ["id", "text"], None):
            yield found["id"], Mark(*json.loads(found["text"]))

    def compact(self) -> Compaction:
        count = self.count(Where())
        if self.dim is not None:
            listed = self._approximate_above is not None and count > self._approximate_above
            with self._translate_errors():
                self._client.flush(self._name)
                self._client.release_collection(self._name)
                self._client.drop_index(self._name, "vector")
                self._client.create_index(self._name, self._index("IVF_FLAT" if listed else "FLAT"))
                self._client.load_collection(self._name)
        return Compaction(count)

    def close(self) -> None:
        self._client.close()

    def _remember(self, cameras: Sequence[Label | None], times: Sequence[float | None]) -> None:
        """Note cameras and times: Milvus lists neither without reading every row."""
        met, known = {encoded(camera) for camera in cameras if camera is not None}, set(self._known_cameras())
        if not met <= known:
            self.put_note(CAMERAS, json.dumps(sorted(met | known)))
        timed = [time for time in times if time is not None]
        ends = json.loads(self.note(TIMES) or "[]")
        if timed and (widest := [min(timed + ends), max(timed + ends)]) != ends:
            self.put_note(TIMES, json.dumps(widest))

    def _known_cameras(self) -> list[str]:
        return list(json.loads(self.note(CAMERAS) or "[]"))

    def _get(self, ids: Sequence[str], columns: list[str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for part in chunks(len(ids), BATCH):
            found += self._client.get(self._name, ids=list(ids[part]), output_fields=columns)
        return [dict(row) for row in found]

    def _all(self, name: str, filter: str, columns: list[str], limit: int | None) -> Iterator[dict[str, Any]]:
        rows = self._client.query_iterator(
            name, filter=filter, output_fields=columns, batch_size=1000, limit=-1 if limit is None else limit
        )
        try:
            while batch := rows.next():
                yield from batch
        finally:
            rows.close()

    def _make_notes(self) -> None:
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=64)
        schema.add_field("text", DataType.VARCHAR, max_length=MAX_TEXT)
        schema.add_field("nothing", DataType.FLOAT_VECTOR, dim=2)  # Milvus wants a vector in every collection.
        self._make(self._notes, schema, vector="nothing")

    def _make(self, name: str, schema: Any, vector: str = "vector") -> None:
        with self._translate_errors():
            self._client.create_collection(
                name, schema=schema, index_params=self._index("FLAT", vector), consistency_level="Strong"
            )

    def _index(self, kind: str, vector: str = "vector") -> Any:
        made = self._client.prepare_index_params()
        made.add_index(vector, index_type=kind, metric_type="COSINE", params={"nlist": LISTS} if kind != "FLAT" else {})
        return made

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except MilvusException as error:
            found = " ".join(str(error.message).split())
            raise GalleryError(
                f"expected an answer from {self.location}, found: {found}; check the address and the server's log"
            ) from None


def without_password(location: str) -> str:
    """Return a location as it may be shown."""
    return re.sub("^milvus://[^/]*@", "milvus://", location)


def _mark_name(query: str, item: str) -> str:
    return MARK + hashlib.blake2b(json.dumps([query, item]).encode(), digest_size=16).hexdigest()
