"""Exported models do what the trained one does, and run without torch."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from reseen import checkpoint, export
from reseen.encoding import OnnxEncoder, TorchEncoder, load
from reseen.errors import CheckpointError, ExportError
from reseen.models import Embedder, ModelSpec

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SPEC = ModelSpec("tests.training.tiny.Tiny", height=32, width=16)


@pytest.fixture(scope="module")
def model() -> Embedder:
    torch.manual_seed(0)
    return Embedder(SPEC).eval()


@pytest.fixture(scope="module")
def exported(model: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export.export(model, tmp_path_factory.mktemp("exported") / "model.onnx").path


def pictures(*sizes: tuple[int, int]) -> list[np.ndarray]:
    generator = np.random.default_rng(1)
    return [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_any_number_of_pictures_of_any_size(model: Embedder, exported: Path) -> None:
    session = __import__("onnxruntime").InferenceSession(str(exported), providers=["CPUExecutionProvider"])
    for count, size in ((1, (32, 16)), (3, (32, 16)), (5, (50, 41)), (1, (7, 9)), (2, (128, 64))):
        batch = np.stack(pictures(*[size] * count))
        with torch.inference_mode():
            expected = model.embed(torch.from_numpy(batch).permute(0, 3, 1, 2)).numpy()
        (found,) = session.run(None, {"images": batch})
        assert found.dtype == np.float32
        assert cosines(found, expected).min() > 0.9999


def test_the_file_says_what_it_is_and_not_where_it_was_made(model: Embedder, exported: Path) -> None:
    file = onnx.load(exported)
    facts = json.loads({entry.key: entry.value for entry in file.metadata_props}["reseen"])
    assert ModelSpec.from_dict(facts["spec"]) == SPEC
    assert facts["fingerprint"] == TorchEncoder(model).fingerprint
    assert facts["dim"] == model.dims["embedding"]
    assert str(Path(export.__file__).parent).encode() not in exported.read_bytes()


@pytest.mark.parametrize(("precision", "least"), [("float16", 0.999), ("int8", 0.95)])
def test_smaller_files_stay_near(model: Embedder, exported: Path, tmp_path: Path, precision, least: float) -> None:
    made = export.export(model, tmp_path / "small.onnx", precision=precision)
    assert made.least_cosine >= least
    small, full = OnnxEncoder(made.path), OnnxEncoder(exported)
    shown = pictures((40, 20), (64, 32))
    assert least <= cosines(small(shown), full(shown)).min() < 1
    assert (small.fingerprint == full.fingerprint) == (precision == "float16")


def test_a_file_that_departs_is_not_kept(model: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoiled(graph, precision):
        weights = max(graph.graph.initializer, key=lambda t: len(t.raw_data))
        values = onnx.numpy_helper.to_array(weights)
        weights.CopyFrom(onnx.numpy_helper.from_array(np.roll(values, 1, 0), weights.name))
        return graph

    monkeypatch.setattr(export, "converted", spoiled)
    (tmp_path / "model.onnx").write_text("the old one")
    with pytest.raises(ExportError, match=r"expected vectors of cosine 0.9999 or more.*nothing is written"):
        export.export(model, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_text() == "the old one"
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    with pytest.raises(ExportError, match=r"ends in .onnx"):
        export.export(model, tmp_path / "model.pb")


def test_an_exported_model_runs_where_there_is_no_torch(exported: Path, tmp_path: Path) -> None:
    from PIL import Image

    file = tmp_path / "picture.png"
    Image.fromarray(pictures((40, 30))[0]).save(file)
    script = f"""
import sys
sys.modules["torch"] = sys.modules["torchvision"] = None  # importing them fails
from reseen.encoding import load
from reseen.gallery import Gallery
encoder = load({str(exported)!r})
with Gallery({str(tmp_path / "gallery")!r}, encoder.fingerprint) as gallery:
    gallery.add(encoder([{str(file)!r}]), sources=["me"])
    print(gallery.search(encoder([{str(file)!r}]), 1)[0][0].item.source)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "me\n"), found.stderr


def test_load_opens_runs_checkpoints_and_onnx(model: Embedder, exported: Path, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "last.safetensors", model)
    shown = pictures((40, 20), (32, 16), (90, 90))
    vectors = [load(place)(shown) for place in (tmp_path, tmp_path / "last.safetensors", exported)]
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert cosines(vectors[0], vectors[2]).min() > 0.9999
    assert load(tmp_path).fingerprint == load(exported).fingerprint


def test_files_that_are_no_model_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        load(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(CheckpointError, match=r"bad.onnx, got: .*; export it again"):
        load(tmp_path / "bad.onnx")
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    other = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", ends[:1], ends[1:]),
        ir_version=10,
        opset_imports=[onnx.helper.make_opsetid("", 20)],
    )
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(CheckpointError, match="another ONNX file; use reseen export"):
        load(tmp_path / "other.onnx")
