"""A run that is killed and resumed ends as one that was not."""

import itertools
import logging
import multiprocessing
import os
import random
import shutil
import signal
import stat
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.test_loop import lines
from tests.training.tiny import model, run, same, terms

from reseen import checkpoint
from reseen.errors import CheckpointError, RunError
from reseen.loading import IdentityBatchSampler
from reseen.losses import CrossBatchMemory, HardTripletLoss
from reseen.training import Schedule, Term, metrics_logger, run_folder


def settings() -> dict[str, Any]:
    """Everything that has a state: random numbers, statistics, a memory of embeddings, two optimisers' moments."""
    remembering = Term(CrossBatchMemory(HardTripletLoss(), memory_size=40, dim=8), output="feature")
    schedule = Schedule(epochs=3, warmup=1, accumulation=2)
    return {
        "terms": [*terms(), remembering],
        "batches": IdentityBatchSampler(3, 2),
        "schedule": schedule,
        "save_every": 2,
    }


# Autograd looks for devices once, in the first backward pass, and refuses to work in a child of a process where it
# found any. Exporting to ONNX registers one that is none; a pass at import, before all tests, finds the CPU alone.
torch.ones((), requires_grad=True).backward()


def in_child(work: Callable[[], Any]) -> multiprocessing.process.BaseProcess:
    child = multiprocessing.get_context("fork").Process(target=work)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads; the child uses none of them
        child.start()
    return child


def go_on(out: Path) -> None:
    run(out, resume=out.exists(), **settings())


def figures(out: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in ("images_per_second", "crc32")} for line in lines(out)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    go_on(out)
    return out


def assert_same_run(one: Path, other: Path) -> None:
    for name in ("best.safetensors", "last.safetensors"):
        assert same(checkpoint.load(one / name), checkpoint.load(other / name))
    assert figures(one) == figures(other)


def killed_at_random(out: Path, whole: Path, kills: int, seed: int) -> None:
    """Train, kill soon after the run has written some random part of its lines, resume, and so on; then let it end."""
    chance, length = random.Random(seed), (whole / "metrics.jsonl").stat().st_size
    landed = 0

    def written() -> int:
        return (out / "metrics.jsonl").stat().st_size if (out / "metrics.jsonl").exists() else 0

    before = out.with_name("before")
    for _ in range(10 * kills):
        if landed == kills:
            break
        shutil.rmtree(before, ignore_errors=True)
        if out.exists():
            shutil.copytree(out, before)
        part = written() + int(chance.random() ** 2 * (length - written()))
        child = in_child(lambda: go_on(out))
        while written() < part and child.exitcode is None:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.05))
        child.kill()
        child.join()
        if child.exitcode == -signal.SIGKILL:
            landed += 1
        else:  # It had ended, and no later kill would land: again.
            shutil.rmtree(out)
            if before.exists():
                shutil.copytree(before, out)
    assert landed >= kills / 2
    child = in_child(lambda: go_on(out))
    child.join()
    assert child.exitcode == 0


def test_killed_at_random_moments(whole: Path, tmp_path: Path) -> None:
    killed_at_random(tmp_path / "run", whole, 4, seed=0)
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_killed_at_many_random_moments(whole: Path, tmp_path: Path, seed: int) -> None:
    killed_at_random(tmp_path / "run", whole, 8, seed=seed)
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.parametrize("moment", ["before writing", "before renaming", "after renaming"])
@pytest.mark.parametrize("which", [1, 2, 3, 7])
def test_killed_while_a_file_is_written(whole: Path, tmp_path: Path, moment: str, which: int) -> None:
    def work() -> None:
        replace, fsync, moments = Path.replace, os.fsync, itertools.count(1)

        def now() -> bool:
            return next(moments) == which

        def die() -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        def cut_off(file: int) -> None:
            if stat.S_ISREG(os.fstat(file).st_mode) and now():  # not a folder
                os.truncate(f"/dev/fd/{file}", 100)
                die()
            fsync(file)

        def not_moved(self: Path, to: Path) -> None:
            if now():
                die()
            replace(self, to)

        def moved(self: Path, to: Path) -> None:
            replace(self, to)
            if now():
                die()

        if moment == "before writing":
            os.fsync = cut_off  # type: ignore[assignment]
        else:
            Path.replace = not_moved if moment == "before renaming" else moved  # type: ignore[method-assign, assignment]
        go_on(tmp_path / "run")

    child = in_child(work)
    child.join()
    assert child.exitcode == -signal.SIGKILL
    go_on(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_killed_within_a_line(whole: Path, tmp_path: Path) -> None:
    def half(value: Any) -> str:
        if value["step"] == 4:
            with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
                file.write('{"step": 4, "lo')
            os.kill(os.getpid(), signal.SIGKILL)
        return seal(value)

    seal = metrics_logger.seal

    def work() -> None:
        metrics_logger.seal = half  # type: ignore[assignment]
        go_on(tmp_path / "run")

    child = in_child(work)
    child.join()
    assert child.exitcode == -signal.SIGKILL
    go_on(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_a_finished_run_resumed_changes_nothing(whole: Path, tmp_path: Path) -> None:
    go_on(tmp_path / "run")
    go_on(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_another_runs_state_is_refused(whole: Path, tmp_path: Path) -> None:
    for change in (
        {"model": model(dim=4)},
        {"terms": terms()},
        {"seed": 9},
        {"batches": IdentityBatchSampler(4, 2)},
        {"schedule": Schedule(epochs=3, warmup=1, optimizer="sgd", accumulation=2)},
    ):
        with pytest.raises(RunError, match="expected the state of this run"):
            run(whole, resume=True, **{**settings(), **change})


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    go_on(tmp_path / "run")
    state = tmp_path / "run" / "state" / "last.pt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="expected a whole state"):
        go_on(tmp_path / "run")


def test_the_state_holds_tensors_and_plain_values_only(whole: Path) -> None:
    """Loading it runs no code."""
    assert torch.load(whole / "state" / "last.pt", weights_only=True)["parts"]["batches"]["epoch"] == 2


def test_one_process_trains_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is queued again while the first one still runs must not write into the same files."""
    monkeypatch.setattr(run_folder, "PATIENCE_SECONDS", 0.2)
    out = tmp_path / "run"
    child = in_child(lambda: run(out, **{**settings(), "schedule": Schedule(epochs=500, accumulation=2)}))
    while not (out / "state" / "last.pt").exists():
        time.sleep(0.01)
    with pytest.raises(RunError, match="found another process training in it"):
        go_on(out)
    child.kill()
    child.join()
    run(out, resume=True, **{**settings(), "schedule": Schedule(epochs=501, accumulation=2), "patience": 1})


def test_sigterm_ends_the_step_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    out = tmp_path / "run"

    def work() -> None:
        with pytest.raises(KeyboardInterrupt, match="resume=True"):
            run(out, **{**settings(), "save_every": None, "log_every": 1, "workers": 1})

    child = in_child(work)
    while not (out / "metrics.jsonl").exists() or '"loss"' not in (out / "metrics.jsonl").read_text():
        time.sleep(0.002)
    child.terminate()
    child.join()
    assert child.exitcode == 0
    assert torch.load(out / "state" / "last.pt", weights_only=True)["parts"]["batches"]["position"] > 0
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_more_epochs_extend_a_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where the learning rate does not depend on the length, a run that is extended is a longer run, bit for bit."""

    def steady(epochs: int) -> dict[str, Any]:
        return {**settings(), "schedule": Schedule(epochs=epochs, warmup=1, milestones=(1.0,)), "config": {"seed": 0}}

    run(tmp_path / "long", **steady(3))
    run(tmp_path / "short", **steady(2))
    with caplog.at_level(logging.INFO, "reseen"):
        run(tmp_path / "short", resume=True, **steady(3))
    assert "extended from 2 to 3 epochs after epoch 2" in caplog.text
    assert_same_run(tmp_path / "short", tmp_path / "long")
    assert (tmp_path / "short" / "config.yaml").read_text().startswith("# extended from 2 to 3 epochs")
    with pytest.raises(RunError, match=r"it has epochs 3, and now it is 2\); .*--init"):
        run(tmp_path / "short", resume=True, **steady(2))


@pytest.mark.parametrize(
    "content", [101, "text", {"random": 1}, {"parts": 3, "random": [1]}, {"parts": {}, "random": [2]}]
)
def test_a_state_of_another_shape_is_refused(content: Any, tmp_path: Path) -> None:
    state = tmp_path / "run" / "state" / "last.pt"
    state.parent.mkdir(parents=True)
    torch.save(content, state)
    with pytest.raises((CheckpointError, RunError), match="expected the state of"):
        run(tmp_path / "run", resume=True)
    state.write_text("no state at all")
    with pytest.raises(CheckpointError, match="expected a whole state"):
        run(tmp_path / "run", resume=True)


def test_a_run_goes_on_on_fewer_ranks(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a node is lost: with the batches and the first rank's random numbers that it would have had."""
    monkeypatch.setattr("reseen.training.state.on_all_ranks", lambda work: [work(), work()])
    child = in_child(lambda: go_on(tmp_path / "run"))
    while not (tmp_path / "run" / "state" / "last.pt").is_file():
        assert child.exitcode is None
        time.sleep(0.01)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    monkeypatch.undo()
    go_on(tmp_path / "run")
    assert "the run was on 2 ranks and goes on on 1" in caplog.text
    ours, theirs = (checkpoint.load(folder / "last.safetensors") for folder in (tmp_path / "run", whole))
    assert same(ours, theirs)
