"""Builder of a spec's backbone, with its pretrained weights."""

from __future__ import annotations

import logging
from typing import Any

from torch import nn

from reseen.errors import CheckpointError
from reseen.models.backbones.base import Backbone
from reseen.models.backbones.osnet import NAMES, WIDTHS, OSNet
from reseen.models.backbones.published import PUBLISHED, PUBLISHED_VITS
from reseen.models.backbones.resnet import ResNetBackbone, change_stem, is_resnet, keep_last_map
from reseen.models.backbones.timm import TimmBackbone, create, takes_size
from reseen.models.backbones.vit import ViTBackbone, cut_patches, is_vit
from reseen.models.layers.ibn import add_ibn_a, add_ibn_b
from reseen.models.layers.non_local import add_non_local
from reseen.models.layers.two_stream import TwoStream
from reseen.models.spec import ModelSpec, ResNetOptions, ViTOptions
from reseen.models.weights import LoadedBackbone, hub_weights, load_published, read_tensors
from reseen.trust import import_class

logger = logging.getLogger(__name__)

EXPECTED = (
    f"a backbone (osnet_{', _'.join(WIDTHS)}, also osnet_ibn_ and osnet_ain_, timm:NAME, or package.module.Class)"
)


def build_backbone(spec: ModelSpec, *, pretrained: bool = True) -> tuple[Backbone, LoadedBackbone | None]:
    """Return the backbone of a spec, and the report of loading its weights, if these are wanted.

    Raises:
        ValueError: The spec names no network, or asks for what the network does not have.
        CheckpointError: The weights cannot be read or are another network's.
    """
    weights = spec.weights if pretrained else None
    hub = weights == "imagenet"
    size = (spec.height, spec.width)
    backbone: Backbone
    if spec.backbone.startswith("timm:"):
        backbone = _timm(spec.backbone.removeprefix("timm:"), spec, hub=hub)
    else:
        if hub:
            raise ValueError(f"expected a network of timm for weights 'imagenet', got {spec.backbone}; give a file")
        if spec.backbone in NAMES:
            backbone = OSNet(spec.backbone)
        elif spec.backbone in PUBLISHED:
            backbone = PUBLISHED[spec.backbone](size)
        elif spec.backbone in PUBLISHED_VITS:
            backbone = PUBLISHED_VITS[spec.backbone](size, spec.vit)
        else:
            backbone = import_class(spec.backbone, Backbone, expected=EXPECTED)()
        _refuse(spec, resnet=True, vit=spec.backbone not in PUBLISHED_VITS)
    published = hub_weights(backbone, spec.backbone) if hub else None
    if weights is not None and not hub:
        published = load_published(backbone, read_tensors(weights), source=weights)
        if published.format.normalisation is not None:
            mean, std = published.format.normalisation
            backbone.mean, backbone.std = (mean,) * 3, (std,) * 3
        if published.format.stem not in ("usual", spec.resnet.stem) and isinstance(backbone, ResNetBackbone):
            logger.warning(
                "%s was trained with the stem %r, and the model has %r: set resnet.stem to get the same features",
                weights,
                published.format.stem,
                spec.resnet.stem,
            )
    return TwoStream(backbone) if spec.modalities.stems else backbone, published


def _timm(name: str, spec: ModelSpec, *, hub: bool) -> Backbone:
    size = (spec.height, spec.width)
    options: dict[str, Any] = {"drop_path_rate": spec.vit.drop_path} if spec.vit.drop_path else {}
    overlapping = spec.vit.patch_stride is not None
    if takes_size(name) and not overlapping:
        options["img_size"] = size
    network = _from_hub(name, options) if hub else create(name, **options)
    _refuse(spec, resnet=not is_resnet(network), vit=not is_vit(network))
    if is_resnet(network):
        _change_resnet(network, spec.resnet)
        return ResNetBackbone(network, size)
    if not is_vit(network):
        return TimmBackbone(network, size)
    cut_patches(network, size, stride=spec.vit.patch_stride)
    return ViTBackbone(network, size, spec.vit)


def _from_hub(name: str, options: dict[str, Any]) -> nn.Module:
    try:
        return create(name, pretrained=True, **options)
    except (OSError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [""])[0].rstrip(".")
        raise CheckpointError(
            f"expected timm's weights of {name} from the hub, got {type(error).__name__}: {reason}; "
            "connect once so that they are kept, or give a file as weights"
        ) from error


def _change_resnet(network: nn.Module, options: ResNetOptions) -> None:
    if options.last_stride == 1:
        keep_last_map(network)
    if options.ibn is not None:
        {"a": add_ibn_a, "b": add_ibn_b}[options.ibn](network)
    if options.non_local is not None:
        add_non_local(network, one_channel=options.non_local == "fast-reid")
    if options.stem != "usual":
        change_stem(network, options.stem)


def _refuse(spec: ModelSpec, *, resnet: bool, vit: bool) -> None:
    """Refuse options that the network has no use for."""
    for wrong, name, options in ((resnet, "resnet", ResNetOptions()), (vit, "vit", ViTOptions())):
        if wrong and getattr(spec, name) != options:
            raise ValueError(
                f"expected a {'ResNet' if name == 'resnet' else 'ViT'} of timm for {getattr(spec, name)}, "
                f"got {spec.backbone}; leave {name} as it is"
            )
