"""Transforms of training and test pictures: torchvision v2 pipelines on uint8 tensors (3, H, W).

Scaling and normalising are not here: they belong to the model, which takes uint8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Transform = Callable[[Tensor], Tensor]
Transforms = Transform | Mapping[str, Transform]
"""One transform for all pictures, or one for each modality: ``{"visible": ..., "infrared": ...}``."""

IMAGENET_MEAN = (124, 116, 104)  # RGB of 0..255: what erasing and padding leave is the mean, hence 0 once normalised.
ERASED = (0.02, 0.4)  # Shares of the picture.


def training_transform(
    size: tuple[int, int],
    *,
    flip: float | None = 0.5,
    pad: int | None = 10,
    jitter: float | None = None,
    auto_augment: float | None = None,
    erase: float | None = 0.5,
    exchange: float | None = None,
    grey: float | None = None,
    erase_channels: float | None = None,
) -> Transform:
    """Return the augmentation of training pictures; every part is off at None.

    The last three teach a network to do without colour, and are for visible pictures beside infrared ones: Ye et al.,
    Channel Augmented Joint Learning for Visible-Infrared Recognition, ICCV 2021.

    Args:
        size: (height, width) in pixels of what comes out.
        flip: Probability of mirroring left and right.
        pad: Pixels added on each side before a crop of ``size`` at random, so the picture moves by up to as many.
        jitter: Brightness, contrast and saturation each change by a factor within 1 ± ``jitter``.
        auto_augment: Probability of an AutoAugment policy for ImageNet (arXiv:1805.09501).
        erase: Probability of covering a random rectangle with the mean colour (random erasing, arXiv:1708.04896).
        exchange: Probability that one colour channel, drawn at random, stands for all three.
        grey: Probability that the picture's luminance stands for all three channels.
        erase_channels: Probability of erasing in each colour channel apart: another rectangle, or none, in each.

    Note:
        The paper's code erases one rectangle through all three channels, which is ``erase``.
    """
    from torchvision.transforms import v2  # Here: it takes as long to import as torch.

    steps: list[Transform] = [resize(size)]
    if flip is not None:
        steps.append(v2.RandomHorizontalFlip(flip))
    if pad is not None:
        steps.append(PadAndCrop(size, pad))
    if jitter is not None:
        steps.append(v2.ColorJitter(brightness=jitter, contrast=jitter, saturation=jitter))
    if auto_augment is not None:
        steps.append(v2.RandomApply([v2.AutoAugment()], p=auto_augment))
    if exchange is not None:
        steps.append(v2.RandomApply([v2.Lambda(exchange_channels)], p=exchange))
    if grey is not None:
        steps.append(v2.RandomGrayscale(grey))
    if erase_channels is not None:
        steps.append(EraseChannels(erase_channels))
    if erase is not None:
        steps.append(v2.RandomErasing(erase, scale=ERASED, value=list(IMAGENET_MEAN)))
    return v2.Compose(steps)  # type: ignore[no-any-return]


class PadAndCrop:
    """Padding with the mean colour, then a crop of the picture's size at random: it moves by up to ``pad`` pixels.

    What torchvision's ``RandomCrop(size, padding=pad, fill=...)`` gives, with the same random numbers, in a quarter of
    the time: there it is nearly half of the augmentation, which a small network on one core waits for.

    Args:
        size: (height, width) of the pictures.
        pad: Pixels on each side.
    """

    def __init__(self, size: tuple[int, int], pad: int) -> None:
        self.pad = pad
        self.mean_colour = torch.tensor(IMAGENET_MEAN, dtype=torch.uint8)[:, None, None].repeat(1, *size)

    def __call__(self, image: Tensor) -> Tensor:
        """Return (3, H, W) moved, where it came from the mean colour."""
        if not self.pad:
            return image
        height, width = image.shape[1:]
        down, right = (self.pad - int(torch.randint(2 * self.pad + 1, ())) for _ in range(2))
        rows, columns = max(0, height - abs(down)), max(0, width - abs(right))
        (y, x), (from_y, from_x) = (max(0, down), max(0, right)), (max(0, -down), max(0, -right))
        moved = self.mean_colour.clone()
        moved[:, y : y + rows, x : x + columns] = image[:, from_y : from_y + rows, from_x : from_x + columns]
        return moved


def exchange_channels(image: Tensor) -> Tensor:
    """Return one channel of (3, H, W), drawn at random, three times over."""
    return image[torch.randint(3, (1,))].expand_as(image).clone()


class EraseChannels:
    """Covers a random rectangle of each channel with that channel's mean: another rectangle in each.

    Args:
        probability: For each channel.
    """

    def __init__(self, probability: float) -> None:
        from torchvision.transforms import v2

        self.erase = [v2.RandomErasing(probability, scale=ERASED, value=[mean]) for mean in IMAGENET_MEAN]

    def __call__(self, image: Tensor) -> Tensor:
        """Return (3, H, W) with parts of it erased."""
        return torch.cat([erase(channel[None]) for erase, channel in zip(self.erase, image, strict=True)])


def test_transform(size: tuple[int, int]) -> Transform:
    """Return the transform of test pictures: a resize to ``size`` = (height, width)."""
    return resize(size)


def resize(size: tuple[int, int]) -> Transform:
    """Return the one resize of the library: bilinear with antialiasing, nothing at all for a picture of that size."""
    from torchvision.transforms import v2

    return v2.Resize(size, antialias=True)  # type: ignore[no-any-return]


test_transform.__test__ = False  # type: ignore[attr-defined]  # pytest would take the name for a test's
