"""The model of a spec: uint8 pictures to `Outputs`, or to the embeddings that are searched with.

Dimensions: B pictures, D components of the embedding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from reseen.description import html_table
from reseen.models.backbones.base import SideInfo
from reseen.models.backbones.build import build_backbone
from reseen.models.networks import BDB, MGN, PCB, GlobalNetwork, HeadOptions, Network, Outputs
from reseen.models.preprocessing import Preprocessing
from reseen.models.spec import ModelSpec
from reseen.models.weights import WeightsReport, load_head
from reseen.trust import import_class
from reseen.types import Sample

NETWORKS: dict[str, type[Network]] = {"global": GlobalNetwork, "mgn": MGN, "pcb": PCB, "bdb": BDB}
EXPECTED = f"a network ({', '.join(NETWORKS)}, or package.module.Class)"


class Embedder(nn.Module):
    """Model of a spec: uint8 pictures to outputs and embeddings.

    Args:
        spec: Specification of the model.
        pretrained: Whether to fetch the weights that the spec names; False where a checkpoint fills all weights next.

    Attributes:
        spec: As given.
        dims: Name of an output (``feature``, ``embedding``, ``branch.NAME``) -> its number of components.
        report: Account of the tensors of the spec's weights; None where it names none.
        pretrained: Whether the backbone has been trained before: by the spec's weights, or a checkpoint read since.

    Raises:
        ValueError: The spec names no network, or asks for what the network does not have.
        CheckpointError: The weights cannot be read or are another network's.

    Example:
        >>> model = Embedder(ModelSpec("osnet_x0_25", height=64, width=32)).eval()
        >>> model.embed(torch.zeros(2, 3, 100, 50, dtype=torch.uint8)).shape
        torch.Size([2, 512])
    """

    dims: dict[str, int]
    report: WeightsReport | None
    pretrained: bool

    def __init__(self, spec: ModelSpec, *, pretrained: bool = True) -> None:
        super().__init__()
        self.spec = spec
        backbone, published = build_backbone(spec, pretrained=pretrained)
        self.pixels = Preprocessing((spec.height, spec.width), mean=backbone.mean, std=backbone.std)
        options = HeadOptions(spec.pooling, spec.dim, spec.neck, spec.modalities.norms)
        kind = NETWORKS.get(spec.network) or import_class(spec.network, Network, expected=EXPECTED)
        self.network: Network = kind(backbone, options)
        self.report = None if published is None else load_head(self.network, published)
        self.pretrained = pretrained and spec.weights is not None
        self.dims = self.network.dims
        # Channels last in memory: on a CPU, OSNet trains and embeds 1.4 times as fast, and no network is much slower.
        self.to(memory_format=torch.channels_last)

    def _repr_html_(self) -> str:
        count = sum(parameter.numel() for parameter in self.parameters())
        rows = [[self.spec.backbone, f"{self.spec.height} x {self.spec.width}", f"{count:,}", self.dims["embedding"]]]
        return html_table("Embedder", ["backbone", "pixels", "parameters", "components"], rows)

    def forward(
        self,
        images: Tensor,
        *,
        cameras: Tensor | None = None,
        views: Tensor | None = None,
        modalities: Tensor | None = None,
    ) -> Outputs:
        """Return the outputs for pictures.

        Args:
            images: (B, 3, H, W) uint8 RGB of any size; never changed.
            cameras: (B,) int64, for networks with camera embeddings, as ``side_info`` gives them.
            views: (B,) int64, for networks with view embeddings.
            modalities: (B,) int64, 0 visible and 1 infrared, for networks that treat the two apart.

        Raises:
            ValueError: The images are not uint8 (B, 3, H, W).
        """
        outputs: Outputs = self.network(self.pixels(images), SideInfo(cameras, views, modalities))
        return outputs

    @torch.no_grad()
    def embed(
        self,
        images: Tensor,
        *,
        cameras: Tensor | None = None,
        views: Tensor | None = None,
        modalities: Tensor | None = None,
    ) -> Tensor:
        """Return the embeddings (B, D) to search with: float32, not normalised, without gradient.

        The arguments are those of a call. The mode is left as it is: call ``eval()`` first.
        """
        return self.forward(images, cameras=cameras, views=views, modalities=modalities).embedding.float()

    def side_info(self, samples: Sequence[Sample], *, known: bool = False) -> dict[str, Tensor]:
        """Return what the network takes of pictures besides pixels and modality, by the keyword of a call.

        Args:
            samples: N pictures.
            known: Whether every camera and view must be one that the network knows, as in training.

        Returns:
            ``cameras`` and ``views``, (N,) int64 each, of those for which the network has embeddings: the place among
            the spec's, -1 for one that is not there or not told.

        Raises:
            ValueError: One is not known, and must be.
        """
        options = self.spec.vit
        info = {}
        for name, names in (("camera", options.cameras), ("view", options.views)):
            if names is None:
                continue
            labels = [getattr(sample, name) for sample in samples]
            if known and (strange := set(labels) - set(names)):
                raise ValueError(
                    f"expected the {name} of every training picture among {list(names)}, "
                    f"got {', '.join(sorted(map(repr, strange)))}; set model.vit.{name}s to those of the data"
                )
            place = {each: number for number, each in enumerate(names)}
            info[f"{name}s"] = torch.tensor([place.get(each, -1) for each in labels])
        return info

    def pretrained_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that come with the backbone's weights: what to freeze while the rest is warmed up."""
        for module in self.network.pretrained():
            yield from module.parameters()
