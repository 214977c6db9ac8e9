"""Encoder by OpenVINO: models in its IR, of this library or of others. Needs no torch.

Dimensions: B pictures of a batch, D components of a vector.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
from numpy.typing import NDArray

from reseen.embedding.encoder import Encoder, Vectors
from reseen.errors import CheckpointError
from reseen.extras import needs
from reseen.pictures import Pixels


@dataclass(frozen=True)
class PictureInput:
    """What an OpenVINO model without a description of ours takes: float32 (B, 3, height, width), made of 0..255.

    Attributes:
        mean: Taken off each colour, in 0..255 and in the order of ``bgr``; one number for all, or three.
        std: What each is divided by then.
        bgr: Blue first, as OpenCV has it.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    bgr: bool = False

    @classmethod
    def parsed(cls, text: str) -> PictureInput:
        """Return the input that ``mean=123.7,116.3,103.5&std=58.4,57.1,57.4&bgr=true`` describes.

        Raises:
            ValueError: It describes something else.
        """
        found = {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}
        if unknown := sorted(set(found) - {"mean", "std", "bgr"}):
            raise ValueError(f"expected mean, std and bgr after the question mark, got {', '.join(unknown)}")
        numbers = {n: tuple(float(x) for x in found[n].split(",")) for n in ("mean", "std") if n in found}
        if any(len(each) not in (1, 3) for each in numbers.values()) or 0 in numbers.get("std", ()):
            raise ValueError(f"expected one or three numbers for mean and std, no std of 0, got {text!r}")
        return cls(bgr=found.get("bgr", "false").lower() in ("true", "1"), **numbers)

    def __call__(self, images: Pixels) -> NDArray[np.float32]:
        """Return (B, 3, H, W) from pictures (B, H, W, 3)."""
        values = (images[..., ::-1] if self.bgr else images).astype(np.float32)
        normal = (values - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(normal.transpose(0, 3, 1, 2))


class OpenVinoEncoder(Encoder):
    """A model in OpenVINO's IR, run by OpenVINO, without torch.

    Args:
        path: The ``.xml`` file, beside which the ``.bin`` file lies: what `reseen.export` wrote, or another's with one
            picture as its input and one vector as its output.
        device: ``"cpu"``, ``"gpu"`` or another of OpenVINO's names; None for the CPU.
        described: Input of a file that says nothing of it itself.

    Raises:
        CheckpointError: The file is missing, damaged, or of another kind of model.
    """

    def __init__(self, path: str | Path, device: str | None = None, described: PictureInput | None = None) -> None:
        with needs("openvino"):
            import openvino
        files = [Path(path), Path(path).with_suffix(".bin")]
        for file in files:
            if not file.is_file():
                raise CheckpointError(f"expected a model of OpenVINO at {file}, found no such file; check the path")
        core = openvino.Core()
        try:
            model = core.read_model(str(path))
            (taken,), (given,) = model.inputs, model.outputs
            shape = taken.get_partial_shape()
            self.from_pixels = shape.rank.get_length() == 4 and taken.get_element_type() == openvino.Type.u8
            facts = model.get_rt_info(["reseen"]).value if model.has_rt_info(["reseen"]) else None
            if not self.from_pixels:
                model.reshape({0: openvino.PartialShape([-1, *list(shape)[1:]])})
            self.dim = int(given.get_partial_shape()[1].get_length())
            self._run: Any = core.compile_model(model, (device or "cpu").upper())
        except Exception as error:  # OpenVINO raises RuntimeError, and Python what no such model has
            found = " ".join(str(error).split())
            raise CheckpointError(
                f"expected a model of OpenVINO that turns one picture into one vector at {path}, got: {found[-200:]}"
            ) from None
        if facts is None:
            self.size = (int(shape[2].get_length()), int(shape[3].get_length()))
        else:
            spec = json.loads(facts)["spec"]
            self.size = (spec["height"], spec["width"])
        self.described = described or PictureInput()
        if facts is not None:
            self.fingerprint = json.loads(facts)["fingerprint"]
        else:
            digest = hashlib.sha256(repr(self.described).encode())
            for file in files:
                digest.update(file.read_bytes())
            self.fingerprint = digest.hexdigest()

    def encode(self, images: Pixels) -> Vectors:
        """Return the vectors (B, D) of pictures (B, H, W, 3) of one size."""
        batch = images if self.from_pixels else self.described(images)
        vectors: Vectors = self._run([batch])[0]
        return vectors.astype(np.float32)
