"""Two ranks train as one process does."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from accelerate.state import PartialState
from tests.training.test_resume import in_child
from tests.training.tiny import data, model, run, same

from reseen import checkpoint
from reseen.images import IdentityBatches
from reseen.losses import AcrossRanks, AdaSPLoss, HardTripletLoss, IdentityLoss
from reseen.models import Embedder
from reseen.training import Schedule, Term


def train_steadily(out: Path, *, seed: int = 0, epochs: int = 2, resume: bool = False) -> Embedder:
    across = [Term(AcrossRanks(loss), on="feature") for loss in (AdaSPLoss(0.5), HardTripletLoss())]
    trained, _ = run(
        out,
        model=model("Steady", neck="none"),
        terms=[Term(IdentityLoss()), *across],
        batches=IdentityBatches(4, 2),
        schedule=Schedule(epochs=epochs, optimizer="sgd", learning_rate=0.05, warmup=0, freeze=1, clip=1.0),
        seed=seed,
        resume=resume,
    )
    return trained


def on_two_ranks(work: Callable[[int], None]) -> None:
    """Call ``work(rank)`` on two ranks of one group."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])

    def join(rank: int) -> None:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
        PartialState._reset_state()
        work(rank)
        dist.destroy_process_group()

    children = [in_child(lambda rank=rank: join(rank)) for rank in range(2)]  # type: ignore[misc]
    for child in children:
        child.join(120)
        assert child.exitcode == 0


def train_on_two_ranks(out: Path, *, resume: bool = False) -> None:
    on_two_ranks(lambda rank: torch.save(train_steadily(out, resume=resume).state_dict(), out / f"{rank}.pt"))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("two") / "run"
    train_on_two_ranks(out)
    return out


def test_two_ranks_end_where_one_process_does(two: Path, tmp_path: Path) -> None:
    alone = train_steadily(tmp_path / "run").state_dict()
    first, second = (torch.load(two / f"{rank}.pt", weights_only=True) for rank in range(2))
    untrained = model("Steady", neck="none").state_dict()
    for name in alone:
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], alone[name], rtol=1e-4, atol=1e-6)
    assert not torch.equal(alone["network.backbone.conv.weight"], untrained["network.backbone.conv.weight"])


def test_the_first_rank_writes_for_both(two: Path) -> None:
    steps = {path.name for path in two.iterdir()}
    assert steps >= {"best.safetensors", "last.safetensors", "metrics.jsonl", "state"}
    assert same(checkpoint.load(two / "last.safetensors"), with_weights(two / "0.pt"))
    assert (two / "metrics.jsonl").read_text().count('"mean_ap"') == 3


def with_weights(path: Path) -> Embedder:
    restored = model("Steady", neck="none")
    restored.load_state_dict(torch.load(path, weights_only=True))
    return restored


def test_two_ranks_resume(two: Path, tmp_path: Path) -> None:
    before = torch.load(two / "0.pt", weights_only=True)
    train_on_two_ranks(two, resume=True)
    after = torch.load(two / "1.pt", weights_only=True)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_another_number_of_ranks_is_refused(two: Path) -> None:
    from reseen.errors import RunError

    assert len(data().train) == 48
    with pytest.raises(RunError, match="resume on 2 ranks as the run was saved, got 1"):
        train_steadily(two, resume=True)
