"""Weights from an address, with a server on this machine."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from reseen.errors import CheckpointError
from reseen.models.weights import read_tensors
from reseen.zoo import fetch


class Server(http.server.ThreadingHTTPServer):
    def __init__(self, content: bytes) -> None:
        self.asked: list[str] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                self.send_response(200 if self.path == "/weights.pth" else 404)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    def address(self, digest: str, name: str = "weights.pth") -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}#sha256={digest}"


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    torch.save({"a": torch.arange(3)}, tmp_path / "made.pth")
    return (tmp_path / "made.pth").read_bytes()


@pytest.fixture
def server(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    with Server(content) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_weights_are_fetched_once_and_kept(server: Server, content: bytes) -> None:
    address = server.address(hashlib.sha256(content).hexdigest())
    path = fetch(address)
    assert path.read_bytes() == content
    server.server_close()
    assert fetch(address) == path
    assert read_tensors(address)["a"].tolist() == [0, 1, 2]
    assert server.asked == ["/weights.pth"]


def test_a_kept_file_that_was_changed_is_fetched_again(server: Server, content: bytes) -> None:
    address = server.address(hashlib.sha256(content).hexdigest())
    fetch(address).write_bytes(b"changed")
    assert fetch(address).read_bytes() == content
    assert len(server.asked) == 2


def test_another_file_than_was_meant_is_not_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"expected .* to hash to 0000.*, got"):
        fetch(server.address("0" * 64))
    assert not list((tmp_path / "home").rglob("*.pth"))
    assert not [p for p in (tmp_path / "home").rglob("*") if p.is_file()]


def test_an_address_that_answers_no_is_one_line(server: Server, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="got Not Found; try again, or fetch them elsewhere"):
        fetch(server.address("0" * 64, "other.pth"))
    assert not [p for p in (tmp_path / "home").rglob("*") if p.is_file()]


def test_an_address_that_does_not_answer_is_one_line(server: Server) -> None:
    address = server.address("0" * 64)
    server.shutdown()
    server.server_close()
    with pytest.raises(CheckpointError, match=r"expected weights at .*, got .*refused"):
        fetch(address)


@pytest.mark.parametrize("ending", ["", "#sha256=", "#sha256=abc", "#md5=" + "0" * 64, "#sha256=" + "g" * 64])
def test_an_address_without_a_hash_is_refused(ending: str) -> None:
    with pytest.raises(ValueError, match="expected an address that ends in #sha256="):
        fetch(f"https://example.org/w.pth{ending}")
