"""Manifest to parts: the same bytes whoever makes them, nothing made twice, broken pictures in quarantine."""

import contextlib
import http.server
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from tests.embedding.drawn import Mean, draw, parts

from reseen import storage
from reseen.embedding import open_embeddings
from reseen.embedding.making import PartOptions, Share, make_parts
from reseen.embedding.manifest import ParquetManifest
from reseen.embedding.parts import read_part, read_quarantine
from reseen.errors import DataError, RunError
from reseen.pictures import decode
from reseen.storage import StorageFolder, fetch_picture

TEN = PartOptions(part_rows=10, batch_size=4)
ALL = Share()


def make(manifest: Path | str, out: Path | str, options: PartOptions = TEN, share: Share = ALL) -> Mean:
    model = Mean()
    make_parts(StorageFolder(str(out)), ParquetManifest(str(manifest)), model, options, share=share, workers=2)
    return model


def test_parts_hold_the_manifest_and_vectors(tmp_path: Path) -> None:
    manifest = draw(tmp_path / "pictures", 33)
    model = make(manifest, tmp_path / "out")
    assert [len(batch) for batch in model.batches] == [4, 4, 2] * 3 + [3]
    table = pd.read_parquet(tmp_path / "out" / "parts")
    images = np.stack([decode(tmp_path / "pictures" / f"{n}.png") for n in range(33)])
    np.testing.assert_array_equal(np.stack(table["vector"]), Mean().vectors(images, [], mirrored=False))
    assert table["weather"].tolist() == ["rain" if n % 2 == 0 else "sun" for n in range(33)]
    found = open_embeddings(tmp_path / "out")
    assert found.identities.tolist() == [None if n % 5 == 0 else n % 4 for n in range(33)]
    assert found.cameras is not None
    assert found.cameras.tolist() == ["007" if n % 2 else 7 for n in range(33)]  # by the one rule of labels


@pytest.mark.parametrize("differs", [None, 0, 15, 32], ids=str)
def test_mapped_vectors_take_one_look_at_each_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, differs: int | None
) -> None:
    """Also where the file is there, whole or with a row that differs, from which on it is written anew."""
    make(draw(tmp_path / "pictures", 33), tmp_path / "out")
    looks: list[int] = []

    def look(folder: StorageFolder, number: int) -> pa.Table:
        looks.append(number)
        return read_part(folder, number)

    monkeypatch.setattr("reseen.embedding.parts.read_part", look)
    expected = open_embeddings(tmp_path / "out")
    for _ in range(2):
        looks.clear()
        found = open_embeddings(tmp_path / "out", mapped=True)
        assert looks == [0, 1, 2, 3]
        np.testing.assert_array_equal(found.vectors, expected.vectors)
        assert np.array_equal(found.paths, expected.paths)
        assert found.identities.tolist() == expected.identities.tolist()
        if differs is not None:
            written = np.load(tmp_path / "out" / "vectors.npy")
            written[differs, 3] += 1
            np.save(tmp_path / "out" / "vectors.npy", written)


def test_any_division_gives_the_same_bytes(tmp_path: Path) -> None:
    manifest = draw(tmp_path / "pictures", 53)
    make(manifest, tmp_path / "one")
    for total in (2, 3, 7):
        made = [make(manifest, tmp_path / str(total), share=Share(n, total)) for n in range(total, 0, -1)]
        assert parts(tmp_path / str(total)) == parts(tmp_path / "one")
        names = [name for model in made for batch in model.batches for name in batch]
        assert sorted(names) == sorted(f"{n}.png" for n in range(53))  # each once
    assert [list(Share(n, 3).of(7)) for n in (1, 2, 3)] == [[0, 1], [2, 3], [4, 5, 6]]


def test_rows_can_be_read_in_any_order(tmp_path: Path) -> None:
    source = ParquetManifest(str(draw(tmp_path / "pictures", 53, rows_of_group=20)))
    for start, stop in ((0, 9), (9, 30), (31, 33), (50, 53), (5, 6), (19, 21), (20, 40)):
        assert source.piece(start, stop).table["path"].to_pylist() == [f"{n}.png" for n in range(start, stop)]


def test_a_folder_of_files_is_one_manifest(tmp_path: Path) -> None:
    table = parquet.read_table(draw(tmp_path / "pictures", 33))
    (tmp_path / "many").mkdir()
    shutil.copytree(tmp_path / "pictures", tmp_path / "many", dirs_exist_ok=True)
    (tmp_path / "many" / "manifest.parquet").unlink()
    for n, start in enumerate((0, 12, 25)):
        parquet.write_table(table.slice(start, 13 if n else 12), tmp_path / "many" / f"{n}.parquet")
    make(tmp_path / "pictures" / "manifest.parquet", tmp_path / "one")
    make(tmp_path / "many", tmp_path / "two")
    np.testing.assert_array_equal(open_embeddings(tmp_path / "two").vectors, open_embeddings(tmp_path / "one").vectors)


def test_broken_pictures_and_rows_go_into_quarantine(tmp_path: Path) -> None:
    manifest = draw(tmp_path / "pictures", 25)
    (tmp_path / "pictures" / "3.png").write_bytes(b"no picture")
    (tmp_path / "pictures" / "17.png").unlink()
    table = parquet.read_table(manifest).append_column("bbox", pa.array([None] * 12 + ["1 2 3"] + [None] * 12))
    parquet.write_table(table, manifest)
    make(manifest, tmp_path / "out")
    folder = StorageFolder(str(tmp_path / "out"))
    (first, second) = (read_quarantine(folder, n).to_pylist() for n in (0, 1))
    assert [(row["row"], row["path"]) for row in (*first, *second)] == [(3, "3.png"), (12, "12.png"), (17, "17.png")]
    for row, words in zip((*first, *second), ("3.png, got", "bbox", "no such file"), strict=True):
        assert words in row["error"]
    found = open_embeddings(tmp_path / "out")
    assert found.paths is not None
    assert found.paths.tolist() == [f"{n}.png" for n in range(25) if n not in (3, 12, 17)]
    assert make(manifest, tmp_path / "out").batches == []
    shutil.copy(tmp_path / "pictures" / "4.png", tmp_path / "pictures" / "3.png")
    assert len(make(manifest, tmp_path / "out").batches) == 3  # the part of the picture that has been mended
    assert "quarantine/00000000.parquet" not in parts(tmp_path / "out")
    with pytest.raises(DataError, match=r"17\.png"):
        make(manifest, tmp_path / "other", PartOptions(unreadable="stop"))


def test_a_part_without_a_picture_stops_the_run(tmp_path: Path) -> None:
    """As when a disk is not there: a million pictures are not put aside."""
    manifest = draw(tmp_path / "pictures", 25)
    for n in range(10, 20):
        (tmp_path / "pictures" / f"{n}.png").unlink()
    with pytest.raises(DataError, match=r"can be read in rows 10 to 19, got none; the first: .*10\.png, found no such"):
        make(manifest, tmp_path / "out")
    assert list(parts(tmp_path / "out")) == ["parts/00000000.parquet"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.rename_columns(["file", *table.column_names[1:]]), "a column path"),
        (lambda table: table.append_column("vector", table["path"]), "rename"),
        (lambda table: table.append_column("PATH", table["path"]), "twice"),
    ],
)
def test_a_manifest_of_no_use_is_refused_at_once(tmp_path: Path, change, words: str) -> None:
    manifest = draw(tmp_path / "pictures", 5)
    parquet.write_table(change(parquet.read_table(manifest)), manifest)
    with pytest.raises(DataError, match=words):
        ParquetManifest(str(manifest))


def test_other_rows_in_a_folder_are_refused(tmp_path: Path) -> None:
    manifest = draw(tmp_path / "pictures", 25)
    make(manifest, tmp_path / "out")
    parquet.write_table(parquet.read_table(manifest).slice(1), manifest)
    with pytest.raises(RunError, match="samples_sha256 differ"):
        make(manifest, tmp_path / "out")
    for place, words in ((tmp_path / "none.parquet", "no such file"), (tmp_path / "out" / "x", "found none")):
        with pytest.raises(DataError, match=words):
            ParquetManifest(str(place))


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server of the pictures, which refuses every third request once, and all of broken.png."""
    asked: dict[str, int] = {}

    class Answer(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked[self.path] = asked.get(self.path, 0) + 1
            if "down" in self.path or (len(asked) % 3 == 0 and asked[self.path] == 1):
                self.send_error(503)
            else:
                super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    def answer(*arguments: object) -> Answer:
        return Answer(*arguments, directory=str(tmp_path))  # type: ignore[arg-type]

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (b"nonsense\r\n\r\n", RunError, "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort", RunError, "94 bytes less than announced"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nshort", RunError, "no HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + bytes(9000), DataError, "at most 1,000 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 900, RunError, "more to come"),
    ],
)
def test_a_server_that_answers_badly_is_not_believed_for_ever(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, kind: type[Exception], said: str
) -> None:
    monkeypatch.setattr(storage, "PAUSE", 0.0)
    monkeypatch.setattr(storage, "FETCH_BYTES", 1000)
    monkeypatch.setattr(storage, "FETCH_SECONDS", -1.0 if b"xxx" in answer else 10.0)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):  # It may still wait for another try, or write, when the test ends.
                for _ in range(storage.MAX_TRIES):
                    connection, _ = listening.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(kind, match=said):
            fetch_picture(f"http://127.0.0.1:{listening.getsockname()[1]}/a.png")


@pytest.mark.parametrize("url", ["http://a b/", "http://x/\x01", "http://[::1/", "http://x:y/", "http://\udcff/"])
def test_an_address_that_is_none_is_the_pictures_fault(url: str) -> None:
    with pytest.raises(DataError, match="mend its row"):
        fetch_picture(url)


def test_pictures_at_urls(tmp_path: Path, web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "PAUSE", 0.001)
    manifest = draw(tmp_path / "pictures", 12)
    make(manifest, tmp_path / "files")
    table = parquet.read_table(manifest)
    urls = [f"{web}/pictures/{name}" for name in table["path"].to_pylist()]
    parquet.write_table(table.set_column(0, "path", pa.array(urls)), manifest)
    make(manifest, tmp_path / "urls")
    alone, remote = (open_embeddings(tmp_path / name).vectors for name in ("files", "urls"))
    np.testing.assert_array_equal(alone, remote)
    with pytest.raises(DataError, match="404"):
        fetch_picture(f"{web}/pictures/none.png")
    with pytest.raises(RunError, match=r"expected an answer from .*down.* 503"):
        fetch_picture(f"{web}/down.png")
