"""Types that travel between modules: Sample, Embeddings, Protocol and Benchmark. Needs no torch."""

from reseen.types.benchmark import Benchmark, ObjectKind, PublishedData, require_sound
from reseen.types.embeddings import Embeddings, Labels, as_labels, join_labels
from reseen.types.protocol import Protocol, Trial
from reseen.types.sample import MODALITIES, Box, Camera, Identity, Sample

__all__ = [
    "MODALITIES",
    "Benchmark",
    "Box",
    "Camera",
    "Embeddings",
    "Identity",
    "Labels",
    "ObjectKind",
    "Protocol",
    "PublishedData",
    "Sample",
    "Trial",
    "as_labels",
    "join_labels",
    "require_sound",
]
