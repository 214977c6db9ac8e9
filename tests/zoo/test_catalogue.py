"""The catalogue: every entry is whole, and its files come from a mirror, a hub's cache or an address, or not at all."""

import http.server
import re
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import reseen
from reseen import checkpoint
from reseen.errors import CheckpointError, ReseenError
from reseen.models import Embedder, ModelSpec
from reseen.zoo import DEFAULT, entries, entry, fetch_entry, find
from reseen.zoo.fetching import MIRROR, hash_of, obtain, web_address

NAME = "osnet_x0_25_market1501"
ENTRIES = list(entries().values())


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A file of the true names and shapes: torchreid's, whose names OSNet here bears."""
    tensors = Embedder(ModelSpec("osnet_x0_25", neck="none")).network.backbone.state_dict()
    tensors |= {"classifier.weight": torch.zeros(751, 512), "classifier.bias": torch.zeros(751)}
    path = tmp_path / "mirror" / f"{NAME}.pth"
    path.parent.mkdir()
    torch.save(tensors, path)
    return path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(MIRROR, raising=False)


def test_the_catalogue_has_what_it_promises() -> None:
    families = {each.family for each in ENTRIES}
    assert families >= {"torchreid", "fast-reid", "TransReID", "CLIP-ReID", "SOLIDER", "PASS", "LUPerson", "AGW"}
    assert families >= {"TransReID-SSL", "MegaDescriptor", "MiewID", "DINOv2", "DINOv3", "SigLIP 2", "Open Model Zoo"}
    assert DEFAULT in entries()
    assert {each.shows for each in ENTRIES} == {"person", "vehicle", "animal", "any"}


@pytest.mark.parametrize("each", ENTRIES, ids=lambda each: each.name)
def test_every_entry_is_whole(each: reseen.zoo.Entry) -> None:
    assert each.trained_on
    assert each.code_licence
    assert each.weights_licence
    assert each.citation
    assert each.millions > 0
    assert each.gmacs > 0
    assert each.address.startswith(("https://", "hf:", "drive:"))
    assert each.source.startswith("https://")
    for digest in (each.sha256, each.sha256_bin):
        assert digest is None or (len(digest) == 64 and int(digest, 16))
    for figure in each.figures:
        assert all(score is None or 1 < score < 100 for score in (figure.mean_ap, figure.rank_1))
    if each.kind == "torch":
        ModelSpec.from_dict(each.spec)
    else:
        assert each.address.endswith(".xml")


def test_no_two_entries_share_a_file() -> None:
    addresses = [address for each in ENTRIES for address, _, _ in each.files]
    assert len(set(addresses)) == len(addresses)


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_name_loads_from_a_folder_without_a_network(made: Path, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MIRROR, f"{scheme}{made.parent}")
    encoder = reseen.load(NAME, "cpu")
    assert encoder([np.zeros((40, 20, 3), np.uint8)]).shape == (1, 512)
    assert encoder.fingerprint == reseen.load(NAME, "cpu").fingerprint


def test_weights_of_a_name_in_a_spec(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MIRROR, str(made.parent))
    model = Embedder(ModelSpec("osnet_x0_25", 64, 32, weights=NAME))
    assert model.report is not None
    assert len(model.report.used) == 565
    other = Embedder(ModelSpec("osnet_x0_25", 64, 32))
    assert not torch.equal(other.network.backbone.fc[0].weight, model.network.backbone.fc[0].weight)
    report = checkpoint.initialise(other, NAME)
    assert torch.equal(other.network.backbone.fc[0].weight, model.network.backbone.fc[0].weight)
    assert "network.backbone.fc.0.weight" in report.used


def test_a_file_of_the_name_comes_first(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(NAME).write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match="damaged or shortened"):
        checkpoint.load(NAME)


def test_a_mirror_without_the_file_says_what_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MIRROR, str(tmp_path))
    with pytest.raises(CheckpointError, match=rf"expected {NAME}\.pth in .*put it there from https://drive") as error:
        reseen.load(NAME)
    assert "\n" not in str(error.value)


def test_another_file_than_was_published_is_refused(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MIRROR, str(made.parent))
    made.rename(made.with_name("osnet_x0_25_msmt17_all.pth"))
    with pytest.raises(CheckpointError, match=r"to hash to cf55163d.*, got .*not what was meant"):
        reseen.load("osnet_x0_25_msmt17_all")


def test_without_a_network_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    for name in (DEFAULT, NAME):
        with pytest.raises(CheckpointError, match=r"expected weights at https://") as error:
            reseen.load(name)
        assert f"put it as {name}.pth into a folder that RESEEN_MODELS names" in str(error.value)
        assert "\n" not in str(error.value)
        assert "Errno" not in str(error.value)
    with pytest.raises(CheckpointError, match=r"put it as somebody/my-model/model\.safetensors into a folder"):
        reseen.load("hf:somebody/my-model")


def test_without_the_hubs_library_one_line_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for name in (DEFAULT, "hf:somebody/my-model"):
        with pytest.raises(ReseenError, match="run: pip install huggingface_hub, or put the file into a folder"):
            reseen.load(name)


def test_every_file_has_an_address_that_a_browser_takes() -> None:
    for each in entries().values():
        for address, _, _ in each.files:
            assert re.fullmatch(r"https://[\w./?=&%@+-]+", web_address(address)), address
    assert web_address("hf:owner/name/a/b.pth@v1") == "https://huggingface.co/owner/name/resolve/v1/a/b.pth"


def test_an_unknown_name_is_told_its_nearest() -> None:
    with pytest.raises(CheckpointError, match="no such file; check the path; reseen models has osnet_x0_25_m"):
        reseen.load("osnet_x0_25_market")
    with pytest.raises(CheckpointError, match="did you mean osnet_x0_25_m"):
        entry("osnet_x0_25_market")
    assert find("osnet_x0_25_market") is None
    with pytest.raises(CheckpointError, match="no such file; check the path; reseen models lists names that load"):
        reseen.load("resnet")


def test_a_model_that_torch_does_not_run_is_no_checkpoint() -> None:
    with pytest.raises(CheckpointError, match="of the kind openvino"):
        checkpoint.load("person-reidentification-retail-0288")


def test_a_model_of_ones_own_lies_in_a_mirror_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MIRROR, str(tmp_path))
    folder = tmp_path / "somebody" / "my-model"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("A card.")
    with pytest.raises(CheckpointError, match=r"expected one of model\.safetensors, .* found"):
        checkpoint.load("hf:somebody/my-model")
    model = Embedder(ModelSpec("osnet_x0_25", 32, 16))
    checkpoint.save(folder / "model.safetensors", model)
    loaded = checkpoint.load("hf:somebody/my-model")
    assert torch.equal(loaded.network.backbone.fc[0].weight, model.network.backbone.fc[0].weight)
    assert reseen.load("hf:somebody/my-model", "cpu").dim == 512


class CutServer(http.server.ThreadingHTTPServer):
    """Sends half of the file first, then what it is asked for, as servers do that can go on."""

    def __init__(self, content: bytes) -> None:
        self.ranges: list[str | None] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                server.ranges.append(asked)
                start = 0 if asked is None else int(asked.removeprefix("bytes=").removesuffix("-"))
                self.send_response(206 if asked else 200)
                self.send_header("ETag", '"one"')
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                end = len(content) if len(server.ranges) > 1 else len(content) // 2
                self.wfile.write(content[start:end])

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def served(made: Path) -> Iterator[CutServer]:
    with CutServer(made.read_bytes()) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_cut_download_goes_on_where_it_stopped(made: Path, served: CutServer, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{served.server_port}/w.pth"
    size = made.stat().st_size
    with pytest.raises(CheckpointError, match=f"got {size // 2:,} of {size:,} bytes .*, which are kept; try again"):
        obtain(address, "w.pth", digest=None)
    path = obtain(address, "w.pth", digest=None)
    assert served.ranges == [None, f"bytes={size // 2}-"]
    assert path.read_bytes() == made.read_bytes()
    assert obtain(address, "w.pth", digest=None) == path  # kept
    assert len(served.ranges) == 2
    path.write_bytes(b"changed")
    assert hash_of(obtain(address, "w.pth", digest=None)) == hash_of(made)  # and checked: it is fetched again
    assert not list((tmp_path / "home").rglob("*.part*"))


def test_a_mirror_on_the_web(made: Path, served: CutServer, monkeypatch: pytest.MonkeyPatch) -> None:
    served.ranges.append("an earlier one")  # So that nothing is cut.
    monkeypatch.setenv(MIRROR, f"http://127.0.0.1:{served.server_port}/")
    assert fetch_entry(entry(NAME)).read_bytes() == made.read_bytes()


def test_a_page_of_the_web_is_no_file_of_weights(tmp_path: Path) -> None:
    with CutServer(b"<!DOCTYPE html><html>Too many have fetched this file today.</html>") as server:
        server.ranges.append("an earlier one")
        threading.Thread(target=server.serve_forever).start()
        with pytest.raises(CheckpointError, match="got a page of the web"):
            obtain(f"http://127.0.0.1:{server.server_port}/w.pth", "w.pth", digest=None)
        server.shutdown()
    assert not list((tmp_path / "home").rglob("w.pth"))
