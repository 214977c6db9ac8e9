import json
import logging
import resource
import signal
from collections.abc import Callable, Collection
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from tests.training.tiny import HEIGHT, WIDTH, Tiny, data, model, run, same, samples, terms
from torch import Tensor

from reseen import checkpoint, losses
from reseen.embedding.model import embed
from reseen.errors import DataError, RunError, TrainingError, WriteError
from reseen.evaluation import evaluate
from reseen.geometry import Candidates
from reseen.loading import IdentityBatchSampler, ImageDataset, training_transform
from reseen.losses import CrossBatchMemory, HardTripletLoss, IdentityLoss, Loss, PairLoss
from reseen.models import Embedder
from reseen.training import BatchCandidates, Schedule, Term
from reseen.training import progress as progress_module
from reseen.training import run as run_module
from reseen.types import Benchmark

OF_PAIRS = [
    name
    for name in losses.__all__
    if issubclass(getattr(losses, name), PairLoss) and not getattr(losses, name).__abstractmethods__
]


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("accumulation", [1, 2])
def test_it_trains_as_a_plain_loop_does(tmp_path: Path, accumulation: int) -> None:
    """Twenty lines of torch, from the same seeds, give the same weights to the last bit."""
    schedule = Schedule(epochs=2, learning_rate=3.5e-4, warmup=1, accumulation=accumulation, clip=1.0)
    trained, _ = run(tmp_path / "run", schedule=schedule, evaluate_every=None, seed=3)

    plain, pictures = model(), ImageDataset(data().train, training_transform((HEIGHT, WIDTH)))
    torch.manual_seed(3)
    identity, sparse = (term.loss for term in terms())
    identity.build(8, 8)
    parameters = [p for p in [*plain.parameters(), *identity.parameters()] if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=3.5e-4, weight_decay=5e-4)
    sequence = IdentityBatchSampler(4, 2).over(data().train, seed=3, multiple_of=accumulation)
    torch.manual_seed(3)
    plain.train()
    for epoch in range(2):
        sequence.begin(epoch)
        for number, draws in enumerate(sequence, start=1):
            items = [pictures[draw] for draw in draws]
            labels = torch.tensor([item.label for item in items])
            outputs = plain(torch.stack([item.image for item in items]))
            loss = identity(outputs.embedding, labels) + 0.5 * sparse(outputs.feature, labels)
            (loss / accumulation).backward()
            if number % accumulation == 0:
                torch.nn.utils.clip_grad_norm_([p for p in plain.parameters() if p.requires_grad], 1.0)
                for group in optimizer.param_groups:
                    group["lr"] = 3.5e-4 * schedule.factor(epoch + (number - 1) / len(sequence))
                optimizer.step()
                optimizer.zero_grad()
    assert same(trained, plain)


def test_training_makes_the_loss_small_and_the_map_high(tmp_path: Path) -> None:
    trained, best_score = run(tmp_path / "run", schedule=Schedule(epochs=12, learning_rate=0.02))
    written = lines(tmp_path / "run")
    values = [line["loss"] for line in written if "loss" in line]
    scores = [line["mean_ap"] for line in written if "mean_ap" in line]
    assert values[-1] < 0.8 * values[0]
    assert len(scores) == 13
    assert scores[-1] > scores[0]
    assert best_score.best == max(scores)
    query, gallery = (embed(trained, part) for part in (data().query, data().gallery))
    assert evaluate(query, gallery, data().protocol).mean_ap == scores[-1]


def test_the_folder_holds_what_it_promises(tmp_path: Path) -> None:
    out = tmp_path / "run"
    trained, best_score = run(out, config={"a": 1}, log_with=["tensorboard"], seed=5)
    text = (out / "config.yaml").read_text()
    settings = yaml.safe_load(text)
    assert settings["a"] == 1
    assert (settings["schedule"]["epochs"], settings["schedule"]["learning_rate"]) == (3, 3.5e-4)
    assert same(checkpoint.load(out / "last.safetensors"), trained)
    best, last = (checkpoint.describe(out / f"{name}.safetensors") for name in ("best", "last"))
    assert best.config == last.config == text
    assert (last.provenance["step"], last.provenance["seed"], last.provenance["data"]) == (18, 5, "tiny")
    assert best.provenance["mean_ap"] == best_score.best
    assert best.provenance["epoch"] == best_score.best_epoch
    assert list((out / "reseen").rglob("events.*"))
    written = [line for line in lines(out) if "loss" in line]
    assert [line["step"] for line in written] == list(range(2, 19, 2))
    for line in written:
        values = line["terms"]
        assert list(values) == ["IdentityLoss on embedding", "AdaSPLoss on feature"]
        assert line["loss"] == pytest.approx(values["IdentityLoss on embedding"] + 0.5 * values["AdaSPLoss on feature"])


def test_a_run_repeats_itself_and_another_seed_does_not(tmp_path: Path) -> None:
    runs = [
        run(tmp_path / str(n), seed=seed, evaluate_every=every)[0]
        for n, (seed, every) in enumerate([(1, 1), (1, 2), (2, 1)])
    ]
    assert same(runs[0], runs[1])  # evaluating changes nothing either
    assert not same(runs[0], runs[2])


def test_worker_processes_change_nothing(tmp_path: Path) -> None:
    assert same(run(tmp_path / "0", workers=0)[0], run(tmp_path / "2", workers=2)[0])


def test_mixed_precision_trains_and_keeps_weights_in_float32(tmp_path: Path) -> None:
    full, _ = run(tmp_path / "no")
    half, _ = run(tmp_path / "bf16", precision="bf16")
    assert not same(full, half)
    for one, other in zip(full.parameters(), half.parameters(), strict=True):
        assert other.dtype == torch.float32
        torch.testing.assert_close(one, other, atol=0.01, rtol=0.1)


def test_the_backbone_is_frozen_and_then_thawed(tmp_path: Path) -> None:
    before = model()
    frozen, _ = run(tmp_path / "1", schedule=Schedule(epochs=1, freeze=1))
    thawed, _ = run(tmp_path / "2", schedule=Schedule(epochs=2, freeze=1))
    start, kept, moved = (list(m.pretrained_parameters()) for m in (before, frozen, thawed))
    assert all(torch.equal(a, b) for a, b in zip(start, kept, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(start, moved, strict=True))
    assert not torch.equal(before.network.neck.bn.weight, frozen.network.neck.bn.weight)


def test_it_stops_early(tmp_path: Path) -> None:
    _, best_score = run(tmp_path / "run", schedule=Schedule(epochs=50, learning_rate=1e-9), patience=2)
    assert best_score.waited == 2
    assert len([line for line in lines(tmp_path / "run") if "mean_ap" in line]) < 20


def test_a_scheme_is_asked_each_batch_and_told_each_step(tmp_path: Path) -> None:
    class Noting(BatchCandidates):
        def __init__(self) -> None:
            self.events: list[str] = []

        def setup(self, model: Embedder, outputs: Collection[str]) -> None:
            self.events.append("start")

        def candidates(self, outputs: Any, images: Tensor, labels: Tensor, modalities: Any) -> dict[str, Candidates]:
            self.events.append("candidates")
            return {"feature": Candidates(outputs.feature.detach(), labels, 0)}

        def on_step_end(self, model: Embedder) -> None:
            self.events.append("step")

    candidates, schedule = Noting(), Schedule(epochs=1, accumulation=2)
    noted, _ = run(tmp_path / "a", candidates=candidates, schedule=schedule)
    assert candidates.events == ["start", *["candidates", "candidates", "step"] * 3]
    assert not same(noted, run(tmp_path / "b", schedule=schedule)[0])


class Sudden(Loss):
    """Finite until a step."""

    def __init__(self, step: int, value: float) -> None:
        super().__init__()
        self.left, self.value = step, value

    def forward(self, embeddings: Tensor, labels: Tensor, candidates: Candidates | None = None) -> Tensor:
        self.left -= 1
        return embeddings.sum() * (self.value if self.left == 0 else 1e-3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_run_and_is_named(tmp_path: Path, value: float) -> None:
    out = tmp_path / "run"
    with pytest.raises(TrainingError, match=r"from Sudden on feature at step 9;"):
        run(out, terms=[*terms(), Term(Sudden(9, value), output="feature")], log_every=100)
    kept = checkpoint.load(out / "last.safetensors")
    assert checkpoint.describe(out / "last.safetensors").provenance["step"] == 6
    assert all(tensor.isfinite().all() for tensor in kept.state_dict().values())


@pytest.mark.parametrize(
    "wrap", [lambda loss: loss, lambda loss: CrossBatchMemory(loss, 16, 8)], ids=["plain", "memory"]
)
@pytest.mark.parametrize("name", OF_PAIRS)
def test_an_output_that_is_not_finite_stops_the_run_at_its_step(
    name: str, wrap: Callable[[Loss], Loss], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One component of one picture is infinite in step 9; the loss must say so, not the weights after it."""
    calls = count(1)

    def pool(self: Tiny, raw: Tensor) -> Tensor:
        feature = raw.mean((2, 3))
        if self.training and next(calls) == 9:
            feature[3, 2] = torch.inf
        return feature

    monkeypatch.setattr(Tiny, "pool", pool)
    loss = wrap(getattr(losses, name)())
    with pytest.raises(TrainingError, match=rf"got nan from .*{name}\)? on feature at step 9;"):
        run(tmp_path / "run", terms=[Term(loss, output="feature")], log_every=100, evaluate_every=None)


def test_weights_that_are_not_finite_are_never_written(tmp_path: Path) -> None:
    """The loss of the last step is finite; its gradient is not."""

    class Bad(Loss):
        calls = 0

        def forward(self, embeddings: Tensor, labels: Tensor, candidates: Candidates | None = None) -> Tensor:
            self.calls += 1
            return (embeddings.abs() + 1).sqrt().sum() if self.calls < 18 else (0 * embeddings).abs().sqrt().sum()

    out = tmp_path / "run"
    with pytest.raises(TrainingError, match=r"expected finite weights, got others after step 18 "):
        run(out, terms=[Term(Bad(), output="feature")])
    assert checkpoint.describe(out / "last.safetensors").provenance["step"] == 12


def test_ctrl_c_ends_the_step_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    class Pressed(BatchCandidates):
        steps = 0

        def candidates(self, outputs: Any, images: Tensor, labels: Tensor, modalities: Any) -> dict[str, Candidates]:
            self.steps += 1
            if self.steps == 8:
                signal.raise_signal(signal.SIGINT)
            return {}

    out = tmp_path / "run"
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match=r"stopped at step 8; to go on .*--resume true"):
        run(out, candidates=Pressed())
    assert signal.getsignal(signal.SIGINT) is handler
    assert same(run(out, resume=True)[0], run(tmp_path / "whole")[0])


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thing.txt").write_text("mine")
    with pytest.raises(RunError, match="expected a new folder"):
        run(tmp_path)
    with pytest.raises(RunError, match="expected a new folder"):
        run(tmp_path / "thing.txt")
    assert [p.name for p in tmp_path.iterdir()] == ["thing.txt"]
    with pytest.raises(RunError, match="expected a run to resume"):
        run(tmp_path / "none", resume=True)


@pytest.mark.parametrize("name", ["evaluate_every", "save_every", "patience", "log_every"])
def test_a_count_of_nothing_is_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"expected {name} of 1 or more.*, got 0"):
        run(tmp_path / "run", **{name: 0})
    assert not (tmp_path / "run").exists()


def test_data_that_cannot_be_trained_on_is_refused_at_once(tmp_path: Path) -> None:
    whole = data()
    one = Benchmark("one", samples(range(1)), whole.query, whole.gallery, whole.protocol)
    with pytest.raises(DataError, match="at least 2 identities to train on, got 1"):
        run(tmp_path / "one", data=one)
    with pytest.raises(ValueError, match="training data has, 8, got 9"):
        run(tmp_path / "many", batches=IdentityBatchSampler(9, 2))
    apart = Benchmark("apart", whole.train, whole.query[:2], whole.gallery[-2:], whole.protocol)
    with pytest.raises(DataError):
        run(tmp_path / "apart", data=apart)
    with pytest.raises(ValueError, match="a term on one of feature, embedding, got 'nose'"):
        run(tmp_path / "term", terms=[Term(IdentityLoss(), output="nose")])
    run(tmp_path / "apart", schedule=Schedule(epochs=1))  # with the data mended, the same folder will do


def test_without_test_data_it_trains_without_evaluation(tmp_path: Path) -> None:
    alone = Benchmark("alone", data().train, (), (), data().protocol)
    _, best_score = run(tmp_path / "run", data=alone)
    assert best_score.best is None
    assert not (tmp_path / "run" / "best.safetensors").exists()
    assert (tmp_path / "run" / "last.safetensors").exists()


def test_on_a_full_disk_the_last_state_stays_and_the_run_goes_on_from_it(tmp_path: Path) -> None:
    """The system is told to let no file grow beyond a limit, and answers as a full disk does."""

    class Filling(BatchCandidates):
        steps = 0

        def on_step_end(self, model: Embedder) -> None:
            self.steps += 1
            if self.steps == 8:
                resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))

    out = tmp_path / "run"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(WriteError, match=r"room and permission to write .*last\.pt"):
            run(out, candidates=Filling())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert same(run(out, resume=True)[0], run(tmp_path / "whole")[0])


def test_progress_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger=run_module.__name__):
        run(tmp_path / "run")
    assert [r.message.split(":")[0] for r in caplog.records] == ["epoch 0", "epoch 1", "epoch 2", "epoch 3"]


def test_where_no_terminal_shows_a_bar_lines_say_how_it_goes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module, "SECONDS_BETWEEN_LINES", 0.0)
    with caplog.at_level(logging.INFO, logger="reseen"):
        run(tmp_path / "run")
    told = [r.message for r in caplog.records if "minutes left" in r.message]
    assert len(told) == 9  # of 18 steps, with log_every 2
    assert told[0].startswith("epoch 0.3, step 2 of 18: loss ")


def test_where_nobody_listens_to_the_log_it_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = logging.getLogger("reseen")
    monkeypatch.setattr(library, "hasHandlers", lambda: False)
    monkeypatch.setattr(library, "handlers", [])
    level = library.level
    run(tmp_path / "run")
    assert capsys.readouterr().err.splitlines()[0].startswith("epoch 0: mAP ")
    assert (library.handlers, library.level) == ([], level)


def test_a_loss_with_a_rate_of_its_own_moves_by_plain_sgd(tmp_path: Path) -> None:
    class Own(Loss):
        learning_rate = 0.5

        def __init__(self) -> None:
            super().__init__()
            self.centre = torch.nn.Parameter(torch.ones(1))

        def forward(self, embeddings: Tensor, labels: Tensor, candidates: Candidates | None = None) -> Tensor:
            return 3.0 * self.centre.sum() + 0.0 * embeddings.sum()

    own = Own()
    run(
        tmp_path / "run",
        terms=[Term(HardTripletLoss(), output="feature"), Term(own, weight=0.01)],
        schedule=Schedule(epochs=1),
    )
    torch.testing.assert_close(own.centre.detach(), torch.tensor([1 - 6 * 0.5 * 3.0]))


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        (
            [0.5, 0.6, 0.55, 0.4],
            "mAP 50.0 % before, 40.0 % after (it was 60.0 % after epoch 1); try pretrained",
        ),
        ([0.5, 0.4, 0.45, 0.5], "mAP 50.0 % before, 50.0 % after; try pretrained weights (--model.weights)"),
        ([0.5, 0.4, 0.45, 0.51], None),
    ],
)
def test_a_training_in_vain_says_what_to_try(
    scores: list[float], told: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    reports = [SimpleNamespace(mean_ap=score, mean_inp=0.1, cmc=lambda rank: 0.2) for score in scores]
    outcomes = (SimpleNamespace(report=report) for report in reports)
    monkeypatch.setattr("reseen.training.run.evaluate_model", lambda *_, **__: next(outcomes))
    with caplog.at_level(logging.WARNING, "reseen"):
        run(tmp_path / "run")
    assert ("training ended no better than it began" in caplog.text) == (told is not None)
    assert told is None or told in caplog.text


def test_a_training_in_vain_from_weights_is_not_told_to_take_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    report = SimpleNamespace(mean_ap=0.5, mean_inp=0.1, cmc=lambda rank: 0.2)
    monkeypatch.setattr("reseen.training.run.evaluate_model", lambda *_, **__: SimpleNamespace(report=report))
    trained = model()
    trained.pretrained = True
    with caplog.at_level(logging.WARNING, "reseen"):
        run(tmp_path / "run", model=trained)
    assert "50.0 % after; try a lower weight of the metric loss (--loss_weight)" in caplog.text
