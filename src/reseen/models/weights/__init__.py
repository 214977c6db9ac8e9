"""Published weights: download, reading, format detection and strict loading."""

from reseen.models.weights.loading import (
    LoadedBackbone,
    WeightsReport,
    hub_weights,
    load_head,
    load_published,
    load_weights,
)
from reseen.models.weights.reading import EFFICIENTNET_PACKAGE, TENSORS_DIGEST, digest_of, read_pickled, read_tensors

__all__ = [
    "EFFICIENTNET_PACKAGE",
    "TENSORS_DIGEST",
    "LoadedBackbone",
    "WeightsReport",
    "digest_of",
    "hub_weights",
    "load_head",
    "load_published",
    "load_weights",
    "read_pickled",
    "read_tensors",
]
