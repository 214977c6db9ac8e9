"""The ring of slots, what losses see of it, and what is saved."""

import copy
from collections import deque

import pytest
import torch
from torch import Tensor

from reseen.geometry import Candidates, Stored
from reseen.losses import AdaSPLoss, HardTripletLoss, HELoss, IdentityLoss, Memory, NPairLoss, Remembering

D = 4


def batch(step: int, size: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    return torch.randn(size, D, generator=generator), torch.randint(4, (size,), generator=generator)


@pytest.mark.parametrize("sizes", [(3, 3, 3), (2, 5, 1, 7, 4), (20,), (4, 20, 1)])
def test_the_newest_are_kept(sizes: tuple[int, ...]) -> None:
    memory, expected = Memory(7, D), deque[tuple[list[float], int]](maxlen=7)
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
            value = Remembering(inner, 50, D, same_identity=same_identity)(x, y)
            torch.testing.assert_close(value, inner(x, y))


def test_a_step_sees_the_past_and_not_itself() -> None:
    loss = Remembering(HardTripletLoss(), 50, D)
    x, y = batch(0)
    assert loss(x, y) == loss.loss(x, y)
    assert loss(*batch(1)) != loss.loss(*batch(1))


def test_evaluation_remembers_nothing() -> None:
    loss = Remembering(HardTripletLoss(), 50, D).eval()
    loss(*batch(0))
    assert not loss.memory.recall().filled.any()


def test_the_gradient_reads_the_slots_as_they_were() -> None:
    """Although the step that it belongs to will overwrite them all."""
    loss = Remembering(AdaSPLoss(), 6, D)
    past, past_y = batch(0)
    loss(past, past_y)
    (x, y), everyone = batch(1), torch.ones(6, dtype=torch.bool)
    stored = Stored(past, past_y, past.norm(dim=1), everyone)
    leaf, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    loss(leaf, y).backward()
    AdaSPLoss()(other, y, Candidates(other, y, 0, stored=(stored,))).backward()
    torch.testing.assert_close(leaf.grad, other.grad)


def test_a_resumed_run_goes_on_as_if_never_stopped() -> None:
    loss = Remembering(AdaSPLoss(), 10, D)
    for step in range(3):
        loss(*batch(step))
    state = copy.deepcopy(loss.state_dict())
    resumed = Remembering(AdaSPLoss(), 10, D)
    resumed(*batch(9))  # what it is about to remember is dropped
    resumed.load_state_dict(state)
    for step in range(3, 6):
        assert loss(*batch(step)) == resumed(*batch(step))
    for name, tensor in loss.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_a_memory_gives_no_gradient_and_keeps_no_graph() -> None:
    loss = Remembering(HELoss(), 10, D)
    x, y = batch(0)
    loss(x.requires_grad_(), y)
    assert not loss.memory.recall().embeddings.requires_grad


def test_wrong_use_is_named() -> None:
    with pytest.raises(ValueError, match="expected a loss over pairs in Remembering, got IdentityLoss"):
        Remembering(IdentityLoss(), 10, D)
    with pytest.raises(ValueError, match="expected slots and dim of at least 1, got 0 and 4"):
        Remembering(HELoss(), 0, D)
    with pytest.raises(ValueError, match="expected same_identity 'exclude' or 'keep', got 'drop'"):
        Remembering(HELoss(), 10, D, same_identity="drop")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"expected embeddings \(N, 4\), got \(6, 3\)"):
        Memory(10, D).push(torch.zeros(6, 3), torch.zeros(6, dtype=torch.int64))
