"""Error-I and Error-II against loops over all pictures."""

import numpy as np
import pytest
import torch

from reseen.errors import DataError
from reseen.evaluation import fidelity
from reseen.types import Embeddings


def random_set(seed: int, num: int = 60) -> Embeddings:
    generator = np.random.default_rng(seed)
    identities = generator.integers(0, 8, num)
    identities[0] = 99  # One picture only.
    return Embeddings(generator.standard_normal((num, 5)), identities)


def by_loops(embeddings: Embeddings, distractor: int | None) -> tuple[list[int], list[int]]:
    unit = torch.nn.functional.normalize(embeddings.vectors).numpy()
    nearer, farther = [], []
    for i, identity in enumerate(embeddings.identities):
        distance = [float(np.linalg.norm(unit[i] - other)) for other in unit]
        own = [d for j, d in enumerate(distance) if embeddings.identities[j] == identity and j != i]
        others = [d for j, d in enumerate(distance) if embeddings.identities[j] != identity]
        if own and identity != distractor:
            nearer.append(sum(d < max(own) for d in others))
            farther.append(sum(d > min(others) for d in own))
    return nearer, farther


@pytest.mark.parametrize("seed", range(3))
def test_loops(seed: int) -> None:
    embeddings = random_set(seed)
    nearer, farther = by_loops(embeddings, None)
    found = fidelity(embeddings)
    assert found.per_anchor.tolist() == [list(pair) for pair in zip(nearer, farther, strict=True)]
    assert (found.error_1, found.error_2) == (pytest.approx(np.mean(nearer)), pytest.approx(np.mean(farther)))
    assert found.num_anchors == len(nearer) == 59
    assert 0 not in found.rows


def test_distractors() -> None:
    embeddings = random_set(4)
    left_out, included = (
        fidelity(embeddings, distractors=[3]),
        fidelity(embeddings, distractors=[3], include_distractors=True),
    )
    without = embeddings[embeddings.identities != 3]
    assert left_out.per_anchor.tolist() == fidelity(without).per_anchor.tolist()
    assert embeddings.identities[left_out.rows].tolist() == without.identities[fidelity(without).rows].tolist()
    nearer, farther = by_loops(embeddings, 3)
    assert included.per_anchor.tolist() == [list(pair) for pair in zip(nearer, farther, strict=True)]
    assert included.error_1 > left_out.error_1


def test_well_told_apart() -> None:
    corners = np.eye(4)[[0, 0, 1, 1, 2, 2, 3]]
    found = fidelity(Embeddings(corners, [0, 0, 1, 1, 2, 2, 3]))
    assert (found.error_1, found.error_2, found.num_anchors) == (0, 0, 6)


@pytest.mark.parametrize("identities", [[0, 0, 0], [0, 1, 2]])
def test_nothing_to_compare(identities: list[int]) -> None:
    with pytest.raises(DataError, match="fidelity compares pairs"):
        fidelity(Embeddings(np.eye(3), identities))
