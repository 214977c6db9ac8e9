"""A trained model as an ONNX file, or in OpenVINO's IR, that needs neither torch nor this library to run.

The graph takes ``images``: uint8 RGB (B, H, W, 3) of any number and any size, which it resizes, scales and normalises
itself; or float32 (B, 3, height, width), resized and normalised by the client, as trackers and TensorRT's samples feed
it. It gives ``embedding``, float32 (B, D), not normalised. The model's spec, input and fingerprint are in the file's
metadata, under ``reseen``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reseen.datasets import Synthetic
from reseen.embedding.encoder import NO_DIGEST, Encoder, OnnxEncoder, TorchEncoder
from reseen.embedding.openvino import OpenVinoEncoder, digest_of_ir
from reseen.embedding.picture_input import PictureInput
from reseen.errors import ExportError
from reseen.extras import needs
from reseen.files import force, make_folder, replacing
from reseen.models import Embedder, SideInfo
from reseen.pictures import Pixels, resized
from reseen.storage import read_picture

Precision = Literal["float32", "float16", "int8", "int8_static"]
Input = Literal["uint8_nhwc", "float_nchw"]

MIN_COSINES: dict[Precision, float] = {"float32": 0.9999, "float16": 0.999, "int8": 0.95, "int8_static": 0.9}
"""The least cosine, over all pictures of the check, between an exported model's vectors and the trained one's."""


@dataclass(frozen=True)
class Exported:
    """Result of an export: the file and how well it agrees with the model.

    Attributes:
        path: The file.
        precision: Of its weights.
        least_cosine: With the trained model's vectors, over all pictures of the check.
        mean_cosine: The mean of the same.
        same_nearest: Share of the pictures whose most similar other picture is the same by both models.
        num_pictures: How many those were.
        num_bytes: Size of the file, of both where there are two.
        facts: What the file says of itself.
    """

    path: Path
    precision: Precision
    least_cosine: float
    mean_cosine: float
    same_nearest: float
    num_pictures: int
    num_bytes: int
    facts: dict[str, Any]


def export(
    model: Embedder,
    path: str | Path,
    *,
    precision: Precision = "float32",
    input: Input | None = None,
    opset: int = 18,
    ir: int = 8,
    pictures: Sequence[Pixels] | None = None,
) -> Exported:
    """Write a model as ONNX or for OpenVINO, run both on pictures, and keep the file only if they agree.

    Args:
        model: Is put into evaluation mode, on the CPU.
        path: Where to, ending in ``.onnx``, or in ``.xml`` for OpenVINO's IR, whose weights go into a ``.bin`` file; a
            file there is replaced once the new one has passed.
        precision: ``"float16"`` halves the file. ``"int8"`` quarters it: weights are rounded to 8 bits, activations as
            they come (dynamic quantisation). ``"int8_static"`` also rounds activations, by ranges that the pictures
            have, which is faster for convolutions.
        input: ``"uint8_nhwc"`` for pictures as they are read, None for ONNX; ``"float_nchw"`` for RGB pictures of the
            model's size, divided by 255, less the mean and divided by the scale that the metadata give, None for
            OpenVINO, which takes no other.
        opset: Version of ONNX's operators, 18 or later.
        ir: Version of the file's format; 8 is read by ONNX Runtime 1.14 and later.
        pictures: To check with and to calibrate by, uint8 RGB; none given, 16 are drawn. Give real ones for int8.

    Raises:
        ExportError: The network cannot be exported, or the least cosine is below `MIN_COSINES`.
        WriteError: The file cannot be written; one that was there is intact.
    """
    with needs("export"):
        import onnx
        import onnxscript  # noqa: F401
    target = Path(path)
    if target.suffix not in (".onnx", ".xml"):
        raise ExportError(f"expected a path that ends in .onnx, or in .xml for OpenVINO, got {target}")
    if model.spec.modalities.stems or model.spec.modalities.norms:
        raise ExportError("expected a network that takes pictures alone, got one that must be told their modality")
    if opset < 18:
        raise ExportError(f"expected opset 18 or later, got {opset}; ONNX Runtime reads 18 since 1.14")
    if input is None:
        input = "uint8_nhwc" if target.suffix == ".onnx" else "float_nchw"
    if target.suffix == ".xml" and (input != "float_nchw" or precision.startswith("int8")):
        raise ExportError(f"expected float_nchw in float32 or float16 for OpenVINO, got {input} in {precision}")
    if precision == "int8_static" and pictures is None:
        raise ExportError("expected pictures to calibrate int8_static by, got none; name a folder with --pictures")
    examples = synthetic_pictures() if pictures is None else pictures
    trained = TorchEncoder(model, "cpu")
    facts = {
        "spec": plain_spec(model),
        # Vectors of float32 and float16 can be compared with the trained model's; those of int8 with their own kind.
        "fingerprint": ("int8-" if precision.startswith("int8") else "") + trained.fingerprint,
        "precision": precision,
        "dim": trained.dim,
        "input": input,
        "mean": (model.pixels.mean / 255).flatten().tolist(),
        "std": (model.pixels.std / 255).flatten().tolist(),
    }
    make_folder(target.parent)
    made = convert_precision(onnx_graph(model, input=input, opset=opset), precision, examples, model, input)
    made.ir_version = ir
    with replacing(target) as draft, without_weights(draft):
        if target.suffix == ".onnx":
            write_onnx(made, draft, facts)
            exported: Encoder = OnnxEncoder(draft, "cpu")
        else:
            onnx.checker.check_model(made)
            exported = write_ir(made, target, draft, facts)
        parity = compare_vectors(trained, exported, examples, any_size=input == "uint8_nhwc")
        if not parity.least >= MIN_COSINES[precision]:
            raise ExportError(
                f"expected vectors of cosine {MIN_COSINES[precision]} or more with the trained model's in {precision}, "
                f"got {parity.least:.6f} on {len(examples)} pictures; nothing is written, choose another precision"
            )
        if target.suffix == ".xml":
            draft.with_suffix(".bin").replace(target.with_suffix(".bin"))
    files = [target] if target.suffix == ".onnx" else [target, target.with_suffix(".bin")]
    num_bytes = sum(file.stat().st_size for file in files)
    return Exported(target, precision, *parity, len(examples), num_bytes, facts)


def plain_spec(model: Embedder) -> dict[str, Any]:
    """Return a model's spec without the folder that its first weights came from."""
    spec = model.spec.to_dict()
    return {**spec, "weights": spec["weights"] and PurePath(spec["weights"]).name}


class FromPictures(nn.Module):
    """A model that takes pictures as they are read, colours last."""

    def __init__(self, model: Embedder) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings (B, D) float32 of images (B, H, W, 3) uint8."""
        embedding: Tensor = self.model(images.permute(0, 3, 1, 2)).embedding
        return embedding.float()


class FromNormalised(nn.Module):
    """A model that takes pictures of its size which the client has normalised."""

    def __init__(self, model: Embedder) -> None:
        super().__init__()
        self.network = model.network

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings (B, D) float32 of normalised images (B, 3, height, width)."""
        embedding: Tensor = self.network(images, SideInfo()).embedding
        return embedding.float()


def onnx_graph(model: Embedder, *, input: Input = "uint8_nhwc", opset: int = 18) -> Any:
    """Return the model as an ONNX graph with a free number of pictures, and of rows and columns where it resizes."""
    height, width = model.spec.height, model.spec.width
    free = torch.export.Dim.DYNAMIC
    if input == "uint8_nhwc":
        # Another size than the model's own: at that one, the resize would be left out of the graph.
        example = torch.zeros(2, height + 16, width + 8, 3, dtype=torch.uint8)
        module: nn.Module = FromPictures(model)
        dynamic = {0: free, 1: free, 2: free}
    else:
        example = torch.zeros(2, 3, height, width)
        module, dynamic = FromNormalised(model), {0: free}
    try:
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            verbose=False,
            opset_version=opset,
            input_names=["images"],
            output_names=["embedding"],
            dynamic_shapes=(dynamic,),
        )
    except Exception as error:  # what torch meets on the way, and what the network says to such a call
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        raise ExportError(f"expected a network that ONNX can express, got: {reason}; keep to the checkpoint") from error
    assert program is not None
    made = program.model_proto
    # Where in the source a node came from is of no use to the file's reader; the shapes in between are the example's.
    del made.graph.value_info[:], made.metadata_props[:]
    for node in made.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    return made


def convert_precision(
    made: Any, precision: Precision, pictures: Sequence[Pixels], model: Embedder, input: Input
) -> Any:
    """Return an ONNX graph with its weights in a precision; pictures and embedding stay as they are."""
    if precision == "float16":
        from onnxruntime.transformers.float16 import convert_float_to_float16
        from onnxruntime.transformers.onnx_model import OnnxModel

        halved = convert_float_to_float16(made, keep_io_types=True)
        OnnxModel(halved).topological_sort()  # It puts what casts the input behind all others.
        return halved
    if precision == "float32":
        return made
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    add_pre_process_metadata(made)  # The exporter has folded what there was to fold.
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "int8.onnx")
        if precision == "int8":
            # Unsigned weights: for convolutions, ONNX Runtime has no other kind on the CPU.
            quantize_dynamic(made, file, weight_type=QuantType.QUInt8, op_types_to_quantize=["Conv", "MatMul"])
        else:
            quantize_static(
                made,
                file,
                CalibrationPictures(pictures, model, input),
                op_types_to_quantize=["Conv", "MatMul", "Gemm"],
                per_channel=True,
                weight_type=QuantType.QInt8,
                activation_type=QuantType.QUInt8,
            )
        quantised = onnx.load(file)
    del quantised.metadata_props[:]
    return quantised


class CalibrationPictures:
    """Calibration data in the form of ONNX Runtime's quantisation: one picture at a time.

    Args:
        pictures: Uint8 RGB (H, W, 3), of any size.
        model: Whose size and normalisation they take.
        input: Of the graph.
    """

    def __init__(self, pictures: Sequence[Pixels], model: Embedder, input: Input) -> None:
        size = (model.spec.height, model.spec.width)
        mean, std = (tuple(t.flatten().tolist()) for t in (model.pixels.mean, model.pixels.std))
        normal = PictureInput(mean, std)
        self._rest = iter([resized(p, size)[None] for p in pictures])
        self._prepared = normal if input == "float_nchw" else None

    def get_next(self) -> dict[str, Any] | None:
        """Return the next picture by the name of the graph's input; None after the last."""
        if (picture := next(self._rest, None)) is None:
            return None
        return {"images": picture if self._prepared is None else self._prepared(picture)}


def write_ir(made: Any, target: Path, draft: Path, facts: dict[str, Any]) -> Encoder:
    """Write an ONNX graph in OpenVINO's IR beside a draft, move its description into that, and return its encoder."""
    with needs("openvino"):
        import openvino
    with tempfile.TemporaryDirectory(dir=draft.parent) as folder:
        source = Path(folder) / "model.onnx"
        source.write_bytes(made.SerializeToString())
        converted_model = openvino.convert_model(source)
        converted_model.set_rt_info(json.dumps({**facts, "sha256": NO_DIGEST}), ["reseen"])
        written = Path(folder) / target.name
        openvino.save_model(converted_model, written, compress_to_fp16=facts["precision"] == "float16")
        digest = digest_of_ir(written, NO_DIGEST)
        written.write_bytes(written.read_bytes().replace(NO_DIGEST.encode(), digest.encode()))
        exported = OpenVinoEncoder(written)
        force(written.with_suffix(".bin"))
        written.replace(draft)
        written.with_suffix(".bin").replace(draft.with_suffix(".bin"))
    return exported


@contextlib.contextmanager
def without_weights(draft: Path) -> Iterator[None]:
    """Remove the weights beside a draft at the end of the block, where they have not been put in their place."""
    try:
        yield
    finally:
        draft.with_suffix(".bin").unlink(missing_ok=True)


def write_onnx(model: Any, path: Path, facts: dict[str, Any]) -> None:
    """Write an ONNX graph with what it is in its metadata."""
    import onnx

    entry = model.metadata_props.add()
    entry.key, entry.value = "reseen", json.dumps({**facts, "sha256": NO_DIGEST})
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    path.write_bytes(content.replace(NO_DIGEST.encode(), hashlib.sha256(content).hexdigest().encode()))


class Parity(NamedTuple):
    """Agreement of two models' vectors: least and mean cosine, and the share of pictures with the same nearest one."""

    least: float
    mean: float
    same_nearest: float


def compare_vectors(trained: TorchEncoder, exported: Encoder, pictures: Sequence[Pixels], *, any_size: bool) -> Parity:
    """Compare two models' vectors: in one batch at the model's size, and of each picture as it is if both take it."""
    first, second = trained(pictures), exported(pictures)
    pairs = [(first, second)]
    if any_size:
        pairs += [(trained.encode(p[None]), exported.encode(p[None])) for p in pictures]
    ours, theirs = (np.concatenate(side).astype(np.float64) for side in zip(*pairs, strict=True))
    cosines = (unit(ours) * unit(theirs)).sum(1)
    nearest = []
    for vectors in (unit(first.astype(np.float64)), unit(second.astype(np.float64))):
        similarities = vectors @ vectors.T
        np.fill_diagonal(similarities, -np.inf)
        nearest.append(similarities.argmax(1))
    return Parity(float(cosines.min()), float(cosines.mean()), float((nearest[0] == nearest[1]).mean()))


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return vectors of length 1."""
    lengths: NDArray[np.float64] = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths


def synthetic_pictures(count: int = 16) -> list[Pixels]:
    """Return pictures of the built-in synthetic data."""
    return [read_picture(sample) for sample in Synthetic().query[:count]]
