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

from reseen.embedding.encoder import MAX_NUMBER, NO_DIGEST, Encoder, Vectors, has_digest
from reseen.embedding.picture_input import PictureInput
from reseen.errors import CheckpointError, one_line
from reseen.extras import needs
from reseen.pictures import Pixels
from reseen.trust import may_be_unchecked


class OpenVinoEncoder(Encoder):
    """A model in OpenVINO's IR, run by OpenVINO, without torch.

    Args:
        path: The ``.xml`` file, beside which the ``.bin`` file lies: what `reseen.export` wrote, or another's with one
            picture as its input and one vector as its output.
        device: ``"cpu"``, ``"gpu"`` or another of OpenVINO's names; None for the CPU.
        described: Input of a file that says nothing of it itself.
        unchecked: Also read what `reseen.export` wrote without a digest.

    Raises:
        CheckpointError: The file is missing, damaged, or of another kind of model.
    """

    def __init__(
        self,
        path: str | Path,
        device: str | None = None,
        described: PictureInput | None = None,
        *,
        unchecked: bool = False,
    ) -> None:
        with needs("openvino"):
            import openvino
        files = [Path(path), Path(path).with_suffix(".bin")]
        for file in files:
            if not file.is_file():
                raise CheckpointError(f"expected a model of OpenVINO at {file}, found no such file; check the path")
        try:
            core = openvino.Core()
            model = core.read_model(str(path))
            (picture,), (vector,) = model.inputs, model.outputs
            shape = picture.get_partial_shape()
            self.from_pixels = shape.rank.get_length() == 4 and picture.get_element_type() == openvino.Type.u8
            facts = model.get_rt_info(["reseen"]).value if model.has_rt_info(["reseen"]) else None
            if not self.from_pixels:
                model.reshape({0: openvino.PartialShape([-1, *list(shape)[1:]])})
            self.dim = int(vector.get_partial_shape()[1].get_length())
            place = (device or "cpu").upper()
            # On processors with bfloat16, OpenVINO rounds to it if it is not told otherwise.
            settings = {"INFERENCE_PRECISION_HINT": "f32"} if facts is not None and place == "CPU" else {}
            with same_signal_stack():
                self._run: Any = core.compile_model(model, place, settings)
        except Exception as error:  # OpenVINO raises RuntimeError, and Python what no such model has
            reason = " ".join(str(error).split())
            raise CheckpointError(
                f"expected a model of OpenVINO that turns one picture into one vector at {path}, got: {reason[-200:]}"
            ) from None
        self.described = described or PictureInput()
        if facts is not None:
            self._take(path, facts, unchecked=unchecked or may_be_unchecked())
        else:
            self.size = (int(shape[2].get_length()), int(shape[3].get_length()))
            digest = hashlib.sha256(repr(self.described).encode())
            for file in files:
                digest.update(file.read_bytes())
            self.fingerprint = digest.hexdigest()

    def _take(self, path: str | Path, facts: Any, *, unchecked: bool) -> None:
        """Take what `reseen.export` says of a model, once it is as it was written."""
        try:
            ours = json.loads(facts)
            self.size = (ours["spec"]["height"], ours["spec"]["width"])
            self.fingerprint = ours["fingerprint"]
            self.described = PictureInput.of(ours)
            if not isinstance(self.fingerprint, str):
                raise TypeError
            if not all(type(n) is int and 0 < n <= MAX_NUMBER for n in self.size):
                raise TypeError
        except (KeyError, TypeError, ValueError, RecursionError):
            raise CheckpointError(
                f"expected a model of this version of reseen at {path}, got a damaged description; export it again"
            ) from None
        digest = ours.get("sha256")
        if has_digest(Path(path), digest, unchecked=unchecked) and digest_of_ir(Path(path), digest) != digest:
            raise CheckpointError(
                f"expected {path} and its .bin file as they were exported, got damaged ones, or ones of two exports; "
                "copy both again"
            )

    def encode(self, images: Pixels) -> Vectors:
        """Return the vectors (B, D) of pictures (B, H, W, 3) of one size."""
        batch = images if self.from_pixels else self.described(images)
        try:
            vectors: Vectors = self._run([batch])[0]
        except RuntimeError as error:
            raise CheckpointError(f"expected a model of OpenVINO that runs, got: {one_line(error)}") from None
        return vectors.astype(np.float32)


def digest_of_ir(path: Path, digest: str) -> str:
    """Return the SHA-256 of an ``.xml`` file, with zeros in the place of a digest, and of its ``.bin`` file."""
    whole = hashlib.sha256(path.read_bytes().replace(digest.encode(), NO_DIGEST.encode()))
    whole.update(path.with_suffix(".bin").read_bytes())
    return whole.hexdigest()


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
