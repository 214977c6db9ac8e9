"""One of every kind of file that the project reads and writes, as small as can be."""

import csv
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from PIL import Image

from reseen.datasets import Synthetic
from reseen.export import write_onnx
from tests.faults.verbs import done

SIZE = (32, 16)
TINY = [
    *("--model.backbone", "tests.training.tiny.Tiny", "--model.height", "32", "--model.width", "16"),
    *("--batches.identities", "4", "--batches.images", "2", "--schedule.epochs", "2"),
]


@dataclass(frozen=True)
class House:
    """Where everything is.

    Attributes:
        root: The folder of all.
    """

    root: Path

    @property
    def pictures(self) -> Path:
        """A folder of PNG files."""
        return self.root / "pictures"

    @property
    def table(self) -> Path:
        """A CSV file of them, for training and testing."""
        return self.root / "people.csv"

    @property
    def training(self) -> list[object]:
        """Words after ``train``, but for the folder."""
        return ["--data", "Table", "--data.path", self.table, *TINY]

    @property
    def onnx(self) -> Path:
        """A model of one layer."""
        return self.root / "colours.onnx"

    @property
    def run(self) -> Path:
        """The folder of a run."""
        return self.root / "run"

    @property
    def gallery(self) -> Path:
        """A gallery of the pictures by the model of one layer, named, calibrated and with index files."""
        return self.root / "gallery"

    @property
    def vectors(self) -> Path:
        """Embeddings of the pictures by that model."""
        return self.root / "vectors"

    def copy(self, name: str, to: Path) -> Path:
        """Copy one of these, to be spoilt."""
        source = self.root / name
        return Path((shutil.copytree if source.is_dir() else shutil.copy)(source, to))


def build(root: Path) -> House:
    """Make everything."""
    house = House(root)
    house.pictures.mkdir()
    data = Synthetic(num_train_identities=4, num_test_identities=4, num_cameras=2, images_per_camera=2, height=32)
    rows = [
        [f"pictures/{sample.path}", f"person {sample.identity}", f"camera {sample.camera}", number, split]
        for split in ("train", "query", "gallery")
        for number, sample in enumerate(getattr(data, split))
        if [Image.fromarray(sample.draw()).save(house.pictures / sample.path)]  # type: ignore[misc]
    ]
    columns = ["path", "identity", "camera", "time", "split"]
    with house.table.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    (root / "people.tsv").write_text("\n".join("\t".join(map(str, row)) for row in [columns, *rows]))
    parquet.write_table(pa.table(dict(zip(columns, zip(*rows, strict=True), strict=True))), root / "people.parquet")
    write_colours(house.onnx)
    done(["train", *house.training, "--out", house.run])
    done(["index", house.gallery, "--model", house.onnx, "--table", house.table])
    done(["calibrate", house.gallery])
    done(["compact", house.gallery])
    done(["embed", house.onnx, "--pictures", house.pictures, "--out", house.vectors])
    write_video(root / "video.avi", root / "boxes.txt")
    return house


def write_colours(path: Path) -> None:
    """Write a model whose vectors are a picture's colours in rows of a third."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["colours"], axes=[1, 2], keepdims=0),
        helper.make_node("Sub", ["colours", "grey"], ["centred"]),
        helper.make_node("MatMul", ["centred", "weights"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", "h", "w", 3])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 8])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([120, 118, 116], np.float32), "grey"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    spec = {"height": SIZE[0], "width": SIZE[1]}
    write_onnx(model, path, {"spec": spec, "fingerprint": "colours", "dim": 8, "precision": "float32"})


def write_video(video: Path, boxes: Path) -> None:
    """Write a video of ten frames, and two boxes in each."""
    import av

    with av.open(str(video), "w") as file:
        stream = file.add_stream("ffv1", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        for number in range(10):
            pixels = np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode())
    lines = [f"{frame},{track},{5 + 20 * track},{3 + frame},15,30,1" for frame in range(1, 11) for track in (0, 1)]
    boxes.write_text("\n".join(lines) + "\n")


def metadata_of(path: Path) -> tuple[bytes, dict[str, str], bytes]:
    """Return a checkpoint's tensors' places as JSON, its metadata, and its tensors."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    return json.dumps(header).encode(), header.pop("__metadata__"), content[8 + length :]
