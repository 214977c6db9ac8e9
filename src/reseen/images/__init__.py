"""From samples to batches of pictures."""

from reseen.images.identity_batches import Batches, IdentityBatches
from reseen.images.image_set import Draw, ImageSet, Item, number_identities, number_modalities
from reseen.images.reading import read
from reseen.images.transforms import Transform, Transforms, test_transform, training_transform

__all__ = [
    "Batches",
    "Draw",
    "IdentityBatches",
    "ImageSet",
    "Item",
    "Transform",
    "Transforms",
    "number_identities",
    "number_modalities",
    "read",
    "test_transform",
    "training_transform",
]
