"""Data loading: torch ``Dataset``, identity batch sampler and transforms."""

from reseen.loading.image_dataset import Draw, ImageDataset, Item, number_identities, number_modalities, read
from reseen.loading.sampler import Batches, IdentityBatchSampler
from reseen.loading.transforms import Transform, Transforms, test_transform, training_transform

__all__ = [
    "Batches",
    "Draw",
    "IdentityBatchSampler",
    "ImageDataset",
    "Item",
    "Transform",
    "Transforms",
    "number_identities",
    "number_modalities",
    "read",
    "test_transform",
    "training_transform",
]
