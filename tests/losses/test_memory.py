"""The memory bank, what losses see of it, and what is saved."""

import copy
import math
from collections import deque

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

import reseen.geometry
import reseen.losses.base
from reseen import losses
from reseen.geometry import Candidates, Measure, MemoryCandidates, Relation, masked_max, masked_min
from reseen.losses import (
    AdaSPLoss,
    CrossBatchMemory,
    HardTripletLoss,
    HELoss,
    IdentityLoss,
    MemoryBank,
    NPairLoss,
    PairLoss,
)

D = 4
OF_PAIRS = [
    name
    for name in losses.__all__
    if issubclass(getattr(losses, name), PairLoss) and not getattr(losses, name).__abstractmethods__
]


def batch(step: int, size: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    return torch.randn(size, D, generator=generator), torch.randint(4, (size,), generator=generator)


@pytest.mark.parametrize("sizes", [(3, 3, 3), (2, 5, 1, 7, 4), (20,), (4, 20, 1)])
def test_the_newest_are_kept(sizes: tuple[int, ...]) -> None:
    memory, expected = MemoryBank(7, D), deque[tuple[list[float], int]](maxlen=7)
    for step, size in enumerate(sizes):
        x, y = batch(step, size)
        memory.push(x, y, y > 1)
        expected.extend(zip(x.tolist(), y.tolist(), strict=True))
        stored = memory.recall()
        slots = stored.filled.nonzero()[:, 0]
        found = [(stored.embeddings[i].tolist(), int(stored.labels[i])) for i in slots]
        assert sorted(found) == sorted(expected)
        assert torch.equal(stored.norms, torch.linalg.vector_norm(stored.embeddings, dim=1))
        assert torch.equal(stored.modalities[slots], stored.labels[slots] > 1)


def test_a_slot_that_is_not_filled_is_nobody() -> None:
    """Fresh slots have label 0: the batch's identity 0 must not meet itself there, nor any other a negative."""
    x, y = batch(0)
    for same_identity in ("exclude", "keep"):
        for inner in (AdaSPLoss(), HardTripletLoss(), HELoss(), NPairLoss()):
            value = CrossBatchMemory(inner, 50, D, same_identity=same_identity)(x, y)
            torch.testing.assert_close(value, inner(x, y))


def test_a_step_sees_the_past_and_not_itself() -> None:
    loss = CrossBatchMemory(HardTripletLoss(), 50, D)
    x, y = batch(0)
    assert loss(x, y) == loss.loss(x, y)
    assert loss(*batch(1)) != loss.loss(*batch(1))


def test_evaluation_remembers_nothing() -> None:
    loss = CrossBatchMemory(HardTripletLoss(), 50, D).eval()
    loss(*batch(0))
    assert not loss.memory.recall().filled.any()


def test_the_gradient_reads_the_slots_as_they_were() -> None:
    """Although the step that it belongs to will overwrite them all."""
    loss = CrossBatchMemory(AdaSPLoss(), 6, D)
    past, past_y = batch(0)
    loss(past, past_y)
    (x, y), everyone = batch(1), torch.ones(6, dtype=torch.bool)
    stored = MemoryCandidates(past, past_y, past.norm(dim=1), everyone)
    leaf, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    loss(leaf, y).backward()
    AdaSPLoss()(other, y, Candidates(other, y, 0, stored=(stored,))).backward()
    torch.testing.assert_close(leaf.grad, other.grad)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", OF_PAIRS)
def test_two_calls_before_one_backward_pass(
    name: str, dtype: torch.dtype, wide: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two views, or micro-batches: the gradient is the sum of what each call's alone is, in the same order."""
    if wide:
        monkeypatch.setattr(reseen.losses.base, "row_blocks", lambda *shape: reseen.geometry.row_blocks(*shape, 40))
    gradients = []
    for together in (False, True):
        loss = CrossBatchMemory(getattr(losses, name)(), 10, D, same_identity="keep")
        for step in range(2):
            loss(*batch(step))
        (a, ya), (b, yb) = ((x.to(dtype).requires_grad_(), y) for x, y in (batch(2), batch(3)))
        if together:
            (loss(a, ya) + loss(b, yb)).backward()
            storage = loss.memory.embeddings.data_ptr()
            loss(*batch(4))
            loss.memory.recall()
            assert loss.memory.embeddings.data_ptr() == storage, "a copy although nothing reads the slots any more"
        else:
            loss(a, ya).backward()
            loss(b, yb).backward()
        gradients.append((a.grad, b.grad))
    torch.testing.assert_close(*gradients)


def test_a_second_backward_pass_of_what_was_overwritten_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64 the embeddings are copied, so that labels alone could tell."""
    monkeypatch.setattr(reseen.losses.base, "row_blocks", lambda *shape: reseen.geometry.row_blocks(*shape, 40))
    loss = CrossBatchMemory(AdaSPLoss(), 10, D)
    loss(*batch(0))
    x, y = batch(1)
    value = loss(x.double().requires_grad_(), y)
    value.backward(retain_graph=True)
    loss(*batch(2))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


@pytest.mark.parametrize("reentrant", [False, True])
def test_under_activation_checkpointing_it_is_refused(reentrant: bool) -> None:
    loss = CrossBatchMemory(AdaSPLoss(), 10, D)
    loss(*batch(0))
    x, y = batch(1)
    value = checkpoint(loss, x.requires_grad_(), y, use_reentrant=reentrant)
    with pytest.raises(RuntimeError, match="checkpoint the network, and call the loss outside"):
        value.backward()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", OF_PAIRS)
def test_a_bad_batch_does_not_live_on(name: str, bad: float) -> None:
    """A loop that skips the steps whose gradient overflows, as a GradScaler does, skips one and goes on."""
    torch.manual_seed(0)
    loss = CrossBatchMemory(getattr(losses, name)(), 40, D, same_identity="keep")
    weight = torch.eye(D, requires_grad=True)
    skipped = []
    for step in range(5):
        x, y = batch(step)
        x[2, 1] = bad if step == 1 else x[2, 1]
        (gradient,) = torch.autograd.grad(1024 * loss(x @ weight, y), weight)
        if not gradient.isfinite().all():
            skipped.append(step)
    assert skipped == [1]
    assert loss.memory.recall().filled.sum() == 29  # a bad component of the input spoils its row alone
    assert loss.memory.embeddings.isfinite().all()


class Manhattan(Measure):
    rises = False

    def between(self, anchors: Tensor, others: Tensor) -> Tensor:
        return torch.cdist(anchors, others, p=1)


class MyLoss(PairLoss):
    measure = Manhattan()
    num_hardest = 1

    def per_anchor(self, d: Tensor, pair: Relation) -> Tensor:
        return (masked_max(d, pair.positive).clamp(min=0) - masked_min(d, pair.negative) + 1).clamp(min=0)


def test_a_measure_of_ones_own_is_mined_by() -> None:
    (past, past_y), (x, y) = batch(0, size=30), batch(1)
    loss = CrossBatchMemory(MyLoss(), 30, D, same_identity="keep")
    loss(past, past_y)
    d = (x[:, None] - torch.cat([x, past])).abs().sum(2)
    same = y[:, None] == torch.cat([y, past_y])
    own = torch.eye(6, 36, dtype=torch.bool)
    farthest, nearest = d.masked_fill(~same | own, 0).amax(1), d.masked_fill(same, math.inf).amin(1)
    torch.testing.assert_close(loss(x, y), (farthest - nearest + 1).clamp(min=0).mean())


def test_a_measure_that_does_not_say_what_is_more_alike_is_refused() -> None:
    class Other(MyLoss):
        measure = staticmethod(lambda pairs: torch.cdist(pairs.anchors, pairs.candidates.embeddings))

    assert Other()(*batch(0)) > 0
    with pytest.raises(ValueError, match=r"expected Other.measure to be a reseen.geometry.Measure.*got <function"):
        CrossBatchMemory(Other(), 10, D)(*batch(0))


def test_a_resumed_run_goes_on_as_if_never_stopped() -> None:
    loss = CrossBatchMemory(AdaSPLoss(), 10, D)
    for step in range(3):
        loss(*batch(step))
    state = copy.deepcopy(loss.state_dict())
    resumed = CrossBatchMemory(AdaSPLoss(), 10, D)
    resumed(*batch(9))  # what it is about to remember is dropped
    resumed.load_state_dict(state)
    for step in range(3, 6):
        assert loss(*batch(step)) == resumed(*batch(step))
    for name, tensor in loss.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_a_memory_gives_no_gradient_and_keeps_no_graph() -> None:
    loss = CrossBatchMemory(HELoss(), 10, D)
    x, y = batch(0)
    loss(x.requires_grad_(), y)
    assert not loss.memory.recall().embeddings.requires_grad


def test_wrong_use_is_named() -> None:
    with pytest.raises(ValueError, match="expected a loss over pairs in CrossBatchMemory, got IdentityLoss"):
        CrossBatchMemory(IdentityLoss(), 10, D)
    with pytest.raises(ValueError, match="expected memory_size and dim of at least 1, got 0 and 4"):
        CrossBatchMemory(HELoss(), 0, D)
    with pytest.raises(ValueError, match="expected same_identity 'exclude' or 'keep', got 'drop'"):
        CrossBatchMemory(HELoss(), 10, D, same_identity="drop")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"expected embeddings \(N, 4\), got \(6, 3\)"):
        MemoryBank(10, D).push(torch.zeros(6, 3), torch.zeros(6, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"of one D, got \(6, 3\) and \(10, 4\); make the memory with dim=3"):
        CrossBatchMemory(HELoss(), 10, D)(torch.zeros(6, 3), torch.zeros(6, dtype=torch.int64))
