"""The memory of clusters against a slow loop, and a training with it that is resumed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.training.tiny import data, model, run, same
from torch.nn.functional import normalize

from reseen import checkpoint
from reseen.errors import RunError
from reseen.geometry import Candidates
from reseen.loading import number_identities
from reseen.losses import AdaSPLoss, FIDILoss, IdentityLoss, SupConLoss
from reseen.models import Outputs
from reseen.training import ClusterContrast, Term

N, D = 12, 4
LABELS = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 0, 1])
CAMERAS = np.array([5, 7, 5, 5, 5, 5, 7, 5, 7, 5, 7, 5])
ROWS = torch.tensor([0, 1, 3, 6, 8, 10])


def vectors(seed: int = 0, count: int = N) -> torch.Tensor:
    return torch.randn(count, D, generator=torch.Generator().manual_seed(seed))


def asked(source: ClusterContrast, query: torch.Tensor, rows: torch.Tensor = ROWS) -> Candidates:
    source.on_batch(rows)
    outputs = Outputs(query, query, {})
    labels = torch.from_numpy(LABELS)[rows]
    return source.candidates(outputs, torch.empty(0), labels, None)["embedding"]


def ready(**options: Any) -> ClusterContrast:
    source = ClusterContrast(vectors(), LABELS, **options)
    source.setup(model(), ["embedding"])
    return source


@pytest.mark.parametrize("parts", [None, CAMERAS])
def test_the_loss_is_that_of_the_papers(parts: Any) -> None:
    """Equation 2 of Cluster Contrast; with cameras, equation 6 of CAP over all negatives."""
    source, query = ready(parts=parts), vectors(1, len(ROWS))
    found = SupConLoss(0.1)(query, torch.from_numpy(LABELS)[ROWS], asked(source, query))
    group = [(label, 0 if parts is None else part) for label, part in zip(LABELS, CAMERAS, strict=True)]
    proxies = {
        name: normalize(sum(normalize(vectors()[i], dim=0) for i in range(N) if group[i] == name), dim=0)  # type: ignore[arg-type]
        for name in sorted(set(group))
    }
    terms = []
    for row, x in zip(ROWS.tolist(), normalize(query), strict=True):
        scores = {name: float(x @ proxy) / 0.1 for name, proxy in proxies.items()}
        whole = torch.tensor(list(scores.values())).logsumexp(0)
        own = [score for (label, _), score in scores.items() if label == LABELS[row]]
        terms.append(float(whole) - sum(own) / len(own))
    assert float(found) == pytest.approx(sum(terms) / len(terms), rel=1e-5)
    assert len(proxies) == (3 if parts is None else 5)


def test_only_other_cameras_are_positive() -> None:
    source, query = ready(parts=CAMERAS, positives="other"), vectors(1, len(ROWS))
    found = asked(source, query)
    assert found.kept is not None
    for place, row in enumerate(ROWS.tolist()):
        own = [
            (label, camera) == (LABELS[row], CAMERAS[row]) for label, camera in [(0, 5), (0, 7), (1, 5), (2, 5), (2, 7)]
        ]
        assert (~found.kept[place]).tolist() == own


@pytest.mark.parametrize("update", ["mean", "hardest"])
def test_proxies_follow_the_batch(update: Any) -> None:
    source, query = ready(parts=CAMERAS, momentum=0.3, update=update), vectors(1, len(ROWS))
    before = source.memory.clone()
    asked(source, query)
    assert torch.equal(source.memory, before)  # The gradient still reads it.
    source.on_step_end(model())
    expected = before.clone()
    for proxy, (label, camera) in enumerate([(0, 5), (0, 7), (1, 5), (2, 5), (2, 7)]):
        own = [
            x for x, row in zip(normalize(query), ROWS, strict=True) if (LABELS[row], CAMERAS[row]) == (label, camera)
        ]
        if own:
            chosen = [min(own, key=lambda x: float(x @ before[proxy]))] if update == "hardest" else own
            expected[proxy] = normalize(0.3 * before[proxy] + 0.7 * torch.stack(chosen).mean(0), dim=0)
    torch.testing.assert_close(source.memory, expected)
    assert torch.equal(source.memory[3], before[3])  # Nobody of it was in the batch.


def test_pictures_in_no_cluster_are_negatives() -> None:
    strangers = vectors(2, 3)
    source, query = ready(strangers=strangers), vectors(1, len(ROWS))
    labels = torch.from_numpy(LABELS)[ROWS]
    without = SupConLoss()(query, labels, asked(ready(), query))
    assert SupConLoss()(query, labels, asked(source, query)) > without
    source.on_step_end(model())
    torch.testing.assert_close(source.memory[3:], normalize(strangers))


@pytest.mark.parametrize("loss", [AdaSPLoss(), FIDILoss(), SupConLoss()])
def test_other_losses_compare_with_it(loss: Any) -> None:
    query = vectors(1, len(ROWS)).requires_grad_()
    value = loss(query, torch.from_numpy(LABELS)[ROWS], asked(ready(parts=CAMERAS), query))
    (gradient,) = torch.autograd.grad(value, query)
    assert value > 0
    assert gradient.abs().sum() > 0


def settings(**options: Any) -> dict[str, Any]:
    pictures = data().train
    labels = number_identities(pictures)[1]
    cameras = np.array([sample.camera for sample in pictures], np.int64)
    source = ClusterContrast(
        torch.randn(len(labels), 8, generator=torch.Generator().manual_seed(3)), labels, cameras, **options
    )
    return {"candidates": source, "terms": [Term(SupConLoss(0.1))], "evaluate_every": None}


def test_a_run_with_it_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    given = {"teacher": 0.9}
    whole, _ = run(tmp_path / "whole", **settings(**given))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", **{**settings(**given), "transform": stopping(120)}, save_every=1)
    run(tmp_path / "cut", **settings(**given), save_every=1, resume=True)
    assert same(checkpoint.load(tmp_path / "cut" / "last.safetensors"), whole)
    with pytest.raises(RunError, match="now it has"):
        run(tmp_path / "cut", **settings(momentum=0.5), resume=True)


def stopping(after: int) -> Any:
    """A transform that is interrupted after so many pictures."""
    from tests.training.tiny import HEIGHT, WIDTH

    from reseen.loading import training_transform

    transform, seen = training_transform((HEIGHT, WIDTH)), []

    def once(picture: torch.Tensor) -> torch.Tensor:
        seen.append(None)
        if len(seen) > after:
            raise KeyboardInterrupt
        return transform(picture)

    return once


def test_the_memory_follows_the_teacher(tmp_path: Path) -> None:
    """With momentum 1 the teacher is the network as it was, and the proxies are others than without it."""
    given = settings(momentum=0.0, teacher=1.0)
    first = model().eval()
    run(tmp_path / "run", **given)
    source = given["candidates"]
    teacher = source.encoder.network
    assert same(teacher, first)
    plain = settings(momentum=0.0)
    run(tmp_path / "plain", **plain)
    assert not torch.equal(plain["candidates"].memory, source.memory)
    saved = torch.load(tmp_path / "run" / "state" / "last.pt", weights_only=True)["parts"]["candidates"]
    assert saved["encoder"].keys() == first.state_dict().keys()


def test_it_needs_a_loss_over_pairs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a loss over pairs on embedding"):
        run(tmp_path / "run", **{**settings(), "terms": [Term(IdentityLoss())]})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"momentum": 1.5}, "momentum and teacher from 0 to 1"),
        ({"teacher": -1.0}, "momentum and teacher from 0 to 1"),
        ({"update": "first"}, "mean or hardest"),
        ({"positives": "none"}, "all or other"),
        ({"parts": np.zeros(3, np.int64)}, r"labels and parts \(12,\)"),
    ],
)
def test_wrong_options_are_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ready(**wrong)
