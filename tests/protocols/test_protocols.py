"""Every protocol against a slow, literal reading of its rule, on data full of ties, junk and strangers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reseen.errors import DataError
from reseen.evaluation import evaluate
from reseen.protocols import (
    any_view,
    cross_camera,
    cuhk03_classic,
    regdb,
    sysu_mm01,
    vehicle_id,
    vehicle_id_retrieval,
    veri_track,
    veri_wild,
)
from reseen.types import Embeddings, Protocol

Entry = dict[str, Any]


def tied(count: int, generator: np.random.Generator, dim: int = 16) -> NDArray[np.float32]:
    """Vectors of +1 and -1 only: their cosines are multiples of 1/8, exact in any arithmetic, and tie often."""
    return generator.choice(np.array([-1, 1], np.float32), size=(count, dim))


def random_set(seed: int, num: int, *, identities: int = 8, cameras: int = 3, first: int = 0) -> Embeddings:
    generator = np.random.default_rng(seed)
    return Embeddings(
        tied(num, generator),
        generator.integers(first, first + identities, num),
        cameras=generator.integers(1, cameras + 1, num),
        tracks=generator.integers(0, 3, num),
    )


def entries(embeddings: Embeddings) -> list[Entry]:
    cameras = embeddings.cameras if embeddings.cameras is not None else [None] * len(embeddings)
    return [
        {"vector": v, "identity": i, "camera": c}
        for v, i, c in zip(embeddings.vectors.double().numpy(), embeddings.identities, cameras, strict=True)
    ]


def cosine(a: Entry, b: Entry) -> float:
    return float(a["vector"] @ b["vector"] / 16)


class Literal:
    """Search as a person would describe it: one list per query, best first, among equals the wrong ones first."""

    def __init__(self, trapezoid: bool = False) -> None:
        self.trapezoid = trapezoid
        self.aps: list[float] = []
        self.inps: list[float] = []
        self.firsts: list[int] = []
        self.skipped = 0

    def add(self, found: list[tuple[float, Any]], identity: Any, *, unique: bool = False) -> None:
        """``found``: score and identity of everything that is not neither."""
        ranked = sorted(found, key=lambda entry: (-entry[0], entry[1] == identity))
        right = [who == identity for _, who in ranked]
        if not any(right):
            self.skipped += 1
            return
        total, seen, old_recall, old_precision, ap, last = sum(right), 0, 0.0, 1.0, 0.0, 0
        for place, hit in enumerate(right, start=1):
            seen += hit
            recall, precision = seen / total, seen / place
            if self.trapezoid:
                ap += (recall - old_recall) * (old_precision + precision) / 2
            else:
                ap += (recall - old_recall) * precision
            old_recall, old_precision = recall, precision
            last = place if hit else last
        self.aps.append(ap)
        self.inps.append(total / last)
        if unique:
            once = list(dict.fromkeys(who for _, who in ranked))
            self.firsts.append(once.index(identity) + 1)
        else:
            self.firsts.append(right.index(True) + 1)

    def cmc(self, rank: int) -> float:
        return float(np.mean([first <= rank for first in self.firsts]))


def assert_same(report: Any, literals: list[Literal]) -> None:
    def mean(value: Callable[[Literal], float]) -> float:
        return float(np.mean([value(one) for one in literals]))

    assert report.mean_ap == pytest.approx(mean(lambda one: float(np.mean(one.aps))), abs=1e-12)
    assert report.mean_inp == pytest.approx(mean(lambda one: float(np.mean(one.inps))), abs=1e-12)
    for rank in (1, 2, 3, 5, 10, 20, 100):
        assert report.cmc(rank) == pytest.approx(mean(lambda one, rank=rank: one.cmc(rank)), abs=1e-12)
    assert report.num_queries == round(mean(lambda one: len(one.aps)))
    assert report.num_skipped == round(mean(lambda one: one.skipped))


def contest(seed: int) -> tuple[Embeddings, Embeddings]:
    """Identities 3 to 7 are in both; 0 to 2 are distractors; 8 to 14 have no match."""
    return random_set(seed, 25, identities=12, first=3), random_set(seed + 1, 60)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), trapezoid=st.booleans(), keep=st.booleans())
def test_common_rule(seed: int, trapezoid: bool, keep: bool) -> None:
    query, gallery = contest(seed)
    protocol = any_view if keep else cross_camera
    literal = Literal(trapezoid)
    for q in entries(query):
        found = [
            (cosine(q, g), g["identity"])
            for g in entries(gallery)
            if keep or not (g["identity"] == q["identity"] and g["camera"] == q["camera"])
        ]
        literal.add(found, q["identity"])
    report = evaluate(query, gallery, protocol(average_precision="trapezoid" if trapezoid else "step"))
    assert_same(report, [literal])


def test_the_data_has_what_the_rules_are_about() -> None:
    query, gallery = contest(0)
    assert evaluate(query, gallery, cross_camera).num_skipped > 0
    assert set(gallery.identities) - set(query.identities)
    scores = (query.vectors @ gallery.vectors.T).numpy()
    assert all(len(np.unique(row)) < len(row) for row in scores)
    assert evaluate(query, gallery, cross_camera).mean_ap != evaluate(query, gallery, any_view).mean_ap


@pytest.mark.parametrize("seed", range(3))
def test_tracks(seed: int) -> None:
    query, gallery = contest(seed)
    assert gallery.tracks is not None
    literal = Literal()
    for q in entries(query):
        best: dict[Any, float] = {}
        for g, track in zip(entries(gallery), gallery.tracks, strict=True):
            if g["identity"] == q["identity"] and g["camera"] == q["camera"]:
                continue
            key = (track, g["identity"], g["camera"])
            best[key] = max(best.get(key, -2.0), cosine(q, g))
        literal.add([(score, key[1]) for key, score in best.items()], q["identity"])
    assert_same(evaluate(query, gallery, veri_track), [literal])


@pytest.mark.parametrize(("protocol", "drawn"), [(vehicle_id, "gallery"), (vehicle_id_retrieval, "query")])
def test_vehicle_id(protocol: Callable[..., Protocol], drawn: str) -> None:
    generator = np.random.default_rng(0)
    pictures = Embeddings(tied(50, generator), [*generator.integers(0, 12, 49).tolist(), "alone"])
    rule = protocol(repeats=4, seed=3)
    assert rule.trials is not None
    literals = []
    for trial in rule.trials(pictures, pictures):
        one, others = (trial.gallery, trial.query) if drawn == "gallery" else (trial.query, trial.gallery)
        assert sorted(pictures.identities[one], key=str) == sorted(set(pictures.identities), key=str)
        assert sorted([*one, *others]) == list(range(50))
        literal = Literal()
        listed = entries(pictures)
        for q in trial.query:
            found = [(cosine(listed[q], listed[g]), listed[g]["identity"]) for g in trial.gallery]
            literal.add(found, listed[q]["identity"])
        literals.append(literal)
    report = evaluate(pictures, pictures, rule)
    assert_same(report, literals)
    assert report.deviation is not None
    assert report.deviation["rank_1"] == pytest.approx(np.std([one.cmc(1) for one in literals], ddof=1))
    assert len({tuple(trial.gallery) for trial in rule.trials(pictures, pictures)}) == 4
    again, other = evaluate(pictures, pictures, protocol(repeats=4, seed=3)), protocol(repeats=4, seed=4)
    assert again.to_dict() == report.to_dict()
    assert evaluate(pictures, pictures, other).mean_ap != report.mean_ap


def test_vehicle_id_wants_one_set_of_pictures() -> None:
    with pytest.raises(DataError, match="both as query and as gallery"):
        evaluate(random_set(0, 20), random_set(1, 20), vehicle_id())


# --- SYSU-MM01 ---

IDENTITIES_UNDER = {1: 56, 2: 56, 3: 93, 4: 94, 5: 95, 6: 96}  # Of its 96 test identities.


def sysu(seed: int, *, pictures: int = 13, identities_under: dict[int, int] = IDENTITIES_UNDER) -> Any:
    generator = np.random.default_rng(seed)
    identity, camera = [], []
    for number, count in identities_under.items():
        chosen = generator.permutation(96)[:count] + 300
        identity += np.repeat(chosen, pictures).tolist()
        camera += [number] * (count * pictures)
    everything = Embeddings(tied(len(identity), generator), identity, cameras=camera)
    infrared = np.isin(camera, (3, 6))
    return everything[infrared], everything[~infrared]


@pytest.mark.parametrize(
    ("search", "shots", "size"), [("all", 1, 301), ("all", 10, 3010), ("indoor", 1, 112), ("indoor", 10, 1120)]
)
def test_sysu_gallery_sizes(search: Any, shots: Any, size: int) -> None:
    query, gallery = sysu(0)
    trials = list(sysu_mm01(search=search, shots=shots).trials(query, gallery))  # type: ignore[misc]
    assert [len(trial.gallery) for trial in trials] == [size] * 10
    assert all(len(trial.query) == len(query) for trial in trials)
    cameras = {1, 2} if search == "indoor" else {1, 2, 4, 5}
    for trial in trials:
        drawn = gallery[trial.gallery]
        pairs, counts = np.unique(np.stack([drawn.identities, drawn.cameras]), axis=1, return_counts=True)
        assert set(pairs[1]) == cameras
        assert set(counts) == {shots}
    assert len({tuple(trial.gallery) for trial in trials}) == 10


def small_sysu(seed: int) -> Any:
    return sysu(seed, pictures=3, identities_under={1: 10, 2: 90, 3: 12, 4: 9, 5: 11, 6: 10})


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shots", [1, 2])
def test_sysu_literally(seed: int, shots: Any) -> None:
    query, gallery = small_sysu(seed)
    protocol = sysu_mm01(shots=shots, trials=2, seed=seed)
    location = {1: 1, 2: 2, 3: 2, 4: 4, 5: 5, 6: 6}
    literals = []
    for trial in protocol.trials(query, gallery):  # type: ignore[misc]
        literal = Literal()
        listed = entries(gallery[trial.gallery])
        for q in entries(query):
            found = [(cosine(q, g), g["identity"]) for g in listed if location[q["camera"]] != location[g["camera"]]]
            literal.add(found, q["identity"], unique=True)
        literals.append(literal)
    report = evaluate(query, gallery, protocol)
    assert report.num_skipped > 0
    assert_same(report, literals)


def test_sysu_camera_3_ignores_everything_of_camera_2() -> None:
    query, gallery = small_sysu(1)
    without = gallery[gallery.cameras != 2]
    everything = sysu_mm01(shots=10, trials=1)
    from_3, from_6 = query[query.cameras == 3], query[query.cameras == 6]
    assert evaluate(from_3, gallery, everything).to_dict() == evaluate(from_3, without, everything).to_dict()
    assert evaluate(from_6, gallery, everything).mean_ap != evaluate(from_6, without, everything).mean_ap


def test_sysu_counts_an_identity_once_in_cmc_and_not_in_ap() -> None:
    """Two pictures of a stranger come before the one right picture: place 3 in the list, place 2 among identities."""
    query = Embeddings(np.array([[1.0, 0.0]]), [1], cameras=[6])
    gallery = Embeddings(np.array([[1.0, 0.1], [1.0, 0.2], [1.0, 0.3]]), [2, 2, 1], cameras=[1, 1, 1])
    report = evaluate(query, gallery, sysu_mm01(shots=10, trials=1))
    assert (report.cmc(1), report.cmc(2)) == (0, 1)
    assert report.mean_ap == pytest.approx(1 / 3)


def test_sysu_official_permutations() -> None:
    query, gallery = small_sysu(2)
    generator = np.random.default_rng(0)
    pairs = sorted({(int(i), int(c)) for i, c in zip(gallery.identities, gallery.cameras, strict=True)})
    permutations = {pair: np.stack([generator.permutation(3) for _ in range(4)]) for pair in pairs}
    trials = list(sysu_mm01(shots=1, trials=4, permutations=permutations).trials(query, gallery))  # type: ignore[misc]
    for number, trial in enumerate(trials):
        for identity, camera in pairs:
            rows = np.flatnonzero((gallery.identities == identity) & (gallery.cameras == camera))
            expected = rows[permutations[identity, camera][number, 0]]
            assert set(trial.gallery) & set(rows) == {expected}
    del permutations[pairs[3]]
    with pytest.raises(DataError, match=rf"identity {pairs[3][0]} under camera {pairs[3][1]}"):
        evaluate(query, gallery, sysu_mm01(permutations=permutations))


def test_sysu_cameras_that_are_no_numbers() -> None:
    query, gallery = small_sysu(0)
    named = Embeddings(gallery.vectors, gallery.identities, cameras=[f"cam{c}" for c in gallery.cameras])
    with pytest.raises(DataError, match="number the cameras"):
        evaluate(query, named, sysu_mm01())


# --- CUHK03, classic ---


def test_cuhk03_draws() -> None:
    """The mean over many draws is the probability, which strangers' independent draws give in closed form."""
    pictures = random_set(5, 40, identities=7, cameras=2)
    report = evaluate(pictures, pictures, cuhk03_classic(draws=1500))
    probability = np.zeros(8)
    counted = 0
    for q in entries(pictures):
        kept = [g for g in entries(pictures) if g["identity"] != q["identity"] or g["camera"] != q["camera"]]
        of = {i: [cosine(q, g) for g in kept if g["identity"] == i] for i in range(7)}
        right = of.pop(q["identity"])
        if not right:
            continue
        counted += 1
        for score in right:
            ahead = np.array([1.0])  # ahead[n]: the probability of n strangers before it.
            for others in of.values():
                p = np.mean(np.array(others) >= score)
                ahead = np.convolve(ahead, [1 - p, p])
            probability[1 : len(ahead) + 1] += ahead / len(right)
    expected = np.cumsum(probability)[1:] / counted
    assert [report.cmc(rank) for rank in range(1, 8)] == pytest.approx(expected, abs=0.01)
    assert report.mean_ap == evaluate(pictures, pictures, cross_camera).mean_ap


def test_cuhk03_is_repeatable_and_a_querys_draws_are_its_own() -> None:
    pictures = random_set(5, 60, identities=7, cameras=2)
    report = evaluate(pictures, pictures, cuhk03_classic())
    assert report.first_ranks[0].shape == (report.num_queries, 10)
    assert evaluate(pictures, pictures, cuhk03_classic()).to_dict() == report.to_dict()
    assert (evaluate(pictures, pictures, cuhk03_classic(seed=1)).first_ranks[0] != report.first_ranks[0]).any()
    few = evaluate(pictures[slice(0, 5)], pictures, cuhk03_classic())
    assert (few.first_ranks[0] == report.first_ranks[0][: few.num_queries]).all()


def test_places() -> None:
    """Cameras 1 and 2 stand in place 3; camera 3 is not named, and stands elsewhere."""
    query, gallery = contest(0)
    literal = Literal()
    for q in entries(query):
        here = {1, 2} if q["camera"] in (1, 2) else {3}
        literal.add([(cosine(q, g), g["identity"]) for g in entries(gallery) if g["camera"] not in here], q["identity"])
    assert_same(evaluate(query, gallery, any_view(locations={1: 3, 2: 3})), [literal])


# --- names and changes ---


def test_protocols_are_values() -> None:
    assert cross_camera() == cross_camera
    assert cross_camera(average_precision="trapezoid") != cross_camera
    assert cross_camera(name="MSMT17").same_camera == "exclude"
    assert veri_wild.same_camera == "exclude"
    assert regdb().same_camera == "keep"
    assert regdb(direction="thermal_to_visible").name != regdb().name
    names = [p.name for p in (cross_camera, any_view, veri_track, veri_wild, vehicle_id(), vehicle_id_retrieval())]
    names += [p.name for p in (cuhk03_classic(), sysu_mm01(), sysu_mm01(search="indoor"), sysu_mm01(shots=10), regdb())]
    assert len(set(names)) == len(names)


def test_the_rule_is_told_in_words() -> None:
    assert cross_camera.rule == "pictures of the same identity by the same camera are ignored; AP without interpolation"
    assert "by the same camera count" in any_view.rule
    assert "10 draws" in vehicle_id().rule
    assert "seed 0" in sysu_mm01().rule
    assert "official permutations" in sysu_mm01(permutations={}).rule


@pytest.mark.parametrize("missing", ["all", "one"])
def test_cameras_missing(missing: str) -> None:
    gallery = random_set(1, 20)
    cameras = None if missing == "all" else [None, *range(19)]
    gallery = Embeddings(gallery.vectors, gallery.identities, cameras=cameras)
    told = f"{20 if missing == 'all' else 1} of 20 gallery pictures have none.*any_view"
    with pytest.raises(DataError, match=told):
        evaluate(random_set(0, 5), gallery, cross_camera)
    assert evaluate(random_set(0, 5), gallery, any_view).num_queries == 5


def test_tracks_missing() -> None:
    gallery = random_set(1, 20)
    with pytest.raises(DataError, match="give the track"):
        evaluate(random_set(0, 5), Embeddings(gallery.vectors, gallery.identities, gallery.cameras), veri_track)


def test_an_indoor_gallery_holds_indoor_pictures_whatever_lies_beside_them() -> None:
    identities, cameras = (
        np.array(a) for a in zip(*[(i, c) for i in range(4) for c in (5, 1, 4, 2) for _ in range(3)], strict=True)
    )
    gallery = Embeddings(np.eye(len(cameras), dtype=np.float32), identities, cameras)
    trials = sysu_mm01(search="indoor").trials
    assert trials is not None
    for trial in trials(gallery, gallery):
        drawn = sorted(zip(identities[trial.gallery].tolist(), cameras[trial.gallery].tolist(), strict=True))
        assert drawn == [(i, c) for i in range(4) for c in (1, 2)]
