"""Data loading: torch ``Dataset``, identity batch sampler and transforms."""

from reseen.loading.image_dataset import DatasetItem, Draw, ImageDataset, number_identities, number_modalities
from reseen.loading.sampler import Batches, IdentityBatchSampler
from reseen.loading.transforms import Transform, Transforms, test_transform, training_transform
from reseen.storage import read_picture

__all__ = [
    "Batches",
    "DatasetItem",
    "Draw",
    "IdentityBatchSampler",
    "ImageDataset",
    "Transform",
    "Transforms",
    "number_identities",
    "number_modalities",
    "read_picture",
    "test_transform",
    "training_transform",
]
