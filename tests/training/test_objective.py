from typing import ClassVar

import pytest
import torch
from tests.training.tiny import model
from torch import Tensor, nn

from reseen.datasets import Joined, Subset, Synthetic, VehicleID, VeRi776, VERIWild
from reseen.geometry import Candidates
from reseen.losses import (
    AcrossRanks,
    AdaSPLoss,
    CenterLoss,
    CrossBatchMemory,
    CrossModal,
    ExpATLoss,
    HardTripletLoss,
    IdentityLoss,
)
from reseen.models import Embedder, ModelSpec, Outputs
from reseen.training import BatchCandidates, Objective, Term
from reseen.training.candidate_source import CandidateSource
from reseen.training.objective import default_terms, synchronise_batch_norm

LABELS = torch.tensor([0, 0, 1, 1, 2, 2])
IMAGES = torch.randint(0, 256, (6, 3, 16, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Branched(nn.Module):
    """A network with branches of different widths, whose outputs are known."""

    dims: ClassVar = {"feature": 5, "embedding": 4, "branch.upper": 3, "branch.lower": 2}

    def forward(self, images: Tensor, *, modalities: Tensor | None = None) -> Outputs:
        made = {
            name: torch.randn(6, dim, generator=torch.Generator().manual_seed(dim)) for name, dim in self.dims.items()
        }
        return Outputs(
            made["feature"], made["embedding"], {"upper": made["branch.upper"], "lower": made["branch.lower"]}
        )


def values(objective: Objective, candidates: CandidateSource | None = None, modalities: Tensor | None = None) -> Tensor:
    return objective(IMAGES, LABELS, modalities, candidates or BatchCandidates())


def test_each_term_takes_the_output_that_it_names() -> None:
    network = Branched()
    objective = Objective(network, [Term(HardTripletLoss(), output=name) for name in network.dims], 3)  # type: ignore[arg-type]
    outputs = network(IMAGES)
    taken = [outputs.feature, outputs.embedding, outputs.branches["upper"], outputs.branches["lower"]]
    torch.testing.assert_close(values(objective), torch.stack([HardTripletLoss()(x, LABELS) for x in taken]))


def test_a_pattern_gives_every_branch_the_loss_and_its_own_classifier() -> None:
    objective = Objective(Branched(), [Term(IdentityLoss(), output="branch.*", weight=0.2)], 3)  # type: ignore[arg-type]
    assert objective.names == ["IdentityLoss on branch.upper", "IdentityLoss on branch.lower"]
    assert [loss.weight.shape for loss in objective.losses] == [(3, 3), (3, 2)]
    assert objective.weights.tolist() == pytest.approx([0.2, 0.2])
    assert values(objective).shape == (2,)


def test_outputs_may_be_taken_side_by_side() -> None:
    network = Branched()
    joined = "branch.upper+branch.lower"
    objective = Objective(network, [Term(IdentityLoss(), output=joined), Term(HardTripletLoss(), output=joined)], 3)  # type: ignore[arg-type]
    assert objective.names == [f"IdentityLoss on {joined}", f"HardTripletLoss on {joined}"]
    assert objective.losses[0].weight.shape == (3, 5)
    branches = network(IMAGES).branches
    side_by_side = torch.cat([branches["upper"], branches["lower"]], dim=1)
    torch.testing.assert_close(values(objective)[1], HardTripletLoss()(side_by_side, LABELS))
    with pytest.raises(ValueError, match=r"expected a term on one of .*, got 'branch.upper\+branch.middle'"):
        Objective(network, [Term(HardTripletLoss(), output="branch.upper+branch.middle")], 3)  # type: ignore[arg-type]


def test_a_loss_inside_another_gets_its_size_and_its_name() -> None:
    objective = Objective(
        model(),
        [Term(AcrossRanks(CrossBatchMemory(AdaSPLoss(), memory_size=8, dim=8))), Term(AcrossRanks(IdentityLoss()))],
        3,
    )
    assert objective.names == [
        "AcrossRanks(CrossBatchMemory(AdaSPLoss)) on embedding",
        "AcrossRanks(IdentityLoss) on embedding",
    ]
    assert values(objective).shape == (2,)


def test_a_loss_that_is_sized_already_stays() -> None:
    sized = IdentityLoss(3, 8)
    before = sized.weight
    assert Objective(model(), [Term(sized)], 99).losses[0].weight is before


def test_the_same_loss_twice_is_told_apart() -> None:
    terms = [Term(HardTripletLoss(), output="feature"), Term(HardTripletLoss(None), output="feature")]
    assert Objective(model(), terms, 3).names == ["HardTripletLoss on feature", "HardTripletLoss on feature (2)"]


def test_modalities_reach_the_losses_that_take_them() -> None:
    modalities = torch.tensor([0, 1, 0, 1, 0, 1])
    objective = Objective(Branched(), [Term(CrossModal(HardTripletLoss()), output="feature"), Term(IdentityLoss())], 3)  # type: ignore[arg-type]
    expected = CrossModal(HardTripletLoss())(Branched()(IMAGES).feature, LABELS, modalities=modalities.bool())
    torch.testing.assert_close(values(objective, modalities=modalities)[0], expected)


def test_a_scheme_says_what_an_output_is_compared_with() -> None:
    class Others(BatchCandidates):
        def candidates(
            self, outputs: Outputs, images: Tensor, labels: Tensor, modalities: Tensor | None
        ) -> dict[str, Candidates]:
            return {"feature": Candidates(outputs.feature + 1, labels, 0)}

    both = [Term(HardTripletLoss(), output=name) for name in ("feature", "embedding")]
    objective = Objective(Branched(), both, 3)  # type: ignore[arg-type]
    feature = Branched()(IMAGES).feature
    with_others = values(objective, Others())
    torch.testing.assert_close(with_others[0], HardTripletLoss()(feature, LABELS, Candidates(feature + 1, LABELS, 0)))
    assert with_others[1] == values(objective)[1]


def test_impossible_terms_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one term"):
        Objective(model(), [], 3)
    with pytest.raises(ValueError, match=r"one of feature, embedding, got 'branch\.\*'"):
        Objective(model(), [Term(AdaSPLoss(), output="branch.*")], 3)


@pytest.mark.parametrize(
    ("loss", "weights"),
    [
        (AdaSPLoss(), (0.1, 0.1, 0.5)),
        (AcrossRanks(CrossModal(AdaSPLoss())), (0.1, 0.1, 0.5)),
        (ExpATLoss(), (0.1, 0.1, 0.1)),
        (CenterLoss(), (0.0005, 0.0005, 0.0005)),
        (HardTripletLoss(), (1.0, 1.0, 1.0)),
        (nn.Identity(), (1.0, 1.0, 1.0)),  # of another library
    ],
)
def test_a_term_without_a_weight_has_that_of_its_paper(loss: nn.Module, weights: tuple[float, ...]) -> None:
    kinds = (None, "person", "vehicle")
    assert tuple(Term(loss).weighted(kind).weight for kind in kinds) == weights  # type: ignore[arg-type]
    assert Term(loss, weight=0.3).weighted("vehicle").weight == 0.3  # type: ignore[arg-type]


def test_data_sets_say_what_they_show() -> None:
    small = {"num_train_identities": 2, "num_test_identities": 2, "num_cameras": 2, "images_per_camera": 2}
    vehicles, people = (Synthetic(kind=kind, height=16, **small) for kind in ("vehicle", "person"))  # type: ignore[arg-type]
    assert [vehicles.kind, Subset(vehicles, share=1.0).kind, people.kind] == ["vehicle", "vehicle", "person"]
    assert Joined([people, vehicles]).kind is None
    assert {VeRi776.kind, VehicleID.kind, VERIWild.kind} == {"vehicle"}


def test_batch_norm_is_synchronised_under_the_same_names() -> None:
    objective = Objective(Embedder(ModelSpec("osnet_x0_25", height=32, width=16)), default_terms(), 3)
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in objective.modules())
    with pytest.raises(ValueError, match="expected GPUs"):
        synchronise_batch_norm(objective, torch.device("cpu"))
    synchronise_batch_norm(objective, torch.device("cuda"))
    assert sum(isinstance(module, nn.SyncBatchNorm) for module in objective.modules()) >= norms > 10
    assert not any(isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) for module in objective.modules())
    after = objective.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
