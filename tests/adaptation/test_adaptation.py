"""Adaptation on a tiny target: no label reaches the training, a killed run is resumed, and it ends by itself."""

import dataclasses
import json
import random
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.training.test_resume import in_child
from tests.training.tiny import data, model, paint, same

from reseen import checkpoint
from reseen.adaptation import Adaptation, Memory, Round, Target, adapt, outcome_in_words, write_adaptation_page
from reseen.adaptation.rounds import memory_of, pseudo_labelled, with_instances
from reseen.datasets import Transfer
from reseen.discovery import Clustering, Clusters, Links
from reseen.errors import RunError, TrainingError
from reseen.geometry import Candidates
from reseen.loading import IdentityBatchSampler
from reseen.losses import AdaSPLoss, IdentityLoss, SupConLoss
from reseen.models import Outputs
from reseen.training import Schedule, Term
from reseen.types import Benchmark, Embeddings, Sample


def target_data(rename: Any = lambda identity: identity) -> Benchmark:
    """The tiny data set, whose names and paths say nothing of who is on its pictures."""
    train = [Sample(f"picture_{n}", rename(n % 8), camera=n // 8 % 2, draw=partial(paint, n % 8, n)) for n in range(48)]
    return Benchmark("target", train, data().query, data().gallery, data().protocol)


def target(benchmark: Benchmark | None = None, **changes: Any) -> Target:
    pair = Transfer(target_data() if benchmark is None else benchmark)
    return Target(pair.unlabelled, **{"test": pair, "truth": pair.truth, **changes})


def settings(**changes: Any) -> dict[str, Any]:
    return {
        "clustering": Clustering(k1=6, k2=2, min_samples=3),
        "batches": IdentityBatchSampler(4, 2),
        "schedule": Schedule(epochs=2, warmup=0.5, learning_rate=1e-3),
        "rounds": 3,
        "stable": 1.1,
        **changes,
    }


def run(out: Path, benchmark: Benchmark | None = None, **changes: Any) -> tuple[Any, Adaptation]:
    network = model()
    result = adapt(network, target(benchmark), out, **settings(**changes))
    return network, result


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Adaptation]:
    out = tmp_path_factory.mktemp("whole") / "run"
    return out, run(out)[1]


def test_rounds_find_groups_and_train(whole: tuple[Path, Adaptation]) -> None:
    out, result = whole
    assert [r.number for r in result.rounds] == [0, 1, 2, 3]
    assert result.reason == "after 3 rounds"
    assert all(r.num_clusters >= 2 and r.mean_ap is not None and r.ari is not None for r in result.rounds)
    assert result.chosen == max(result.rounds, key=lambda r: r.silhouette).number
    assert not same(checkpoint.load(out / "rounds" / "00"), model())
    assert json.loads((out / "adaptation.json").read_text()) == json.loads(json.dumps(result.to_dict()))


def test_the_kept_model_is_that_of_the_highest_silhouette(whole: tuple[Path, Adaptation], tmp_path: Path) -> None:
    out, result = whole
    kept = checkpoint.load(out)
    before = checkpoint.load(out / "rounds" / f"{result.chosen - 1:02d}") if result.chosen else model()
    assert same(kept, before)
    _, one = run(tmp_path / "run", rounds=result.chosen + 1, patience=9)
    assert one.rounds[result.chosen] == result.rounds[result.chosen]


def test_no_label_reaches_the_training(whole: tuple[Path, Adaptation], tmp_path: Path) -> None:
    """With other names, and with everybody's name wrong, every weight of every round is the same."""
    out, result = whole
    names = np.random.default_rng(0).permutation(48).tolist()
    for number, rename in enumerate((lambda identity: f"who {identity}", lambda identity: names.pop())):
        _, other = run(tmp_path / str(number), target_data(rename))
        for place in ("rounds/00", "rounds/01", "rounds/02"):
            assert same(checkpoint.load(out / place), checkpoint.load(tmp_path / str(number) / place))
        assert [r.silhouette for r in other.rounds] == [r.silhouette for r in result.rounds]
    assert other.rounds[0].ari != result.rounds[0].ari  # The report does know.


class Spy(SupConLoss):
    """Keeps the labels that it is called with."""

    def forward(
        self, embeddings: torch.Tensor, labels: torch.Tensor, candidates: Candidates | None = None
    ) -> torch.Tensor:
        SEEN.update(labels.tolist())
        return super().forward(embeddings, labels, candidates)


SEEN: set[int] = set()


def test_losses_see_the_numbers_of_clusters_alone(tmp_path: Path) -> None:
    SEEN.clear()
    _, result = run(tmp_path / "run", target_data(lambda identity: 1000 + identity), terms=[Term(Spy(0.05))], rounds=1)
    assert set(range(result.rounds[0].num_clusters)) == SEEN
    hidden = Transfer(target_data())
    assert {sample.identity for sample in hidden.unlabelled} == {"unknown"}
    assert hidden.train == ()


def test_pseudo_labels_are_the_clusters() -> None:
    clusters = Clusters(np.array([1, -1, 0, 1, 0, -1]), np.zeros(6), 0.5)
    samples = [Sample(f"{n}", "unknown", camera=n % 2) for n in range(6)]
    source = [Sample("s", "source: 3")]
    found = pseudo_labelled(samples, clusters, source).train
    assert [(s.path, s.identity) for s in found] == [("0", 1), ("2", 0), ("3", 1), ("4", 0), ("s", "source: 3")]
    with pytest.raises(TrainingError, match="expected at least two groups among 6 pictures, found 1"):
        pseudo_labelled(samples, dataclasses.replace(clusters, labels=np.array([0, 0, 0, -1, -1, -1])), [])


def test_pictures_in_no_group_are_instances_of_their_own(tmp_path: Path) -> None:
    """SpCL's loss by hand: the positive of such a picture is its own vector, everybody's else are negatives."""
    clusters = with_instances(Clusters(np.array([1, -1, 0, 1, 0, -1]), np.zeros(6), 0.5))
    assert clusters.labels.tolist() == [1, 2, 0, 1, 0, 3]
    samples = [Sample(f"{n}", "unknown", camera=n % 2) for n in range(6)]
    training = pseudo_labelled(samples, clusters, [])
    assert [s.identity for s in training.train] == [1, 2, 0, 1, 0, 3]
    vectors = torch.nn.functional.normalize(torch.randn(6, 5, generator=torch.Generator().manual_seed(0)))
    options = Memory(by_camera=False, left_out="instances", momentum=0.2)
    source = memory_of(options, training, Embeddings(vectors, [*range(6)]), clusters, None)
    source.setup(model(), ["embedding"])
    rows = torch.tensor([1, 4, 5, 0])
    source.on_batch(rows)
    anchors = torch.nn.functional.normalize(torch.randn(4, 5, generator=torch.Generator().manual_seed(1)))
    labels = torch.tensor(clusters.labels)[rows]
    outputs = Outputs(feature=anchors, embedding=anchors, branches={})
    candidates = source.candidates(outputs, torch.empty(0), labels, None)["embedding"]
    found = SupConLoss(0.05)(anchors, labels, candidates)
    proxies = [vectors[[2, 4]].mean(0), vectors[[0, 3]].mean(0), vectors[1], vectors[5]]
    memory = torch.nn.functional.normalize(torch.stack(proxies))
    torch.testing.assert_close(found, torch.nn.functional.cross_entropy(anchors @ memory.T / 0.05, labels))
    source.on_step_end(model())
    moved = torch.nn.functional.normalize(0.2 * vectors[1] + 0.8 * anchors[0], dim=0)
    torch.testing.assert_close(source.memory[2], moved)  # The instance follows its picture.


def test_instances_are_trained_on(tmp_path: Path) -> None:
    """Where many pictures are in no group, the losses see their labels too; the groups kept are without them."""
    SEEN.clear()
    strict = settings(clustering=Clustering(k1=6, k2=2, min_samples=3, eps=0.2), rounds=1)
    terms = [Term(Spy(0.05))]
    result = adapt(model(), target(), tmp_path / "run", terms=terms, memory=Memory(left_out="instances"), **strict)
    first = result.rounds[0]
    assert first.num_left_out > 0
    assert set(range(first.num_clusters + first.num_left_out)) == SEEN
    labels = np.array(json.loads((tmp_path / "run" / "rounds" / "00" / "clusters.json").read_text()))
    assert (labels < 0).sum() == first.num_left_out


@pytest.mark.parametrize(
    "changes",
    [
        {"terms": [Term(IdentityLoss()), Term(AdaSPLoss(), "feature", 0.5)]},
        {"terms": [Term(AdaSPLoss())], "memory": Memory(by_camera=False, left_out="negatives")},
        {"memory": Memory(update="hardest", positives="other")},
        {"memory": Memory(left_out="instances")},
        {"clustering": Clustering("hdbscan", k1=6, k2=2, min_samples=3)},
    ],
)
def test_other_losses_and_memories(changes: dict[str, Any], tmp_path: Path) -> None:
    _, result = run(tmp_path / "run", **changes, rounds=1)
    assert len(result.rounds) == 2
    assert not same(checkpoint.load(tmp_path / "run" / "rounds" / "00"), model())


def test_a_source_takes_part(tmp_path: Path) -> None:
    SEEN.clear()
    pair = Transfer(target_data(), source=data())
    given = Target(pair.unlabelled, source=pair.train)
    result = adapt(model(), given, tmp_path / "run", terms=[Term(Spy(0.05))], **settings(rounds=1))
    assert len(SEEN) == result.rounds[0].num_clusters + 8
    assert result.rounds[0].mean_ap is None


def test_links_are_respected(tmp_path: Path) -> None:
    apart = Links(np.empty((0, 2), np.int64), np.array([(row, row + 8) for row in range(40)]))
    result = adapt(model(), target(links=apart), tmp_path / "run", **settings(rounds=1))
    free = adapt(model(), target(), tmp_path / "free", **settings(rounds=1))
    assert (result.rounds[0].ari or 1) < (free.rounds[0].ari or 0)
    labels = np.array(json.loads((tmp_path / "run" / "rounds" / "00" / "clusters.json").read_text()))
    assert all(labels[row] != labels[row + 8] or labels[row] < 0 for row in range(40))


def test_it_ends_when_groups_are_stable_or_worse(tmp_path: Path) -> None:
    still = Schedule(epochs=1, learning_rate=1e-12, warmup=0)
    _, result = run(tmp_path / "stable", rounds=9, stable=0.99, schedule=still)
    assert result.reason == "groups were stable after round 1"
    _, result = run(tmp_path / "worse", rounds=9, patience=1, schedule=Schedule(epochs=1, learning_rate=3.0, warmup=0))
    assert result.reason == "no higher silhouette in 1 rounds"
    assert result.chosen == result.rounds[-1].number - 1


def assert_same_adaptation(one: Path, other: Path) -> None:
    assert (one / "adaptation.json").read_text() == (other / "adaptation.json").read_text()
    for place in ("", "rounds/00", "rounds/01", "rounds/02"):
        assert same(checkpoint.load(one / place), checkpoint.load(other / place))


def go_on(out: Path) -> None:
    run(out, resume=out.exists(), config="seed: 0\n")


@pytest.mark.parametrize(("round_", "file"), [(0, "metrics.jsonl"), (1, "last.safetensors"), (2, "clusters.json")])
def test_killed_and_resumed(round_: int, file: str, whole: tuple[Path, Adaptation], tmp_path: Path) -> None:
    out = tmp_path / "run"
    child = in_child(lambda: go_on(out))
    while not (out / "rounds" / f"{round_:02d}" / file).exists() and child.exitcode is None:
        time.sleep(0.001)
    child.kill()
    child.join()
    go_on(out)
    assert_same_adaptation(out, whole[0])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_killed_at_many_random_moments(whole: tuple[Path, Adaptation], tmp_path: Path, seed: int) -> None:
    chance, out, landed = random.Random(seed), tmp_path / "run", 0
    began = time.monotonic()
    run(tmp_path / "timed")
    lasts = time.monotonic() - began
    for _ in range(8):
        child = in_child(lambda: go_on(out))
        time.sleep(chance.uniform(0.05, 0.6 * lasts))
        child.kill()
        child.join()
        landed += child.exitcode == -signal.SIGKILL
    assert landed >= 4
    go_on(out)
    assert_same_adaptation(out, whole[0])


def test_folders_in_use_are_refused(tmp_path: Path) -> None:
    go_on(tmp_path / "run")
    with pytest.raises(RunError, match="expected a new folder for the adaptation"):
        run(tmp_path / "run")
    with pytest.raises(RunError, match="expected the settings of"):
        run(tmp_path / "run", resume=True, config="seed: 1\n")


def test_wrong_numbers_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected rounds of 1 or more, got 0"):
        run(tmp_path / "run", rounds=0)


def test_the_page_says_whether_it_helped(whole: tuple[Path, Adaptation], tmp_path: Path) -> None:
    page = write_adaptation_page(tmp_path / "page.html", whole[1], title="a <b> c").read_text()
    assert f"{100 * whole[1].rounds[0].mean_ap:.1f}" in page  # type: ignore[operator]
    assert "a &lt;b&gt; c" in page
    assert all(heading in page for heading in ("Scores on the test pictures", "Groups against the truth"))
    unknown: dict[str, Any] = {"mean_ap": None, "rank_1": None, "ari": None, "v_measure": None}
    unlabelled = dataclasses.replace(
        whole[1],
        rounds=tuple(dataclasses.replace(r, **unknown) for r in whole[1].rounds),
    )
    page = write_adaptation_page(tmp_path / "page.html", unlabelled, title="t").read_text()
    assert "its effect on the scores is unknown" in page
    assert not any(heading in page for heading in ("Scores on the test pictures", "Groups against the truth"))


def test_the_signs_without_labels_are_said() -> None:
    def told(*signs: tuple[float, float | None], chosen: int) -> str:
        rounds = tuple(Round(n, 5, 1, 0.5, silhouette, stability) for n, (silhouette, stability) in enumerate(signs))
        return outcome_in_words(Adaptation(rounds, chosen, "after 2 rounds"))

    moving = told((0.25, None), (0.5, 0.2), (0.75, 0.59), chosen=2)
    assert "silhouette went from 0.25 to 0.75; groups of the last two rounds agree to 0.59 only" in moving
    assert told((0.25, None), (0.5, 0.2), (0.75, 0.95), chosen=2).endswith("from 0.25 to 0.75.")
    assert "as it came, which is kept" in told((0.25, None), (0.2, 0.9), (0.1, 0.59), chosen=0)
