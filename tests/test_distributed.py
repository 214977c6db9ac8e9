"""Two processes equal one on the joined batch."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from reseen import losses
from reseen.distributed import gather, gather_candidates, num_ranks, rank
from reseen.geometry import Candidates
from reseen.losses import (
    AcrossRanks,
    AdaSPLoss,
    CenterLoss,
    ClassifierLoss,
    CrossBatchMemory,
    CrossModal,
    HELoss,
    Loss,
    PairLoss,
    SupConLoss,
    Wrapper,
)

RANKS = 2
STEPS = 3
D = 6


def wrapped() -> dict[str, Callable[[], Loss]]:
    """Every loss across ranks, and the wrappers in every order; `AcrossRanks` is what one process can leave out."""
    classes = [getattr(losses, name) for name in losses.__all__]
    final = [c for c in classes if issubclass(c, Loss) and not inspect.isabstract(c) and not issubclass(c, Wrapper)]
    pairs = [c for c in final if issubclass(c, PairLoss)]
    return (
        {c.__name__: lambda c=c: AcrossRanks(c()) for c in final}
        | {f"{c.__name__}, modalities": lambda c=c: AcrossRanks(CrossModal(c())) for c in pairs}
        | {f"{c.__name__}, memory": lambda c=c: AcrossRanks(CrossBatchMemory(c(), 24, D)) for c in pairs}
        | {
            "memory outside": lambda: CrossBatchMemory(AcrossRanks(AdaSPLoss()), 24, D, same_identity="keep"),
            "modalities outside": lambda: CrossModal(AcrossRanks(CrossBatchMemory(HELoss(), 24, D))),
            "modalities, memory": lambda: CrossModal(CrossBatchMemory(AcrossRanks(HELoss()), 24, D)),
        }
    )


def batch(step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return embeddings, labels and modalities of the joined batch; ranks hold parts of the same identities."""
    generator = torch.Generator().manual_seed(step)
    y = torch.randint(5, (2 * 7,), generator=generator)
    centres = torch.randn(5, D, dtype=torch.float64, generator=generator)
    x = centres[y] + 0.8 * torch.randn(len(y), D, dtype=torch.float64, generator=generator)
    return x, y, torch.rand(len(y), generator=generator) > 0.5


def train(loss: Loss, part: slice) -> list[tuple[Tensor, Tensor, list[Tensor]]]:
    """Return the value and the gradients, by embeddings and by parameters, of some steps on a part of the batch."""
    torch.manual_seed(0)
    for module in loss.modules():
        if isinstance(module, ClassifierLoss):
            module.build(5, D)
    loss.double()
    results = []
    for step in range(STEPS):
        x, y, infrared = (t[part] for t in batch(step))
        x.requires_grad_()
        extra = {"modalities": infrared} if loss.takes_modalities else {}
        loss.zero_grad()
        value = loss(x, y, **extra)
        value.backward()
        results.append((value.detach(), x.grad, [p.grad.clone() for p in loss.parameters()]))
    return results


def penalty(part: slice) -> Tensor:
    """Return the gradient of a penalty on gradients, which is made of second derivatives."""
    x, y, _ = (t[part] for t in batch(0))
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(AcrossRanks(SupConLoss())(x, y), x, create_graph=True)
    return torch.autograd.grad((gradient / num_ranks()).square().sum(), x)[0]


def work(folder: Path, mine: int) -> None:
    """Be one of the ranks, and write what comes out."""
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=mine, world_size=RANKS)
    part = slice(mine * 7, (mine + 1) * 7)
    results: dict[str, Any] = {name: train(make(), part) for name, make in wrapped().items()}
    remembering = CrossBatchMemory(AdaSPLoss(), 24, D)
    train(remembering, part)
    results["state"] = dict(remembering.state_dict())
    results["penalty"] = penalty(part)
    x, y, _ = batch(0)
    results["refused"] = {}
    for name, loss in (
        ("across", AcrossRanks(AdaSPLoss())),
        ("classes", AcrossRanks(CenterLoss(5, D))),
        ("memory", CrossBatchMemory(AdaSPLoss(), 24, D)),
    ):
        try:
            loss.double()(x[: 5 + mine], y[: 5 + mine])
        except ValueError as error:
            results["refused"][name] = str(error)
    x, y, infrared = batch(0)
    found = gather_candidates(Candidates(x[part], y[part], 0, modalities=infrared[part]))
    results["gathered"] = (found.embeddings, found.labels, found.modalities, found.offset, rank(), num_ranks())
    torch.save(results, folder / f"{mine}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ranks")
    processes = [subprocess.Popen([sys.executable, __file__, str(folder), str(i)]) for i in range(RANKS)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    return [torch.load(folder / f"{i}.pt") for i in range(RANKS)]


@pytest.mark.parametrize("name", wrapped())
def test_two_ranks_equal_one_process(name: str, ranks: list[dict[str, Any]]) -> None:
    alone = train(wrapped()[name](), slice(None))
    for step, (value, by_x, by_parameters) in enumerate(alone):
        theirs = [results[name][step] for results in ranks]
        for its_value, _, _ in theirs:
            torch.testing.assert_close(its_value, value, rtol=1e-9, atol=1e-12)
        # Averaged over ranks, as data-parallel training does.
        torch.testing.assert_close(torch.cat([t[1] for t in theirs]) / RANKS, by_x, rtol=1e-9, atol=1e-12)
        for i, gradient in enumerate(by_parameters):
            torch.testing.assert_close(sum(t[2][i] for t in theirs) / RANKS, gradient, rtol=1e-9, atol=1e-12)


def test_second_derivatives_equal_one_process(ranks: list[dict[str, Any]]) -> None:
    found = torch.cat([results["penalty"] for results in ranks])  # of the sum of the ranks' penalties
    torch.testing.assert_close(found, penalty(slice(None)), rtol=1e-9, atol=1e-12)


def test_batches_of_different_sizes_are_refused(ranks: list[dict[str, Any]]) -> None:
    message = "expected batches of one size on all ranks, got 5, 6; drop the last, smaller batch"
    for results in ranks:
        assert results["refused"] == {"across": message, "classes": message, "memory": message}


def test_every_rank_remembers_the_same(ranks: list[dict[str, Any]]) -> None:
    first, second = (results["state"] for results in ranks)
    assert first["memory.filled"].all()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_candidates_are_gathered_in_the_order_of_ranks(ranks: list[dict[str, Any]]) -> None:
    x, y, infrared = batch(0)
    for i, results in enumerate(ranks):
        embeddings, labels, modalities, offset, mine, number = results["gathered"]
        assert torch.equal(embeddings, x)
        assert torch.equal(labels, y)
        assert torch.equal(modalities, infrared)
        assert (offset, mine, number) == (7 * i, i, RANKS)


def test_one_process_is_a_world_of_its_own() -> None:
    x, y, _ = batch(0)
    assert (rank(), num_ranks()) == (0, 1)
    assert gather(x) is x
    assert gather_candidates(Candidates(x, y, 0)).offset == 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    work(Path(sys.argv[1]), int(sys.argv[2]))
