"""Files of published models, made up with the names and shapes that their projects' code gives them.

The names are written down here from that code, not taken from the networks that they are loaded into.
"""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor

from reseen.errors import CheckpointError
from reseen.models import Embedder, ModelSpec, SideInfo, WeightsReport
from reseen.zoo import Entry, entries, entry

Tensors = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]
WIDTHS = {
    "x1_0": (64, 256, 384, 512),
    "x0_75": (48, 192, 288, 384),
    "x0_5": (32, 128, 192, 256),
    "x0_25": (16, 64, 96, 128),
}


def made(shapes: Shapes) -> Tensors:
    """Return tensors of these shapes: small numbers, and variances above zero."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.tensor(0)
        if name.endswith("num_batches_tracked")
        else (0.1 if "weight" in name else 1.0) * torch.rand(shape, generator=generator) + ("running_var" in name)
        for name, shape in shapes.items()
    }


def scaled(shapes: Shapes) -> Tensors:
    """Return tensors of these shapes and of both signs, through which values stay near one; slower to make."""
    generator = torch.Generator().manual_seed(0)
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    for name, tensor in tensors.items():
        if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
            tensors[name] = 1 + tensor.abs() / 4
        elif tensor.ndim > 1 and name.endswith(("weight", ".proj")):
            tensors[name] = tensor / tensor[0].numel() ** 0.5
        elif name.endswith("num_batches_tracked"):
            tensors[name] = torch.tensor(0)
    return tensors


def norm(name: str, channels: int, *, batch: bool = True) -> Shapes:
    both: Shapes = {f"{name}.weight": (channels,), f"{name}.bias": (channels,)}
    if batch:
        both |= {f"{name}.running_mean": (channels,), f"{name}.running_var": (channels,)}
        both |= {f"{name}.num_batches_tracked": ()}
    return both


def conv(name: str, outputs: int, inputs: int, size: int = 1, *, bias: bool = False) -> Shapes:
    return {f"{name}.weight": (outputs, inputs, size, size)} | ({f"{name}.bias": (outputs,)} if bias else {})


def linear(name: str, outputs: int, inputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def osnet_block(name: str, inputs: int, outputs: int, kind: str) -> Shapes:
    """A block of torchreid's ``osnet.py`` (kind ``""`` or ``ibn``) or ``osnet_ain.py`` (``ain``, ``ain inside``)."""
    middle = outputs // 4
    shapes = conv(f"{name}.conv1.conv", middle, inputs) | norm(f"{name}.conv1.bn", middle)
    for stream in range(4):
        for step in range(stream + 1):
            if kind.startswith("ain"):
                light = f"{name}.conv2.{stream}.layers.{step}"
            else:
                light = f"{name}.conv2{'abcd'[stream]}" + (f".{step}" if stream else "")
            shapes |= conv(f"{light}.conv1", middle, middle) | conv(f"{light}.conv2", middle, 1, 3)
            shapes |= norm(f"{light}.bn", middle)
    shapes |= conv(f"{name}.gate.fc1", middle // 16, middle, bias=True)
    shapes |= conv(f"{name}.gate.fc2", middle, middle // 16, bias=True)
    shapes |= conv(f"{name}.conv3.conv", outputs, middle)
    if kind != "ain inside":
        shapes |= norm(f"{name}.conv3.bn", outputs)
    if kind in ("ibn", "ain inside"):
        shapes |= norm(f"{name}.IN", outputs, batch=False)
    if inputs != outputs:
        shapes |= conv(f"{name}.downsample.conv", outputs, inputs) | norm(f"{name}.downsample.bn", outputs)
    return shapes


def osnet(backbone: str, classes: int = 1041) -> Shapes:
    kind, _, width = backbone.removeprefix("osnet").rpartition("_x")
    kind, sizes = kind.strip("_"), WIDTHS[f"x{width}"]
    inside = {(2, 0), (2, 1), (3, 1), (4, 0)}  # the blocks of osnet_ain_x1_0 with an instance norm
    shapes = conv("conv1.conv", sizes[0], 3, 7) | norm("conv1.bn", sizes[0], batch=kind == "")
    for stage in (2, 3, 4):
        outputs = sizes[stage - 1]
        for number, inputs in enumerate((sizes[stage - 2], outputs)):
            block = {"ain": "ain inside" if (stage, number) in inside else "ain", "ibn": "ibn" if stage == 2 else ""}
            shapes |= osnet_block(f"conv{stage}.{number}", inputs, outputs, block.get(kind, ""))
        if stage < 4:
            shrink = f"pool{stage}.0" if kind == "ain" else f"conv{stage}.2.0"
            shapes |= conv(f"{shrink}.conv", outputs, outputs) | norm(f"{shrink}.bn", outputs)
    shapes |= conv("conv5.conv", sizes[3], sizes[3]) | norm("conv5.bn", sizes[3])
    return shapes | linear("fc.0", 512, sizes[3]) | norm("fc.1", 512) | linear("classifier", classes, 512)


def resnet(depth: int, *, ibn: bool = False) -> Shapes:
    """Torchvision's names of ResNet-50, 101 and 152, which all projects share."""
    shapes, inputs = conv("conv1", 64, 3, 7) | norm("bn1", 64), 64
    for stage, blocks in enumerate({50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}[depth]):
        width = 64 * 2**stage
        for block in range(blocks):
            name = f"layer{stage + 1}.{block}"
            for number, (out, into, size) in enumerate(
                ((width, inputs, 1), (width, width, 3), (4 * width, width, 1)), start=1
            ):
                shapes |= conv(f"{name}.conv{number}", out, into, size)
                if ibn and number == 1 and stage < 3:
                    shapes |= norm(f"{name}.bn1.IN", width // 2, batch=False) | norm(f"{name}.bn1.BN", width // 2)
                else:
                    shapes |= norm(f"{name}.bn{number}", out)
            if block == 0:
                shapes |= conv(f"{name}.downsample.0", 4 * width, inputs) | norm(f"{name}.downsample.1", 4 * width)
            inputs = 4 * width
    return shapes


def non_local(depth: int, middle: Callable[[int], int], *, listed_g: bool) -> Shapes:
    """AGW's and fast-reid's blocks, counted within a stage."""
    shapes: Shapes = {}
    for stage, channels, count in ((2, 512, 2), (3, 1024, 9 if depth == 101 else 3)):
        for number in range(count):
            name, inside = f"NL_{stage}.{number}", middle(channels)
            for part in ("g.0" if listed_g else "g", "theta", "phi"):
                shapes |= conv(f"{name}.{part}", inside, channels, bias=True)
            shapes |= conv(f"{name}.W.0", channels, inside, bias=True) | norm(f"{name}.W.1", channels)
    return shapes


def under(prefix: str, shapes: Shapes) -> Shapes:
    return {f"{prefix}{name}": shape for name, shape in shapes.items()}


def resnest() -> Shapes:
    """fast-reid's ``resnest.py`` at a depth of 50: a deep stem, two splits, shortcuts behind a pooling."""
    shapes = conv("conv1.0", 32, 3, 3) | norm("conv1.1", 32) | conv("conv1.3", 32, 32, 3) | norm("conv1.4", 32)
    shapes |= conv("conv1.6", 64, 32, 3) | norm("bn1", 64)
    inputs = 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width = 64 * 2**stage
        for block in range(blocks):
            name = f"layer{stage + 1}.{block}"
            shapes |= conv(f"{name}.conv1", width, inputs) | norm(f"{name}.bn1", width)
            shapes |= conv(f"{name}.conv2.conv", 2 * width, width // 2, 3) | norm(f"{name}.conv2.bn0", 2 * width)
            inside = max(width // 2, 32)
            shapes |= conv(f"{name}.conv2.fc1", inside, width, bias=True) | norm(f"{name}.conv2.bn1", inside)
            shapes |= conv(f"{name}.conv2.fc2", 2 * width, inside, bias=True)
            shapes |= conv(f"{name}.conv3", 4 * width, width) | norm(f"{name}.bn3", 4 * width)
            if block == 0:
                shapes |= conv(f"{name}.downsample.1", 4 * width, inputs) | norm(f"{name}.downsample.2", 4 * width)
            inputs = 4 * width
    return shapes


MGN_TRUNK = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5"}


def fast_reid_mgn() -> Shapes:
    """fast-reid's ``mgn.py`` of July 2020: a trunk as a list, three tails, and eight heads behind as many poolings."""
    shapes: Shapes = {"pixel_mean": (1, 3, 1, 1), "pixel_std": (1, 3, 1, 1)}
    for name, shape in resnet(50, ibn=True).items():
        part, _, rest = name.partition(".")
        if part in MGN_TRUNK:
            shapes[f"backbone.{MGN_TRUNK[part]}.{rest}"] = shape
        elif name.startswith("layer3.0."):
            shapes[name.replace("layer3.0.", "backbone.6.")] = shape
        else:
            block, _, rest = rest.partition(".")
            place = f"0.{int(block) - 1}" if part == "layer3" else f"1.{block}"
            shapes |= {f"b{branch}.{place}.{rest}": shape for branch in (1, 2, 3)}
    for head in ("b1", "b2", "b21", "b22", "b3", "b31", "b32", "b33"):
        shapes |= {f"{head}_pool.0.p": (1,)} | conv(f"{head}_pool.1", 256, 2048) | norm(f"{head}_pool.2", 256)
        shapes |= norm(f"{head}_head.bnneck", 256) | {f"{head}_head.classifier.weight": (751, 256)}
    return shapes


def fast_reid(spec: ModelSpec) -> Shapes:
    if spec.network == "mgn":
        return fast_reid_mgn()
    depth = int(re.findall(r"\d+", spec.backbone)[0])
    shapes = resnest() if "resnest" in spec.backbone else resnet(depth, ibn=spec.resnet.ibn == "a")
    if spec.resnet.non_local:
        shapes |= non_local(depth, lambda channels: 1, listed_g=False)
    shapes = under("backbone.", shapes) | {"pixel_mean": (1, 3, 1, 1), "pixel_std": (1, 3, 1, 1)}
    shapes |= norm("heads.bottleneck.0", 2048) | {"heads.weight": (751, 2048)}
    return shapes | ({"heads.pool_layer.p": (1,)} if spec.pooling == "gem" else {})


def vit(width: int, positions: int, *, depth: int = 12) -> Shapes:
    """timm's and DINO's names of a ViT without classifier; the patches' projection is of 16 pixels."""
    shapes: Shapes = {"cls_token": (1, 1, width), "pos_embed": (1, positions, width)}
    shapes |= conv("patch_embed.proj", width, 3, 16, bias=True) | norm("norm", width, batch=False)
    for block in range(depth):
        name = f"blocks.{block}"
        shapes |= norm(f"{name}.norm1", width, batch=False) | norm(f"{name}.norm2", width, batch=False)
        shapes |= linear(f"{name}.attn.qkv", 3 * width, width) | linear(f"{name}.attn.proj", width, width)
        shapes |= linear(f"{name}.mlp.fc1", 4 * width, width) | linear(f"{name}.mlp.fc2", width, 4 * width)
    return shapes


def patches(spec: ModelSpec) -> int:
    stride = spec.vit.patch_stride or 16
    return ((spec.height - 16) // stride + 1) * ((spec.width - 16) // stride + 1)


def trans_reid(spec: ModelSpec) -> Shapes:
    """Without JPM one neck and classifier; with it a last block of its own for the global and the local branch."""
    shapes = under("base.", vit(768, patches(spec) + 1)) | norm("bottleneck", 768) | {"classifier.weight": (751, 768)}
    if sides := len(spec.vit.cameras or ()) * len(spec.vit.views or (0,)):
        shapes |= {"base.sie_embed": (sides, 1, 768)}
    if spec.vit.patch_stride:
        last = {n.removeprefix("blocks.11."): s for n, s in vit(768, 1).items() if n.startswith("blocks.11.")}
        for branch in ("b1", "b2"):
            shapes |= under(f"{branch}.0.", last) | norm(f"{branch}.1", 768, batch=False)
        for part in range(1, 5):
            shapes |= norm(f"bottleneck_{part}", 768) | {f"classifier_{part}.weight": (751, 768)}
    return shapes | linear("base.fc", 1000, 768)


def trans_reid_ssl(spec: ModelSpec, name: str) -> Shapes:
    """Pretrained beside DINO's head, trained as TransReID's ``base``, or without labels as a network with a neck."""
    width = 384 if "small" in name else 768
    shapes = vit(width, patches(spec) + 1)
    if "ics" in name:
        shapes |= conv("patch_embed.conv.0", 64, 3, 7) | conv("patch_embed.conv.3", 64, 64, 3)
        shapes |= conv("patch_embed.conv.6", 64, 64, 3) | norm("patch_embed.conv.7", 64)
        for number in (1, 4):
            shapes |= norm(f"patch_embed.conv.{number}.IN", 32, batch=False) | norm(f"patch_embed.conv.{number}.BN", 32)
        shapes |= conv("patch_embed.proj", width, 64, 8, bias=True)
    if name.endswith(("small", "base")):
        return under("backbone.", shapes) | linear("head.mlp.0", 2048, width)
    if name.endswith("_usl") or "_to_" in name:
        return under("module.", shapes | norm("bottleneck", width))
    shapes = under("base.", shapes | linear("fc", 1000, width)) | norm("bottleneck", width)
    return shapes | {"classifier.weight": (751, width)}


def clip_resnet(positions: int) -> Shapes:
    """CLIP's ResNet-50: three convolutions as a stem, and attention in place of a mean."""
    shapes = {n: s for n, s in resnet(50).items() if n.startswith("layer")}
    for number, (outputs, inputs) in enumerate(((32, 3), (32, 32), (64, 32)), start=1):
        shapes |= conv(f"conv{number}", outputs, inputs, 3) | norm(f"bn{number}", outputs)
    shapes |= {"attnpool.positional_embedding": (positions + 1, 2048)} | linear("attnpool.c_proj", 1024, 2048)
    for part in "kqv":
        shapes |= linear(f"attnpool.{part}_proj", 2048, 2048)
    return shapes


def clip_reid(spec: ModelSpec) -> Shapes:
    if spec.backbone == "clip_reid_resnet50":
        shapes = under("image_encoder.", clip_resnet(spec.height * spec.width // 256))
        shapes |= norm("bottleneck", 2048) | norm("bottleneck_proj", 1024)
        shapes |= {"classifier.weight": (751, 2048), "classifier_proj.weight": (751, 1024)}
        return shapes | {"prompt_learner.cls_ctx": (751, 4, 512), "text_encoder.text_projection": (512, 1024)}
    visual: Shapes = {"class_embedding": (768,), "positional_embedding": (patches(spec) + 1, 768)}
    visual |= {"proj": (768, 512), "conv1.weight": (768, 3, 16, 16)}
    visual |= norm("ln_pre", 768, batch=False) | norm("ln_post", 768, batch=False)
    for block in range(12):
        name = f"transformer.resblocks.{block}"
        visual |= norm(f"{name}.ln_1", 768, batch=False) | norm(f"{name}.ln_2", 768, batch=False)
        visual |= {f"{name}.attn.in_proj_weight": (2304, 768), f"{name}.attn.in_proj_bias": (2304,)}
        visual |= linear(f"{name}.attn.out_proj", 768, 768)
        visual |= linear(f"{name}.mlp.c_fc", 3072, 768) | linear(f"{name}.mlp.c_proj", 768, 3072)
    shapes = under("image_encoder.", visual) | norm("bottleneck", 768) | norm("bottleneck_proj", 512)
    if spec.vit.cameras is not None:
        shapes |= {"cv_embed": (len(spec.vit.cameras) * len(spec.vit.views or (0,)), 768)}
    shapes |= {"classifier.weight": (751, 768), "classifier_proj.weight": (751, 512)}
    return shapes | {"prompt_learner.cls_ctx": (751, 4, 512), "text_encoder.text_projection": (512, 512)}


SWINS = {
    "tiny": (96, (2, 2, 6, 2)),
    "small": (96, (2, 2, 18, 2)),
    "base": (128, (2, 2, 18, 2)),
    "large": (192, (2, 2, 18, 2)),
}


def swin_block(width: int, heads: int, window: int, attention: str, mlp: tuple[str, str]) -> Shapes:
    shapes = norm("norm1", width, batch=False) | norm("norm2", width, batch=False)
    shapes |= linear(f"{attention}.qkv", 3 * width, width) | linear(f"{attention}.proj", width, width)
    shapes |= {f"{attention}.relative_position_bias_table": ((2 * window - 1) ** 2, heads)}
    shapes |= {f"{attention}.relative_position_index": (window**2, window**2)}
    return shapes | linear(mlp[0], 4 * width, width) | linear(mlp[1], width, 4 * width)


def swin(variant: str, window: int, *, stages: str, attention: str, mlp: tuple[str, str]) -> Shapes:
    """mmdetection's or timm's old names, without the patches' and the last norms."""
    first, depths = SWINS[variant]
    shapes: Shapes = {}
    for stage, depth in enumerate(depths):
        width = first * 2**stage
        for block in range(depth):
            shapes |= under(f"{stages}.{stage}.blocks.{block}.", swin_block(width, width // 32, window, attention, mlp))
        if stage < 3:
            shapes |= norm(f"{stages}.{stage}.downsample.norm", 4 * width, batch=False)
            shapes |= {f"{stages}.{stage}.downsample.reduction.weight": (2 * width, 4 * width)}
    return shapes


def solider(spec: ModelSpec) -> Shapes:
    variant = spec.backbone.rpartition("_")[2]
    first, _ = SWINS[variant]
    shapes = swin(variant, 7, stages="stages", attention="attn.w_msa", mlp=("ffn.layers.0.0", "ffn.layers.1"))
    shapes |= conv("patch_embed.projection", first, 3, 4, bias=True) | norm("patch_embed.norm", first, batch=False)
    for stage in range(4):
        shapes |= norm(f"norm{stage}", first * 2**stage, batch=False)
        width = first * 2 ** min(stage + 1, 3)
        shapes |= linear(f"semantic_embed_w.{stage}", width, 2) | linear(f"semantic_embed_b.{stage}", width, 2)
    return under("backbone.", shapes) | linear("head.mlp.0", 2048, first * 8)


def mega_descriptor(spec: ModelSpec) -> Shapes:
    variant, window = spec.backbone.split("_")[1], 12 if spec.height == 384 else 7
    first, _ = SWINS[variant]
    shapes = swin(variant, window, stages="layers", attention="attn", mlp=("mlp.fc1", "mlp.fc2"))
    shapes |= {"layers.0.blocks.1.attn_mask": (64, window**2, window**2)} | norm("norm", first * 8, batch=False)
    return shapes | conv("patch_embed.proj", first, 3, 4, bias=True) | norm("patch_embed.norm", first, batch=False)


def part_aware(spec: ModelSpec) -> Shapes:
    width, trained = 384 if "small" in spec.backbone else 768, spec.backbone.endswith("parts")
    shapes = vit(width, patches(spec) if trained else 14 * 14)
    shapes |= {f"part_token{part}": (1, 1, width) for part in (1, 2, 3)}
    shapes |= {f"{name}_pos": (1, 1, width) for name in ("cls", "part1", "part2", "part3")}
    if trained:
        shapes = under("base.", shapes | linear("fc", 1000, width)) | {"classifier.weight": (751, 2 * width)}
        for neck in ("bottleneck", "bottleneck_1", "bottleneck_2", "bottleneck_3"):
            shapes |= norm(neck, width)
        return shapes
    return under("backbone.", shapes) | linear("head.mlp.0", 2048, width)


def of_timm(spec: ModelSpec) -> Shapes:
    """timm's own files: the names are its networks'."""
    with torch.device("meta"):
        network = timm.create_model(spec.backbone.removeprefix("timm:"), num_classes=0)
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def miew_id(spec: ModelSpec) -> Shapes:
    shapes = under("backbone.", of_timm(spec)) | norm("bn", 2152) | linear("final", 10, 2152)
    return shapes | {"backbone.global_pool.p": (1,)}


def agw(spec: ModelSpec) -> Shapes:
    shapes = under("base.", resnet(50) | non_local(50, lambda channels: channels // 2, listed_g=True))
    return shapes | {"global_pool.p": (1,), "classifier.weight": (751, 2048)} | norm("bottleneck", 2048)


def unit(name: str, outputs: int, inputs: int, size: int = 1, *, bias: bool = False) -> Shapes:
    return conv(f"{name}.conv", outputs, inputs, size, bias=bias) | norm(f"{name}.bn", outputs)


def mobilenet(width: float) -> Shapes:
    """torchreid's ``mobilenetv2.py``."""
    inputs = int(32 * width)
    shapes = unit("conv1", inputs, 3, 3)
    stages = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
    for stage, (expansion, channels, count) in enumerate(stages, start=2):
        for block in range(count):
            name, middle, outputs = f"conv{stage}.{block}", inputs * expansion, int(channels * width)
            shapes |= unit(f"{name}.conv1", middle, inputs) | unit(f"{name}.dwconv2", middle, 1, 3)
            shapes |= conv(f"{name}.conv3.0", outputs, middle) | norm(f"{name}.conv3.1", outputs)
            inputs = outputs
    last = int(1280 * width)
    return shapes | unit("conv9", last, inputs) | linear("classifier", 751, last)


def mlfn() -> Shapes:
    """torchreid's ``mlfn.py``."""
    shapes, inputs = conv("conv1", 64, 3, 7, bias=True) | norm("bn1", 64), 64
    widths = [(256, 128, 64)] * 3 + [(512, 256, 128)] * 4 + [(1024, 512, 128)] * 6 + [(2048, 512, 128)] * 3
    for number, (outputs, one, two) in enumerate(widths):
        name, middle = f"feature.{number}", outputs // 2
        shapes |= conv(f"{name}.fm_conv1", middle, inputs) | norm(f"{name}.fm_bn1", middle)
        shapes |= conv(f"{name}.fm_conv2", middle, middle // 32, 3) | norm(f"{name}.fm_bn2", middle)
        shapes |= conv(f"{name}.fm_conv3", outputs, middle) | norm(f"{name}.fm_bn3", outputs)
        for place, (out, into) in zip((1, 4, 7), ((one, inputs), (two, one), (32, two)), strict=True):
            shapes |= conv(f"{name}.fsm.{place}", out, into, bias=True) | norm(f"{name}.fsm.{place + 1}", out)
        if inputs != outputs:
            shapes |= conv(f"{name}.downsample.0", outputs, inputs) | norm(f"{name}.downsample.1", outputs)
        inputs = outputs
    shapes |= conv("fc_x.0", 1024, 2048) | norm("fc_x.1", 1024) | conv("fc_s.0", 1024, 512) | norm("fc_s.1", 1024)
    return shapes | linear("classifier", 751, 1024)


def hacnn() -> Shapes:
    """torchreid's ``hacnn.py``."""
    shapes, inputs = unit("conv", 32, 3, 3, bias=True), 32

    def streams(name: str, inputs: int, outputs: int, *, shrink: bool) -> Shapes:
        quarter, made = outputs // 4, {}
        for stream, count in enumerate((1, 2) if shrink else (1, 1, 1), start=1):
            made |= unit(f"{name}.stream{stream}.0", quarter, inputs, bias=True)
            for place in range(1, count + 1):
                made |= unit(f"{name}.stream{stream}.{place}", quarter, quarter, 3, bias=True)
        last = unit(f"{name}.stream3.1", 2 * quarter, inputs, bias=True)
        return made | (last if shrink else unit(f"{name}.stream4.1", quarter, inputs, bias=True))

    for number, outputs in enumerate((128, 256, 384), start=1):
        shapes |= streams(f"inception{number}.0", inputs, outputs, shrink=False)
        shapes |= streams(f"inception{number}.1", outputs, outputs, shrink=True)
        shapes |= streams(f"local_conv{number}", inputs, outputs, shrink=True)
        soft = f"ha{number}.soft_attn"
        shapes |= unit(f"{soft}.spatial_attn.conv1", 1, 1, 3, bias=True) | unit(
            f"{soft}.conv", outputs, outputs, bias=True
        )
        shapes |= unit(f"{soft}.spatial_attn.conv2", 1, 1, bias=True)
        shapes |= unit(f"{soft}.channel_attn.conv1", outputs // 16, outputs, bias=True)
        shapes |= unit(f"{soft}.channel_attn.conv2", outputs, outputs // 16, bias=True)
        shapes |= linear(f"ha{number}.hard_attn.fc", 8, outputs)
        inputs = outputs
    for part, width in (("global", 384), ("local", 1536)):
        shapes |= linear(f"fc_{part}.0", 512, width) | norm(f"fc_{part}.1", 512)
        shapes |= linear(f"classifier_{part}", 751, 512)
    return shapes


def shufflenet() -> Shapes:
    """torchreid's ``shufflenet.py`` with three groups."""
    shapes, inputs = conv("conv1.0", 24, 3, 3) | norm("conv1.1", 24), 24
    for stage, (width, count) in enumerate(((240, 4), (480, 8), (960, 4)), start=2):
        for block in range(count):
            name, middle = f"stage{stage}.{block}", width // 4
            outputs = width if block else width - inputs
            shapes |= conv(f"{name}.conv1", middle, inputs if (stage, block) == (2, 0) else inputs // 3)
            shapes |= conv(f"{name}.conv2", middle, 1, 3) | conv(f"{name}.conv3", outputs, middle // 3)
            shapes |= norm(f"{name}.bn1", middle) | norm(f"{name}.bn2", middle) | norm(f"{name}.bn3", outputs)
            inputs = width
    return shapes | linear("classifier", 1000, 960)


def torch_reid(spec: ModelSpec) -> Shapes:
    if spec.backbone == "shufflenet":
        return shufflenet()
    if spec.backbone.startswith("mobilenetv2"):
        return mobilenet(float(spec.backbone[-3:].replace("_", ".")))
    if spec.backbone in ("mlfn", "hacnn"):
        return mlfn() if spec.backbone == "mlfn" else hacnn()
    if spec.dim == 512:
        return resnet(50) | linear("fc.0", 512, 2048) | norm("fc.1", 512) | linear("classifier", 751, 512)
    return osnet(spec.backbone) if spec.backbone.startswith("osnet") else resnet(50) | linear("classifier", 751, 2048)


FAMILIES: dict[str, Callable[[ModelSpec], Shapes]] = {
    "torchreid": torch_reid,
    "fast-reid": fast_reid,
    "TransReID": trans_reid,
    "CLIP-ReID": clip_reid,
    "SOLIDER": solider,
    "PASS": part_aware,
    "LUPerson": lambda spec: resnet(int(spec.backbone.removeprefix("timm:resnet"))) | linear("fc", 128, 2048),
    "AGW": agw,
    "MegaDescriptor": mega_descriptor,
    "MiewID": miew_id,
    "DINOv2": of_timm,
    "DINOv3": of_timm,
    "SigLIP 2": of_timm,
}
FORMATS = {
    "torchreid": "torchreid",
    "fast-reid": "fast-reid",
    "TransReID": "TransReID",
    "TransReID-SSL": "TransReID-SSL",
    "CLIP-ReID": "CLIP-ReID",
    "SOLIDER": "SOLIDER",
    "PASS": "PASS",
    "AGW": "strong-baseline",
    "MiewID": "MiewID",
}


def load(
    each: Entry, folder: Path, *, make: Callable[[Shapes], Tensors] = made
) -> tuple[Embedder, WeightsReport, Tensors]:
    spec = ModelSpec.from_dict(each.spec)
    ssl = each.family == "TransReID-SSL"
    tensors = make(trans_reid_ssl(spec, each.name) if ssl else FAMILIES[each.family](spec))
    torch.save({"teacher": tensors} if "head.mlp.0.weight" in tensors else tensors, folder / "w.pth")
    model = Embedder(dataclasses.replace(spec, weights=str(folder / "w.pth"))).eval()
    (folder / "w.pth").unlink()
    assert model.report is not None
    return model, model.report, tensors


OURS = ("neck.", "pooling.", "backbone.", "tails.", "reductions.", "reduction.")


def holds(each: Entry, folder: Path) -> None:
    """Load a made file of an entry: every tensor of the network comes from it, and what is left is no part of it."""
    model, report, tensors = load(each, folder)
    assert report.kept == ()
    also = {"TransReID", "timm"} if each.family == "TransReID-SSL" else {"timm"} if "resnet" in each.name else set()
    assert report.format.partition(",")[0] in {FORMATS.get(each.family, "timm")} | also
    ours = {n for n in model.network.state_dict() if not n.endswith("num_batches_tracked")}
    if each.spec.get("neck") == "none" or each.family == "LUPerson":
        ours = {n for n in ours if n.startswith(("backbone.", "pooling."))}
    used = {n if n.startswith(OURS) else f"backbone.{n}" for n in report.used}
    assert ours <= used
    assert len(report.used) > 0.6 * len(tensors)


SMALL = [
    "osnet_ain_x1_0_msmt17",
    "osnet_ibn_x1_0_msmt17",
    "osnet_x0_25_market1501",
    "torchreid_mobilenetv2_x1_4_msmt17",
    "torchreid_hacnn_msmt17",
    "fastreid_sbs_s50_msmt17",
    "fastreid_mgn_r50_ibn_dukemtmc",
    "clipreid_cnn_veri776",
    "solider_swin_tiny",
    "pass_vit_small",
    "transreid_ssl_vit_small",
    "transreid_ssl_ics_vit_small_msmt17",
    "transreid_ssl_ics_vit_small_market1501_to_msmt17",
    "megadescriptor_t_224",
    "vit_small_patch14_dinov2",
]


@pytest.mark.parametrize("name", SMALL)
def test_a_file_of_the_true_names_fills_the_network(name: str, tmp_path: Path) -> None:
    holds(entry(name), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, each in entries().items() if each.kind == "torch" and n not in SMALL])
def test_every_other_entry_too(name: str, tmp_path: Path) -> None:
    holds(entry(name), tmp_path)


def reference_osnet_ain(t: Tensors, x: Tensor) -> Tensor:
    """torchreid's ``osnet_ain_x1_0`` in evaluation, from its tensors by their names there."""

    def batch(name: str, x: Tensor) -> Tensor:
        values = (t[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *values)

    def instance(name: str, x: Tensor) -> Tensor:
        return F.instance_norm(x, weight=t[f"{name}.weight"], bias=t[f"{name}.bias"])

    def light(name: str, x: Tensor) -> Tensor:
        x = F.conv2d(x, t[f"{name}.conv1.weight"])
        return batch(f"{name}.bn", F.conv2d(x, t[f"{name}.conv2.weight"], padding=1, groups=x.shape[1])).relu()

    def gate(name: str, x: Tensor) -> Tensor:
        y = F.conv2d(x.mean((2, 3), keepdim=True), t[f"{name}.fc1.weight"], t[f"{name}.fc1.bias"]).relu()
        return x * F.conv2d(y, t[f"{name}.fc2.weight"], t[f"{name}.fc2.bias"]).sigmoid()

    def block(name: str, x: Tensor, *, inside: bool) -> Tensor:
        y = batch(f"{name}.conv1.bn", F.conv2d(x, t[f"{name}.conv1.conv.weight"])).relu()
        mixed = torch.zeros(())
        for stream in range(4):
            z = y
            for step in range(stream + 1):
                z = light(f"{name}.conv2.{stream}.layers.{step}", z)
            mixed = mixed + gate(f"{name}.gate", z)
        y = F.conv2d(mixed, t[f"{name}.conv3.conv.weight"])
        y = instance(f"{name}.IN", y) if inside else batch(f"{name}.conv3.bn", y)
        if f"{name}.downsample.conv.weight" in t:
            x = batch(f"{name}.downsample.bn", F.conv2d(x, t[f"{name}.downsample.conv.weight"]))
        return (x + y).relu()

    x = instance("conv1.bn", F.conv2d(x, t["conv1.conv.weight"], stride=2, padding=3)).relu()
    x = F.max_pool2d(x, 3, stride=2, padding=1)
    for stage, places in ((2, (True, True)), (3, (False, True)), (4, (True, False))):
        for number, inside in enumerate(places):
            x = block(f"conv{stage}.{number}", x, inside=inside)
        if stage < 4:
            name = f"pool{stage}.0"
            x = F.avg_pool2d(batch(f"{name}.bn", F.conv2d(x, t[f"{name}.conv.weight"])).relu(), 2)
    x = batch("conv5.bn", F.conv2d(x, t["conv5.conv.weight"])).relu().mean((2, 3))
    return batch("fc.1", F.linear(x, t["fc.0.weight"], t["fc.0.bias"])).relu()


def test_osnet_ain_gives_what_its_authors_code_gives(tmp_path: Path) -> None:
    model, _, tensors = load(entry("osnet_ain_x1_0_msmt17"), tmp_path)
    images = torch.randint(0, 256, (2, 3, 64, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    model.pixels.size = (64, 32)
    with torch.no_grad():
        ours, theirs = model(images).embedding, reference_osnet_ain(tensors, model.pixels(images))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert theirs.std() > 0


def batch_norm(t: Tensors, name: str, x: Tensor) -> Tensor:
    return F.batch_norm(x, *(t[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")))


def reference_mobilenet(t: Tensors, x: Tensor) -> Tensor:
    """torchreid's MobileNetV2 in evaluation, from its tensors by their names there."""

    def step(name: str, x: Tensor, **options: Any) -> Tensor:
        return batch_norm(t, f"{name}.bn", F.conv2d(x, t[f"{name}.conv.weight"], **options)).clamp(0, 6)

    x = step("conv1", x, stride=2, padding=1)
    for stage, (count, stride) in enumerate(((1, 1), (2, 2), (3, 2), (4, 2), (3, 1), (3, 2), (1, 1)), start=2):
        for block in range(count):
            name = f"conv{stage}.{block}"
            y = step(f"{name}.conv1", x)
            y = step(f"{name}.dwconv2", y, stride=1 if block else stride, padding=1, groups=y.shape[1])
            y = batch_norm(t, f"{name}.conv3.1", F.conv2d(y, t[f"{name}.conv3.0.weight"]))
            x = x + y if block else y
    return step("conv9", x).mean((2, 3))


def reference_mlfn(t: Tensors, x: Tensor) -> Tensor:
    """torchreid's MLFN in evaluation, from its tensors by their names there."""

    def step(convolution: str, norm: str, x: Tensor, **options: Any) -> Tensor:
        weight, bias = t[f"{convolution}.weight"], t.get(f"{convolution}.bias")
        return batch_norm(t, norm, F.conv2d(x, weight, bias, **options))

    x = F.max_pool2d(step("conv1", "bn1", x, stride=2, padding=3).relu(), 3, 2, 1)
    factors = []
    for number in range(16):
        name, stride = f"feature.{number}", 2 if number in (3, 7, 13) else 1
        s = x.mean((2, 3), keepdim=True)
        for place in (1, 4, 7):
            s = step(f"{name}.fsm.{place}", f"{name}.fsm.{place + 1}", s)
            s = s.sigmoid() if place == 7 else s.relu()
        y = step(f"{name}.fm_conv1", f"{name}.fm_bn1", x).relu()
        y = step(f"{name}.fm_conv2", f"{name}.fm_bn2", y, stride=stride, padding=1, groups=32).relu()
        y = (y.unflatten(1, (32, -1)) * s[:, :, None]).flatten(1, 2)
        y = step(f"{name}.fm_conv3", f"{name}.fm_bn3", y).relu()
        if f"{name}.downsample.0.weight" in t:
            x = step(f"{name}.downsample.0", f"{name}.downsample.1", x, stride=stride)
        x = (x + y).relu()
        factors.append(s)
    features = step("fc_x.0", "fc_x.1", x.mean((2, 3), keepdim=True)).relu()
    return ((features + step("fc_s.0", "fc_s.1", torch.cat(factors, dim=1)).relu()) / 2).flatten(1)


def reference_shufflenet(t: Tensors, x: Tensor) -> Tensor:
    """torchreid's ShuffleNet in evaluation, from its tensors by their names there."""

    def step(name: str, number: int, x: Tensor, **options: Any) -> Tensor:
        return batch_norm(t, f"{name}.bn{number}", F.conv2d(x, t[f"{name}.conv{number}.weight"], **options))

    x = batch_norm(t, "conv1.1", F.conv2d(x, t["conv1.0.weight"], stride=2, padding=1)).relu()
    x = F.max_pool2d(x, 3, 2, 1)
    for stage, count in ((2, 4), (3, 8), (4, 4)):
        for block in range(count):
            name, stride = f"stage{stage}.{block}", 1 if block else 2
            y = step(name, 1, x, groups=1 if (stage, block) == (2, 0) else 3).relu()
            y = y.unflatten(1, (3, -1)).transpose(1, 2).flatten(1, 2)
            y = step(name, 2, y, stride=stride, padding=1, groups=y.shape[1])
            y = step(name, 3, y, groups=3)
            x = (x + y if block else torch.cat([F.avg_pool2d(x, 3, 2, 1), y], dim=1)).relu()
    return x.mean((2, 3))


def reference_hacnn(t: Tensors, x: Tensor) -> Tensor:
    """torchreid's HACNN in evaluation, from its tensors by their names there, one region after the other."""

    def unit(name: str, x: Tensor, **options: Any) -> Tensor:
        y = F.conv2d(x, t[f"{name}.conv.weight"], t[f"{name}.conv.bias"], **options)
        return batch_norm(t, f"{name}.bn", y).relu()

    def shrink(name: str, x: Tensor) -> Tensor:
        one = unit(f"{name}.stream1.1", unit(f"{name}.stream1.0", x), stride=2, padding=1)
        two = unit(f"{name}.stream2.1", unit(f"{name}.stream2.0", x), padding=1)
        two = unit(f"{name}.stream2.2", two, stride=2, padding=1)
        return torch.cat([one, two, unit(f"{name}.stream3.1", F.max_pool2d(x, 3, 2, 1))], dim=1)

    def keep(name: str, x: Tensor) -> Tensor:
        streams = [unit(f"{name}.stream{i}.1", unit(f"{name}.stream{i}.0", x), padding=1) for i in (1, 2, 3)]
        return torch.cat([*streams, unit(f"{name}.stream4.1", F.avg_pool2d(x, 3, 1, 1))], dim=1)

    def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
        return F.interpolate(x, size=size, mode="bilinear", align_corners=True)

    x, locals_ = unit("conv", x, stride=2, padding=1), [torch.zeros(())] * 4
    for number, size in ((1, (24, 28)), (2, (12, 14)), (3, (6, 7))):
        y = shrink(f"inception{number}.1", keep(f"inception{number}.0", x))
        soft = f"ha{number}.soft_attn"
        spatial = unit(f"{soft}.spatial_attn.conv1", y.mean(1, keepdim=True), stride=2, padding=1)
        spatial = unit(f"{soft}.spatial_attn.conv2", resized(spatial, (y.shape[2], y.shape[3])))
        channel = unit(f"{soft}.channel_attn.conv1", y.mean((2, 3), keepdim=True))
        attention = unit(f"{soft}.conv", spatial * unit(f"{soft}.channel_attn.conv2", channel)).sigmoid()
        hard = f"ha{number}.hard_attn.fc"
        centres = F.linear(y.mean((2, 3)), t[f"{hard}.weight"], t[f"{hard}.bias"]).tanh().view(-1, 4, 2)
        for region in range(4):
            matrix = torch.zeros(len(x), 2, 3, dtype=x.dtype)
            matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, :, 2] = 1, 0.25, centres[:, region]
            grid = F.affine_grid(matrix, list(x.shape), align_corners=True)
            cut = resized(F.grid_sample(x, grid, align_corners=True), size)
            locals_[region] = shrink(f"local_conv{number}", cut + locals_[region])
        x = y * attention

    def vector(name: str, x: Tensor) -> Tensor:
        x = batch_norm(t, f"{name}.1", F.linear(x, t[f"{name}.0.weight"], t[f"{name}.0.bias"])).relu()
        return x / x.norm(dim=1, keepdim=True)

    means = torch.cat([region.mean((2, 3)) for region in locals_], dim=1)
    return torch.cat([vector("fc_global", x.mean((2, 3))), vector("fc_local", means)], dim=1)


@pytest.mark.parametrize(
    ("name", "size", "reference"),
    [
        ("mobilenetv2_x1_0_market1501", (64, 32), reference_mobilenet),
        ("mlfn_market1501", (64, 32), reference_mlfn),
        ("hacnn_market1501", (160, 64), reference_hacnn),
        ("shufflenet_imagenet", (64, 32), reference_shufflenet),
    ],
)
def test_torchreids_networks_give_what_its_code_gives(
    name: str, size: tuple[int, int], reference: Callable[[Tensors, Tensor], Tensor], tmp_path: Path
) -> None:
    each = entry(f"torchreid_{name}")
    each = dataclasses.replace(each, spec=each.spec | {"height": size[0], "width": size[1]})
    model, report, tensors = load(each, tmp_path, make=scaled)
    assert report.kept == ()
    assert all(n.startswith("classifier") for n in report.left)
    model, tensors = model.double(), {n: tensor.double() for n, tensor in tensors.items()}
    images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours, theirs = model(images).embedding, reference(tensors, model.pixels(images))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    assert theirs.std() > 1e-3


def test_torchreids_reduction_has_no_bias_here_and_gives_the_same(tmp_path: Path) -> None:
    model, report, tensors = load(entry("torchreid_resnet50_fc512_market1501"), tmp_path, make=scaled)
    assert report.kept == ()
    assert sorted(report.left) == ["classifier.bias", "classifier.weight", "fc.0.bias"]
    vectors = torch.randn(2, 2048, generator=torch.Generator().manual_seed(1))
    theirs = batch_norm(tensors, "fc.1", F.linear(vectors, tensors["fc.0.weight"], tensors["fc.0.bias"])).relu()
    network = model.network
    with torch.no_grad():
        ours = network.neck(network.reduction(vectors), SideInfo()).embedding
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["mobilenetv2_x1_0", "mlfn", "hacnn", "shufflenet"])
def test_torchreids_networks_train_and_take_any_pooling(name: str) -> None:
    size = (160, 64) if name == "hacnn" else (64, 32)
    images = torch.randint(0, 256, (4, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    for options in ({}, {"pooling": "gem"}, {"network": "pcb", "dim": 8}):
        model = Embedder(ModelSpec.from_dict({"backbone": name, "height": size[0], "width": size[1]} | options))
        outputs = model(images)
        assert outputs.embedding.shape == (4, model.dims["embedding"])
        outputs.feature.sum().backward()
    with pytest.raises(ValueError, match="expected pictures of 160x64 for HACNN, got 256x128"):
        Embedder(ModelSpec("hacnn"))


def test_resnest_s_last_stage_gives_what_fast_reid_s_code_gives(tmp_path: Path) -> None:
    """Without its stride: the pooling within the first block stays, that of the shortcut goes."""
    model, _, tensors = load(entry("fastreid_bot_s50_market1501"), tmp_path)
    start = "backbone.layer4.0"

    def batch(name: str, x: Tensor) -> Tensor:
        values = (tensors[f"{start}.{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *values)

    def conv2d(name: str, x: Tensor, **options: Any) -> Tensor:
        return F.conv2d(x, tensors[f"{start}.{name}.weight"], tensors.get(f"{start}.{name}.bias"), **options)

    x = torch.randn(2, 1024, 6, 4, generator=torch.Generator().manual_seed(3))
    y = batch("bn1", conv2d("conv1", x)).relu()
    y = batch("conv2.bn0", conv2d("conv2.conv", y, padding=1, groups=2)).relu()
    one, two = y.chunk(2, dim=1)
    attention = batch("conv2.bn1", conv2d("conv2.fc1", (one + two).mean((2, 3), keepdim=True))).relu()
    first, second = conv2d("conv2.fc2", attention).view(2, 2, 512, 1, 1).softmax(1).unbind(1)
    y = F.avg_pool2d(first * one + second * two, 3, stride=1, padding=1)
    expected = (batch("bn3", conv2d("conv3", y)) + batch("downsample.2", conv2d("downsample.1", x))).relu()
    with torch.no_grad():
        found = model.network.backbone.network.layer4[0](x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)
    assert model.network.backbone.network.maxpool.ceil_mode is False  # ResNeSt's stem is everybody's.


def test_what_shrinks_a_map_of_solider_is_the_same(tmp_path: Path) -> None:
    """mmdetection's merging of four neighbours, and SOLIDER's scale and shift after it."""
    model, _, tensors = load(entry("solider_swin_tiny"), tmp_path)
    t = {n.removeprefix("backbone."): v for n, v in tensors.items()}
    x = torch.randn(1, 96, 6, 4, generator=torch.Generator().manual_seed(2))
    merged = F.unfold(x, 2, stride=2).transpose(1, 2)  # (1, 6, 4 C), colours outside
    name = "stages.0.downsample"
    merged = F.layer_norm(merged, (384,), t[f"{name}.norm.weight"], t[f"{name}.norm.bias"])
    weight = torch.tensor([[0.2, 0.8]])
    scale, shift = (
        F.linear(weight, t[f"semantic_embed_{kind}.0.weight"], t[f"semantic_embed_{kind}.0.bias"]) for kind in "wb"
    )
    expected = F.linear(merged, t[f"{name}.reduction.weight"]) * F.softplus(scale) + shift
    with torch.no_grad():
        found = model.network.backbone.network.layers[1].downsample(x.permute(0, 2, 3, 1))
    torch.testing.assert_close(found.flatten(1, 2), expected)


def test_windows_of_solider_are_indexed_as_timm_does() -> None:
    """mmdetection's index of the relative positions in a window of 7 x 7."""
    steps = (torch.arange(0, 13 * 7, 13)[:, None] + torch.arange(0, 7)[None]).reshape(1, -1)
    index = (steps + steps.T).flip(1)
    block = timm.create_model("swin_tiny_patch4_window7_224", num_classes=0).layers[0].blocks[0]
    assert torch.equal(block.attn.relative_position_index.view(49, 49), index)


def test_part_tokens_take_their_positions_along(tmp_path: Path) -> None:
    model, _, tensors = load(entry("pass_vit_small"), tmp_path)
    t = {n.removeprefix("backbone."): v for n, v in tensors.items()}
    network = model.network.backbone.network
    torch.testing.assert_close(network.cls_token[0, 0], (t["cls_token"] + t["cls_pos"])[0, 0])
    torch.testing.assert_close(network.reg_token[0, 2], (t["part_token3"] + t["part3_pos"])[0, 0])
    assert network.pos_embed.shape == (1, 16 * 8, 384)


def test_a_trained_pass_joins_the_class_token_and_the_mean_of_the_parts(tmp_path: Path) -> None:
    model, report, tensors = load(entry("pass_vit_small_msmt17"), tmp_path, make=scaled)
    assert report.kept == ()
    assert all(re.match(r"base\.fc|bottleneck|classifier", name) for name in report.left)
    t = {n.removeprefix("base."): v for n, v in tensors.items()}
    network = model.network.backbone.network
    torch.testing.assert_close(network.cls_token, t["cls_token"] + t["cls_pos"])
    torch.testing.assert_close(network.reg_token[:, 1:2], t["part_token2"] + t["part2_pos"])
    raw = torch.randn(2, 4 + 128, 384, generator=torch.Generator().manual_seed(1))
    joined = torch.cat([raw[:, 0], raw[:, 1] / 3 + raw[:, 2] / 3 + raw[:, 3] / 3], dim=1)
    torch.testing.assert_close(model.network.backbone.pool(raw), joined)
    assert model.dims["embedding"] == 768


@pytest.mark.slow
def test_clip_reid_joins_both_vectors(tmp_path: Path) -> None:
    model, report, tensors = load(entry("clipreid_vit_msmt17"), tmp_path)
    with torch.no_grad():
        vectors = model.embed(torch.zeros(1, 3, 256, 128, dtype=torch.uint8))
    torch.testing.assert_close(vectors[:, 768:], vectors[:, :768] @ tensors["image_encoder.proj"], rtol=1e-3, atol=1e-3)
    assert model.pixels.mean.flatten().tolist() == [127.5] * 3
    assert "prompt_learner.cls_ctx" in report.left


def reference_mgn(t: Tensors, x: Tensor) -> dict[str, Tensor]:
    """fast-reid's MGN of July 2020 in evaluation, from its tensors by their names there."""

    def batch(name: str, x: Tensor) -> Tensor:
        return F.batch_norm(x, *(t[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")))

    def first_norm(name: str, x: Tensor) -> Tensor:
        if f"{name}.IN.weight" not in t:
            return batch(name, x)
        one, two = x.chunk(2, dim=1)
        one = F.instance_norm(one, weight=t[f"{name}.IN.weight"], bias=t[f"{name}.IN.bias"])
        return torch.cat([one, batch(f"{name}.BN", two)], dim=1)

    def block(name: str, x: Tensor, *, stride: int = 1) -> Tensor:
        y = first_norm(f"{name}.bn1", F.conv2d(x, t[f"{name}.conv1.weight"])).relu()
        y = batch(f"{name}.bn2", F.conv2d(y, t[f"{name}.conv2.weight"], stride=stride, padding=1)).relu()
        y = batch(f"{name}.bn3", F.conv2d(y, t[f"{name}.conv3.weight"]))
        if f"{name}.downsample.0.weight" in t:
            x = batch(f"{name}.downsample.1", F.conv2d(x, t[f"{name}.downsample.0.weight"], stride=stride))
        return (x + y).relu()

    def head(name: str, x: Tensor) -> Tensor:
        power = t[f"{name}_pool.0.p"]
        pooled = (x.clamp(min=1e-6) ** power).mean((2, 3), keepdim=True) ** (1 / power)
        reduced = batch(f"{name}_pool.2", F.conv2d(pooled, t[f"{name}_pool.1.weight"])).relu()
        return batch(f"{name}_head.bnneck", reduced).flatten(1)

    x = batch("backbone.1", F.conv2d(x, t["backbone.0.weight"], stride=2, padding=3)).relu()
    x = F.max_pool2d(x, 3, stride=2, ceil_mode=True)
    for number in range(3):
        x = block(f"backbone.4.{number}", x)
    for number in range(4):
        x = block(f"backbone.5.{number}", x, stride=2 if number == 0 else 1)
    x = block("backbone.6", x, stride=2)
    vectors = {}
    for branch in (1, 2, 3):
        y = x
        for place in ("0.0", "0.1", "0.2", "0.3", "0.4", "1.0", "1.1", "1.2"):
            y = block(f"b{branch}.{place}", y)
        vectors[f"global_{branch}" if branch > 1 else "global"] = head(f"b{branch}", y)
        for part, strip in enumerate(y.chunk(branch, dim=2) if branch > 1 else (), start=1):
            vectors[f"part_{branch}_{part}"] = head(f"b{branch}{part}", strip)
    return vectors


def test_fast_reids_mgn_gives_what_its_authors_code_gives(tmp_path: Path) -> None:
    def with_one_power(shapes: Shapes) -> Tensors:
        """Tensors whose eight names of the pooling's power are one parameter's, as in the file."""
        tensors = scaled(shapes)
        return tensors | {name: torch.tensor([2.5]) for name in tensors if name.endswith("_pool.0.p")}

    each = entry("fastreid_mgn_r50_ibn_market1501")
    each = dataclasses.replace(each, spec=each.spec | {"height": 96, "width": 32})
    model, report, tensors = load(each, tmp_path, make=with_one_power)
    assert report.kept == ()
    assert all(name.endswith(("classifier.weight", "num_batches_tracked")) or "pixel" in name for name in report.left)
    images = torch.randint(0, 256, (2, 3, 96, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours, theirs = model(images), reference_mgn(tensors, model.pixels(images))
    assert list(ours.branches) == list(theirs)
    for name, vectors in theirs.items():
        torch.testing.assert_close(ours.branches[name], vectors, rtol=1e-3, atol=1e-3)
    assert torch.equal(ours.embedding, torch.cat(list(ours.branches.values()), dim=1))


@pytest.mark.parametrize(
    "other", [{"pooling": "max"}, {"neck": "rectified"}, {"network": "pcb"}, {"network": "global"}]
)
def test_a_network_that_fast_reids_mgn_fills_in_part_is_refused(other: dict[str, Any], tmp_path: Path) -> None:
    each = entry("fastreid_mgn_r50_ibn_dukemtmc")
    each = dataclasses.replace(each, spec=each.spec | {"height": 96, "width": 32} | other)
    with pytest.raises(CheckpointError, match=r"expected a model with network mgn, pooling gem, .* for .*w\.pth"):
        load(each, tmp_path, make=lambda shapes: made(fast_reid_mgn()))


def reference_ics_vit(t: Tensors, x: Tensor) -> Tensor:
    """TransReID-SSL's ViT-S with a stem of convolutions in evaluation, from its tensors by their names there."""

    def batch(name: str, x: Tensor) -> Tensor:
        return F.batch_norm(x, *(t[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")))

    def layer_norm(name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, (384,), t[f"{name}.weight"], t[f"{name}.bias"], eps=1e-6)

    def layer(name: str, x: Tensor) -> Tensor:
        return F.linear(x, t[f"{name}.weight"], t[f"{name}.bias"])

    for number, stride in ((0, 2), (3, 1)):
        weight, name = t[f"patch_embed.conv.{number}.weight"], f"patch_embed.conv.{number + 1}"
        one, two = F.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2).chunk(2, dim=1)
        one = F.instance_norm(one, weight=t[f"{name}.IN.weight"], bias=t[f"{name}.IN.bias"])
        x = torch.cat([one, batch(f"{name}.BN", two)], dim=1).relu()
    x = batch("patch_embed.conv.7", F.conv2d(x, t["patch_embed.conv.6.weight"], padding=1)).relu()
    x = F.conv2d(x, t["patch_embed.proj.weight"], t["patch_embed.proj.bias"], stride=8).flatten(2).mT
    x = torch.cat([t["cls_token"].expand(len(x), -1, -1), x], dim=1) + t["pos_embed"]
    for block in range(12):
        name = f"blocks.{block}"
        qkv = layer(f"{name}.attn.qkv", layer_norm(f"{name}.norm1", x))
        query, key, value = (part.unflatten(2, (6, 64)).transpose(1, 2) for part in qkv.chunk(3, dim=2))
        attended = (query @ key.mT / 8).softmax(3) @ value
        x = x + layer(f"{name}.attn.proj", attended.transpose(1, 2).flatten(2))
        x = x + layer(f"{name}.mlp.fc2", F.gelu(layer(f"{name}.mlp.fc1", layer_norm(f"{name}.norm2", x))))
    return layer_norm("norm", x[:, 0])


@pytest.mark.parametrize("name", ["ics_vit_small", "ics_vit_small_market1501", "ics_vit_small_market1501_usl"])
def test_vits_with_a_stem_of_convolutions_give_what_their_authors_code_gives(name: str, tmp_path: Path) -> None:
    each = entry(f"transreid_ssl_{name}")
    each = dataclasses.replace(each, spec=each.spec | {"height": 64, "width": 32})
    model, report, tensors = load(each, tmp_path, make=scaled)
    assert not [n for n in report.kept if not n.endswith("num_batches_tracked")]
    assert not [n for n in report.left if not re.match(r"(module\.)?(teacher\.head|base\.fc|bottleneck|classifier)", n)]
    tensors = {re.sub(r"^(backbone|module|base)\.", "", name): tensor.double() for name, tensor in tensors.items()}
    images = torch.randint(0, 256, (2, 3, 64, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    model = model.double()
    with torch.no_grad():
        ours, theirs = model(images), reference_ics_vit(tensors, model.pixels(images))
    torch.testing.assert_close(ours.feature, theirs, rtol=1e-6, atol=1e-6)
    assert model.pixels.mean.flatten().tolist() == [127.5] * 3
    if name.endswith("usl"):
        neck = (tensors[f"bottleneck.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        torch.testing.assert_close(ours.embedding, F.batch_norm(theirs, *neck), rtol=1e-6, atol=1e-6)
    else:
        assert torch.equal(ours.embedding, ours.feature)


def test_positions_of_a_persons_grid_are_resampled(tmp_path: Path) -> None:
    """A file of 256 x 128 in a network of 384 x 128."""
    each = entry("transreid_ssl_vit_small")
    tensors = made(trans_reid_ssl(ModelSpec.from_dict(each.spec), each.name))
    rows = torch.arange(16.0)[:, None].expand(16, 8).reshape(1, 128, 1).expand(-1, -1, 384)
    tensors["backbone.pos_embed"] = torch.cat([torch.full((1, 1, 384), 99.0), rows], dim=1)
    torch.save({"teacher": tensors}, tmp_path / "w.pth")
    spec = dataclasses.replace(ModelSpec.from_dict(each.spec), height=384, weights=str(tmp_path / "w.pth"))
    positions = Embedder(spec).network.backbone.network.pos_embed[0]
    assert (positions[0] == 99).all()
    grid = positions[1:, 0].view(24, 8)
    assert (grid.diff(dim=0) > 0).all()
    torch.testing.assert_close(grid, grid[:, :1].expand(24, 8), atol=1e-4, rtol=0)


def reference_clip_vit(t: Tensors, x: Tensor, side: Tensor) -> Tensor:
    """CLIP-ReID's ViT with overlapping patches in evaluation, from its tensors by their names there."""
    t = {n.removeprefix("image_encoder."): v for n, v in t.items()}

    def layer_norm(name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, (768,), t[f"{name}.weight"], t[f"{name}.bias"])

    def layer(name: str, x: Tensor) -> Tensor:
        return F.linear(x, t[f"{name}.weight"], t[f"{name}.bias"])

    x = F.conv2d(x, t["conv1.weight"], stride=12).flatten(2).mT
    x = torch.cat([(t["class_embedding"] + t["cv_embed"][side])[:, None], x], dim=1) + t["positional_embedding"]
    x = layer_norm("ln_pre", x)
    for block in range(12):
        name = f"transformer.resblocks.{block}"
        qkv = F.linear(layer_norm(f"{name}.ln_1", x), t[f"{name}.attn.in_proj_weight"], t[f"{name}.attn.in_proj_bias"])
        query, key, value = (part.unflatten(2, (12, 64)).transpose(1, 2) for part in qkv.chunk(3, dim=2))
        attended = (query @ key.mT / 8).softmax(3) @ value
        x = x + layer(f"{name}.attn.out_proj", attended.transpose(1, 2).flatten(2))
        inside = layer(f"{name}.mlp.c_fc", layer_norm(f"{name}.ln_2", x))
        x = x + layer(f"{name}.mlp.c_proj", inside * (1.702 * inside).sigmoid())
    token = layer_norm("ln_post", x[:, 0])
    return torch.cat([token, token @ t["proj"]], dim=1)


def test_clip_reids_cameras_and_views_are_added_to_the_class_token_alone(tmp_path: Path) -> None:
    """Also overlapping patches, in the network of the vehicles; cameras are counted before views."""
    each = entry("clipreid_vit_sie_olp_veri776")
    each = dataclasses.replace(each, spec=each.spec | {"height": 64, "width": 32})
    model, report, tensors = load(each, tmp_path, make=scaled)
    assert report.kept == ()
    model, tensors = model.double(), {name: tensor.double() for name, tensor in tensors.items()}
    images = torch.randint(0, 256, (2, 3, 64, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    cameras, views = torch.tensor([0, 19]), torch.tensor([7, 2])
    with torch.no_grad():
        ours = model(images, cameras=cameras, views=views).embedding
        theirs = reference_clip_vit(tensors, model.pixels(images), cameras * 8 + views)
        unknown = model(images).embedding
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(ours, unknown, rtol=1e-3)


def reference_clip_resnet(t: Tensors, x: Tensor) -> Tensor:
    """CLIP-ReID's CNN in evaluation, from its tensors by their names there."""
    t = {n.removeprefix("image_encoder."): v for n, v in t.items()}

    def step(x: Tensor, convolution: str, norm: str, **options: Any) -> Tensor:
        x = F.conv2d(x, t[f"{convolution}.weight"], **options)
        return F.batch_norm(x, *(t[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")))

    x = step(x, "conv1", "bn1", stride=2, padding=1).relu()
    x = F.avg_pool2d(step(step(x, "conv2", "bn2", padding=1).relu(), "conv3", "bn3", padding=1).relu(), 2)
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(blocks):
            name, shrink = f"layer{stage}.{block}", block == 0 and stage in (2, 3)
            y = step(x, f"{name}.conv1", f"{name}.bn1").relu()
            y = step(y, f"{name}.conv2", f"{name}.bn2", padding=1).relu()
            y = step(F.avg_pool2d(y, 2) if shrink else y, f"{name}.conv3", f"{name}.bn3")
            if block == 0:
                x = step(F.avg_pool2d(x, 2) if shrink else x, f"{name}.downsample.0", f"{name}.downsample.1")
            x = (x + y).relu()
    mean, tokens = x.mean((2, 3)), x.flatten(2).permute(2, 0, 1)
    tokens = torch.cat([mean[None], tokens]) + t["attnpool.positional_embedding"][:, None]
    names = [f"attnpool.{part}_proj" for part in "qkv"]
    attended, _ = F.multi_head_attention_forward(
        tokens,
        tokens,
        tokens,
        2048,
        32,
        in_proj_weight=None,
        in_proj_bias=torch.cat([t[f"{name}.bias"] for name in names]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0,
        out_proj_weight=t["attnpool.c_proj.weight"],
        out_proj_bias=t["attnpool.c_proj.bias"],
        training=False,
        use_separate_proj_weight=True,
        **{f"{part}_proj_weight": t[f"{name}.weight"] for part, name in zip("qkv", names, strict=True)},
    )
    return torch.cat([mean, attended[0]], dim=1)


def test_clip_reids_cnn_gives_what_its_authors_code_gives(tmp_path: Path) -> None:
    each = entry("clipreid_cnn_msmt17")
    each = dataclasses.replace(each, spec=each.spec | {"height": 64, "width": 32})
    model, report, tensors = load(each, tmp_path, make=scaled)
    images = torch.randint(0, 256, (2, 3, 64, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    model, tensors = model.double(), {name: tensor.double() for name, tensor in tensors.items()}
    with torch.no_grad():
        ours, theirs = model(images).embedding, reference_clip_resnet(tensors, model.pixels(images))
    assert ours.shape == (2, 3072)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    assert model.pixels.mean.flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])
    assert "prompt_learner.cls_ctx" in report.left
