"""Models: ``Embedder(ModelSpec(...))``, its backbones, layers, networks and weights."""

from reseen.models.backbones import Backbone, OSNet, SideInfo, TimmBackbone
from reseen.models.embedder import Embedder
from reseen.models.layers.two_stream import TwoStream
from reseen.models.mode import eval_mode, train_mode
from reseen.models.networks import BDB, MGN, PCB, BranchHeads, GlobalNetwork, HeadOptions, Network, Outputs
from reseen.models.profiling import Complexity, complexity, kept_bytes
from reseen.models.spec import ModalityOptions, ModelSpec, ResNetOptions, ViTOptions
from reseen.models.weights import WeightsReport

__all__ = [
    "BDB",
    "MGN",
    "PCB",
    "Backbone",
    "BranchHeads",
    "Complexity",
    "Embedder",
    "GlobalNetwork",
    "HeadOptions",
    "ModalityOptions",
    "ModelSpec",
    "Network",
    "OSNet",
    "Outputs",
    "ResNetOptions",
    "SideInfo",
    "TimmBackbone",
    "TwoStream",
    "ViTOptions",
    "WeightsReport",
    "complexity",
    "eval_mode",
    "kept_bytes",
    "train_mode",
]
