"""``reseen export RUN OUT``."""

from pathlib import Path
from typing import Literal

from reseen.cli.runs import model_of
from reseen.errors import ExportError
from reseen.export import Exported
from reseen.export import export as write
from reseen.extras import needs
from reseen.files import require_new, write_atomically
from reseen.gallery.ingest import from_folder
from reseen.model_evaluation import read_results
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
    card: Path | None = None,
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
        card: Also write a model card beside the file, for a repository of models: protocol, scores of the run, input
            and fingerprint.
        force: Replace a file that is there.
    """
    if run.suffix == ".onnx":
        raise ExportError(
            f"expected a run or a checkpoint, got {run}, which is exported already; name the run it is of"
        )
    with needs("export"):
        import onnx  # noqa: F401  (before a model is fetched)
    require_new(out, force=force)
    require_new(card, force=force)
    examples = None
    if pictures is not None:
        sightings = from_folder(pictures, folders=False, camera=None)
        examples = [sighting.pixels for sighting, _ in zip(sightings, range(64), strict=False)]
    exported = write(model_of(run), out, precision=precision, input=input, opset=opset, ir=ir, pictures=examples)
    Terminal().print(
        f"{exported.path}: {exported.precision}, {exported.num_bytes / 1e6:.1f} MB; on {exported.num_pictures} "
        f"pictures its vectors have a cosine of {exported.least_cosine:.6f} or more with the trained model's, "
        f"{exported.mean_cosine:.6f} in the mean, and the same nearest picture for {exported.same_nearest:.0%}"
    )
    if card is not None:
        write_atomically(card, model_card(run, exported).encode())
        Terminal().print(f"card: {card}")


def model_card(run: Path, exported: Exported) -> str:
    """Return the card of an exported model as Markdown, with the scores of its run where that has some."""
    facts = exported.facts
    spec = facts["spec"]
    lines = [
        "---",
        "library_name: reseen",
        "pipeline_tag: image-feature-extraction",
        "tags: [re-identification]",
        "---",
        "",
        f"# {exported.path.stem}",
        "",
        f"{spec['backbone']}, {spec['height']} x {spec['width']} pixels, {facts['dim']} numbers, compared by cosine.",
        "",
        "| | |",
        "|---|---|",
        f"| file | {exported.path.name}, {exported.precision}, {exported.num_bytes / 1e6:.1f} MB |",
        f"| input | {INPUTS[facts['input']]} |",
        f"| cosine with the trained model | {exported.least_cosine:.6f} or more on {exported.num_pictures} pictures |",
        f"| fingerprint | `{facts['fingerprint']}` |",
    ]
    folder = run if run.is_dir() else run.parent
    if (folder / "report.json").is_file():
        scores, _ = read_results(folder)
        lines += [
            f"| data | {scores.get('data', 'not named')} |",
            f"| protocol | {scores['protocol']}: {scores['rule']} |",
            f"| mAP | {100 * scores['mean_ap']:.1f} (95 % of {100 * scores['interval'][0]:.1f} to "
            f"{100 * scores['interval'][1]:.1f}), {scores['num_queries']} queries |",
            f"| rank 1 | {100 * scores['cmc'][0]:.1f} |",
        ]
    else:
        lines.append("| scores | none with the run: reseen evaluate writes them |")
    return "\n".join(
        [*lines, "", "```python", "import reseen", "", f'encoder = reseen.load("{exported.path.name}")', "```", ""]
    )


INPUTS = {
    "uint8_nhwc": "`images`, uint8 RGB (B, H, W, 3) of any size",
    "float_nchw": "`images`, float32 RGB (B, 3, height, width), normalised by the mean and scale in the metadata",
}
