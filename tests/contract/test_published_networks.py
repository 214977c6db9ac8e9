"""The networks of the catalogue, with random weights: exported, read by other runtimes, and trained for one step.

There is one for each backbone, the smallest of its kind, and for each option, with few cameras and small pictures.
"""

import copy
import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from reseen import export
from reseen.embedding.encoder import TorchEncoder, Vectors, load
from reseen.errors import ExportError
from reseen.losses import AdaSPLoss, IdentityLoss
from reseen.models import Embedder, ModelSpec
from reseen.pictures import Pixels, resized
from reseen.zoo import Entry, entries

SMALLER = {
    r"osnet_(ibn_|ain_)?x\d_\d+": r"osnet_\1x0_25",
    r"mobilenetv2_x1_4": "mobilenetv2_x1_0",
    r"(timm:resnet)(101|152)": r"\g<1>50",
    r"(timm:efficientnetv2_rw)_m": r"\1_t",
    r"(ics|pass)_vit_base": r"\1_vit_small",
    r"(timm:vit)_base_patch16_224": r"\1_tiny_patch16_224",
    r"(timm:vit)_small_patch16_224": r"\1_tiny_patch16_224",
    r"(timm:vit)_(base|large)_(patch1\d_(reg4_)?dino)": r"\1_small_\3",
    r"(timm:vit)_(large|so400m)_patch16_siglip": r"\1_base_patch16_siglip",
    r"(timm:convnext)_(small|base)": r"\1_tiny",
    r"(solider_swin|timm:swin)_(small|base|large)": r"\1_tiny",
    r"window12_384": "window7_224",
}


def smaller(entry: Entry) -> ModelSpec:
    """Return a spec of the same kind of network with fewer blocks and channels, and fewer pixels where it may have."""
    spec = ModelSpec.from_dict(entry.spec)
    backbone = spec.backbone
    for pattern, replacement in SMALLER.items():
        backbone = re.sub(pattern, replacement, backbone)
    vit = spec.vit
    if vit.cameras is not None:
        vit = dataclasses.replace(vit, cameras=(1, 2), views=None if vit.views is None else (0, 1, 2))
    height, width = (56, 28) if "patch14" in backbone else (64, 32)
    if backbone == "hacnn" or "swin" in backbone:  # windows are cut in other ways where a map is smaller than one
        height, width = (224, 224) if spec.height == spec.width else (spec.height, spec.width)
    return dataclasses.replace(spec, backbone=backbone, vit=vit, height=height, width=width)


def choices(spec: ModelSpec) -> set[tuple[str, str]]:
    """Return what a spec chooses: backbone, heads, options; of cameras and views, whether there are any."""
    vit = dataclasses.replace(spec.vit, cameras=spec.vit.cameras and (0,), views=spec.vit.views and (0,))
    flat = {f"resnet.{name}": value for name, value in vars(spec.resnet).items()}
    flat |= {f"vit.{name}": value for name, value in vars(vit).items()}
    flat |= {name: getattr(spec, name) for name in ("backbone", "network", "pooling", "dim", "neck")}
    return {(name, repr(value)) for name, value in flat.items()}


KINDS: dict[ModelSpec, str] = {}
"""Specs of which each chooses something that none before it does -> the entry that it stands for."""
seen: set[tuple[str, str]] = set()
for each in entries().values():
    if each.kind == "torch" and not choices(kind := smaller(each)) <= seen:
        seen |= choices(kind)
        KINDS[kind] = each.name


def drawn(spec: ModelSpec, count: int = 6) -> list[Pixels]:
    """Return noise and people, of the size that the network takes."""
    size, generator = (spec.height, spec.width), np.random.default_rng(1)
    noise = [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(count // 2)]
    return noise + [resized(picture, size) for picture in export.synthetic_pictures(count - count // 2)]


def lively(spec: ModelSpec) -> Embedder:
    """Return a model whose norms have the statistics of pictures, so that its vectors differ from one to another."""
    torch.manual_seed(0)
    model = Embedder(spec)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.1 * torch.randn_like(parameter)
        model.train()(torch.from_numpy(np.stack(drawn(spec, 16))).permute(0, 3, 1, 2))
    return model.eval()


def require_near(found: Vectors, expected: Vectors) -> None:
    """Make sure of a cosine above 0.9999, also of what is left of the vectors without the mean of all."""
    for centre in (0, 1):
        a, b = (side.astype(np.float64) - centre * side.mean(0) for side in (found, expected))
        assert ((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min() > 0.9999


@pytest.mark.slow
@pytest.mark.parametrize("spec", KINDS, ids=KINDS.get)
def test_a_published_network_reads_pictures_in_other_runtimes(spec: ModelSpec, tmp_path: Path) -> None:
    model, pictures = lively(spec), drawn(spec)
    export.export(model, tmp_path / "model.onnx", pictures=pictures)
    require_near(load(tmp_path / "model.onnx")(pictures), TorchEncoder(model, "cpu")(pictures))


@pytest.mark.slow
@pytest.mark.parametrize("spec", KINDS, ids=KINDS.get)
def test_a_published_network_reads_normalised_pictures_in_other_runtimes(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime in float32 and with static int8, and OpenVINO, from one graph, which takes long to make."""
    pytest.importorskip("openvino")
    model, pictures = lively(spec), drawn(spec)
    graph = export.onnx_graph(model, input="float_nchw")
    monkeypatch.setattr(export, "onnx_graph", lambda *_, **__: copy.deepcopy(graph))
    expected = TorchEncoder(model, "cpu")(pictures)
    for name in ("model.onnx", "model.xml"):
        export.export(model, tmp_path / name, input="float_nchw", pictures=pictures)
        require_near(load(tmp_path / name)(pictures), expected)
    try:
        export.export(model, tmp_path / "int8.onnx", input="float_nchw", precision="int8_static", pictures=pictures)
    except ExportError as error:  # Random weights round worse than trained ones.
        assert re.match(r"expected vectors of cosine 0\.9 or more", str(error))  # noqa: PT017


@pytest.mark.slow
@pytest.mark.parametrize("spec", KINDS, ids=KINDS.get)
def test_a_published_network_learns(spec: ModelSpec) -> None:
    """The gradient reaches every weight, and a small step along it lowers the loss."""
    model = lively(spec).train()
    images = torch.from_numpy(np.stack(drawn(spec, 4) * 2)).permute(0, 3, 1, 2)
    labels = torch.arange(4).repeat(2)
    side = {"cameras": labels % 2, "views": None if spec.vit.views is None else labels % 3}
    identity, metric = IdentityLoss(4, model.dims["embedding"]), AdaSPLoss()

    def loss() -> Tensor:
        torch.manual_seed(0)  # of dropout and dropped paths
        outputs = model(images, **side)
        return identity(outputs.embedding, labels) + metric(outputs.feature, labels)

    first = loss()
    first.backward()
    missed = [
        name for name, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is None
    ]
    assert not missed
    with torch.no_grad():
        gradients = [(p, p.grad) for p in model.parameters() if p.grad is not None]
        step = 1e-3 * first / sum(gradient.square().sum() for _, gradient in gradients)
        for parameter, gradient in gradients:
            parameter -= step * gradient
        assert loss() < first
