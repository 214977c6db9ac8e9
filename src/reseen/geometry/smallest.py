"""The smallest numbers of each row, in their order."""

from __future__ import annotations

import torch
from torch import Tensor


def smallest(x: Tensor, k: int) -> Tensor:
    """Return the k smallest numbers of each row of x (A, C), rising: (A, k), with their gradient.

    Note:
        On a CPU NumPy sorts with vector instructions, some twenty times as fast as torch. Equal numbers stand in any
        order, and so does their gradient.
    """
    if k < x.shape[1] or x.device.type != "cpu":
        return x.topk(k, dim=1, largest=False).values
    return x.gather(1, torch.from_numpy(x.detach().numpy().argsort(axis=1)))
