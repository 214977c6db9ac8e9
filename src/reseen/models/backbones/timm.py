"""Backbone of any timm network."""

from __future__ import annotations

import difflib
from typing import Any

import torch
from torch import Tensor, nn

from reseen.models.backbones.base import Backbone, BackboneParts, SideInfo
from reseen.models.mode import eval_mode


def create(name: str, *, pretrained: bool = False, **options: Any) -> nn.Module:
    """Return timm's network without classifier.

    Raises:
        ValueError: timm has no network of that name.
    """
    import timm  # Here: it takes longer to import than torch, and only its own networks need it.

    if ":" not in name and not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=3)
        hint = f", or did you mean {' or '.join(close)}?" if close else ""
        raise ValueError(f"expected the name of a network of timm, got {name!r}; timm.list_models() lists them{hint}")
    network: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
    return network


def takes_size(name: str) -> bool:
    """Tell whether a network of timm is built for pictures of one size, which it must then be told."""
    import timm

    about = None if ":" in name else timm.get_pretrained_cfg(name)
    return about is not None and about.fixed_input_size


class TimmBackbone(Backbone):
    """A network of timm, under timm's own names.

    Args:
        network: As ``create`` gives it.
        size: Height and width of the pictures.

    Raises:
        ValueError: The network does not take pictures of that size, or gives neither a feature map nor tokens that
            form one.
    """

    names = "network."
    network: Any

    def __init__(self, network: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self.network = network
        self.size = size
        self.mean = tuple(self.network.pretrained_cfg["mean"])
        self.std = tuple(self.network.pretrained_cfg["std"])
        self.prefix: int = getattr(network, "num_prefix_tokens", 0)
        raw = self._try()
        self.layout = "tokens" if raw.ndim == 3 else getattr(network, "output_fmt", "NCHW")
        if self.layout == "tokens":
            self.grid = self._grid(raw.shape[1] - self.prefix)
        elif raw.ndim != 4 or self.layout not in ("NCHW", "NHWC"):
            raise ValueError(
                f"expected a network with a feature map or tokens, got {type(network).__name__} with features "
                f"{tuple(raw.shape)}"
            )
        self.channels = self.map(raw).shape[1]
        with eval_mode(self), torch.no_grad():
            self.dim = self.pool(raw).shape[1]

    def layers(self) -> dict[str, int]:
        """Return the layer of every parameter by its name, as timm groups them."""
        from timm.models import group_parameters

        groups: dict[str, int] = group_parameters(self.network, self.network.group_matcher(), reverse=True)
        return {f"network.{name}": layer for name, layer in groups.items()}

    def checkpoint_gradients(self) -> None:
        """Keep no activations within blocks for the gradient, which computes them again."""
        self.network.set_grad_checkpointing()

    def _picture(self) -> Tensor:
        """Return noise, of which no norm or activation makes nothing."""
        return torch.rand(1, 3, *self.size, generator=torch.Generator().manual_seed(0))

    @torch.no_grad()
    def _try(self) -> Tensor:
        """Return the raw features of one picture, in evaluation."""
        try:
            with eval_mode(self):
                features: Tensor = self.network.forward_features(self._picture())
        except (RuntimeError, AssertionError) as error:
            raise ValueError(
                f"expected a network that takes pictures of {self.size[0]}x{self.size[1]}, got "
                f"{type(self.network).__name__}, which does not: {error}"
            ) from error
        return features

    def _grid(self, positions: int) -> tuple[int, int]:
        grid: tuple[int, int] = getattr(getattr(self.network, "patch_embed", None), "grid_size", None) or (0, 0)
        if grid[0] * grid[1] != positions:
            height = round((positions * self.size[0] / self.size[1]) ** 0.5)
            grid = (height, positions // max(height, 1))
        if grid[0] * grid[1] != positions:
            raise ValueError(
                f"expected tokens that form a map of {self.size[0]}x{self.size[1]} pixels, got {positions}"
            )
        return grid

    def forward(self, images: Tensor, side: SideInfo) -> Tensor:
        """Return the features in the network's own layout."""
        features: Tensor = self.network.forward_features(images)
        return features

    def map(self, raw: Tensor) -> Tensor:
        """Return the features as a map (B, C, h, w), without class tokens."""
        if self.layout == "tokens":
            return raw[:, self.prefix :].mT.reshape(len(raw), -1, *self.grid)
        return raw.permute(0, 3, 1, 2) if self.layout == "NHWC" else raw

    def pool(self, raw: Tensor) -> Tensor:
        """Return (B, D): what timm's network gives to its classifier."""
        vectors: Tensor = self.network.forward_head(raw, pre_logits=True)
        return vectors.flatten(1)

    def head(self, pooled: Tensor) -> Tensor:
        """Return (B, D) from (B, C): the network's own pooling of positions that are all alike, and what follows."""
        if self.layout == "tokens":
            return self.pool(pooled[:, None].expand(-1, self.prefix + 1, -1))
        return self.pool(pooled[:, None, None] if self.layout == "NHWC" else pooled[:, :, None, None])

    def drop_head(self) -> None:
        """Replace the children that the features do not need."""
        called: set[nn.Module] = set()
        hooks = [m.register_forward_hook(lambda module, *_: called.add(module)) for m in self.network.modules()]
        self._try()
        for hook in hooks:
            hook.remove()
        for name, child in list(self.network.named_children()):
            if called.isdisjoint(child.modules()):
                setattr(self.network, name, nn.Identity())

    def parts(self) -> BackboneParts:
        """Return the network cut after its first layer and before the first module that gives its smallest map.

        The first layer comes with the norm, activation and pooling that follow it.

        Raises:
            ValueError: The network does not run its children in order.
        """
        modules = self._in_order()
        first = next(i for i, m in enumerate(modules[1:], start=1) if not _accompanies(m))
        sizes, x = [], self._picture()
        with eval_mode(self), torch.no_grad():
            for module in modules:
                x = module(x)
                sizes.append(x.shape[1:3] if self.layout == "NHWC" else x.shape[2:])
        cut = max(first, sizes.index(sizes[-1]))
        return BackboneParts(
            nn.Sequential(*modules[:first]), SequentialBody(*modules[first:cut]), nn.Sequential(*modules[cut:])
        )

    @torch.no_grad()
    def _in_order(self) -> list[nn.Module]:
        """Return the modules which, run one after the other, give the network's features."""
        modules: list[nn.Module] = []
        for child in self.network.children():
            modules += list(child) if type(child) is nn.Sequential else [child]
        expected, x, reached = self._try(), self._picture(), 0
        try:
            with eval_mode(self):
                for count, module in enumerate(modules, start=1):
                    x = module(x)
                    if not isinstance(x, Tensor):
                        break
                    if x.shape == expected.shape and torch.equal(x, expected):
                        reached = count
        except (RuntimeError, TypeError, NotImplementedError, AssertionError):
            pass  # A module takes something else: the head, or children that do not run in order.
        if not reached:
            raise ValueError(f"expected a network that runs its children in order, got {type(self.network).__name__}")
        return modules[:reached]


class SequentialBody:
    """Modules in the form of ``Parts.body``, one after the other."""

    def __init__(self, *modules: nn.Module) -> None:
        self.modules = nn.Sequential(*modules)

    def __call__(self, x: Tensor, side: SideInfo) -> Tensor:
        """Return what the modules make of ``x``."""
        features: Tensor = self.modules(x)
        return features


def _accompanies(module: nn.Module) -> bool:
    return isinstance(module, (nn.BatchNorm2d, nn.InstanceNorm2d, nn.LayerNorm)) or not list(module.parameters())
