"""What samplings draw, against every labelled graph, numbers of the encyclopaedia, and a slow loop."""

import itertools
import math

import numpy as np
import pytest

from reseen.studies.harmful_pairs import positive_pairs as pp
from reseen.studies.harmful_pairs.positive_pairs import ADASP, ALL, DENSE, EASY, SPH, SPLH

# Labelled graphs without an isolated node, oeis.org/A006129, from 2 nodes on.
COVERING = {2: 1, 3: 4, 4: 41, 5: 768, 6: 27449}


def block(instances: int, pairs: set[tuple[int, int]]) -> np.ndarray:
    harmful = np.zeros((instances, instances), bool)
    for i, j in pairs:
        harmful[i, j] = harmful[j, i] = True
    return harmful


@pytest.mark.parametrize("instances", COVERING)
def test_a_coin_for_each_pair_covers_all_images_as_often_as_there_are_such_graphs(instances: int) -> None:
    found = pp.with_share(instances, 0.5)[SPLH]
    assert found == pytest.approx(COVERING[instances] / 2 ** math.comb(instances, 2), rel=1e-12)


@pytest.mark.parametrize(("instances", "pairs"), [(4, 1), (4, 2), (4, 3), (4, 4), (5, 2), (5, 3), (5, 5)])
def test_counts_are_those_of_all_choices_there_are(instances: int, pairs: int) -> None:
    every = list(itertools.combinations(range(instances), 2))
    blocks = np.stack([block(instances, set(chosen)) for chosen in itertools.combinations(every, pairs)])
    assert pp.with_count(instances, pairs) == pytest.approx(pp.if_least_alike(blocks), abs=1e-12)


@pytest.mark.parametrize("instances", [4, 8, 16])
def test_fewer_harmful_entries_than_images_keep_least_hard_from_them(instances: int) -> None:
    for pairs in range(instances // 2):
        assert pp.with_count(instances, pairs)[SPLH] == 0
    matchings = math.prod(range(1, instances, 2))
    covering = matchings / math.comb(math.comb(instances, 2), instances // 2)
    assert pp.with_count(instances, instances // 2)[SPLH] == pytest.approx(covering, rel=1e-6)


def test_what_is_drawn_is_what_a_loop_draws() -> None:
    rng = np.random.default_rng(0)
    similarity, harmful = pp.simulated(6, 5, blocks=40, rng=rng)
    similarity = 0.2 * rng.normal(size=similarity.shape) + similarity - 0.3  # harmful pairs are not always least alike
    similarity = (similarity + similarity.transpose(0, 2, 1)) / 2
    found = pp.harmful_shares(similarity, harmful)
    for b in range(40):
        pairs = {i: [j for j in range(6) if j != i] for i in range(6)}
        hardest = {i: min(others, key=lambda j, i=i: similarity[b, i, j]) for i, others in pairs.items()}
        easiest = {i: max(others, key=lambda j, i=i: similarity[b, i, j]) for i, others in pairs.items()}
        level = {i: similarity[b, i, j] for i, j in hardest.items()}
        low, high = min(level, key=level.__getitem__), max(level, key=level.__getitem__)
        sp_h, sp_lh = harmful[b, low, hardest[low]], harmful[b, high, hardest[high]]
        w = 2 * level[low] * level[high] / (level[low] + level[high]) if level[low] > 0 else 0
        assert found[ALL][b] == np.mean([harmful[b, i, j] for i, others in pairs.items() for j in others])
        assert found[DENSE][b] == np.mean([harmful[b, i, j] for i, j in hardest.items()])
        assert found[EASY][b] == np.mean([harmful[b, i, j] for i, j in easiest.items()])
        assert (found[SPH][b], found[SPLH][b]) == (sp_h, sp_lh)
        assert found[ADASP][b] == pytest.approx(w * sp_h + (1 - w) * sp_lh)


def test_the_simulation_is_what_the_closed_form_expects() -> None:
    similarity, harmful = pp.simulated(8, 10, blocks=20_000, rng=np.random.default_rng(1))
    assert (harmful.sum((1, 2)) == 20).all()
    assert similarity[harmful].max() < similarity[~harmful].min()
    found, expected = pp.harmful_shares(similarity, harmful), pp.with_count(8, 10)
    for name in (DENSE, SPH, SPLH):
        assert found[name].mean() == pytest.approx(expected[name], abs=4 * 0.5 / math.sqrt(20_000))


def test_the_supplements_equations_count_what_is_drawn_where_its_assumption_holds() -> None:
    rng = np.random.default_rng(2)
    blocks = [pp.simulated(6, pairs, blocks=300, rng=rng) for pairs in (0, 1, 2, 3, 5, 9)]
    similarity, harmful = (np.concatenate(part) for part in zip(*blocks, strict=True))
    found, terms = pp.harmful_shares(similarity, harmful), pp.situations(similarity, harmful)
    assert terms.rare == 0.5  # 0, 2 and 4 entries of 6
    assert terms.share_sparse == pytest.approx(found[SPLH].mean())
    assert terms.share_dense == pytest.approx(found[DENSE].mean())


def test_how_often_harmful_pairs_are_less_alike_is_counted_case_by_case() -> None:
    rng = np.random.default_rng(3)
    harmful = pp.simulated(5, 4, blocks=20, rng=rng)[1]
    similarity = rng.integers(4, size=harmful.shape).astype(float)  # with many ties
    similarity = similarity + similarity.transpose(0, 2, 1)
    pairs = list(itertools.combinations(range(5), 2))
    cases = [
        (similarity[b][other] > similarity[b][bad]) + 0.5 * (similarity[b][other] == similarity[b][bad])
        for b in range(20)
        for bad in pairs
        for other in pairs
        if harmful[b][bad] and not harmful[b][other]
    ]
    assert pp.how_often_less_alike(similarity, harmful) == pytest.approx(np.mean(cases))
    assert pp.how_often_less_alike(*pp.simulated(5, 4, blocks=9, rng=rng)) == 1
    assert math.isnan(pp.how_often_less_alike(*pp.simulated(5, 0, blocks=9, rng=rng)))


def test_counted_in_pairs_the_first_situation_does_not_hold() -> None:
    harmful = block(4, {(0, 1), (2, 3)})  # two pairs, fewer than four images
    similarity = np.where(harmful, 0.1, 0.9)
    assert pp.harmful_shares(similarity[None], harmful[None])[SPLH] == 1
