"""Probabilities and thresholds against definitions, other implementations and data whose truth is known."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from reseen.errors import GalleryError
from reseen.gallery import Calibration, Gallery, LabelledPairs, Probes, calibrate, labelled
from reseen.gallery.calibration.calibration import as_percent
from reseen.gallery.calibration.calibrators import isotonic, logistic
from reseen.gallery.calibration.fit import fit_scores, reliability
from reseen.gallery.calibration.labelled_pairs import prior_of
from reseen.gallery.calibration.thresholds import line, thresholds


def known_pairs(count: int, seed: int = 0, people: int = 400) -> LabelledPairs:
    """Pairs whose true probability at similarity s and prior 1/2 is 1 / (1 + exp(-(12 s - 6)))."""
    generator = np.random.default_rng(seed)
    similarities = generator.uniform(-0.2, 1.0, count)
    same = generator.random(count) < 1 / (1 + np.exp(6 - 12 * similarities))
    first = generator.integers(people, size=count)
    return LabelledPairs(similarities, same, first, np.where(same, first, (first + 1) % people))


def test_isotonic_is_the_minimax_formula() -> None:
    """The fit at i is max over a <= i of min over b >= i of the weighted mean of a..b."""
    generator = np.random.default_rng(0)
    similarities, weights = np.sort(generator.random(30)), generator.random(30) + 0.1
    same = generator.random(30) < similarities
    knots, values = isotonic(similarities, same, weights)

    def mean(a: int, b: int) -> float:
        return float(np.average(same[a : b + 1], weights=weights[a : b + 1]))

    expected = np.array([max(min(mean(a, b) for b in range(i, 30)) for a in range(i + 1)) for i in range(30)])
    assert (np.diff(knots) > 0).all()
    assert (np.diff(values) >= 0).all()
    assert_between_the_ends(values, np.unique(expected.round(12)), atol=1e-9)


def test_isotonic_agrees_with_scikit_learn() -> None:
    fitted = pytest.importorskip("sklearn.isotonic").IsotonicRegression()
    pairs = known_pairs(2000)
    similarities = pairs.similarities.round(2)  # with ties
    expected = fitted.fit(similarities, pairs.same, sample_weight=np.ones(2000)).predict(similarities)
    _, values = isotonic(similarities, pairs.same, np.ones(2000))
    assert_between_the_ends(values, np.unique(expected.round(9)), atol=1e-6)


def assert_between_the_ends(values: np.ndarray, expected: np.ndarray, *, atol: float) -> None:
    """Pools of both kinds have their share; one of a single kind is held off 0 and 1, but not beyond its neighbour."""
    both = (expected > 0) & (expected < 1)
    np.testing.assert_allclose(values[both], expected[both], atol=atol)
    assert (values > 0).all()
    assert (values < 1).all()


def test_a_pool_of_one_kind_counts_half_a_pair_of_the_other() -> None:
    similarities, same = np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True])
    weights = np.where(same, 0.01, 0.99)  # a prior of 1 %
    _, (low, high) = isotonic(similarities, same, weights)
    assert low == pytest.approx(0.005 / (1.98 + 0.005))
    assert high == pytest.approx(0.02 / (0.02 + 0.495))  # two pairs do not make anybody sure


def test_logistic_is_at_a_minimum_and_finds_the_curve_behind_the_data() -> None:
    pairs = known_pairs(40_000)
    weights = np.ones(len(pairs))
    _, (low, high) = logistic(pairs.similarities, pairs.same, weights)
    assert ((high - low) / 2, (high + low) / 2) == pytest.approx((12, -6), rel=0.05)
    apart = LabelledPairs(np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True]), *np.zeros((2, 4), int))
    _, ends = logistic(apart.similarities, apart.same, np.ones(4))
    assert np.isfinite(ends).all()  # separable data have no steepest curve; softened labels do


def test_a_calibration_tells_the_truth_and_survives_json() -> None:
    calibration = calibrate(known_pairs(20_000), prior=0.5)
    weights = {False: 0.5 / calibration.num_different, True: 0.5 / calibration.num_same}
    # The data's own share of the same is not 1/2: the odds move by the ratio of the two weights.
    s = np.linspace(0, 0.9, 10)
    odds = np.exp(12 * s - 6) * weights[True] / weights[False]
    np.testing.assert_allclose(calibration.probability(s), odds / (1 + odds), atol=0.04)
    assert {fit.method for fit in calibration.fits} == {"isotonic", "logistic"}
    assert all(fit.ece < 0.03 for fit in calibration.fits)
    assert Calibration.from_json(calibration.to_json()) == calibration
    assert all(0 <= p <= 1 for p in calibration.probability([-1, 1, 0.5]))


def test_the_better_curve_is_chosen() -> None:
    generator = np.random.default_rng(1)
    similarities = generator.random(5000)
    same = generator.random(5000) < np.where(similarities < 0.5, 0.3, 0.7)  # a step, no logistic curve
    steps = LabelledPairs(similarities, same, np.arange(5000), np.arange(5000))
    assert calibrate(steps).method == "isotonic"
    assert calibrate(known_pairs(600)).method == "logistic"


def test_a_higher_prior_gives_higher_probabilities() -> None:
    low, high = (calibrate(known_pairs(3000), prior=prior) for prior in (0.1, 0.9))
    s = np.linspace(0.1, 0.9, 9)
    assert (np.asarray(low.probability(s)) < np.asarray(high.probability(s))).all()


def test_probabilities_can_be_had_at_another_prior() -> None:
    pairs, s = known_pairs(20_000), np.linspace(0.2, 0.8, 13)
    rare, even = (calibrate(pairs, prior=prior) for prior in (0.04, 0.5))
    np.testing.assert_allclose(even.probability(s, prior=0.04), rare.probability(s), atol=0.03)
    np.testing.assert_allclose(even.probability(s, prior=0.5), even.probability(s))


def test_the_prior_of_a_search_follows_from_the_gallery(tmp_path: Path) -> None:
    with Gallery(tmp_path / "g") as gallery:
        assert prior_of(gallery) == 0.5
        gallery.add(np.eye(8), identities=[0, 0, 1, 1, 2, 3, 4, None])
        assert prior_of(gallery) == pytest.approx(0.5 / 5)
        assert prior_of(gallery, strangers=0) == pytest.approx(1 / 5)
        with pytest.raises(ValueError, match="strangers of at least 0 and below 1, got 1"):
            prior_of(gallery, strangers=1.0)


def test_a_query_unlike_the_whole_gallery_is_told_apart() -> None:
    probes = Probes(np.full(1000, 0.9), np.linspace(0.3, 0.7, 1000), np.arange(1000))
    calibration = calibrate(known_pairs(500), probes)
    assert calibration.familiar == pytest.approx(0.304, abs=1e-3)
    assert calibration.unfamiliar(0.29)
    assert not calibration.unfamiliar(0.31)
    assert not calibrate(known_pairs(500)).unfamiliar(-1.0)  # nothing was measured


def test_a_copy_of_the_query_is_no_evidence_and_a_mark_can_be_taken_back(tmp_path: Path) -> None:
    with Gallery(tmp_path / "g") as gallery:
        ids = gallery.add(np.eye(3), identities=["a", "b", None]).ids
        for item, similarity in zip(ids, (1.0, 0.7, 0.6), strict=True):
            gallery.mark("q", item, similarity=similarity, same=True)
        assert sorted(labelled(gallery)[0].similarities[labelled(gallery)[0].same].tolist()) == [0.6, 0.7]
        gallery.unmark("q", ids[1])
        gallery.unmark("another", ids[0])
        assert [(mark.item, mark.similarity) for mark in gallery.marks()] == sorted([(ids[0], 1.0), (ids[2], 0.6)])
        assert [match.is_copy for match in gallery.search(np.eye(3)[:1], 2)[0]] == [True, False]


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.00012, "0.012 %"), (0.0357, "3.6 %"), (0.0999, "10 %"), (0.71, "71 %"), (0.99, "99.0 %"), (1.0, "over 99.9 %")],
)
def test_probabilities_as_people_read_them(probability: float, text: str) -> None:
    assert as_percent(probability) == text


def test_scores_are_their_definitions() -> None:
    probability, same = np.array([0.05, 0.15, 0.15, 0.95]), np.array([False, False, True, True])
    weights = np.array([0.4, 0.2, 0.2, 0.2])
    fit = fit_scores("logistic", probability, same, weights)
    assert fit.ece == pytest.approx(0.4 * 0.05 + 0.4 * abs(0.15 - 0.5) + 0.2 * 0.05)
    assert fit.brier == pytest.approx(0.4 * 0.05**2 + 0.2 * 0.15**2 + 0.2 * 0.85**2 + 0.2 * 0.05**2)
    assert fit.log_loss == pytest.approx(-(0.4 * np.log(0.95) + 0.2 * np.log(0.85) + 0.2 * np.log(0.15 * 0.95)))
    assert [
        (round(b.promised, 3), b.observed, round(b.weight, 3)) for b in reliability(probability, same, weights)
    ] == [
        (0.05, 0.0, 0.4),
        (0.15, 0.5, 0.4),
        (0.95, 1.0, 0.2),
    ]


def test_a_threshold_lets_through_the_wanted_rate_and_no_more() -> None:
    falling = np.array([0.9, 0.8, 0.8, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0, -0.1])
    for rate, passing in ((0.1, 1), (0.2, 1), (0.3, 3), (0.35, 3), (0.4, 4), (0.99, 9)):
        assert (falling >= line(falling, rate, np.ones(10))).sum() == passing, rate
    assert line(falling, 0.5, np.array([9, 0, 0, 0, 0, 0, 0, 0, 0, 9])) == np.nextafter(-0.1, 1)


def test_the_interval_holds_the_true_threshold() -> None:
    """Similarities of pairs of individuals who each have a part in it: 95 % intervals hold the truth about so often."""
    people, truth = 60, 1.2816 * np.sqrt(2 * 0.02 + 0.01)  # the 90th percentile of a sum of normals
    first, second = np.array(list(itertools.combinations(range(people), 2))).T
    held = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        own = generator.normal(0, np.sqrt(0.02), people)
        similarities = own[first] + own[second] + generator.normal(0, 0.1, len(first))
        (found,) = thresholds(similarities, np.stack([first, second], 1), [0.1], seed, detected=lambda _: 1.0)
        assert found.low <= found.threshold <= found.high
        held += found.low <= truth <= found.high
    assert held >= 33


def test_open_set_counts_only_right_names() -> None:
    generator = np.random.default_rng(0)
    other = generator.random(200)
    own = np.where(np.arange(200) < 150, other + 0.05, other - 0.05)  # a quarter are taken for someone else
    own[:10] = np.nan
    calibration = calibrate(known_pairs(500), Probes(own, other, np.arange(200)), rates=(0.1, 0.001))
    (found,) = calibration.open_set  # 200 probes cannot show a rate of 0.001
    assert (other >= found.threshold).mean() == 0.1
    assert found.detected == pytest.approx((own[10:150] >= found.threshold).sum() / 190)
    with pytest.raises(GalleryError, match="calibrated for"):
        calibration.open_set_threshold(0.001)


def test_too_little_is_said_to_be_too_little() -> None:
    pairs = known_pairs(500)
    few = LabelledPairs(pairs.similarities, np.arange(500) < 4, pairs.first, pairs.second)
    with pytest.raises(GalleryError, match=r"at least 10 labelled pairs.*found 4 and 496"):
        calibrate(few)
    with pytest.raises(ValueError, match="between 0 and 1"):
        calibrate(pairs, prior=1.0)
    alone = LabelledPairs(pairs.similarities, pairs.same, np.zeros(500, int), np.zeros(500, int))
    with pytest.raises(GalleryError, match="several individuals"):
        calibrate(alone)


def test_pairs_of_a_gallery_are_those_that_tell_something(tmp_path) -> None:
    generator = np.random.default_rng(0)
    identities = np.repeat(np.arange(12), 5)
    vectors = generator.normal(size=(60, 16)).astype(np.float32)
    cameras, times = np.tile([0, 0, 0, 1, 1], 12), np.tile([0.0, 1, 50, 0, 50], 12)
    with Gallery(tmp_path / "gallery") as gallery:
        named = [*identities.tolist(), None, None]
        gallery.add(
            np.concatenate([vectors, vectors[:2] + 1]),
            identities=named,
            cameras=[*cameras.tolist(), 0, 1],
            times=[*times.tolist(), 0, 0],
        )
        pairs, probes = labelled(gallery)
        across = cameras[:, None] != cameras
        same = identities[:, None] == identities
        assert pairs.same.sum() == np.triu(across & same).sum() == 12 * 6
        assert (~pairs.same).sum() == np.triu(across & ~same).sum()

        pairs, probes = labelled(gallery, other_camera=False, gap=10)
        near = (cameras[:, None] == cameras) & (np.abs(times[:, None] - times) < 10)
        assert len(pairs) == np.triu(~near, 1).sum()
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        s = unit @ unit.T
        np.testing.assert_allclose(np.sort(probes.own), np.sort(np.where(same & ~near, s, -9).max(1)), atol=1e-6)
        np.testing.assert_allclose(np.sort(probes.other), np.sort(np.where(~same & ~near, s, -9).max(1)), atol=1e-6)

        gallery.mark("q", gallery.select()[0], similarity=0.25, same=True)
        gallery.mark("q", gallery.select()[1], similarity=0.75, same=False)
        more, _ = labelled(gallery, other_camera=False, gap=10)
        assert len(more) == len(pairs) + 2
        assert {(s, y) for s, y in zip(more.similarities[-2:], more.same[-2:], strict=True)} == {
            (0.25, True),
            (0.75, False),
        }


def test_marks_alone_can_calibrate(tmp_path) -> None:
    pairs = known_pairs(200)
    with Gallery(tmp_path / "gallery") as gallery:
        (item,) = gallery.add([[1.0, 0.0]]).ids
        for number, (similarity, same) in enumerate(zip(pairs.similarities, pairs.same, strict=True)):
            gallery.mark(str(number), item, similarity=similarity, same=bool(same))
        assert calibrate(*labelled(gallery)).num_same == pairs.same.sum()


def test_one_who_is_everywhere_does_not_fill_the_draw(tmp_path) -> None:
    with Gallery(tmp_path / "gallery") as gallery:
        vectors = np.random.default_rng(0).normal(size=(330, 4)).astype(np.float32)
        gallery.add(vectors, identities=["often"] * 300 + ["seldom"] * 30)
        pairs, _ = labelled(gallery)
    assert pairs.same.sum() == 100 * 99 // 2 + 30 * 29 // 2
    assert (~pairs.same).sum() == 100 * 30
