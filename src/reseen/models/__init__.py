"""Networks: ``Embedder(ModelSpec(...))`` and what it is made of."""

from reseen.models.backbones import Backbone, OSNet, Side, TimmBackbone
from reseen.models.embedder import Embedder
from reseen.models.outputs import Outputs
from reseen.models.spec import ModelSpec, ResNetOptions
from reseen.models.weights import WeightsReport

__all__ = [
    "Backbone",
    "Embedder",
    "ModelSpec",
    "OSNet",
    "Outputs",
    "ResNetOptions",
    "Side",
    "TimmBackbone",
    "WeightsReport",
]
