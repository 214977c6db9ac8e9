"""Exported models do what the trained one does, and run without torch."""

import ctypes
import dataclasses
import hashlib
import json
import re
import signal
import subprocess
import sys
import urllib.request
from importlib.metadata import requires
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from PIL import Image

from reseen import checkpoint, export
from reseen.cli import main
from reseen.embedding.encoder import NO_DIGEST, OnnxEncoder, TorchEncoder, load, require_digest
from reseen.embedding.parts import open_embeddings
from reseen.embedding.picture_input import PictureInput
from reseen.errors import CheckpointError, ExportError, ReseenError, WriteError
from reseen.models import Embedder, ModelSpec
from reseen.models.spec import ModalityOptions, ResNetOptions, ViTOptions
from reseen.pictures import decode

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


def test_normalised_pictures_as_trackers_feed_them(model: Embedder, tmp_path: Path) -> None:
    made = export.export(model, tmp_path / "model.onnx", input="float_nchw")
    session = __import__("onnxruntime").InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    facts = json.loads(session.get_modelmeta().custom_metadata_map["reseen"])
    batch = np.stack(pictures(*[(32, 16)] * 3))
    normal = (batch / 255 - np.array(facts["mean"])) / np.array(facts["std"])
    (found,) = session.run(None, {"images": normal.transpose(0, 3, 1, 2).astype(np.float32)})
    encoder = TorchEncoder(model, "cpu")
    assert cosines(found, encoder.encode(batch)).min() > 0.9999
    assert session.get_inputs()[0].shape[1:] == [3, 32, 16]
    half = export.export(model, tmp_path / "half.onnx", input="float_nchw", precision="float16")
    for path, least in ((made.path, 0.9999), (half.path, 0.999)):
        loaded = load(path)
        assert cosines(loaded(pictures((40, 20))), encoder(pictures((40, 20)))).min() > least
    assert loaded.fingerprint == encoder.fingerprint


def test_versions_are_those_that_were_asked_for(model: Embedder, exported: Path, tmp_path: Path) -> None:
    usual = onnx.load(exported)
    assert (usual.ir_version, max(each.version for each in usual.opset_import)) == (8, 18)
    newer = onnx.load(export.export(model, tmp_path / "newer.onnx", input="float_nchw", opset=20, ir=10).path)
    assert (newer.ir_version, max(each.version for each in newer.opset_import)) == (10, 20)
    with pytest.raises(ExportError, match="expected opset 18 or later, got 17"):
        export.export(model, tmp_path / "older.onnx", opset=17)


# https://onnxruntime.ai/docs/reference/compatibility.html: the IR and the operators that a version reads.
READ_BY_ONNX_RUNTIME = {"1.14": (8, 18), "1.16": (9, 19), "1.17": (9, 20), "1.18": (10, 21)}


@pytest.mark.parametrize("precision", ["float32", "float16", "int8", "int8_static"])
@pytest.mark.parametrize("input", ["uint8_nhwc", "float_nchw"])
def test_files_are_older_than_the_oldest_runtime(model: Embedder, tmp_path: Path, input, precision) -> None:
    """What `pip install 'reseen[onnx]'` may find reads every file, and so does 1.14, as the docs say."""
    (bound,) = (text for text in requires("reseen") or () if text.startswith("onnxruntime"))
    oldest = re.match(r"onnxruntime>=([\d.]+);", bound)
    assert oldest is not None
    pictures = export.synthetic_pictures(4)
    path = export.export(model, tmp_path / "m.onnx", input=input, precision=precision, pictures=pictures).path
    file = onnx.load(path)
    opsets = {each.domain: each.version for each in file.opset_import}
    for version in (oldest[1], "1.14"):
        newest_ir, newest = READ_BY_ONNX_RUNTIME[version]
        assert file.ir_version <= newest_ir
        assert opsets[""] <= newest
    nodes, graphs = [], [file.graph, *file.functions]
    while graphs:
        for node in graphs.pop().node:
            nodes.append(node)
            graphs += [each.g for each in node.attribute if each.type == onnx.AttributeProto.GRAPH]
    own = {(function.domain, function.name) for function in file.functions}
    for node in nodes:
        if (node.domain, node.op_type) not in own:
            assert node.domain == "", node  # none of a runtime's own
            onnx.defs.get_schema(node.op_type, opsets[""], "")


def test_calibrated_files_report_how_near_they_are(model: Embedder, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="expected pictures to calibrate"):
        export.export(model, tmp_path / "static.onnx", precision="int8_static")
    made = export.export(
        model, tmp_path / "static.onnx", precision="int8_static", pictures=export.synthetic_pictures(8)
    )
    assert any(node.op_type == "QuantizeLinear" for node in onnx.load(made.path).graph.node)
    assert 0.9 <= made.least_cosine <= made.mean_cosine < 1
    assert 0.5 <= made.same_nearest <= 1


def test_openvino_reads_what_is_exported_for_it(model: Embedder, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    assert export.export(model, tmp_path / "model.xml", precision="float16").least_cosine > 0.999
    made = export.export(model, tmp_path / "model.xml")
    assert made.least_cosine > 0.9999
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.bin", "model.xml"]
    encoder = load(made.path)
    assert (
        cosines(encoder(pictures((40, 20), (32, 16))), TorchEncoder(model, "cpu")(pictures((40, 20), (32, 16)))).min()
        > 0.9999
    )
    assert encoder.fingerprint == TorchEncoder(model, "cpu").fingerprint
    # Not bfloat16, which OpenVINO takes by itself where the processor has it.
    assert encoder._run.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"
    with pytest.raises(ExportError, match="expected float_nchw in float32 or float16 for OpenVINO"):
        export.export(model, tmp_path / "other.xml", input="uint8_nhwc")


def test_openvino_files_are_read_as_they_were_exported_or_not_at_all(model: Embedder, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    export.export(model, tmp_path / "model.xml")
    graph, weights = ((tmp_path / f"model{end}").read_bytes() for end in (".xml", ".bin"))
    torch.manual_seed(1)
    export.export(Embedder(SPEC).eval(), tmp_path / "model.xml")
    damaged = bytearray(weights)
    damaged[len(damaged) // 2] ^= 1
    for spoilt in ((tmp_path / "model.bin").read_bytes(), bytes(damaged)):  # of another export, as after a kill
        (tmp_path / "model.xml").write_bytes(graph)
        (tmp_path / "model.bin").write_bytes(spoilt)
        with pytest.raises(CheckpointError, match="damaged ones, or ones of two exports"):
            load(tmp_path / "model.xml")
    (tmp_path / "model.bin").write_bytes(weights)
    load(tmp_path / "model.xml")
    (tmp_path / "model.xml").write_bytes(re.sub(rb"&quot;sha256&quot;: &quot;\w+&quot;", b"&quot;a&quot;: 1", graph))
    with pytest.raises(CheckpointError, match="expected a digest"):
        load(tmp_path / "model.xml")
    load(tmp_path / "model.xml", unchecked=True)


def test_weights_in_another_file_are_not_covered_by_a_digest(tmp_path: Path) -> None:
    tensor = onnx.numpy_helper.from_array(np.ones((3, 8), np.float32), "weights")
    onnx.external_data_helper.set_external_data(tensor, "weights.bin")
    content = tensor.SerializeToString() + NO_DIGEST.encode()
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "a.onnx").write_bytes(content.replace(NO_DIGEST.encode(), digest.encode()))
    with pytest.raises(CheckpointError, match="all weights within"):
        require_digest(tmp_path / "a.onnx", digest, unchecked=False)
    require_digest(tmp_path / "a.onnx", digest, unchecked=True)


@pytest.mark.parametrize("mean", ["x", [0.0], None, [0.0, 1.0], [float("nan")] * 3, [[]] * 3])
def test_numbers_of_the_input_that_are_none_are_refused(mean: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        PictureInput.of({"mean": mean, "std": [1.0, 0.0, 1.0]})


@pytest.mark.parametrize("said", ["{", "[]", "3", "null", '{"spec": {"height": "a", "width": 2}}', "[" * 50_000])
def test_openvino_files_of_another_description_are_refused(model: Embedder, tmp_path: Path, said: str) -> None:
    openvino = pytest.importorskip("openvino")
    export.export(model, tmp_path / "model.onnx", input="float_nchw")
    converted = openvino.convert_model(tmp_path / "model.onnx")
    converted.set_rt_info(said, ["reseen"])
    openvino.save_model(converted, tmp_path / "other.xml")
    with pytest.raises(CheckpointError, match="a damaged description"):
        load(tmp_path / "other.xml")


def test_an_export_that_fails_leaves_nothing(model: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr(export, "compare_vectors", lambda *_, **__: export.Parity(0, 0, 0))
    for name in ("model.xml", "model.onnx"):
        with pytest.raises(ExportError, match="nothing is written"):
            export.export(model, tmp_path / name)
    assert not [*tmp_path.iterdir()]


def test_openvino_leaves_the_stack_of_signal_handlers_as_it_was(model: Embedder, tmp_path: Path) -> None:
    """On processors with AMX it sets one too small for Python's own handlers: the next Ctrl-C was a SIGSEGV."""
    openvino_encoder = pytest.importorskip("reseen.embedding.openvino")
    pytest.importorskip("openvino")
    library = ctypes.CDLL(None)

    def stack() -> tuple[int | None, int]:
        found = openvino_encoder.SignalStack()
        library.sigaltstack(None, ctypes.byref(found))
        return found.address, found.size

    made = export.export(model, tmp_path / "model.xml")
    before = stack()
    load(made.path)
    assert stack() == before
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_openvino_models_of_others_are_described_by_their_user(model: Embedder, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    made = export.export(model, tmp_path / "model.onnx", input="float_nchw")
    openvino.save_model(openvino.convert_model(made.path), tmp_path / "other.xml", compress_to_fp16=False)
    mean, std = (",".join(f"{255 * x:.6f}" for x in getattr(model.pixels, n).flatten() / 255) for n in ("mean", "std"))
    shown = pictures((32, 16), (32, 16))
    expected = TorchEncoder(model, "cpu")(shown)
    described = load(f"{tmp_path}/other.xml?mean={mean}&std={std}")
    assert cosines(described(shown), expected).min() > 0.9999
    bare = load(f"{tmp_path}/other.xml")
    assert cosines(bare(shown), expected).min() < 0.9999
    assert bare.fingerprint != described.fingerprint
    with pytest.raises(ValueError, match="expected mean, std and bgr"):
        load(f"{tmp_path}/other.xml?colour=bgr")
    (tmp_path / "other.bin").unlink()
    with pytest.raises(CheckpointError, match=r"other\.bin, found no such file"):
        load(f"{tmp_path}/other.xml")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "mean_ap"), [("0277", 87.2), ("0286", 84.9), ("0287", 82.1), ("0288", 68.5)])
def test_intels_models_on_real_people(shared: Path, name: str, mean_ap: float, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("RESEEN_MODELS", str(shared / "weights" / "omz"))
    files = sorted((shared / "data" / "pku_reid" / "images").glob("*.jpg"))
    people, cameras = (np.array([int(file.stem.split("_")[n]) for file in files]) for n in (0, 1))
    vectors = load(f"person-reidentification-retail-{name}")(files)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    precisions = []
    for query, gallery in ((1, 2), (2, 1)):
        order = np.argsort(-vectors[cameras == query] @ vectors[cameras == gallery].T, axis=1, kind="stable")
        same = people[cameras == gallery][order] == people[cameras == query][:, None]
        precision = same.cumsum(1) / np.arange(1, same.shape[1] + 1)
        precisions.append(((precision * same).sum(1) / same.sum(1)).mean())
    assert 100 * np.mean(precisions) == pytest.approx(mean_ap, abs=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
@pytest.mark.parametrize(
    "spec",
    [
        ModelSpec("osnet_x0_25", 64, 32),
        ModelSpec("timm:resnet18", 96, 32, network="mgn"),
        ModelSpec("timm:resnet18", 96, 32, network="pcb"),
        ModelSpec("timm:resnet18", 96, 32, network="bdb"),
        ModelSpec("timm:resnet50", 64, 32, pooling="gem", resnet=ResNetOptions(ibn="a", non_local="agw")),
        ModelSpec("timm:vit_tiny_patch16_224", 64, 32),
        ModelSpec("timm:vit_tiny_patch16_224", 64, 32, vit=ViTOptions(patch_stride=12)),
        ModelSpec("timm:convnext_atto", 64, 32),
    ],
    ids=lambda value: (
        f"{value.backbone} {value.network} {value.vit.patch_stride or value.resnet.ibn or ''}".strip()
        if isinstance(value, ModelSpec)
        else value
    ),
)
def test_networks_of_every_kind_can_be_exported(spec: ModelSpec, precision, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Embedder(spec).eval()
    made = export.export(model, tmp_path / "model.onnx", precision=precision)
    small = OnnxEncoder(made.path)
    shown = pictures((70, 40), (64, 32), (31, 90))
    assert small.dim == model.dims["embedding"]
    assert cosines(small(shown), TorchEncoder(model, "cpu")(shown)).min() >= export.MIN_COSINES[precision]


def test_a_network_that_must_be_told_more_than_pictures_is_refused(tmp_path: Path) -> None:
    model = Embedder(ModelSpec("timm:resnet18", 32, 16, modalities=ModalityOptions(norms=True)))
    with pytest.raises(ExportError, match="takes pictures alone, got one that must be told their modality"):
        export.export(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_what_the_exporter_cannot_follow_is_one_line(model: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(*_: object, **__: object) -> None:
        raise torch.onnx.errors.OnnxExporterError("many\nlines") from RuntimeError("a loop\nover numbers")

    monkeypatch.setattr(torch.onnx, "export", told)
    with pytest.raises(ExportError, match="expected a network that ONNX can express, got: a loop; keep to the check"):
        export.onnx_graph(model)


def test_the_spec_does_not_tell_where_its_first_weights_lay(model: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "spec", dataclasses.replace(SPEC, weights="/home/somebody/secret/weights.pth"))
    assert export.plain_spec(model)["weights"] == "weights.pth"


@pytest.mark.parametrize("place", ["/proc/model.onnx", "file/model.onnx"])
def test_a_place_that_cannot_be_written_is_said(model: Embedder, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=r"expected room and permission to write .*, got: "):
        export.export(model, tmp_path / place)


def test_a_file_that_departs_is_not_kept(model: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoiled(graph, *rest):
        weights = max(graph.graph.initializer, key=lambda t: len(t.raw_data))
        values = onnx.numpy_helper.to_array(weights)
        weights.CopyFrom(onnx.numpy_helper.from_array(np.roll(values, 1, 0), weights.name))
        return graph

    monkeypatch.setattr(export, "convert_precision", spoiled)
    (tmp_path / "model.onnx").write_text("the old one")
    with pytest.raises(ExportError, match=r"expected vectors of cosine 0.9999 or more.*nothing is written"):
        export.export(model, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_text() == "the old one"
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    with pytest.raises(ExportError, match=r"ends in .onnx"):
        export.export(model, tmp_path / "model.pb")


WITHOUT_TORCH = """
import sys
for name in ("torch", "torchvision", "timm", "onnx", "matplotlib", "sklearn", "scipy", "ray", "pymilvus"):
    sys.modules[name] = None  # importing it fails
from reseen.cli import main
main(sys.argv[1:])
"""


def without_torch(*arguments: object) -> str:
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pictures")
    for number, pixels in enumerate(pictures((40, 20), (32, 16), (64, 50), (33, 17))):
        (made / f"person {number % 2}").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(made / f"person {number % 2}" / f"{number}.png")
    return made


def test_embed_runs_from_the_file_where_there_is_no_torch(exported: Path, folder: Path, tmp_path: Path) -> None:
    assert "4 vectors of 8 " in without_torch("embed", exported, "--pictures", folder, "--out", tmp_path / "out")
    found = open_embeddings(tmp_path / "out")
    assert list(found.identities) == ["person 0", "person 0", "person 1", "person 1"]
    expected = OnnxEncoder(exported)(list(found.paths))
    np.testing.assert_allclose(found.vectors, expected, rtol=1e-4, atol=1e-5)
    assert "4 vectors of 8 " in without_torch(
        "embed", exported, "--pictures", folder, "--out", tmp_path / "mirrored", "--mirrored", "true"
    )
    mirror = OnnxEncoder(exported)([np.ascontiguousarray(decode(Path(path))[:, ::-1]) for path in found.paths])
    mirrored = open_embeddings(tmp_path / "mirrored").vectors
    np.testing.assert_allclose(mirrored, (expected + mirror) / 2, rtol=1e-4, atol=1e-5)


def test_index_search_and_serve_run_from_the_file_where_there_is_no_torch(
    exported: Path, folder: Path, tmp_path: Path
) -> None:
    model = ("--model", exported)
    without_torch("index", tmp_path / "gallery", *model, "--pictures", folder, "--identities", "folders")
    query = folder / "person 1" / "3.png"
    assert "person 1" in without_torch("search", tmp_path / "gallery", query, *model)

    words = ["serve", tmp_path / "gallery", *model, "--port", 0, "--token", "a+b&c=d#e"]
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("4 pictures in")
        page = process.stdout.readline().strip().removeprefix("page: ")
        address, _, token = page.partition("#token=")
        headers = {"Authorization": f"Bearer {unquote(token)}", "Content-Type": "image/png"}
        asking = urllib.request.Request(f"{address}search?k=1", query.read_bytes(), headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asking, timeout=60) as answer:
            (match,) = json.load(answer)["matches"]
        assert (match["identity"], match["similarity"]) == ("person 1", pytest.approx(1, abs=1e-5))
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "stopped\n"
        assert process.wait(60) == 0


def test_verbs_that_need_torch_say_so_where_there_is_none() -> None:
    for verb, *words in (["train", "--data", "Synthetic", "--out", "run"], ["export", "run", "run.onnx"]):
        command = [sys.executable, "-c", WITHOUT_TORCH, verb, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 1
        assert re.fullmatch(
            rf"reseen: expected the library \w+ for reseen {verb}, .*; run: pip install reseen\n", done.stderr
        )


@pytest.mark.parametrize("words", [["--model", "osnet_x0_25_msmt17"], ["--model", "EXPORTED", "--out", "page.html"]])
def test_what_needs_torch_of_another_verb_is_one_line(
    words: list[str], exported: Path, folder: Path, tmp_path: Path
) -> None:
    picture = next(folder.rglob("*.png"))
    given = [str(exported) if word == "EXPORTED" else word for word in words]
    command = [sys.executable, "-c", WITHOUT_TORCH, "compare", str(picture), str(picture), *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path)
    assert done.returncode == 1
    assert re.match(r"reseen: expected the library \w+ for this, .*run: pip install reseen; without it", done.stderr)
    assert done.stderr.count("\n") == 1


def test_words_that_cannot_be_followed_are_one_line(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    for words, said in {
        ("export", exported, "out.onnx"): "is exported already",
        ("embed", exported, "--out", tmp_path): "expected --pictures, --manifest or --data",
        ("serve", tmp_path, "--model", exported, "--device", "tpu"): "expected a device that ONNX Runtime has here",
        ("serve", tmp_path, "--model", exported, "--batch", "0"): "expected a batch of at least 1",
        ("serve", tmp_path, "--model", exported, "--port", "99999"): "expected a port of 0 to 65535",
        ("serve", tmp_path, "--model", exported, "--token", "short"): "at least 8 letters",
    }.items():
        with pytest.raises(SystemExit):
            main([str(word) for word in words])
        complaint = capsys.readouterr().err
        assert said in complaint
        assert complaint.count("\n") == 1


def test_load_opens_runs_checkpoints_and_onnx(model: Embedder, exported: Path, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "last.safetensors", model)
    shown = pictures((40, 20), (32, 16), (90, 90))
    vectors = [load(place)(shown) for place in (tmp_path, tmp_path / "last.safetensors", exported)]
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert cosines(vectors[0], vectors[2]).min() > 0.9999
    assert load(tmp_path).fingerprint == load(exported).fingerprint


@pytest.mark.parametrize("device", ["tpu", "cuda:99"])
def test_a_device_that_is_not_there_is_one_line(model: Embedder, exported: Path, device: str) -> None:
    with pytest.raises(ReseenError, match=rf"expected a device that torch has here, got {device}: .*"):
        TorchEncoder(model, device)
    if "CUDAExecutionProvider" not in __import__("onnxruntime").get_available_providers():
        with pytest.raises(ReseenError, match=rf"expected a device that ONNX Runtime has here, got {device}; leave"):
            OnnxEncoder(exported, device)


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


def with_description(exported: Path, place: Path, text: str | None) -> Path:
    """Write an exported model with another description, or without one, and with no digest."""
    made = onnx.load(exported)
    del made.metadata_props[:]
    if text is not None:
        entry = made.metadata_props.add()
        entry.key, entry.value = "reseen", text
    onnx.save(made, place)
    return place


def test_a_damaged_description_is_one_line(exported: Path, tmp_path: Path) -> None:
    facts = OnnxEncoder(exported)
    whole: dict[str, object] = {"fingerprint": facts.fingerprint, "dim": facts.dim, "precision": "float32"}
    whole["spec"] = facts.spec
    broken = [{k: v for k, v in whole.items() if k != name} for name in whole]
    broken += [{**whole, name: value} for name in whole for value in (None, [], {}, 1.5, -1, True, "many")]
    broken = [b for b in broken if b.get("fingerprint") != "many" and b.get("precision") != "many"]
    broken += [{**whole, "spec": {**facts.spec, "height": value}} for value in ("32", 0, 1e9, 10**9, None, [1])]
    for text in ["", "[]", "null", "3", "{", "[" * 100_000, *map(json.dumps, broken)]:
        with pytest.raises(CheckpointError, match=r"a damaged description|another ONNX file") as caught:
            OnnxEncoder(with_description(exported, tmp_path / "a.onnx", text), unchecked=True)
        assert "\n" not in str(caught.value)
    path = with_description(exported, tmp_path / "a.onnx", json.dumps(whole))
    with pytest.raises(CheckpointError, match="say --unchecked true"):
        load(path)
    assert load(path, unchecked=True).dim == facts.dim


def test_a_flipped_bit_is_never_taken(exported: Path, tmp_path: Path) -> None:
    whole, generator = exported.read_bytes(), np.random.default_rng(0)
    for place in generator.integers(len(whole), size=60):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(generator.integers(8))
        (tmp_path / "a.onnx").write_bytes(damaged)
        with pytest.raises(CheckpointError):
            OnnxEncoder(tmp_path / "a.onnx", "cpu")


def test_vectors_of_another_length_than_the_file_says_are_not_taken(exported: Path, tmp_path: Path) -> None:
    facts = OnnxEncoder(exported)
    said = {"fingerprint": facts.fingerprint, "dim": facts.dim + 1, "precision": "float32", "spec": facts.spec}
    encoder = OnnxEncoder(with_description(exported, tmp_path / "a.onnx", json.dumps(said)), unchecked=True)
    with pytest.raises(CheckpointError, match=rf"expected {facts.dim + 1} numbers for each picture .*a\.onnx, got: "):
        encoder([np.zeros((8, 8, 3), np.uint8)])
