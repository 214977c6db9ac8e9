"""Two ranks train as one process does."""

import os
import shutil
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
from reseen.distributed import on_all_ranks, on_first_rank
from reseen.errors import DataError
from reseen.evaluation.reranking import k_reciprocal
from reseen.launcher import join_group
from reseen.loading import IdentityBatchSampler
from reseen.losses import AcrossRanks, AdaSPLoss, HardTripletLoss, IdentityLoss
from reseen.model_evaluation import evaluate_model
from reseen.models import Embedder
from reseen.protocols import cross_camera
from reseen.training import Schedule, Term
from reseen.types import Benchmark


def train_steadily(out: Path, *, seed: int = 0, epochs: int = 2, resume: bool = False) -> Embedder:
    across = [Term(AcrossRanks(loss), output="feature") for loss in (AdaSPLoss(0.5), HardTripletLoss())]
    trained, _ = run(
        out,
        model=model("Steady", neck="none"),
        terms=[Term(IdentityLoss()), *across],
        batches=IdentityBatchSampler(4, 2),
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


def test_another_number_of_ranks_goes_on_and_says_so(
    two: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train_steadily(Path(shutil.copytree(two, tmp_path / "run")), resume=True)
    assert "the run was on 2 ranks and goes on on 1" in caplog.text


def test_both_ranks_end_with_the_statistics_that_are_written(tmp_path: Path) -> None:
    """Batch norms see their own rank's part of a batch; what a run returns is still what is on the disk."""
    out = tmp_path / "run"

    def work(rank: int) -> None:
        trained, _ = run(out, schedule=Schedule(epochs=1, warmup=0))
        torch.save(trained.state_dict(), out / f"{rank}.pt")

    on_two_ranks(work)
    first, second = (torch.load(out / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert first["network.backbone.bn.num_batches_tracked"] == 6
    written = checkpoint.load(out / "last.safetensors").state_dict()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
        assert torch.equal(tensor, written[name]), name


def figures_of(batch_size: int) -> list[list[float]]:
    """Return the figures of rules that need everything in one place, and of one that is divided."""
    whole, scored = data(), []
    drawn = Benchmark(whole.name, whole.train, whole.query, whole.gallery, cross_camera(draws=5), further=(whole,))
    for benchmark, reranking in ((whole, None), (drawn, None), (whole, k_reciprocal(k1=4, k2=2))):
        outcome = evaluate_model(model().eval(), benchmark, batch_size=batch_size, reranking=reranking)
        for report in (outcome.report, *outcome.further):
            scored.append([report.mean_ap, report.mean_inp, report.cmc(1), report.cmc(3), float(report.num_queries)])
        assert list(outcome.gallery.paths) == [sample.path for sample in whole.gallery]
    return scored


@pytest.mark.parametrize("batch_size", [5, 64])  # parts of 10 and 2 pictures; one rank has nothing to embed
def test_two_ranks_evaluate_as_one_process_does(batch_size: int, tmp_path: Path) -> None:
    def work(rank: int) -> None:
        join_group()
        torch.save(figures_of(batch_size), tmp_path / f"{rank}.pt")

    on_two_ranks(work)
    for rank in range(2):
        torch.testing.assert_close(torch.load(tmp_path / f"{rank}.pt"), figures_of(batch_size), rtol=1e-6, atol=1e-6)


def test_an_error_of_one_rank_is_raised_on_both(tmp_path: Path) -> None:
    """A picture that only one rank reads is damaged: the other must not wait for it for ever."""

    def broken() -> None:
        raise DataError("expected a picture")

    def work(rank: int) -> None:
        PartialState(cpu=True)
        with pytest.raises(DataError, match="expected a picture"):
            on_all_ranks(lambda: broken() if rank == 1 else None)
        with pytest.raises(DataError, match="expected a picture"):
            on_first_rank(broken)

    on_two_ranks(work)
