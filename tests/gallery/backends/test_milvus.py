"""Milvus's addresses, kinds of index, and several writers, on Milvus Lite."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from reseen.errors import GalleryError
from reseen.gallery import Gallery, Where

pytest.importorskip("pymilvus")
pytest.importorskip("milvus_lite")

from pymilvus import MilvusClient

from reseen.gallery.backends.milvus.backend import INDEX, address_of, without_password
from reseen.gallery.backends.milvus.indexes import KINDS

NAMES = iter(range(1000))


@pytest.fixture
def place(milvus_address: str) -> str:
    return f"milvus://{milvus_address}/milvus_{next(NAMES)}"


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("milvus://10.0.0.1:19530/g", ("http://10.0.0.1:19530", "", "g")),
        ("milvus://me:p%40ss@milvus:1/g", ("http://milvus:1", "me:p@ss", "g")),
        ("milvus+https://key@in03.zilliz.example/g", ("https://in03.zilliz.example:443", "key", "g")),
        ("milvus-lite:///tmp/a.b/items.db/g", None),
        ("milvus-lite:///tmp/items.db/g", ("/tmp/items.db", "", "g")),
        ("milvus://milvus/g", None),
        ("milvus+https://milvus:1/a-b", None),
        ("milvus-lite://g", None),
    ],
)
def test_addresses(location: str, expected: tuple[str, str, str] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RESEEN_MILVUS_TOKEN", raising=False)
    if expected is None:
        with pytest.raises(GalleryError, match="expected"):
            address_of(location)
        return
    assert address_of(location) == expected
    monkeypatch.setenv("RESEEN_MILVUS_TOKEN", "secret")
    assert address_of(location).token == (expected[1] or ("" if "lite" in location else "secret"))
    assert "key" not in without_password(location)
    assert "ss@" not in without_password(location)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # sockets that its package leaves open
@pytest.mark.parametrize("kind", ["HNSW", "IVF_FLAT", "IVF_SQ8", "SCANN"])  # It is built without DISKANN.
def test_an_index_of_a_full_server(full_milvus_address: str, kind: str) -> None:
    index_is_made(f"milvus://{full_milvus_address}/kinds_{os.getpid()}_{kind}", kind)


@pytest.mark.parametrize("kind", ["HNSW", "IVF_FLAT", "IVF_SQ8"])
def test_an_index_is_made_and_its_recall_measured(place: str, kind: str) -> None:
    index_is_made(place, kind)


def index_is_made(place: str, kind: str) -> None:
    """Make an index of a kind, search it, and go back to none."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(1500, 16)).astype(np.float32)
    with Gallery(place, "m", approximate_above=1000, index=kind, recall=0.9) as gallery:
        gallery.add(vectors, identities=list(range(1500)), look_up=False)
        gallery.compact()
        made = json.loads(gallery.note(INDEX) or "")
        assert made["kind"] == kind
        assert made["breadth"] in KINDS[kind].breadths
        assert made["recall"] >= 0.9
        found = gallery.search(vectors[:50], 1)
        assert np.mean([m[0].item.identity == n for n, m in enumerate(found)]) >= 0.9
    with Gallery(place, "m", approximate_above=1000, index=kind, breadth=77) as gallery:
        gallery.compact()
        assert json.loads(gallery.note(INDEX) or "")["breadth"] == 77
    with Gallery(place, "m") as gallery:  # without the option as well as the index can, and FLAT again once compacted
        gallery.search(vectors[:1], 5)
        gallery.compact()
        assert json.loads(gallery.note(INDEX) or "")["kind"] == "FLAT"
        assert [m[0].item.identity for m in gallery.search(vectors[:5], 1)] == list(range(5))


def test_compact_without_an_index_stops_no_search(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Gallery(place, "m") as gallery:
        gallery.add([[1.0, 0.0], [0.0, 1.0]])
        monkeypatch.setattr(MilvusClient, "release_collection", lambda *_: pytest.fail("the collection was let go of"))
        gallery.compact()
        assert len(gallery.search([[1.0, 0.0]], 5)[0]) == 2


def test_what_a_search_is_told() -> None:
    assert KINDS["HNSW"].search_parameters(16, 50) == {"ef": 50}
    assert KINDS["IVF_SQ8"].search_parameters(16, 50) == {"nprobe": 16}
    assert KINDS["SCANN"].search_parameters(16, 50) == {"nprobe": 16, "reorder_k": 50}
    assert KINDS["SCANN"].search_parameters(None, 50) == {"nprobe": 1024, "reorder_k": 1024}
    assert KINDS["FLAT"].search_parameters(16, 50) == {}
    assert all(isinstance(value, (int, str)) for kind in KINDS.values() for value in kind.parameters.values())
    assert not any(isinstance(value, bool) for kind in KINDS.values() for value in kind.parameters.values())


def test_an_unknown_kind_is_refused(place: str) -> None:
    with pytest.raises(GalleryError, match=r"expected an index among FLAT, IVF_FLAT, .*, got BTREE"):
        Gallery(place, "m", index="BTREE")


@pytest.mark.parametrize("moment", ["made", "begun", "compacted"])
def test_an_index_that_was_not_made_in_time_is_made(place: str, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened_without_an_index(place, moment, monkeypatch)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("moment", ["made", "begun", "compacted"])
def test_an_index_that_was_not_made_in_time_on_a_full_server(
    full_milvus_address: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened_without_an_index(f"milvus://{full_milvus_address}/half_{os.getpid()}_{moment}", moment, monkeypatch)


def opened_without_an_index(place: str, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open a gallery that was being made, begun or compacted by a process that was killed."""

    def kill(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def use() -> None:
        with Gallery(place, "m", approximate_above=0, breadth=8) as gallery:
            gallery.compact() if moment == "compacted" else gallery.add([[1.0, 0.0]])

    if moment != "made":
        with Gallery(place, "m") as gallery:
            if moment == "compacted":
                gallery.add([[1.0, 0.0]])
    with monkeypatch.context() as killed:
        killed.setattr(MilvusClient, "create_index", kill)
        with pytest.raises(KeyboardInterrupt):
            use()
    with Gallery(place, "m") as gallery:
        gallery.add([[1.0, 0.0]])
        assert len(gallery.search([[1.0, 0.0]], 5)[0]) == 1
        assert gallery._backend._client.list_indexes(place.rpartition("/")[2]) == ["vector"]  # type: ignore[attr-defined]


def test_several_writers_forget_nothing_of_each_other(place: str) -> None:
    one, two = Gallery(place, "m"), Gallery(place, "m")
    one.add([[1.0, 0.0]], cameras=["a"], times=[5.0])
    two.add([[0.0, 1.0]], cameras=["b"], times=[1.0])
    one.add([[1.0, 1.0]], cameras=["c"], times=[3.0])
    for gallery in (one, two):
        assert gallery.cameras() == ["a", "b", "c"]
        assert gallery.times() == (1.0, 5.0)
        assert len(gallery) == 3
        gallery.close()


def test_rows_written_without_a_look_are_the_same_rows(place: str) -> None:
    vectors = np.eye(8, dtype=np.float32)
    with Gallery(place, "m") as gallery:
        first = gallery.add(vectors, identities=list(range(8)), look_up=False)
        again = gallery.add(vectors, identities=list(range(8)), look_up=False)
        assert first.ids == again.ids
        assert gallery.count(Where(named=True)) == 8
        assert gallery.add(vectors).new == 0


def test_a_file_of_milvus_lite(tmp_path: Path) -> None:
    location = f"milvus-lite://{tmp_path}/items.db/people"
    with pytest.raises(GalleryError, match="found none"):
        Gallery(location, create=False)
    with Gallery(location, "m") as gallery:
        gallery.add([[1.0, 0.0], [0.0, 1.0]], identities=["Ann", 7])
        for name in ("people", "people_notes"):
            gallery._backend._client.release_collection(name)  # type: ignore[attr-defined]  # as a new start does
        assert [m[0].item.identity for m in gallery.search([[0.1, 1.0]], 1)] == [7]
