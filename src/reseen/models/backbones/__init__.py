"""Backbones: from normalised images to features."""

from reseen.models.backbones.base import Backbone, SideInfo
from reseen.models.backbones.osnet import OSNet
from reseen.models.backbones.timm import TimmBackbone

__all__ = ["Backbone", "OSNet", "SideInfo", "TimmBackbone"]
