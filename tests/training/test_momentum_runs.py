"""MoReID over whole runs: killed and resumed, and on two ranks."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import PartialState
from tests.training.test_ranks import on_two_ranks
from tests.training.test_resume import assert_same_run, in_child
from tests.training.tiny import model, run
from torch import Tensor, nn

from reseen.errors import RunError
from reseen.loading import IdentityBatchSampler
from reseen.losses import AcrossRanks, AdaSPLoss, HELoss, IdentityLoss
from reseen.models import Embedder
from reseen.training import MoReID, Schedule, Term

Options = dict[str, Any]


def settings(**options: Any) -> Options:
    """A network with batch norm and dropout, batches of 6 into 20 slots, two batches to a step."""
    terms = [Term(IdentityLoss()), Term(HELoss(), output="feature"), Term(AdaSPLoss())]
    schedule = Schedule(epochs=3, warmup=0, learning_rate=0.01, accumulation=2)
    candidates = {"momentum": 0.9, "memory_size": 20, "warmup": 2, **options}
    return {
        "terms": terms,
        "schedule": schedule,
        "candidates": MoReID(**candidates),
        "batches": IdentityBatchSampler(3, 2),
        "save_every": 2,
    }


def state_of(out: Path) -> Any:
    return torch.load(out / "state" / "last.pt", weights_only=True)["parts"]["candidates"]


def flat(state: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(state, dict):
        return {name: state}
    return {k: v for key, value in state.items() for k, v in flat(value, f"{name}/{key}").items()}


def assert_same_state(one: Any, other: Any, **tolerance: float) -> None:
    ours, theirs = flat(one), flat(other)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        if isinstance(value, Tensor):
            torch.testing.assert_close(value, theirs[name], **(tolerance or {"rtol": 0, "atol": 0}))
        else:
            assert value == theirs[name], name


class Dying(MoReID):
    """Is killed within the epoch, between two saves."""

    def on_step_end(self, model: Embedder) -> None:
        super().on_step_end(model)
        if self.steps == 7:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("buffers", ["own", "averaged"])
def test_killed_within_an_epoch_and_resumed_it_ends_the_same(tmp_path: Path, buffers: Any) -> None:
    run(tmp_path / "whole", **settings(buffers=buffers))
    candidates = Dying(momentum=0.9, memory_size=20, warmup=2, buffers=buffers)
    child = in_child(lambda: run(tmp_path / "killed", **{**settings(), "candidates": candidates}))
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert state_of(tmp_path / "killed")["counters"] == {"steps": 6, "queued": 72}
    run(tmp_path / "killed", resume=True, **settings(buffers=buffers))
    assert_same_run(tmp_path / "whole", tmp_path / "killed")
    assert_same_state(state_of(tmp_path / "whole"), state_of(tmp_path / "killed"))


def test_another_candidate_source_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "run", **settings())
    for options in ({"momentum": 0.5}, {"same_identity": "positive"}, {"memory_size": 21}):
        with pytest.raises(RunError, match="expected the state of this run"):
            run(tmp_path / "run", resume=True, **settings(**options))
    with pytest.raises(RunError, match="it has the state of a candidate source"):
        run(tmp_path / "run", resume=True, **{**settings(), "candidates": None})
    run(tmp_path / "plain", **{**settings(), "candidates": None})
    with pytest.raises(RunError, match="and now MoReID has"):
        run(tmp_path / "plain", resume=True, **settings())


# Two ranks.


class Late(MoReID):
    """One rank comes later than the other, now this one, now that one."""

    def candidates(self, *arguments: Any) -> Any:
        time.sleep(0.01 * ((PartialState().process_index + self.steps) % 2))
        return super().candidates(*arguments)


def train_steadily(out: Path) -> Embedder:
    trained, _ = run(
        out,
        model=model("Steady", neck="none"),
        terms=[Term(IdentityLoss()), Term(AcrossRanks(HELoss()), output="feature")],
        schedule=Schedule(epochs=2, optimizer="sgd", learning_rate=0.05, warmup=0),
        candidates=Late(0.9, 20),
        save_every=1,
    )
    return trained


def test_two_ranks_end_where_one_process_does_with_the_same_dictionary(tmp_path: Path) -> None:
    alone = train_steadily(tmp_path / "one").state_dict()
    out = tmp_path / "two"
    on_two_ranks(lambda rank: torch.save(train_steadily(out).state_dict(), out / f"{rank}.pt"))
    first, second = (torch.load(out / f"{rank}.pt", weights_only=True) for rank in range(2))
    for name in alone:
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], alone[name], rtol=1e-4, atol=1e-6)
    one, two = ({**state_of(folder), "sample": None} for folder in (tmp_path / "one", out))  # of the first rank's part
    assert_same_state(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("buffers", ["synchronised", "copied", "averaged"])
def test_two_ranks_have_one_dictionary_and_one_key_encoder(tmp_path: Path, buffers: Any) -> None:
    """With batch norm, whose statistics of one rank's part are not those of the whole batch."""

    def work(rank: int | None) -> None:
        network, candidates = model(), MoReID(0.5, 24, buffers=buffers)
        candidates.setup(network, ["feature"])
        part = slice(0, 8) if rank is None else slice(4 * rank, 4 * rank + 4)
        for step in range(4):
            generator = torch.Generator().manual_seed(step)
            images = torch.randint(0, 256, (8, 3, 16, 8), dtype=torch.uint8, generator=generator)[part]
            outputs = network.train()(images)
            candidates.candidates(outputs, images, torch.arange(8)[part], (torch.arange(8) % 2)[part])
            nn.init.constant_(network.network.backbone.bn.weight, 1 + step)
            candidates.on_step_end(network)
        torch.save(candidates.state_dict(), tmp_path / f"{rank}.pt")

    on_two_ranks(lambda rank: (PartialState(cpu=True), work(rank))[1])
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert_same_state(first["dictionaries"], second["dictionaries"])
    assert_same_state(first["encoder"], second["encoder"])
    if buffers == "synchronised":
        work(None)
        alone = torch.load(tmp_path / "None.pt", weights_only=True)
        assert_same_state(first["dictionaries"], alone["dictionaries"], rtol=1e-5, atol=1e-6)
