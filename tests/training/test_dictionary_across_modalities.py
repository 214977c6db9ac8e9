"""MoReID's dictionary under `CrossModal`: past keys count as candidates of the other modality only."""

import torch
from tests.training.tiny import HEIGHT, WIDTH, model

from reseen.losses import CrossModal, HardTripletLoss
from reseen.training import MoReID, Objective, Term

MARGIN = 0.3


def batch(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return pictures, labels and modalities of three identities, two visible and two infrared pictures of each."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (12, 3, HEIGHT, WIDTH), dtype=torch.uint8, generator=generator)
    return images, torch.arange(3).repeat_interleave(4) + seed, torch.arange(12) // 2 % 2


def by_hand(x, y, infrared, past) -> float:
    """Bi-directional batch-hard triplet in a slow loop; ``past``: (key, label, modality) of the dictionary."""
    total = 0.0
    for direction in (0, 1):
        terms = []
        for i in range(len(x)):
            if infrared[i] == direction:
                near = [j for j in range(len(x)) if infrared[j] != direction]
                positives = [float((x[i] - x[j]).norm()) for j in near if y[j] == y[i]]
                negatives = [float((x[i] - x[j]).norm()) for j in near if y[j] != y[i]]
                negatives += [float((x[i] - k).norm()) for k, label, m in past if label != y[i] and m != direction]
                terms.append(max(0.0, max(positives) - min(negatives) + MARGIN))
        total += sum(terms) / len(terms)
    return total


def test_past_keys_of_the_other_modality_are_negatives() -> None:
    network = model()
    network.eval()  # batch norm and dropout would make the keys other than what is computed below
    objective = Objective(network, [Term(CrossModal(HardTripletLoss(MARGIN)), output="feature")], 6)
    candidates = MoReID(memory_size=64)
    candidates.setup(network, objective.pair_outputs)
    past: list[tuple[torch.Tensor, int, int]] = []
    values = []
    for seed in (0, 1, 2):
        images, labels, modalities = batch(seed)
        (value,) = objective(images, labels, modalities, candidates)
        x = network(images).feature.detach()
        torch.testing.assert_close(value.item(), by_hand(x, labels, modalities, past), rtol=1e-5, atol=1e-5)
        values.append((value.item(), by_hand(x, labels, modalities, [])))
        keys = candidates.encoder(images, modalities).feature
        past += list(zip(keys, labels.tolist(), modalities.tolist(), strict=True))
        candidates.on_step_end(network)
    assert values[2][0] > values[2][1]
