"""From the backbone's fields of a spec to a backbone with its first weights."""

from __future__ import annotations

import importlib

from torch import nn

from reseen.errors import CheckpointError
from reseen.models.backbones.base import Backbone
from reseen.models.backbones.osnet import CHANNELS, OSNet
from reseen.models.backbones.resnet import is_resnet, keep_last_map
from reseen.models.backbones.timm import TimmBackbone, create
from reseen.models.spec import ModelSpec
from reseen.models.weights import EFFICIENTNET_PACKAGE, WeightsReport, load_weights, read_tensors


def build_backbone(spec: ModelSpec, *, pretrained: bool = True) -> tuple[Backbone, WeightsReport | None]:
    """Return the backbone that a spec describes, and what became of the weights that it names, if these are wanted.

    Raises:
        ValueError: The spec names no network, or asks for what the network does not have.
        CheckpointError: The weights cannot be read or are another network's.
    """
    weights = spec.weights if pretrained else None
    if spec.backbone.startswith("timm:"):
        return _timm(spec.backbone.removeprefix("timm:"), spec, weights)
    backbone = OSNet(spec.backbone) if spec.backbone in CHANNELS else _imported(spec.backbone)
    return backbone, _load(backbone, weights)


def _timm(name: str, spec: ModelSpec, weights: str | None) -> tuple[Backbone, WeightsReport | None]:
    size = (spec.height, spec.width)
    hub = weights == "imagenet"
    try:
        network = create(name, size, pretrained=hub)
    except (OSError, RuntimeError) as error:
        if not hub:
            raise
        raise CheckpointError(
            f"expected timm's weights of {name} from the hub, got {type(error).__name__}: "
            f"{str(error).splitlines()[0]}; connect once so that they are kept, or give a file as weights"
        ) from error
    report = None if hub else _load(network, weights)
    if is_resnet(network) and spec.resnet.last_stride == 1:
        keep_last_map(network)
    backbone = TimmBackbone(network, size)
    if spec.weights == EFFICIENTNET_PACKAGE:
        # The package's own normalisation: (x - 127) / 128 on 0..255.
        backbone.mean, backbone.std = (127 / 255,) * 3, (128 / 255,) * 3
    return backbone, report


def _load(network: nn.Module, source: str | None) -> WeightsReport | None:
    if source is None:
        return None
    if source == "imagenet":
        raise ValueError(
            f"expected a file as weights of {type(network).__name__}, got 'imagenet', which only timm's networks have"
        )
    tensors = read_tensors(source)
    if source != EFFICIENTNET_PACKAGE:
        return load_weights(network, tensors, source=source)
    # The package's tensors bear other names than timm's, in the same order; the last two are the classifier's.
    own = [*network.state_dict(), "classifier.weight", "classifier.bias"]
    if len(own) != len(tensors):
        raise CheckpointError(
            f"expected timm:tf_efficientnet_lite0 as backbone of {source}, got a network of {len(own)} tensors"
        )
    renamed = dict(zip(tensors, own, strict=True))
    return load_weights(network, {renamed[n]: t for n, t in tensors.items()}, source=source, renamed=renamed)


def _imported(name: str) -> Backbone:
    module, _, attribute = name.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"expected a backbone ({', '.join(CHANNELS)}, timm:NAME, or package.module.Class), got {name!r}"
        ) from error
    backbone = kind()
    if not isinstance(backbone, Backbone):
        raise ValueError(f"expected {name} to be a Backbone, got {type(backbone).__name__}")
    return backbone
