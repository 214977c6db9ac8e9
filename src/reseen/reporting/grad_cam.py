"""Grad-CAM of an embedding, for networks with feature maps and for those with tokens.

A classifier's map explains a class. An embedding has none, so it explains the similarity to another picture's
embedding where one is given, and the embedding's own norm where not. Selvaraju et al., arXiv:1610.02391.

Dimensions: B pictures, D components, H x W pixels of a picture, C channels and h x w positions of a feature map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reseen.extras import needs
from reseen.models import eval_mode


def attention(
    model: nn.Module,
    images: Tensor,
    *,
    reference: Tensor | None = None,
    modalities: Tensor | None = None,
    layer: nn.Module | None = None,
) -> Tensor:
    """Return for each picture how much each position speaks for the target, from 0 to 1 (its own highest).

    Args:
        model: Gives an embedding (B, D), by itself or as ``.embedding``.
        images: (B, 3, H, W), as the model takes them.
        reference: (D,) or (B, D); the target is the cosine to it. None: the target is the embedding's norm.
        modalities: (B,) for a network that treats them apart, as it takes them.
        layer: Whose map to explain; None for the last one whose positions the target depends on. For a ViT that
            reads its class token this is the first norm of the last block: later patch tokens go nowhere.

    Returns:
        (B, H, W) float32 on the CPU; all zero where no position speaks for the target.

    Raises:
        ValueError: The network, or the layer, has no map of positions.
    """

    def target(pictures: Tensor) -> Tensor:
        embedding = embedding_of(model, pictures, modalities=modalities)
        if reference is None:
            return embedding.square().sum(dim=1).sqrt()
        cosine: Tensor = F.cosine_similarity(embedding, reference.to(embedding).expand_as(embedding))
        return cosine

    with needs("attention"):
        from captum.attr import LayerGradCam

    folding = _folding(model)
    with eval_mode(model), torch.enable_grad():
        chosen = layer or _last_map(model, folding, lambda: target(images))
        with _as_map(chosen, folding) as positions:
            heat = LayerGradCam(target, positions).attribute(images, relu_attributions=True).detach().float()
    heat = F.interpolate(heat, size=images.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    return (heat / heat.amax(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(heat.dtype).tiny)).cpu()


def embedding_of(model: nn.Module, images: Tensor, *, modalities: Tensor | None = None) -> Tensor:
    """Return the embeddings (B, D) of a model that gives them by itself or as ``.embedding``, with their gradient."""
    outputs = model(images) if modalities is None else model(images, modalities=modalities)
    embedding: Tensor = outputs if isinstance(outputs, Tensor) else outputs.embedding
    return embedding


class _Fold(NamedTuple):
    """How a layer's output becomes a map (B, C, h, w), and how that becomes the layer's output again."""

    to_map: Callable[[Tensor], Tensor]
    back: Callable[[Tensor, Tensor], Tensor]


_Folding = Callable[[nn.Module, object], _Fold | None]


def _folding(model: nn.Module) -> _Folding:
    """Return how to see a layer's output as a map: a function of the layer and its output, None where it is none.

    timm's networks say themselves whether they work on tokens (``num_prefix_tokens``) or on channels-last maps
    (``output_fmt``). In these two kinds only the norms are taken: what lies between them has other shapes.
    """
    trunk: Any = next((m for m in model.modules() if getattr(m, "num_prefix_tokens", None) is not None), None)
    channels_last = any(getattr(m, "output_fmt", None) == "NHWC" for m in model.modules())

    def of_tokens(layer: nn.Module, output: object) -> _Fold | None:
        prefix, (height, width) = trunk.num_prefix_tokens, trunk.patch_embed.grid_size
        if not isinstance(output, Tensor) or not isinstance(layer, nn.LayerNorm):
            return None
        if output.ndim != 3 or output.shape[1] != prefix + height * width:
            return None
        return _Fold(
            lambda x: x[:, prefix:].mT.reshape(len(x), -1, height, width),
            lambda x, whole: torch.cat([whole[:, :prefix], x.flatten(2).mT], dim=1),
        )

    def of_channels_last(layer: nn.Module, output: object) -> _Fold | None:
        if not isinstance(output, Tensor) or not isinstance(layer, nn.LayerNorm):
            return None
        if output.ndim != 4 or min(output.shape[1:3]) == 1:
            return None
        return _Fold(lambda x: x.permute(0, 3, 1, 2), lambda x, _: x.permute(0, 2, 3, 1))

    def of_channels_first(layer: nn.Module, output: object) -> _Fold | None:
        if not isinstance(output, Tensor) or output.ndim != 4 or min(output.shape[2:]) == 1:
            return None
        return _Fold(lambda x: x, lambda x, _: x)

    if trunk is not None:
        return of_tokens
    return of_channels_last if channels_last else of_channels_first


@contextmanager
def _as_map(layer: nn.Module, folding: _Folding) -> Iterator[nn.Module]:
    """Lead the layer's output through an identity module that sees it as a map (B, C, h, w), and give that module.

    Captum explains the channels of a map; tokens and channels-last maps become one on the way through. What lies
    below the layer is cut off, since the map does not need its gradient.
    """
    positions = nn.Identity()

    def lead(layer: nn.Module, _: Any, output: Tensor) -> Tensor:
        fold = folding(layer, output)
        if fold is None:
            raise ValueError(f"expected a layer that gives a map of positions, got {type(layer).__name__}")
        output = output.detach().requires_grad_()
        # The copy is for what follows in place, such as a ReLU: the map that captum keeps must not change.
        return fold.back(positions(fold.to_map(output)), output).clone()

    handle = layer.register_forward_hook(lead)
    try:
        yield positions
    finally:
        handle.remove()


def _last_map(model: nn.Module, folding: _Folding, target: Callable[[], Tensor]) -> nn.Module:
    """Return the last layer, in the order of running, with a map on whose positions the target depends."""
    seen: list[tuple[nn.Module, Tensor]] = []

    def keep(layer: nn.Module, _: Any, output: Any) -> Tensor | None:
        if folding(layer, output) is None:
            return None
        seen.append((layer, output if output.requires_grad else output.requires_grad_()))
        return seen[-1][1].clone()

    handles = [module.register_forward_hook(keep) for module in model.modules()]
    try:
        value = target().sum()
        gradients = torch.autograd.grad(value, [output for _, output in seen], allow_unused=True) if seen else ()
    finally:
        for handle in handles:
            handle.remove()
    for (layer, output), gradient in zip(reversed(seen), reversed(gradients), strict=True):
        fold = folding(layer, output)
        if fold is not None and gradient is not None and fold.to_map(gradient).count_nonzero():
            return layer
    raise ValueError(f"expected a network with a map of positions, got {type(model).__name__}: name a layer")
