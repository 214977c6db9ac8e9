"""Each loss, forward and backward, against the bare product of the same similarities with its gradient.

Time and peak memory, at A = 128 anchors of D = 2048 components, without a memory and with one of 65,536 slots. And time
against pytorch-metric-learning where it has the same loss: with the batch and the memory as reference embeddings, which
is the same function with the same gradient; and with its own CrossBatchMemory, which is less, since there a batch gives
no gradient as candidates. All is measured in turns in one run, so that ratios hold on a machine that is not idle.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from benchmarks.memory import fastest
from pytorch_metric_learning import distances, miners, reducers
from pytorch_metric_learning import losses as theirs
from pytorch_metric_learning.utils import loss_and_miner_utils as tuples
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from reseen import losses as ours
from reseen.losses import ClassifierLoss, CrossBatchMemory, PairLoss

A, D, PER_IDENTITY, SLOTS = 128, 2048, 8, 65_536
LIMITS = {"small": 2.0, "large": 1.5}
FASTER = {"small": 1.0, "large": 2.0}

OF_PAIRS: list[Callable[[], PairLoss]] = [
    ours.HardTripletLoss,
    ours.WeightedTripletLoss,
    ours.HardContrastiveLoss,
    ours.SPHLoss,
    ours.SPLHLoss,
    ours.AdaSPLoss,
    ours.FIDILoss,
    ours.ExpATLoss,
    ours.HELoss,
    ours.CircleLoss,
    ours.MultiSimilarityLoss,
    ours.SupConLoss,
    ours.EasyPositiveLoss,
    ours.NPairLoss,
    ours.RankedListLoss,
]
OF_IDENTITIES: list[Callable[..., ClassifierLoss]] = [
    ours.IdentityLoss,
    ours.CircleSoftmaxLoss,
    ours.ArcFaceLoss,
    ours.CosFaceLoss,
    ours.CenterLoss,
]


@dataclass(frozen=True)
class Row:
    """One loss at one size.

    Attributes:
        time: Over the bare product's.
        memory: Peak, above embeddings and memory, over the bare product's.
        faster: How many times as fast as pytorch-metric-learning, as the same function and as its own memory has it;
            empty where it has no such loss.
    """

    name: str
    time: float
    memory: float
    faster: tuple[float, ...]


def peer(name: str) -> tuple[nn.Module, nn.Module | None] | None:
    """Return pytorch-metric-learning's loss and miner of the same name, set to the same equation."""
    mean, plain = reducers.MeanReducer(), distances.LpDistance(normalize_embeddings=False)
    unit = distances.LpDistance(normalize_embeddings=True)
    made: dict[str, tuple[nn.Module, nn.Module | None]] = {
        "HardTripletLoss": (
            theirs.TripletMarginLoss(margin=0.3, distance=plain, reducer=mean),
            miners.BatchHardMiner(distance=plain),
        ),
        "HardContrastiveLoss": (
            theirs.ContrastiveLoss(0, 1, distance=unit, reducer=mean),
            miners.BatchHardMiner(distance=unit),
        ),
        "CircleLoss": (theirs.CircleLoss(m=0.25, gamma=128, reducer=mean), None),
        "MultiSimilarityLoss": (theirs.MultiSimilarityLoss(2, 40, 0.5), miners.MultiSimilarityMiner(0.1)),
        "SupConLoss": (theirs.SupConLoss(0.07), None),
        "RankedListLoss": (theirs.RankedListLoss(margin=0.4, Tn=10, alpha=1.2), None),
    }
    return made.get(name)


def data(slots: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return a batch of 16 identities, overlapping, and a memory of 751 which they are among."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(751, D, generator=generator)
    y = torch.arange(A // PER_IDENTITY).repeat_interleave(PER_IDENTITY)
    past_y = torch.randint(751, (slots,), generator=generator)
    past = torch.randn(slots, D, generator=generator)
    for start in range(0, slots, 4096):
        past[start : start + 4096] += 0.5 * centres[past_y[start : start + 4096]]
    x = 0.5 * centres[y] + torch.randn(A, D, generator=generator)
    return x.requires_grad_(), y, past, past_y


def bare_product(x: Tensor, others: Tensor) -> Callable[[], None]:
    """Return the similarities of a batch to itself and to others, and their gradient."""
    grads = [torch.randn(A, A), torch.randn(A, len(others))]

    def work() -> None:
        x.grad = others.grad = None
        blocks = [x @ x.T, x @ others.T] if len(others) else [x @ x.T]
        torch.autograd.backward(blocks, grads[: len(blocks)])

    return work


def steps_of(loss: Callable[..., Tensor], x: Tensor, *labels: Tensor) -> Callable[[], None]:
    def work() -> None:
        x.grad = None
        if isinstance(loss, nn.Module):
            loss.zero_grad()
        loss(x, *labels).backward()

    return work


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Discard what native code writes to standard error: the profiler's own lines, which no setting turns off."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def peak(work: Callable[[], None]) -> int:
    """Return the most bytes that tensors made in the work took up at once."""
    with silent_stderr(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    most = total = 0
    made: dict[int, int] = {}
    events = _flat(profiler.profiler.kineto_results.experimental_event_tree())
    for event in sorted(events, key=lambda e: e.start_time_ns):
        if event.name == "[memory]":
            # What was there before, such as the gradient of the step before, is given back without having been counted.
            fields = event.extra_fields
            size = fields.alloc_size if fields.alloc_size > 0 else -made.pop(fields.ptr, 0)
            if size > 0:
                made[fields.ptr] = size
            total += size
            most = max(most, total)
    return most


def _flat(events: list[Any]) -> list[Any]:
    return [one for event in events for one in (event, *_flat(event.children))]


def over_all(loss: nn.Module, miner: nn.Module | None, past: Tensor, past_y: Tensor) -> Callable[..., Tensor]:
    """Return pytorch-metric-learning's loss of a batch with the batch and the past for candidates."""

    def step(x: Tensor, y: Tensor) -> Tensor:
        everyone, labels = torch.cat([x, past]), torch.cat([y, past_y])
        pairs = miner(x, y, everyone, labels) if miner else tuples.get_all_pairs_indices(y, labels)
        pairs = tuples.remove_self_comparisons(pairs, torch.arange(len(y)), len(labels))
        return loss(x, y, pairs, everyone, labels)

    return step


def of_pairs(slots: int, repeats: int, names: list[str]) -> list[Row]:
    x, y, past, past_y = data(slots)
    product = bare_product(x, past)
    floor, rows = peak(product) + 4 * A * (A + slots), []  # the gradient of the product stands ready
    for make in OF_PAIRS:
        loss: nn.Module = make()
        name = type(loss).__name__
        if names and name not in names:
            continue
        peers = None if slots and name == "RankedListLoss" else peer(name)  # theirs has no memory
        works = [product]
        if slots:
            loss = CrossBatchMemory(loss, slots, D).eval()
            loss.memory.push(past, past_y)
            loss.memory.recall()
        works.append(steps_of(loss, x, y))
        if peers is not None:
            their_loss, miner = peers
            if slots:
                memory = theirs.CrossBatchMemory(their_loss, D, memory_size=A + slots, miner=miner)
                memory.embedding_memory[:slots], memory.label_memory[:slots] = past, past_y
                memory.queue_idx, memory.has_been_filled = slots, True
                works += [steps_of(over_all(their_loss, miner, past, past_y), x, y), steps_of(memory, x, y)]
            else:
                works.append(steps_of(lambda x, y, f=their_loss, m=miner: f(x, y, m and m(x, y)), x, y))
        times = fastest(*works, repeats=repeats)
        faster = tuple(time / times[1] for time in times[2:])
        rows.append(Row(name, times[1] / times[0], peak(works[1]) / floor, faster))
        show(rows[-1], "large" if slots else "small")
    return rows


def of_identities(slots: int, repeats: int, names: list[str]) -> list[Row]:
    x, y, _, _ = data(0)
    weights = torch.randn(A + slots, D, requires_grad=True)
    grad, rows = torch.randn(A, A + slots), []

    def product() -> None:
        x.grad = weights.grad = None
        (x @ weights.T).backward(grad)

    floor = peak(product) + 4 * A * (A + slots)
    for make in OF_IDENTITIES:
        loss = make(A + slots, D)
        name = type(loss).__name__
        if names and name not in names:
            continue
        works = [product, steps_of(loss, x, y)]
        if name in ("ArcFaceLoss", "CosFaceLoss"):
            works.append(steps_of(getattr(theirs, name)(A + slots, D), x, y))
        times = fastest(*works, repeats=repeats)
        faster = tuple(time / times[1] for time in times[2:])
        rows.append(Row(name, times[1] / times[0], peak(works[1]) / floor, faster))
        show(rows[-1], "large" if slots else "small")
    return rows


def show(row: Row, size: str) -> None:
    time_missed, faster_missed = row.time > LIMITS[size], bool(row.faster) and row.faster[0] < FASTER[size]
    faster = "".join(f"{ratio:8.1f}" for ratio in row.faster)
    marks = "  time MISSED" * time_missed + "  peer MISSED" * faster_missed
    print(f"  {row.name:24}{row.time:8.2f}{row.memory:10.2f}{faster}{marks}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="losses; all if none")
    parser.add_argument("--size", choices=("small", "large"), action="append")
    parser.add_argument("--repeats", type=int, help="turns of each work")
    chosen = parser.parse_args(arguments or [])
    warnings.simplefilter("ignore")
    for size, slots, repeats in (("small", 0, 100), ("large", SLOTS, 5)):
        if chosen.size and size not in chosen.size:
            continue
        repeats = chosen.repeats or repeats
        print(
            f"A = {A}, D = {D}, C = {A + slots:,}. Time and memory over the product's, time at most {LIMITS[size]:g};"
        )
        print(f"times as fast as pytorch-metric-learning, at least {FASTER[size]:g}, and as its CrossBatchMemory")
        print(f"  {'loss':24}{'time':>8}{'memory':>10}{'peer':>8}{'its':>8}")
        of_pairs(slots, repeats, chosen.names)
        of_identities(slots, repeats, chosen.names)


if __name__ == "__main__":
    main(sys.argv[1:])
