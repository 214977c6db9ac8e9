"""Which pairs are harmful, what losses pull on, and the study from the command line on."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from reseen.cli import main
from reseen.datasets import Synthetic
from reseen.datasets.synthetic.dataset import latents
from reseen.datasets.synthetic.latents import shared_surface
from reseen.geometry import Relation, cosine, masked_max, masked_min, unit
from reseen.loading import IdentityBatchSampler
from reseen.losses import PairLoss
from reseen.studies.harmful_pairs import harm
from reseen.studies.harmful_pairs import positive_pairs as pp
from reseen.types import Sample


def synthetic() -> Synthetic:
    return Synthetic(num_train_identities=6, num_test_identities=2, height=16)


def test_pairs_that_share_little_surface_are_harmful() -> None:
    samples = synthetic().train
    judge, rule = harm.judge_of(samples, torch.empty(len(samples), 1))
    rows = np.arange(len(samples)).reshape(6, 16)
    seen = [latents(sample) for sample in samples]
    expected = [
        [[i != j and shared_surface(seen[min(i, j)], seen[max(i, j)]) < 0.25 for j in b] for i in b] for b in rows
    ]
    assert np.array_equal(judge(rows), expected)
    assert 0.1 < judge(rows).mean() < 0.9
    assert "25%" in rule


def test_elsewhere_pairs_less_alike_than_strangers_are_harmful() -> None:
    samples = [Sample(f"{n}", n // 3) for n in range(30)]
    vectors = unit(torch.randn(30, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    judge, _ = harm.judge_of(samples, vectors)
    every = np.array([float(vectors[i] @ vectors[j]) for i in range(30) for j in range(30) if i // 3 != j // 3])
    rows = np.arange(30).reshape(10, 3)
    ranks = np.array([[[np.mean(every < float(vectors[i] @ vectors[j])) for j in b] for i in b] for b in rows])
    sure = np.abs(ranks - 0.5) > 0.02  # the limit is of pairs drawn at random
    assert np.array_equal(judge(rows)[sure], ranks[sure] < 0.5)


def test_blocks_are_the_batches_of_a_training() -> None:
    samples = synthetic().train
    batches = IdentityBatchSampler(2, 4)
    rows = harm.rows_of(batches, samples, 15, seed=3)
    sequence = batches.over(samples, seed=3)
    first = [[draw.row for draw in batch] for batch in sequence]
    assert rows.shape == (15, 8)
    assert rows[: len(first)].tolist() == first
    identities = np.array([sample.identity for sample in samples])[rows.reshape(-1, 4)]
    assert (identities == identities[:, :1]).all()


class Every(PairLoss):
    measure = staticmethod(cosine)

    def per_anchor(self, measured: Tensor, pair: Relation) -> Tensor:
        return (measured * pair.positive).sum(1)


class Hardest(Every):
    def per_anchor(self, measured: Tensor, pair: Relation) -> Tensor:
        return masked_min(measured, pair.positive)


class Easiest(Every):
    def per_anchor(self, measured: Tensor, pair: Relation) -> Tensor:
        return masked_max(measured, pair.positive)


@pytest.mark.parametrize(("loss", "sampling"), [(Every, pp.ALL), (Hardest, pp.DENSE), (Easiest, pp.EASY)])
def test_a_loss_pulls_on_what_its_sampling_draws(loss: type[PairLoss], sampling: str) -> None:
    generator = torch.Generator().manual_seed(0)
    batches = unit(torch.randn(12, 3, generator=generator)).reshape(2, 6, 3)  # 2 batches of 2 identities x 3
    harmful = pp.simulated(3, 1, blocks=4, rng=np.random.default_rng(0))[1]
    similarity = harm.block_cosines(batches.reshape(12, 3), np.arange(12).reshape(4, 3))
    expected = pp.harmful_shares(similarity, harmful)[sampling].mean()
    assert harm.pull(loss(), batches, harmful) == pytest.approx(expected, abs=1e-6)


def test_the_error_of_a_mean_is_that_of_its_groups() -> None:
    rng = np.random.default_rng(0)
    alone = rng.normal(size=30)
    usual = alone.std(ddof=1) / np.sqrt(30)
    assert harm.standard_error(alone, np.arange(30)) == pytest.approx(usual)
    copies = harm.standard_error(np.repeat(alone, 7), np.repeat(np.arange(30), 7))  # seven copies tell nothing new
    assert copies == pytest.approx(usual)
    assert np.isnan(harm.standard_error(alone, np.zeros(30, int)))


@pytest.fixture
def study(tmp_path: Path) -> partial[None]:
    flags = (
        f"study harmful-pairs --out {tmp_path} --data Synthetic --data.num_train_identities 8 --data.height 16 "
        "--model.backbone tests.training.tiny.Tiny --model.height 16 --model.width 8 --identities 4 --num_batches 6 "
        "--draws 100 --instances [2,4] --names [SupConLoss,AdaSPLoss]"
    )
    return partial(main, flags.split())


def test_the_study_goes_on_where_it_was_stopped(study: partial[None], tmp_path: Path) -> None:
    study()
    whole = (tmp_path / "results.csv").read_bytes()
    results = pd.read_csv(tmp_path / "results.csv")
    assert set(results["part"]) == {"simulated", "drawn", "pull"}
    assert results["share"].between(0, 1).all()
    vectors = next(tmp_path.glob("embeddings/*/vectors.npy"))
    before = vectors.stat().st_mtime_ns
    (tmp_path / "results.csv").unlink()
    study()
    assert (tmp_path / "results.csv").read_bytes() == whole
    assert vectors.stat().st_mtime_ns == before
    page = (tmp_path / "study.html").read_text()
    assert "under 25% of its surface" in page
    assert "reseen study harmful-pairs --config" in page


@pytest.mark.parametrize("flags", ["--names [IdentityLoss]", "--names [NoSuchLoss]", "--model null"])
def test_what_cannot_be_studied_is_said_at_once(
    study: partial[None], flags: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main([*study.args[0][:-2], *flags.split()])
    assert left.value.code == 1
    assert "expected" in capsys.readouterr().err
