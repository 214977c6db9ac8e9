"""Formats of published weights: their parameter names, and those of this library.

A format is recognised by several names together, for one alone is soon another project's too. Names here are those of
``GlobalNetwork``: ``backbone.`` and what the backbone's own names go on with, ``pooling.``, ``reduction.``, ``neck.``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

NECK = "neck.bn."

WRAPPERS = ("encoder_q.", "teacher.", "model.", "backbone.", "base.")
"""Where training programs keep a network among other things: MoCo, DINO, Lightning and many others, mmpretrain."""


@dataclass(frozen=True)
class Format:
    """Format of weights: parameter names of one project.

    Attributes:
        name: The project that uses it.
        recognise: Whether a file with these names is of this format.
        rename: (name, all names of the file, the backbone's names) -> name here; None for what has no place.
        stem: What the project's ResNets differ in, as in ``ResNetOptions``.
        normalisation: The mean and scale that its networks take, where not those of timm's network.
        needs: What a spec must have for these weights to fill its network, with anything else they are refused; None
            where a backbone takes them with any head.
        convert: Tensors by name -> tensors under the names that ``rename`` takes, where one is made of several.
    """

    name: str
    recognise: Callable[[Collection[str]], bool]
    rename: Callable[[str, Sequence[str], Sequence[str]], str | None]
    stem: str = "usual"
    normalisation: tuple[float, float] | None = None
    needs: str | None = None
    convert: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = dict


def format_of(names: Collection[str]) -> Format:
    """Return the format of a file with these names; the last one takes any."""
    return next(f for f in FORMATS if f.recognise(names))


def wrapper_of(names: Collection[str], own: Collection[str]) -> str:
    """Return what stands before the names of the network itself, as ``model.backbone.``; mostly nothing.

    Args:
        names: All names of a file.
        own: The backbone's names, among which a wrapper's may be a module's.
    """
    prefix = ""
    while True:
        inside = [n.removeprefix(prefix) for n in names if n.startswith(prefix)]
        if format_of(inside) is not FORMATS[-1]:
            return prefix
        # A third: beside its encoder, MoCo keeps a second one and its queue.
        matching = (w for w in WRAPPERS if 3 * sum(n.startswith(w) for n in inside) >= len(inside))
        wrapper = next((w for w in matching if not any(n.startswith(w) for n in own)), None)
        if wrapper is None:
            return prefix
        prefix += wrapper


def _has_names(one: str, *others: str) -> Callable[[Collection[str]], bool]:
    """Return a predicate: whether a file has one name and some name that starts with one of the others."""
    return lambda names: one in names and any(n.startswith(others) for n in names)


def _as_they_are(name: str, names: Sequence[str], own: Sequence[str]) -> str | None:
    return f"backbone.{name}"


def _own(name: str, names: Sequence[str], own: Sequence[str]) -> str | None:
    """A checkpoint of this library: its backbone, under timm's ``network`` or not, and its head."""
    if name.startswith("network.backbone."):
        return "backbone." + name.removeprefix("network.backbone.").removeprefix("network.")
    return name.removeprefix("network.") if name.startswith("network.") else None


def _ibn_net(name: str, names: Sequence[str], own: Sequence[str]) -> str | None:
    """IBN-b's norm stands before a block's last activation, and here inside it."""
    if match := re.fullmatch(r"(layer\d\.\d+)\.(IN\.\w+)", name):
        block, norm = match.groups()
        return next((f"backbone.{n}" for n in own if n.startswith(f"{block}.act") and n.endswith(norm)), None)
    return f"backbone.{name}"


def _non_local(name: str, own: Sequence[str]) -> str | None:
    """Non-local blocks are counted within a stage there, and stand in the blocks that they follow here."""
    match = re.fullmatch(r"\w+\.NL_(\d)\.(\d+)\.(.+)", name)
    assert match is not None
    stage, number, rest = match.groups()
    places = dict.fromkeys(n.partition("non_local.")[0] for n in own if f"layer{stage}." in n and ".non_local." in n)
    place = list(places)[int(number) : int(number) + 1]
    return f"backbone.{place[0]}non_local.{rest.replace('g.0.', 'g.')}" if place else None


def _fast_reid(name: str, names: Sequence[str], own: Sequence[str]) -> str | None:
    if name.startswith("backbone.NL_"):
        return _non_local(name, own)
    if name.startswith("backbone."):
        return _ibn_net(name.removeprefix("backbone."), names, own)
    if name == "heads.pool_layer.p":
        return "pooling.p"
    reduced = "heads.bottleneck.1.weight" in names
    if reduced and name == "heads.bottleneck.0.weight":
        return "reduction.weight"
    for norm in ("heads.bnneck.", f"heads.bottleneck.{int(reduced)}."):
        if name.startswith(norm):
            return NECK + name.removeprefix(norm)
    return None


MGN_TRUNK = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3.0"}
MGN_HEADS = ("b1", "b2", "b21", "b22", "b3", "b31", "b32", "b33")
"""In the order of the vectors here."""


def _fast_reid_mgn(name: str, names: Sequence[str], own: Sequence[str]) -> str | None:
    """Its trunk is a list of modules, its first tail the backbone's here, and all its heads share a pooling."""
    part, _, rest = name.partition(".")
    number, _, inside = rest.partition(".")
    if part == "backbone":
        return f"backbone.{MGN_TRUNK[number]}.{inside}" if number in MGN_TRUNK else None
    if part == "b1" and number == "0":
        block, _, inside = inside.partition(".")
        return f"backbone.layer3.{int(block) + 1}.{inside}"
    if part in ("b1", "b2", "b3"):
        return f"{'backbone' if part == 'b1' else f'tails.{int(part[1]) - 2}'}.layer{3 + int(number)}.{inside}"
    branch, _, kind = part.partition("_")
    if branch not in MGN_HEADS:
        return None
    head = f"reductions.each.{MGN_HEADS.index(branch)}."
    if kind == "pool":
        return {"0": "pooling.", "1": f"{head}linear.", "2": f"{head}{NECK}"}[number] + inside
    return f"{head}neck.second.{inside}" if rest.startswith("bnneck.") else None


def _strong_baseline(name: str, names: Sequence[str], own: Sequence[str]) -> str | None:
    """Also AGW's, which has non-local blocks and a pooling with a parameter."""
    if name.startswith("base.NL_"):
        return _non_local(name, own)
    if name == "global_pool.p":
        return "pooling.p"
    if name.startswith("base."):
        return _ibn_net(name.removeprefix("base."), names, own)
    return NECK + name.removeprefix("bottleneck.") if name.startswith("bottleneck.") else None


def _exp_at(name: str, names: Sequence[str], own: Sequence[str]) -> str | None:
    """Its RGB-infrared networks: one trunk, and a batch norm for each modality, visible before infrared."""
    network, _, rest = name.partition(".")
    norms = {"feature_embedder_rgb": f"{NECK}norms.0.", "feature_embedder_ir": f"{NECK}norms.1."}
    if network == "feature_generator":
        return f"backbone.{rest.removeprefix('base.')}"
    return norms[network] + rest.removeprefix("bottleneck.") if network in norms else None


def _trans_reid(name: str, names: Sequence[str], own: Sequence[str]) -> str | None:
    """With local features its global branch ends in ``b1``, a last block and norm; those of ``base`` go unused."""
    last = max((int(n.split(".")[2]) for n in names if n.startswith("base.blocks.")), default=0)
    local = any(n.startswith("b1.0.") for n in names)
    if local and (name.startswith((f"base.blocks.{last}.", "base.norm."))):
        return None
    if name.startswith("b1."):
        return "backbone." + re.sub(r"^b1\.0\.", f"blocks.{last}.", name).replace("b1.1.", "norm.")
    if name == "base.sie_embed":
        return "backbone.side"
    if name.startswith("base.fc."):
        return None
    if name.startswith("base."):
        return "backbone." + _with_stem(name.removeprefix("base."), stem="base.patch_embed.conv.0.weight" in names)
    return NECK + name.removeprefix("bottleneck.") if name.startswith("bottleneck.") else None


def _trans_reid_ssl(name: str, names: Sequence[str], own: Sequence[str]) -> str | None:
    """Its pretrained networks with a stem of convolutions, and those that it trains without labels."""
    if name.startswith("bottleneck."):
        return NECK + name.removeprefix("bottleneck.")
    return "backbone." + _with_stem(name, stem="patch_embed.conv.0.weight" in names)


def _with_stem(name: str, *, stem: bool) -> str:
    """A stem of convolutions stands before the patches' projection there, and here in its place with it."""
    return re.sub(r"^patch_embed\.(conv|proj)\.", r"patch_embed.proj.\1.", name) if stem else name


def _in_order(name: str, names: Sequence[str], own: Sequence[str]) -> str | None:
    """Other names than timm's for the same tensors in the same order; the classifier's two stand last."""
    place = names.index(name)
    return f"backbone.{own[place]}" if place < len(own) else None


def _osnet_ain(name: str, names: Sequence[str], own: Sequence[str]) -> str | None:
    """Its streams stand in a list, and what shrinks a stage's map beside the stage."""
    name = re.sub(r"^pool(\d)\.", r"conv\1.2.", name)
    name = re.sub(r"\.conv2\.0\.layers\.0\.", ".conv2a.", name)
    return "backbone." + re.sub(r"\.conv2\.([123])\.layers\.", lambda found: f".conv2{'abcd'[int(found[1])]}.", name)


def _torchreid(name: str, names: Sequence[str], own: Sequence[str]) -> str | None:
    return None if name.startswith("classifier") else f"backbone.{name}"


def _torchreid_fc512(name: str, names: Sequence[str], own: Sequence[str]) -> str | None:
    """Its ResNet with a linear layer, batch norm and ReLU: a reduction and the neck ``rectified`` here."""
    if name == "fc.0.weight":
        return "reduction.weight"
    if name.startswith("fc.1."):
        return NECK + name.removeprefix("fc.1.")
    return None if name == "fc.0.bias" else _torchreid(name, names, own)


def _without_bias(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of a linear layer before a batch norm: its bias shifts the norm's mean."""
    made = dict(tensors)
    for name in [n for n in made if n.endswith("fc.0.bias")]:
        mean = f"{name.removesuffix('0.bias')}1.running_mean"
        made[mean] = made[mean] - made[name]
    return made


CLIP = {
    "conv1.": "patch_embed.proj.",
    "ln_pre.": "norm_pre.",
    "ln_post.": "norm.",
    "transformer.resblocks.": "blocks.",
    ".ln_1.": ".norm1.",
    ".ln_2.": ".norm2.",
    ".attn.in_proj_": ".attn.qkv.",
    ".attn.out_proj.": ".attn.proj.",
    ".mlp.c_fc.": ".mlp.fc1.",
    ".mlp.c_proj.": ".mlp.fc2.",
}


def _clip_reid(name: str, names: Sequence[str], own: Sequence[str]) -> str | None:
    """The image's tower alone, with the embeddings of cameras and views."""
    if name == "cv_embed":
        return "backbone.side"
    if not name.startswith("image_encoder."):
        return None
    name = name.removeprefix("image_encoder.")
    for theirs, ours in CLIP.items():
        name = name.replace(theirs, ours)
    return f"backbone.{name}"


CLIP_POOLING = {
    "positional_embedding": "positions",
    "q_proj": "query",
    "k_proj": "key",
    "v_proj": "value",
    "c_proj": "projection",
}


def _clip_reid_resnet(name: str, names: Sequence[str], own: Sequence[str]) -> str | None:
    """The image's tower alone; timm counts stages from 0, and has each norm beside its convolution."""
    if not name.startswith("image_encoder."):
        return None
    name = name.removeprefix("image_encoder.")
    if name.startswith("attnpool."):
        part, dot, rest = name.removeprefix("attnpool.").partition(".")
        return f"backbone.head.{CLIP_POOLING[part]}{dot}{rest}" if part in CLIP_POOLING else None
    if match := re.fullmatch(r"(conv|bn)(\d)\.(.+)", name):
        kind, number, rest = match.groups()
        return f"backbone.stem.conv{number}.{kind}.{rest}"
    if match := re.fullmatch(r"layer(\d)\.(\d+)\.(conv|bn|downsample\.)(\d)\.(.+)", name):
        stage, block, kind, number, rest = match.groups()
        if kind == "downsample.":
            place = ("shortcut.conv.conv", "shortcut.conv.bn")[int(number)]
        else:
            place = f"conv{number}_{'kxk' if number == '2' else '1x1'}.{kind}"
        return f"backbone.stages.{int(stage) - 1}.{block}.{place}.{rest}"
    return f"backbone.{name}"


def _of_clip(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Class token, positions and projection in timm's shapes and names."""
    made = dict(tensors)
    for name in [n for n in made if "image_encoder." in n]:
        start, _, own = name.rpartition("image_encoder.")
        if own == "class_embedding":
            made[f"{start}image_encoder.cls_token"] = made.pop(name)[None, None]
        elif own == "positional_embedding":
            made[f"{start}image_encoder.pos_embed"] = made.pop(name)[None]
        elif own == "proj":
            made[f"{start}image_encoder.projection.weight"] = made.pop(name).T.contiguous()
    return _as_floats(made)


def _as_floats(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.float() if tensor.dtype == torch.float16 else tensor for name, tensor in tensors.items()}


SEMANTIC_WEIGHT = 0.2
"""How much of SOLIDER's features is semantics rather than appearance: its authors' choice for re-identification."""


def _solider(name: str, names: Sequence[str], own: Sequence[str]) -> str | None:
    """Names of Swin as mmdetection has them: what shrinks the map ends a stage there, and begins the next one here."""
    if name.startswith(("norm0.", "norm1.", "norm2.", "semantic_embed_")) or "relative_position_index" in name:
        return None
    name = re.sub(r"^stages\.(\d)\.downsample\.", lambda found: f"layers.{int(found[1]) + 1}.downsample.", name)
    for theirs, ours in (
        ("stages.", "layers."),
        ("norm3.", "norm."),
        ("patch_embed.projection.", "patch_embed.proj."),
        (".attn.w_msa.", ".attn."),
        (".ffn.layers.0.0.", ".mlp.fc1."),
        (".ffn.layers.1.", ".mlp.fc2."),
    ):
        name = name.replace(theirs, ours)
    return f"backbone.{name}"


def _of_solider(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The four neighbours in timm's order; scale and shift by the semantic weight in the reduction that they follow."""
    made = dict(tensors)
    weight = torch.tensor([SEMANTIC_WEIGHT, 1 - SEMANTIC_WEIGHT])
    for name in [n for n in made if n.endswith("downsample.reduction.weight")]:
        start = name.removesuffix("reduction.weight")
        for part in ("reduction.weight", "norm.weight", "norm.bias"):
            old = made[start + part]
            made[start + part] = old.view(*old.shape[:-1], -1, 2, 2).transpose(-3, -1).flatten(-3)
        root, _, stage = start.removesuffix(".downsample.").rpartition("stages.")
        scale, shift = (
            made[f"{root}semantic_embed_{kind}.{stage}.weight"] @ weight
            + made[f"{root}semantic_embed_{kind}.{stage}.bias"]
            for kind in "wb"
        )
        made[name] = made[name] * torch.nn.functional.softplus(scale)[:, None]
        made[start + "reduction.bias"] = shift
    return made


def _pass(name: str, names: Sequence[str], own: Sequence[str]) -> str | None:
    name = name.removeprefix("base.")
    return None if name.startswith(("fc.", "bottleneck", "classifier")) else f"backbone.{name}"


def _of_pass(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Class token and part tokens with their positions in them, as timm keeps a class token and registers."""
    made = dict(tensors)
    for name in [n for n in made if n.endswith("part_token1")]:
        start = name.removesuffix("part_token1")
        tokens = [made.pop(f"{start}part_token{part}") + made.pop(f"{start}part{part}_pos") for part in (1, 2, 3)]
        made[f"{start}reg_token"] = torch.cat(tokens, dim=1)
        made[f"{start}cls_token"] = made[f"{start}cls_token"] + made.pop(f"{start}cls_pos")
    return made


def _old_swin(name: str, names: Sequence[str], own: Sequence[str]) -> str | None:
    """Before version 0.9 of timm, what shrinks the map ended a stage, and masks were kept."""
    if name.endswith((".relative_position_index", ".attn_mask")):
        return None
    return "backbone." + re.sub(
        r"^layers\.(\d)\.downsample\.", lambda found: f"layers.{int(found[1]) + 1}.downsample.", name
    )


def _miew_id(name: str, names: Sequence[str], own: Sequence[str]) -> str | None:
    if name in ("pooling.p", "global_pool.p", "backbone.global_pool.p"):
        return "pooling.p"
    if name.startswith("bn."):
        return NECK + name.removeprefix("bn.")
    return f"backbone.{name.removeprefix('backbone.')}" if name.startswith("backbone.") else None


TORCHREID = {
    "conv9.conv.weight",
    "feature.0.fm_conv1.weight",
    "local_conv1.stream1.0.conv.weight",
    "stage2.0.bn3.weight",
}
"""A name each of its MobileNetV2, MLFN, HACNN and ShuffleNet."""

FORMATS = (
    Format("reseen", lambda names: "pixels.mean" in names, _own),
    Format(
        "EfficientNet-Lite",
        # Without the squeezing and exciting of EfficientNets, which have another normalisation.
        lambda names: "_conv_stem.weight" in names and not any("._se_" in n for n in names),
        _in_order,
        normalisation=(127 / 255, 128 / 255),
    ),
    Format("fast-reid", _has_names("backbone.conv1.weight", "heads.", "pixel_mean"), _fast_reid, stem="fast-reid"),
    Format(
        "fast-reid, MGN",
        lambda names: "b33_pool.1.weight" in names,
        _fast_reid_mgn,
        stem="fast-reid",
        needs="network mgn, pooling gem, neck rectified_bnneck, resnet.ibn a, dim 256",
    ),
    Format("fast-reid", _has_names("backbone.conv1.0.weight", "heads.", "pixel_mean"), _fast_reid),
    Format("expAT", lambda names: "feature_generator.base.conv1.weight" in names, _exp_at),
    Format(
        "CLIP-ReID, CNN",
        lambda names: "image_encoder.attnpool.positional_embedding" in names,
        _clip_reid_resnet,
        convert=_as_floats,
    ),
    Format(
        "CLIP-ReID",
        lambda names: any(n.startswith("image_encoder.") for n in names),
        _clip_reid,
        normalisation=(0.5, 0.5),
        convert=_of_clip,
    ),
    Format("SOLIDER", lambda names: "stages.0.blocks.0.attn.w_msa.qkv.weight" in names, _solider, convert=_of_solider),
    Format("PASS", lambda names: not {"part_token1", "base.part_token1"}.isdisjoint(names), _pass, convert=_of_pass),
    Format("MiewID", _has_names("backbone.conv_stem.weight", "bn."), _miew_id),
    Format("TransReID", lambda names: "base.cls_token" in names, _trans_reid, normalisation=(0.5, 0.5)),
    Format(
        "TransReID-SSL",
        _has_names("cls_token", "patch_embed.conv.", "bottleneck."),
        _trans_reid_ssl,
        normalisation=(0.5, 0.5),
    ),
    # Of its networks only those with IBN have the stem's ReLU.
    Format("strong-baseline", lambda names: "base.layer1.0.bn1.IN.weight" in names, _strong_baseline),
    Format("strong-baseline", _has_names("base.conv1.weight", "bottleneck."), _strong_baseline, stem="strong-baseline"),
    Format("torchreid, OSNet-AIN", lambda names: "conv2.0.conv2.0.layers.0.bn.weight" in names, _osnet_ain),
    Format("torchreid", lambda names: "conv2.0.gate.fc1.weight" in names, _as_they_are),
    Format("torchreid", lambda names: not TORCHREID.isdisjoint(names), _torchreid),
    Format(
        "torchreid, fc512",
        lambda names: {"layer4.2.conv3.weight", "fc.0.bias", "fc.1.running_mean"} <= set(names),
        _torchreid_fc512,
        convert=_without_bias,
    ),
    Format("IBN-Net", lambda names: any(".IN." in n and n.startswith("layer") for n in names), _ibn_net),
    Format("timm, before 0.9", lambda names: "layers.0.downsample.reduction.weight" in names, _old_swin),
    Format("timm", lambda names: True, _as_they_are),
)
