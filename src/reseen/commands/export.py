"""``reseen export RUN OUT``."""

from pathlib import Path
from typing import Literal

from reseen.cli.runs import model_of
from reseen.errors import ExportError
from reseen.export import export as write
from reseen.files import require_new
from reseen.gallery.ingest import from_folder
from reseen.terminal import Terminal


def export(
    run: Path,
    out: Path,
    /,
    *,
    precision: Literal["float32", "float16", "int8", "int8_static"] = "float32",
    input: Literal["uint8_nhwc", "float_nchw"] | None = None,
    opset: int = 18,
    ir: int = 8,
    pictures: Path | None = None,
    force: bool = False,
) -> None:
    """Write a trained model as an ONNX file, or for OpenVINO, and check on pictures that both give the same vectors.

    Args:
        run: The folder of a run, a checkpoint, or a name that `reseen models` lists.
        out: The file, ending in .onnx, or in .xml for OpenVINO.
        precision: float16 halves the file; int8 and int8_static quarter it, and their vectors need a gallery of their
            own. int8_static is calibrated by the pictures, and the faster one for convolutions.
        input: What the file takes: uint8_nhwc, pictures as they are read, for ONNX if not given; or float_nchw,
            pictures that the client has resized and normalised, as trackers and TensorRT's samples do.
        opset: Version of ONNX's operators, 18 or later.
        ir: Version of ONNX's file format; 8 is read by ONNX Runtime 1.14 and later.
        pictures: A folder of pictures to check with and to calibrate by, the first 64 of them; 16 are drawn if not
            given.
        force: Replace a file that is there.
    """
    if run.suffix == ".onnx":
        raise ExportError(
            f"expected a run or a checkpoint, got {run}, which is exported already; name the run it is of"
        )
    require_new(out, force=force)
    shown = None
    if pictures is not None:
        found = from_folder(pictures, folders=False, camera=None)
        shown = [sighting.pixels for sighting, _ in zip(found, range(64), strict=False)]
    made = write(model_of(run), out, precision=precision, input=input, opset=opset, ir=ir, pictures=shown)
    Terminal(soft_wrap=True).print(
        f"{made.path}: {made.precision}, {made.num_bytes / 1e6:.1f} MB; on {made.num_pictures} pictures its vectors "
        f"have a cosine of {made.least_cosine:.6f} or more with the trained model's, {made.mean_cosine:.6f} in the "
        f"mean, and the same nearest picture for {made.same_nearest:.0%}"
    )
