"""Collective operations over ranks, with gradients; all of them also work in a single process.

Dimensions: N rows on each rank, the same number on all; R ranks.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from reseen.geometry import Candidates

T = TypeVar("T")


def num_ranks() -> int:
    """Return how many processes train together; 1 where none were started."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the rank of this process, from 0."""
    return dist.get_rank() if num_ranks() > 1 else 0


def gather(x: Tensor) -> Tensor:
    """Return all ranks' rows (R * N, ...), ordered by rank, from this rank's (N, ...).

    Gradients come back: a row's is the sum of what all ranks' losses give it. A training loop that averages gradients
    over ranks thus trains on the average of the ranks' losses. Ranks with different N crash or wait for ever: where
    they may differ, call `require_equal` before.
    """
    return x if num_ranks() == 1 else cast(Tensor, _Gather.apply(x))


def require_equal(rows: int) -> None:
    """Raise ValueError, on all ranks, unless they have the same number of rows; the device is not waited for."""
    if num_ranks() == 1 or torch.compiler.is_compiling():
        return
    counts = [torch.zeros((), dtype=torch.int64) for _ in range(num_ranks())]
    dist.all_gather(counts, torch.tensor(rows), group=_host_group(dist.group.WORLD))
    sizes = [int(count) for count in counts]
    if len(set(sizes)) > 1:
        raise ValueError(
            f"expected batches of one size on all ranks, got {', '.join(map(str, sizes))}; drop the last, smaller batch"
        )


@functools.lru_cache(maxsize=1)
def _host_group(world: dist.ProcessGroup) -> dist.ProcessGroup:
    """Return all ranks as a group that exchanges tensors of the host, made in the first call."""
    return cast(dist.ProcessGroup, dist.new_group(backend="gloo"))


def gather_candidates(candidates: Candidates) -> Candidates:
    """Return all ranks' live candidates in place of this rank's; what is stored stays as it is.

    Args:
        candidates: As many on all ranks, as P x K batches are.

    Raises:
        ValueError: Ranks have different numbers of them.
    """
    require_equal(len(candidates.labels))
    return dataclasses.replace(
        candidates,
        embeddings=gather(candidates.embeddings),
        labels=gather(candidates.labels.long()),  # gloo has no uint16 and the like
        offset=None if candidates.offset is None else candidates.offset + rank() * len(candidates.labels),
        modalities=None if candidates.modalities is None else gather(candidates.modalities),
        gathered=True,
    )


def on_all_ranks(work: Callable[[], T]) -> list[T]:
    """Do this rank's part of some work and return what it gave on every rank, in their order.

    An error of one rank is raised on all of them, so that none waits for another for ever.

    Args:
        work: Talks to no other rank; its result can be pickled.
    """
    if num_ranks() == 1:
        return [work()]
    mine: tuple[T | None, Exception | None]
    try:
        mine = work(), None
    except Exception as error:
        mine = None, error
    parts: list[Any] = [None] * num_ranks()
    dist.all_gather_object(parts, mine)
    for _, failure in parts:
        if failure is not None:
            raise failure
    return [value for value, _ in parts]


def on_first_rank(work: Callable[[], T]) -> T:
    """Do some work on the first rank only and return its result, or raise its error, on all of them."""
    return on_all_ranks(lambda: work() if rank() == 0 else None)[0]  # type: ignore[return-value]


def of_first_rank(tensors: list[Tensor]) -> list[Tensor]:
    """Return the first rank's values of tensors of one type, which may not need gradient."""
    if num_ranks() == 1 or not tensors:
        return tensors
    values = torch.cat([tensor.flatten() for tensor in tensors])
    dist.broadcast(values, src=0)
    parts = torch.split(values, [tensor.numel() for tensor in tensors])
    return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]


class _Gather(torch.autograd.Function):
    """All ranks' rows; each is the gradient of the other, so that derivatives of any order are right."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(num_ranks())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return cast(Tensor, _Scatter.apply(grad))


class _Scatter(torch.autograd.Function):
    """This rank's part of the sum of all ranks' rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.contiguous().clone()
        dist.all_reduce(total)
        return total.chunk(num_ranks())[rank()]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return cast(Tensor, _Gather.apply(grad))
