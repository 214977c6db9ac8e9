"""Losses, batches and matrices in loops and libraries that are not reseen's."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from reseen.evaluation import evaluate, evaluate_matrix
from reseen.geometry import Candidates
from reseen.loading import IdentityBatchSampler
from reseen.losses import AdaSPLoss, FIDILoss, IdentityLoss
from reseen.protocols import any_view, cross_camera
from reseen.training import FromPML
from reseen.types import Embeddings

LABELS = torch.tensor([0, 0, 1, 1, 2, 2])


def vectors(count: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))


def test_a_loss_with_its_miner_in_a_term() -> None:
    pml = pytest.importorskip("pytorch_metric_learning")
    from pytorch_metric_learning import losses, miners

    loss, miner = losses.TripletMarginLoss(), miners.BatchHardMiner()
    x = vectors().requires_grad_()
    torch.testing.assert_close(FromPML(loss, miner)(x, LABELS), loss(x, LABELS, miner(x, LABELS)))
    torch.testing.assert_close(FromPML(loss)(x, LABELS), loss(x, LABELS))
    others = Candidates(vectors(6, seed=1), LABELS, offset=None)
    expected = loss(x, LABELS, ref_emb=others.embeddings, ref_labels=others.labels)
    torch.testing.assert_close(FromPML(loss)(x, LABELS, others), expected)
    assert float(expected.detach()) != float(loss(x, LABELS).detach())
    with pytest.raises(ValueError, match="apart from the batch"):
        FromPML(loss)(x, LABELS, Candidates(torch.cat([x, x]), torch.cat([LABELS, LABELS]), offset=0))
    assert pml.__version__


@pytest.mark.parametrize("loss", [AdaSPLoss(), FIDILoss()])
def test_our_losses_are_called_as_those_of_pytorch_metric_learning(loss: torch.nn.Module) -> None:
    x, others = vectors(), vectors(6, seed=1)
    expected = loss(x, LABELS, Candidates(others, LABELS, offset=None))
    torch.testing.assert_close(loss(x, LABELS, ref_emb=others, ref_labels=LABELS), expected)
    torch.testing.assert_close(loss(x, LABELS.numpy(), None, ref_emb=others, ref_labels=LABELS.tolist()), expected)
    torch.testing.assert_close(loss(x, LABELS.numpy()), loss(x, LABELS))
    pairs = (torch.tensor([0]), torch.tensor([1]), torch.tensor([0]), torch.tensor([2]))
    for call in (lambda: loss(x, LABELS, indices_tuple=pairs), lambda: loss(x, LABELS, pairs)):
        with pytest.raises(ValueError, match=r"expected no pairs of a miner .* FromPML"):
            call()
    with pytest.raises(ValueError, match="expected ref_emb with ref_labels"):
        loss(x, LABELS, ref_emb=others)


def test_a_classifier_without_a_size_takes_that_of_its_state() -> None:
    sized, unsized = IdentityLoss(5, 8), IdentityLoss()
    unsized.load_state_dict(sized.state_dict())
    torch.testing.assert_close(unsized(vectors(), LABELS), sized(vectors(), LABELS))
    holder = torch.nn.ModuleDict({"inside": IdentityLoss()})
    holder.load_state_dict({"inside.weight": sized.weight.detach()})
    assert holder["inside"].weight.shape == (5, 8)


def test_batches_of_plain_indices_for_any_data_set() -> None:
    labels = ["ann"] * 5 + ["ben"] * 4 + ["cleo"] * 6
    batches = IdentityBatchSampler(2, 2).over_labels(labels)
    loader = DataLoader(list(range(15)), batch_sampler=batches)
    first, second = ([batch.tolist() for batch in loader] for _ in range(2))
    for epoch in (first, second):
        assert len(epoch) == len(batches)
        for batch in epoch:
            assert sorted(labels.count(labels[row]) > 0 for row in batch) == [True] * 4
            assert sorted(sum(labels[a] == labels[b] for b in batch) for a in batch) == [2] * 4
    assert first != second  # epochs advance by themselves
    assert list(IdentityBatchSampler(2, 2).over_labels(np.array(labels))) == first
    with pytest.raises(ValueError, match=r"expected labels \(N,\)"):
        IdentityBatchSampler(2, 2).over_labels([[1, 2]])


@pytest.mark.parametrize("protocol", [any_view, cross_camera], ids=lambda each: each.name)
def test_a_matrix_scores_as_its_embeddings_do(protocol) -> None:
    generator = np.random.default_rng(0)
    ids, cameras = generator.integers(0, 4, 30), generator.integers(0, 3, 30)
    x = torch.nn.functional.normalize(vectors(30).double(), dim=1)
    query, gallery = (Embeddings(x[part], ids[part], cameras[part]) for part in (slice(0, 10), slice(10, 30)))
    expected = evaluate(query, gallery, protocol)
    similarities = x[:10] @ x[10:].T
    sides = {"query_cameras": cameras[:10], "gallery_cameras": cameras[10:]}
    for matrix, kind in ((similarities, "similarity"), ((2 - 2 * similarities).sqrt().numpy(), "distance")):
        report = evaluate_matrix(matrix, ids[:10], ids[10:], protocol, kind=kind, **sides)
        assert report.mean_ap == pytest.approx(expected.mean_ap)
        assert report.cmc(1) == expected.cmc(1)
    with pytest.raises(ValueError, match=r"expected a matrix \(10, 20\), a row for each query .*, got \(20, 10\)"):
        evaluate_matrix(similarities.T, ids[:10], ids[10:], protocol, kind="similarity")
    with pytest.raises(ValueError, match=r"got Tensor; reseen\.evaluation\.evaluate_matrix takes a matrix"):
        evaluate(similarities, gallery, protocol)
    with pytest.raises(ValueError, match=r"expected finite numbers \(Q, G\)"):
        evaluate_matrix([[np.nan]], [0], [0], protocol, kind="distance")
