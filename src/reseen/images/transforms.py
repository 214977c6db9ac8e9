"""What is done to a picture on its way into a batch: torchvision v2 pipelines on uint8 tensors (3, H, W).

Scaling and normalising are not here: they belong to the model, which takes uint8.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torchvision.transforms import v2

Transform = Callable[[Tensor], Tensor]

IMAGENET_MEAN = (124, 116, 104)  # RGB of 0..255: what erasing and padding leave is the mean, hence 0 once normalised.


def training_transform(
    size: tuple[int, int],
    *,
    flip: float | None = 0.5,
    pad: int | None = 10,
    jitter: float | None = None,
    auto_augment: float | None = None,
    erase: float | None = 0.5,
) -> Transform:
    """Return what varies a training picture; every part is off at None.

    Args:
        size: (height, width) in pixels of what comes out.
        flip: Probability of mirroring left and right.
        pad: Pixels added on each side before a crop of ``size`` at random, so the picture moves by up to as many.
        jitter: Brightness, contrast and saturation each change by a factor within 1 ± ``jitter``.
        auto_augment: Probability of an AutoAugment policy for ImageNet (arXiv:1805.09501).
        erase: Probability of covering a random rectangle with the mean colour (random erasing, arXiv:1708.04896).
    """
    steps: list[Transform] = [resize(size)]
    if flip is not None:
        steps.append(v2.RandomHorizontalFlip(flip))
    if pad is not None:
        steps.append(v2.RandomCrop(size, padding=pad, fill=list(IMAGENET_MEAN)))
    if jitter is not None:
        steps.append(v2.ColorJitter(brightness=jitter, contrast=jitter, saturation=jitter))
    if auto_augment is not None:
        steps.append(v2.RandomApply([v2.AutoAugment()], p=auto_augment))
    if erase is not None:
        steps.append(v2.RandomErasing(erase, scale=(0.02, 0.4), value=list(IMAGENET_MEAN)))
    return v2.Compose(steps)  # type: ignore[no-any-return]


def test_transform(size: tuple[int, int]) -> Transform:
    """Return what brings a picture to ``size`` = (height, width) and changes nothing else."""
    return resize(size)


def resize(size: tuple[int, int]) -> Transform:
    """Return the one resize of the library: bilinear with antialiasing, nothing at all for a picture of that size."""
    return v2.Resize(size, antialias=True)  # type: ignore[no-any-return]


test_transform.__test__ = False  # type: ignore[attr-defined]  # pytest would take the name for a test's
