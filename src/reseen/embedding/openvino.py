"""Encoder by OpenVINO: models in its IR, of this library or of others. Needs no torch.

Dimensions: B pictures of a batch, D components of a vector.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from reseen.embedding.encoder import Encoder, Vectors
from reseen.embedding.picture_input import PictureInput
from reseen.errors import CheckpointError
from reseen.extras import needs
from reseen.pictures import Pixels


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
        try:
            core = openvino.Core()
            model = core.read_model(str(path))
            (taken,), (given,) = model.inputs, model.outputs
            shape = taken.get_partial_shape()
            self.from_pixels = shape.rank.get_length() == 4 and taken.get_element_type() == openvino.Type.u8
            facts = model.get_rt_info(["reseen"]).value if model.has_rt_info(["reseen"]) else None
            if not self.from_pixels:
                model.reshape({0: openvino.PartialShape([-1, *list(shape)[1:]])})
            self.dim = int(given.get_partial_shape()[1].get_length())
            with same_signal_stack():
                self._run: Any = core.compile_model(model, (device or "cpu").upper())
        except Exception as error:  # OpenVINO raises RuntimeError, and Python what no such model has
            found = " ".join(str(error).split())
            raise CheckpointError(
                f"expected a model of OpenVINO that turns one picture into one vector at {path}, got: {found[-200:]}"
            ) from None
        self.described = described or PictureInput()
        if facts is not None:
            ours = json.loads(facts)
            self.size = (ours["spec"]["height"], ours["spec"]["width"])
            self.fingerprint = ours["fingerprint"]
            self.described = PictureInput.of(ours)
        else:
            self.size = (int(shape[2].get_length()), int(shape[3].get_length()))
            digest = hashlib.sha256(repr(self.described).encode())
            for file in files:
                digest.update(file.read_bytes())
            self.fingerprint = digest.hexdigest()

    def encode(self, images: Pixels) -> Vectors:
        """Return the vectors (B, D) of pictures (B, H, W, 3) of one size."""
        batch = images if self.from_pixels else self.described(images)
        vectors: Vectors = self._run([batch])[0]
        return vectors.astype(np.float32)


class SignalStack(ctypes.Structure):
    """The kernel's ``stack_t``: where a thread's signal handlers have their stack."""

    _fields_ = (("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextlib.contextmanager
def same_signal_stack() -> Iterator[None]:
    """Give this thread its signal stack back after work that sets another.

    On processors with AMX, compiling a model sets one that has room for the registers and nothing else, so that
    the next Ctrl-C or SIGTERM would end the process by SIGSEGV instead of reaching Python.
    """
    if sys.platform != "linux":
        yield
        return
    library, before = ctypes.CDLL(None), SignalStack()
    library.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        library.sigaltstack(ctypes.byref(before), None)
