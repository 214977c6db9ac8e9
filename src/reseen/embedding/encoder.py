"""Encoders: pictures of any kind to vectors, by torch, ONNX Runtime or OpenVINO. Importing this needs no torch.

Dimensions: N pictures, B pictures of a batch, D components of a vector.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from reseen.embedding.picture_input import PictureInput
from reseen.errors import CheckpointError, ReseenError, one_line
from reseen.extras import needs
from reseen.pictures import Picture, Pixels, as_pixels, resized
from reseen.slicing import batched
from reseen.trust import may_be_unchecked
from reseen.video import TrackedBox, crops, read_boxes
from reseen.zoo import fetch_entry, fetch_own, find, is_hub_address

if TYPE_CHECKING:
    from reseen.models import Embedder

Vectors = NDArray[np.float32]

MAX_NUMBER = 65_536
"""Rows, columns or components of an exported model at most."""
WEIGHTS_ELSEWHERE = b"\n\x08location\x12"
"""The beginning of a field of ONNX (``TensorProto.external_data``) that says in which other file a tensor is."""
NO_DIGEST = "0" * 64
"""What stands in the place of a file's digest while that is being computed."""


@dataclass(frozen=True, eq=False, slots=True)
class Seen:
    """Vectors of the boxes of a video.

    Attributes:
        boxes: N boxes.
        times: (N,) seconds from the video's start.
        vectors: (N, D), float32, not normalised.
    """

    boxes: tuple[TrackedBox, ...]
    times: NDArray[np.float64]
    vectors: Vectors


class Encoder(ABC):
    """A model ready for use: call it with pictures.

    Attributes:
        fingerprint: Names the weights; vectors of one fingerprint can be compared. An ONNX file in float32 or float16
            has that of the model it was made from, one in int8 its own.
        dim: D.
        size: (height, width) in pixels of what the network sees.
    """

    fingerprint: str
    dim: int
    size: tuple[int, int]

    def __repr__(self) -> str:
        height, width = self.size
        return f"{type(self).__name__}({height} x {width} pixels to {self.dim} components, {self.fingerprint[:12]})"

    def __call__(self, pictures: Iterable[Picture], *, batch_size: int = 64, progress: bool = False) -> Vectors:
        """Return the vectors (N, D), float32, not normalised.

        Args:
            pictures: Files, uint8 RGB arrays (H, W, 3) or pictures of Pillow, mixed as they come. An iterator is read
                a batch at a time, so that a video never has to fit into memory.
            batch_size: Pictures at a time.
            progress: Draw a bar.

        Raises:
            DataError: A picture cannot be read; it is named.
            ValueError: An array is no uint8 RGB picture.
        """
        total = -(-len(pictures) // batch_size) if isinstance(pictures, Sized) else None
        batches = track(batched(pictures, batch_size), "Embedding", total=total, disable=not progress)
        vectors = [self.encode(np.stack([resized(as_pixels(p), self.size) for p in batch])) for batch in batches]
        return np.concatenate(vectors) if vectors else np.empty((0, self.dim), np.float32)

    def video(
        self,
        video: str | Path,
        boxes: str | Path | Sequence[TrackedBox],
        *,
        every: int = 1,
        batch_size: int = 64,
        progress: bool = False,
    ) -> Seen:
        """Return the vectors of what a video shows in its boxes; the video is decoded as it goes, and never held.

        Args:
            video: Any file that FFmpeg reads.
            boxes: A file in MOTChallenge's format, or what `read_boxes` made of one.
            every: Use the boxes of every so many frames only.
            batch_size: Pictures at a time.
            progress: Draw a bar.

        Raises:
            DataError: The video or the boxes cannot be read, or do not belong together.
        """
        tracked: list[TrackedBox] = []
        times: list[float] = []

        def pictures() -> Iterator[Pixels]:
            for crop in crops(video, read_boxes(boxes) if isinstance(boxes, (str, Path)) else boxes, every=every):
                tracked.append(crop.boxed)
                times.append(crop.time)
                yield crop.pixels

        vectors = self(pictures(), batch_size=batch_size, progress=progress)
        return Seen(tuple(tracked), np.array(times), vectors)

    @abstractmethod
    def encode(self, images: Pixels) -> Vectors:
        """Return the vectors (B, D) of pictures (B, H, W, 3) of one size."""


class TorchEncoder(Encoder):
    """A trained model, run by torch.

    Args:
        model: Is put into evaluation mode.
        device: Where it runs; None for a GPU where there is one.
    """

    def __init__(self, model: Embedder, device: str | None = None) -> None:
        import torch

        from reseen.embedding.model import fingerprint_of_model

        self.fingerprint = fingerprint_of_model(model)
        self.dim = model.dims["embedding"]
        self.size = (model.spec.height, model.spec.width)
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            self.model = model.eval().to(self.device)
        except (RuntimeError, AssertionError) as error:  # torch's ways of saying that there is none
            reason = str(error).splitlines()[0]
            raise ReseenError(f"expected a device that torch has here, got {self.device}: {reason}") from None

    def encode(self, images: Pixels) -> Vectors:
        """Return the vectors (B, D) of pictures (B, H, W, 3) of one size."""
        import torch

        from reseen.embedding.model import network_errors

        with torch.inference_mode(), network_errors(self.model):
            batch = torch.tensor(images, device=self.device).permute(0, 3, 1, 2)
            vectors: Vectors = self.model.embed(batch).cpu().numpy()
        return vectors


class OnnxEncoder(Encoder):
    """An exported model, run by ONNX Runtime, without torch.

    Args:
        path: What `reseen.export` wrote.
        device: ``"cpu"``, ``"cuda"``, or None for a GPU where ONNX Runtime has one.
        unchecked: Also read a file without a digest.

    Raises:
        CheckpointError: The file is missing, damaged, or not one of ours.
    """

    def __init__(self, path: str | Path, device: str | None = None, *, unchecked: bool = False) -> None:
        with needs("onnx"):
            import onnxruntime
        self.path = Path(path)
        if not self.path.is_file():
            raise CheckpointError(f"expected an exported model at {path}, found no such file; check the path")
        cuda = device != "cpu" and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
        if device not in (None, "cpu") and not (cuda and str(device).startswith("cuda")):
            raise ReseenError(f"expected a device that ONNX Runtime has here, got {device}; leave it out, or say cpu")
        options = onnxruntime.SessionOptions()
        # Threads that wait for the next picture leave the processor to those who bring it.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # What goes wrong is raised as well.
        try:
            self.session: Any = onnxruntime.InferenceSession(
                str(path),
                options,
                providers=["CUDAExecutionProvider", "CPUExecutionProvider"] if cuda else ["CPUExecutionProvider"],
            )
        except Exception as error:  # ONNX Runtime has no common base for what it raises
            reason = " ".join(str(error).split())
            raise CheckpointError(f"expected a whole ONNX file at {path}, got: {reason}; export it again") from None
        facts = self.session.get_modelmeta().custom_metadata_map
        if "reseen" not in facts:
            raise CheckpointError(
                f"expected a model exported by reseen at {path}, got another ONNX file; use reseen export"
            )
        try:
            described: dict[str, Any] = json.loads(facts["reseen"])
            self.spec: dict[str, Any] = described["spec"]
            self.fingerprint, self.dim, self.precision = (described[n] for n in ("fingerprint", "dim", "precision"))
            self.size = (self.spec["height"], self.spec["width"])
            normalised = described.get("input", "uint8_nhwc") == "float_nchw"
            self._prepared = PictureInput.of(described) if normalised else None
            if not all(isinstance(name, str) for name in (self.fingerprint, self.precision)):
                raise TypeError
            if not all(type(n) is int and 0 < n <= MAX_NUMBER for n in (self.dim, *self.size)):
                raise TypeError
        except (KeyError, TypeError, ValueError, RecursionError):
            raise CheckpointError(
                f"expected a model of this version of reseen at {path}, got a damaged description; export it again"
            ) from None
        require_digest(Path(path), described.get("sha256"), unchecked=unchecked or may_be_unchecked())

    def encode(self, images: Pixels) -> Vectors:
        """Return the vectors (B, D) of pictures (B, H, W, 3) of one size."""
        batch = images if self._prepared is None else self._prepared(images)
        try:
            vectors: Vectors = self.session.run(None, {"images": batch})[0]
        except Exception as error:  # as above
            raise self._unfit(one_line(error)) from None
        if np.shape(vectors) != (len(images), self.dim) or vectors.dtype != np.float32:
            raise self._unfit(f"{getattr(vectors, 'dtype', 'no numbers')} {np.shape(vectors)}")
        return vectors

    def _unfit(self, problem: str) -> CheckpointError:
        height, width = self.size
        return CheckpointError(
            f"expected {self.dim} numbers for each picture of {height} x {width} pixels from {self.path}, got: "
            f"{problem}; export the model again"
        )


def has_digest(path: Path, digest: Any, *, unchecked: bool) -> bool:
    """Return whether an exported file has a digest to compare it with.

    Raises:
        CheckpointError: It has none, and may not be read without one.
    """
    if not isinstance(digest, str) and not unchecked:
        raise CheckpointError(
            f"expected a digest in {path}, found none, as in files of earlier versions; export it again, or say "
            "--unchecked true (in code: unchecked=True) to read it as it is"
        )
    return isinstance(digest, str)


def require_digest(path: Path, digest: Any, *, unchecked: bool) -> None:
    """Make sure that an ONNX file is as it was written: its digest is of the file with zeros in the digest's place.

    Raises:
        CheckpointError: It is not, or it has no digest and may not be read without one.
    """
    if not has_digest(path, digest, unchecked=unchecked):
        return
    content = path.read_bytes()
    if hashlib.sha256(content.replace(digest.encode(), NO_DIGEST.encode())).hexdigest() != digest:
        raise CheckpointError(f"expected a whole ONNX file at {path}, got a damaged one; copy it again")
    if WEIGHTS_ELSEWHERE in content and not unchecked:
        raise CheckpointError(
            f"expected all weights within {path}, found some in another file, which its digest leaves out; export it "
            "again, or say --unchecked true (in code: unchecked=True)"
        )


def load(
    model: str | Path, device: str | None = None, *, trust: Iterable[str] = (), unchecked: bool = False
) -> Encoder:
    """Open a published, a trained or an exported model.

    Args:
        model: A name that `reseen models` lists, whose file is fetched; ``hf:owner/repository`` for one's own on the
            Hugging Face hub; the folder of a run (its last weights), a checkpoint, an ONNX file or OpenVINO's
            ``.xml``. Only runs, checkpoints and names of models that torch runs need torch. What OpenVINO's file does
            not say may be added: ``model.xml?bgr=true&mean=123.7,116.3,103.5&std=58.4,57.1,57.4``.
        device: Where it runs, as ``"cpu"`` or ``"cuda"``; None for a GPU where there is one.
        trust: Packages whose backbones a checkpoint may name, as for `reseen.checkpoint.load`.
        unchecked: Also read a file without a digest, as earlier versions wrote them.

    Raises:
        CheckpointError: There is no model of that name or at that path, it cannot be fetched, or it is damaged.
        TrustError: The backbone is of a package that is not trusted.
    """
    name = str(model)
    if (published := find(name)) is not None and published.kind == "openvino" and not Path(model).exists():
        from reseen.embedding.openvino import OpenVinoEncoder

        return OpenVinoEncoder(fetch_entry(published), device, PictureInput(**published.spec))
    if is_hub_address(name):
        model = fetch_own(name)
    place, _, described = str(model).partition("?")
    if place.endswith(".onnx"):
        return OnnxEncoder(place, device, unchecked=unchecked)
    if place.endswith(".xml"):
        from reseen.embedding.openvino import OpenVinoEncoder

        known = PictureInput.parsed(described) if described else None
        return OpenVinoEncoder(place, device, known, unchecked=unchecked)
    from reseen import checkpoint

    return TorchEncoder(checkpoint.load(model, trust=trust, unchecked=unchecked), device)
