"""Weights that others published: read, recognised and put into a network."""

from reseen.models.weights.loading import WeightsReport, load_weights
from reseen.models.weights.reading import EFFICIENTNET_PACKAGE, read_tensors

__all__ = ["EFFICIENTNET_PACKAGE", "WeightsReport", "load_weights", "read_tensors"]
