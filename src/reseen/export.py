"""A trained model as an ONNX file that needs neither torch nor this library to run.

The graph takes ``images``, uint8 RGB (B, H, W, 3) of any number and any size, resizes, scales and normalises them,
and gives ``embedding``, float32 (B, D), not normalised. The model's spec and fingerprint are in the file's metadata,
under ``reseen``.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from reseen.datasets import Synthetic
from reseen.embedding.encoder import NO_DIGEST, OnnxEncoder, TorchEncoder
from reseen.errors import ExportError
from reseen.extras import needs
from reseen.files import make_folder, replacing
from reseen.loading import read
from reseen.models import Embedder
from reseen.pictures import Pixels

Precision = Literal["float32", "float16", "int8"]

LEAST: dict[Precision, float] = {"float32": 0.9999, "float16": 0.999, "int8": 0.95}
"""The least cosine, over all pictures of the check, between an exported model's vectors and the trained one's."""


@dataclass(frozen=True)
class Exported:
    """Result of an export: the file and how well it agrees with the model.

    Attributes:
        path: The ONNX file.
        precision: Of its weights.
        least_cosine: With the trained model's vectors, over all pictures of the check.
        num_pictures: How many those were.
        num_bytes: Size of the file.
    """

    path: Path
    precision: Precision
    least_cosine: float
    num_pictures: int
    num_bytes: int


def export(
    model: Embedder,
    path: str | Path,
    *,
    precision: Precision = "float32",
    pictures: Sequence[Pixels] | None = None,
) -> Exported:
    """Write a model as ONNX, run both on pictures, and keep the file only if they agree.

    Args:
        model: Is put into evaluation mode, on the CPU.
        path: Where to, ending in ``.onnx``; a file there is replaced once the new one has passed.
        precision: ``"float16"`` halves the file; ``"int8"`` quarters it: weights are rounded to 8 bits, activations as
            they come (dynamic quantisation).
        pictures: To check with, uint8 RGB; none given, 16 are drawn. Give real ones for int8.

    Raises:
        ExportError: The network cannot be exported, or the least cosine is below `LEAST`.
        WriteError: The file cannot be written; one that was there is intact.
    """
    with needs("export"):
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    target = Path(path)
    if target.suffix != ".onnx":
        raise ExportError(f"expected a path that ends in .onnx, got {target}")
    if model.spec.modalities.stems or model.spec.modalities.norms:
        raise ExportError("expected a network that takes pictures alone, got one that must be told their modality")
    shown = drawn() if pictures is None else pictures
    trained = TorchEncoder(model, "cpu")
    facts = {
        "spec": spec_of(model),
        # Vectors of float32 and float16 can be compared with the trained model's; those of int8 with their own kind.
        "fingerprint": ("int8-" if precision == "int8" else "") + trained.fingerprint,
        "precision": precision,
        "dim": trained.dim,
    }
    make_folder(target.parent)
    with replacing(target) as draft:
        write(converted(graph(model), precision), draft, facts)
        least = agreement(trained, OnnxEncoder(draft, "cpu"), shown)
        if not least >= LEAST[precision]:
            raise ExportError(
                f"expected vectors of cosine {LEAST[precision]} or more with the trained model's in {precision}, got "
                f"{least:.6f} on {len(shown)} pictures; nothing is written, choose another precision"
            )
    return Exported(target, precision, least, len(shown), target.stat().st_size)


def spec_of(model: Embedder) -> dict[str, Any]:
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


def graph(model: Embedder) -> Any:
    """Return the model as an ONNX graph with free numbers of pictures, rows and columns."""
    # Another size than the model's own: at that one, the resize would be left out of the graph.
    height, width = model.spec.height + 16, model.spec.width + 8
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    free = torch.export.Dim.DYNAMIC
    try:
        program = torch.onnx.export(
            FromPictures(model).eval(),
            (example,),
            dynamo=True,
            verbose=False,
            input_names=["images"],
            output_names=["embedding"],
            dynamic_shapes=({0: free, 1: free, 2: free},),
        )
    except Exception as error:  # what torch meets on the way, and what the network says to such a call
        found = str(error.__cause__ or error).strip().partition("\n")[0]
        raise ExportError(f"expected a network that ONNX can express, got: {found}; keep to the checkpoint") from error
    assert program is not None
    made = program.model_proto
    # Where in the source a node came from is of no use to the file's reader; the shapes in between are the example's.
    del made.graph.value_info[:], made.metadata_props[:]
    for node in made.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    return made


def converted(model: Any, precision: Precision) -> Any:
    """Return an ONNX graph with its weights in a precision; pictures and embedding stay uint8 and float32."""
    if precision == "float16":
        from onnxruntime.transformers.float16 import convert_float_to_float16

        return convert_float_to_float16(model, keep_io_types=True)
    if precision == "int8":
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic
        from onnxruntime.quantization.quant_utils import add_pre_process_metadata

        add_pre_process_metadata(model)  # The exporter has folded what there was to fold.
        with tempfile.TemporaryDirectory() as folder:
            file = str(Path(folder) / "int8.onnx")
            # Unsigned weights: for convolutions, ONNX Runtime has no other kind on the CPU.
            quantize_dynamic(model, file, weight_type=QuantType.QUInt8, op_types_to_quantize=["Conv", "MatMul"])
            made = onnx.load(file)
        del made.metadata_props[:]
        return made
    return model


def write(model: Any, path: Path, facts: dict[str, Any]) -> None:
    """Write an ONNX graph with what it is in its metadata."""
    import onnx

    entry = model.metadata_props.add()
    entry.key, entry.value = "reseen", json.dumps({**facts, "sha256": NO_DIGEST})
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    path.write_bytes(content.replace(NO_DIGEST.encode(), hashlib.sha256(content).hexdigest().encode()))


def agreement(trained: TorchEncoder, exported: OnnxEncoder, pictures: Sequence[Pixels]) -> float:
    """Return the least cosine of two models' vectors: in one batch at the model's size, and each picture as it is."""
    pairs = [(trained(pictures), exported(pictures))]
    pairs += [(trained.encode(p[None]), exported.encode(p[None])) for p in pictures]
    ours, theirs = (np.concatenate(side).astype(np.float64) for side in zip(*pairs, strict=True))
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return float(((ours * theirs).sum(1) / lengths).min())


def drawn(count: int = 16) -> list[Pixels]:
    """Return pictures of the built-in synthetic data."""
    return [read(sample) for sample in Synthetic().query[:count]]
