"""Formats of published weights: their parameter names, and those of this library.

A format is recognised by several names together, for one alone is soon another project's too. Names here are those of
``GlobalNetwork``: ``backbone.`` and what the backbone's own names go on with, ``pooling.``, ``reduction.``, ``neck.``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

NECK = "neck.bn."

WRAPPERS = ("encoder_q.", "model.", "backbone.", "base.")
"""Where training programs keep a network among other things: MoCo, Lightning and many others, mmpretrain."""


@dataclass(frozen=True)
class Format:
    """Format of weights: parameter names of one project.

    Attributes:
        name: The project that uses it.
        recognise: Whether a file with these names is of this format.
        rename: (name, all names of the file, the backbone's names) -> name here; None for what has no place.
        stem: What the project's ResNets differ in, as in ``ResNetOptions``.
        normalisation: The mean and scale that its networks take, where not those of timm's network.
    """

    name: str
    recognise: Callable[[Collection[str]], bool]
    rename: Callable[[str, Sequence[str], Sequence[str]], str | None]
    stem: str = "usual"
    normalisation: tuple[float, float] | None = None


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
        found = (w for w in WRAPPERS if 3 * sum(n.startswith(w) for n in inside) >= len(inside))
        wrapper = next((w for w in found if not any(n.startswith(w) for n in own)), None)
        if wrapper is None:
            return prefix
        prefix += wrapper


def _marked(one: str, *others: str) -> Callable[[Collection[str]], bool]:
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
    if found := re.fullmatch(r"(layer\d\.\d+)\.(IN\.\w+)", name):
        block, norm = found.groups()
        return next((f"backbone.{n}" for n in own if n.startswith(f"{block}.act") and n.endswith(norm)), None)
    return f"backbone.{name}"


def _fast_reid(name: str, names: Sequence[str], own: Sequence[str]) -> str | None:
    """Non-local blocks are counted within a stage there, and stand in the blocks that they follow here."""
    if found := re.fullmatch(r"backbone\.NL_(\d)\.(\d+)\.(.+)", name):
        stage, number, rest = found.groups()
        places = dict.fromkeys(
            n.partition("non_local.")[0] for n in own if f"layer{stage}." in n and ".non_local." in n
        )
        place = list(places)[int(number) : int(number) + 1]
        return f"backbone.{place[0]}non_local.{rest.replace('g.0.', 'g.')}" if place else None
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


def _strong_baseline(name: str, names: Sequence[str], own: Sequence[str]) -> str | None:
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
        return "backbone." + name.removeprefix("base.")
    return NECK + name.removeprefix("bottleneck.") if name.startswith("bottleneck.") else None


def _in_order(name: str, names: Sequence[str], own: Sequence[str]) -> str | None:
    """Other names than timm's for the same tensors in the same order; the classifier's two stand last."""
    place = names.index(name)
    return f"backbone.{own[place]}" if place < len(own) else None


FORMATS = (
    Format("reseen", lambda names: "pixels.mean" in names, _own),
    Format(
        "EfficientNet-Lite",
        # Without the squeezing and exciting of EfficientNets, which have another normalisation.
        lambda names: "_conv_stem.weight" in names and not any("._se_" in n for n in names),
        _in_order,
        normalisation=(127 / 255, 128 / 255),
    ),
    Format("fast-reid", _marked("backbone.conv1.weight", "heads.", "pixel_mean"), _fast_reid, stem="fast-reid"),
    Format("expAT", lambda names: "feature_generator.base.conv1.weight" in names, _exp_at),
    Format("TransReID", lambda names: "base.cls_token" in names, _trans_reid),
    # Of its networks only those with IBN have the stem's ReLU.
    Format("strong-baseline", lambda names: "base.layer1.0.bn1.IN.weight" in names, _strong_baseline),
    Format("strong-baseline", _marked("base.conv1.weight", "bottleneck."), _strong_baseline, stem="strong-baseline"),
    Format("IBN-Net", lambda names: any(".IN." in n for n in names), _ibn_net),
    Format("torchreid", lambda names: "conv2.0.gate.fc1.weight" in names, _as_they_are),
    Format("timm", lambda names: True, _as_they_are),
)
