"""What a gallery promises, on each backend: one suite for both."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from reseen.errors import GalleryError
from reseen.gallery import Gallery, Where, calibrate, labelled

Open = Callable[..., Gallery]
NUM_PEOPLE, NUM_EACH, DIM = 12, 6, 16


@pytest.fixture
def sightings() -> dict[str, list[object]]:
    count = NUM_PEOPLE * NUM_EACH
    return {
        "identities": [f"person {n // NUM_EACH}" for n in range(count)],
        "cameras": [n % 3 for n in range(count)],
        "tracks": [n // 2 for n in range(count)],
        "times": [float(n) for n in range(count)],
        "sources": [f"{n}.jpg" for n in range(count)],
        "extras": [{"number": n} for n in range(count)],
    }


@pytest.fixture
def vectors() -> NDArray[np.float32]:
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(NUM_PEOPLE, DIM)).repeat(NUM_EACH, 0)
    return (centres + 0.4 * generator.normal(size=centres.shape)).astype(np.float32)


def cosines(query: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """The slow way: one pair at a time, in float64."""
    q = query.astype(float)
    return np.array([q @ v / np.sqrt((q @ q) * (v @ v)) for v in vectors.astype(float)])


def test_search_agrees_with_a_slow_loop(open_gallery: Open, vectors, sightings) -> None:
    gallery = open_gallery()
    ids = gallery.add(vectors, **sightings).ids
    queries = np.random.default_rng(1).normal(size=(4, DIM)).astype(np.float32)
    for query, matches in zip(queries, gallery.search(queries, 7), strict=True):
        expected = cosines(query, vectors)
        order = np.argsort(-expected)[:7]
        assert [match.item.id for match in matches] == [ids[n] for n in order]
        np.testing.assert_allclose([match.similarity for match in matches], expected[order], atol=1e-5)


def test_every_filter_is_applied_before_the_search(open_gallery: Open, vectors, sightings) -> None:
    gallery = open_gallery()
    gallery.add(vectors, **sightings)
    gallery.add(vectors[:2] + 1)  # nothing is known of these
    asked = {
        "cameras": (Where(cameras=[1]), lambda n: n % 3 == 1),
        "two cameras": (Where(cameras=[0, 2]), lambda n: n % 3 != 1),
        "an unknown camera": (Where(cameras=["nowhere"]), lambda n: False),
        "identities": (Where(identities=["person 3"]), lambda n: n // NUM_EACH == 3),
        "times": (Where(since=10, until=20), lambda n: 10 <= n < 20),
        "all of it": (Where(["person 1", "person 2"], [0], since=8), lambda n: 8 <= n < 18 and n % 3 == 0),
        "named": (Where(named=True), lambda n: True),
    }
    query = vectors[40:41]
    expected = cosines(query[0], vectors)
    for name, (where, holds) in asked.items():
        rows = [n for n in np.argsort(-expected) if holds(n)]
        found = [match.item.extra["number"] for match in gallery.search(query, 200, where=where)[0]]
        assert found == rows, name
        assert gallery.count(where) == len(rows) == len(gallery.select(where)), name
    assert {m.item.identity for m in gallery.search(query, 9, where=Where(identities=[None]))[0]} == {None}


@pytest.mark.parametrize(
    "label", ["7", 7, 'a "quoted" name', "back\\slash'", "né\n\ttwo lines", "' or 1 = 1 --", "", "日本"]
)
def test_labels_come_back_as_they_went_in(open_gallery: Open, label: int | str) -> None:
    gallery = open_gallery()
    ids = gallery.add(np.eye(3, dtype=np.float32), identities=[label, "x", None], cameras=[label, "y", None]).ids
    only = Where(identities=[label], cameras=[label])
    (match,) = gallery.search(np.ones((1, 3)), 5, where=only)[0]
    assert (match.item.id, match.item.identity, match.item.camera) == (ids[0], label, label)
    assert gallery.cameras() == sorted([label, "y"], key=lambda x: (isinstance(x, str), x))


def test_items_come_back_whole(open_gallery: Open, vectors, sightings) -> None:
    gallery = open_gallery()
    extra = {"colour": "red", "list": [1, 2.5, None], "né": True}
    (name,) = gallery.add(
        vectors[:1], tracks=["t"], times=[1.5e9], sources=["a b.jpg"], extras=[extra], pictures=[b"\xff\xd8"]
    ).ids
    (item,) = gallery.items([name])
    assert item is not None
    assert (item.identity, item.camera, item.track, item.time, item.source) == (None, None, "t", 1.5e9, "a b.jpg")
    assert item.extra == extra
    assert gallery.picture(name) == b"\xff\xd8"
    np.testing.assert_array_equal(gallery.vectors([name]), vectors[:1])
    assert gallery.items(["0" * 32]) == [None]
    assert gallery.picture("0" * 32) is None
    others = gallery.add(vectors[1:3], times=[3.5, None]).ids
    assert gallery.pictured([name, *others, "0" * 32]) == {name}
    assert gallery.times() == (3.5, 1.5e9)


def test_adding_again_changes_nothing(open_gallery: Open, vectors, sightings) -> None:
    gallery = open_gallery()
    first = gallery.add(vectors, **sightings)
    assert first.new == len(vectors)
    gallery.update(first.ids[:1], identity="renamed")
    again = gallery.add(vectors[::-1], **{name: values[::-1] for name, values in sightings.items()})
    assert again.new == 0
    assert again.ids == first.ids[::-1]
    assert gallery.items(first.ids[:1])[0].identity == "renamed"  # type: ignore[union-attr]
    twice = np.concatenate([vectors[:1] + 1, vectors[:1] + 1])
    assert gallery.add(twice).new == 1
    assert len(gallery) == len(vectors) + 1


def test_the_picture_names_the_sighting_and_the_vector_does_not(open_gallery: Open, vectors) -> None:
    gallery = open_gallery()
    assert gallery.add(vectors[:1], contents=[b"picture"]).new == 1
    assert gallery.add(vectors[:1] * 1.000001, contents=[b"picture"]).new == 0
    assert gallery.add(vectors[:1], contents=[b"another"]).new == 1


def test_updates_and_deletions_are_seen_at_once(open_gallery: Open, vectors, sightings) -> None:
    writer, reader = open_gallery(), open_gallery()
    assert reader.search(vectors[:1]) == [[]]
    ids = writer.add(vectors, **sightings).ids
    assert reader.search(vectors[:1], 1)[0][0].item.id == ids[0]

    changes = {"identity": "me", "camera": "new", "track": None, "time": 1000.5, "source": "b", "extra": {"a": 1}}
    assert writer.update([ids[0], "f" * 32], **changes) == 1
    (match,) = reader.search(vectors[:1], 5, where=Where(["me"], ["new"], since=1000))[0]
    assert match.item == reader.items([ids[0]])[0]
    assert {name: getattr(match.item, name) for name in changes} == changes
    assert "new" in reader.cameras()

    assert writer.delete([*ids[:2], "f" * 32]) == 2
    assert len(reader) == len(vectors) - 2
    assert not {m.item.id for m in reader.search(vectors[:2], 100)[0]} & set(ids[:2])
    assert reader.items(ids[:1]) == [None]
    assert writer.add(vectors[:1], **{name: values[:1] for name, values in sightings.items()}).new == 1
    assert reader.search(vectors[:1], 1)[0][0].item.id == ids[0]


def test_items_are_relabelled_and_only_changed_ones_counted(open_gallery: Open, vectors, sightings) -> None:
    writer, reader = open_gallery(), open_gallery()
    ids = writer.add(vectors, **sightings).ids
    assert reader.count(Where(identities=["person 1"])) == NUM_EACH
    assert writer.relabel([*ids[:2], ids[NUM_EACH], "f" * 32], "person 1") == 2  # the third was already
    assert reader.count(Where(identities=["person 1"])) == NUM_EACH + 2
    assert writer.relabel(ids[:2], None) == 2
    assert writer.relabel(ids[:2], None) == 0
    assert [item and item.identity for item in reader.items(ids[:3])] == [None, None, "person 0"]
    assert writer.relabel(ids[2:3], 7) == writer.relabel(ids[2:3], "7") == 1  # two names
    assert reader.identities() == [*sorted({f"person {n}" for n in range(NUM_PEOPLE)} | {"7"})]
    assert writer.relabel([], "nobody") == 0
    with pytest.raises(ValueError, match="64 bits"):
        writer.relabel(ids[:1], 2**63)


def test_identities_are_renamed_and_merged(open_gallery: Open, vectors, sightings) -> None:
    writer, reader = open_gallery(), open_gallery()
    assert writer.rename("person 1", "Ann") == writer.relabel(["f" * 32], "Ann") == 0  # nothing has been added
    assert writer.identities() == []
    numbered = {**sightings, "identities": [n // NUM_EACH for n in range(len(vectors))]}
    ids = writer.add(vectors, **numbered).ids
    assert reader.identities() == list(range(NUM_PEOPLE))
    assert writer.rename("1", "Ann") == 0  # the text "1" is nobody here
    assert writer.rename(1, "Ann") == NUM_EACH
    assert writer.rename(2, "Ann") == NUM_EACH  # a merge
    assert writer.rename("Ann", "Ann") == 0
    assert reader.identities() == [0, *range(3, NUM_PEOPLE), "Ann"]
    assert reader.count(Where(identities=["Ann"])) == 2 * NUM_EACH
    found = reader.search(vectors[NUM_EACH : NUM_EACH + 1], NUM_PEOPLE, by="identity")[0]
    assert sorted(str(match.item.identity) for match in found) == sorted(map(str, reader.identities()))
    assert found[0].item.identity == "Ann"
    names = [item and item.identity for item in reader.items(ids[::NUM_EACH])]
    assert names == [0, "Ann", "Ann", *range(3, NUM_PEOPLE)]
    with pytest.raises(ValueError, match="expected two identities"):
        writer.rename("Ann", None)  # type: ignore[arg-type]


def test_what_was_added_is_there_after_opening_again(open_gallery: Open, vectors, sightings) -> None:
    gallery = open_gallery("model a")
    ids = gallery.add(vectors, **sightings).ids
    gallery.delete(ids[5:6])
    before = gallery.search(vectors[3:6], 9)
    gallery.close()
    gallery = open_gallery("model a")
    assert gallery.search(vectors[3:6], 9) == before
    gallery.compact()
    assert gallery.search(vectors[3:6], 9) == before
    assert gallery.model == "model a"


def test_vectors_of_another_model_are_refused(open_gallery: Open, vectors) -> None:
    gallery = open_gallery("model a")
    gallery.add(vectors)
    with pytest.raises(GalleryError, match=r"model model b.*of model model a; use that model, or index"):
        open_gallery("model b")
    assert open_gallery().model == "model a"
    with pytest.raises(ValueError, match=r"expected vectors \(N, 16\)"):
        gallery.add(vectors[:, :8])
    with pytest.raises(ValueError, match=r"expected vectors \(N, 16\)"):
        gallery.search(vectors[:, :8])


def test_a_gallery_that_another_began_meanwhile_is_not_mixed(open_gallery: Open, vectors) -> None:
    first, second = open_gallery("model a"), open_gallery("model b")
    first.add(vectors)
    with pytest.raises(GalleryError, match="model a"):
        second.add(vectors)
    assert len(first) == len(vectors)


def test_groups_answer_with_their_best(open_gallery: Open, vectors, sightings) -> None:
    gallery = open_gallery()
    gallery.add(vectors, **sightings)
    gallery.add(vectors[:1] * 2)  # someone without a name stands alone
    query = vectors[30:31]
    similarity = np.append(cosines(query[0], vectors), cosines(query[0], vectors[:1]))
    who = [*sightings["identities"], "alone"]
    best = {name: max(s for s, w in zip(similarity, who, strict=True) if w == name) for name in who}
    found = gallery.search(query, 50, by="identity")[0]
    assert [match.item.identity or "alone" for match in found] == sorted(best, key=lambda name: -best[name])
    np.testing.assert_allclose([match.similarity for match in found], sorted(best.values(), reverse=True), atol=1e-5)
    assert len(gallery.search(query, 3, by="identity")[0]) == 3
    tracks = [match.item.track for match in gallery.search(query, 50, by="track")[0]]
    assert len(tracks) == len(set(tracks)) == NUM_PEOPLE * NUM_EACH // 2 + 1


@pytest.mark.parametrize("by", ["identity", "track"])
def test_fewer_groups_than_answers_take_few_pictures(
    open_gallery: Open, by: Literal["identity", "track"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten people of 300 pictures each, every one of them nearer to a picture of itself than to any of the others."""
    centres = np.random.default_rng(0).normal(size=(10, DIM))
    vectors = (centres.repeat(300, 0) + 0.05 * np.random.default_rng(1).normal(size=(3000, DIM))).astype(np.float32)
    groups = [n // 300 for n in range(3000)]
    gallery = open_gallery()
    gallery.add(vectors, **{"identities" if by == "identity" else "tracks": groups})
    gallery.add(vectors[:2] + 1)  # two without
    read: list[str] = []
    backend, items = gallery._backend, gallery._backend.items
    monkeypatch.setattr(backend, "items", lambda ids: read.extend(ids) or items(ids))
    everything = np.concatenate([vectors, vectors[:2] + 1])
    who = [*groups, "one", "another"]
    queries = vectors[[5, 2990]]
    for query, matches in zip(queries, gallery.search(queries, 20, by=by), strict=True):
        similarity = cosines(query, everything)
        best = {name: max(s for s, w in zip(similarity, who, strict=True) if w == name) for name in who}
        assert len(matches) == 12
        np.testing.assert_allclose([m.similarity for m in matches], sorted(best.values(), reverse=True), atol=1e-5)
        named = [getattr(match.item, by) for match in matches]
        expected = [name if isinstance(name, int) else None for name in sorted(best, key=lambda name: -best[name])]
        assert named == expected
    assert len(read) < 2500, len(read)
    best_first = [match.item.id for match in gallery.search(queries[:1], 20, by=by)[0]]
    turned = gallery.search(queries[:1], 20, by=by, rerank=lambda q, x: -(x @ q), depth=50)[0]
    assert [match.item.id for match in turned[1:]] == best_first[1:]  # the fifty are all of the first
    assert turned[0].item.id != best_first[0]


def test_reranking_orders_the_best_anew(open_gallery: Open, vectors, sightings) -> None:
    gallery = open_gallery()
    gallery.add(vectors, **sightings)
    plain = [match.item.id for match in gallery.search(vectors[:1], 6)[0]]
    turned = [m.item.id for m in gallery.search(vectors[:1], 6, rerank=lambda q, x: -(x @ q), depth=4)[0]]
    assert turned == plain[3::-1] + plain[4:]


def test_empty_galleries_and_empty_calls(open_gallery: Open, vectors) -> None:
    gallery = open_gallery()
    assert (len(gallery), gallery.cameras(), gallery.select(), gallery.marks()) == (0, [], [], [])
    assert gallery.times() is None
    assert gallery.search(vectors[:2]) == [[], []]
    assert gallery.add(np.empty((0, DIM))).ids == ()
    gallery.compact()
    ids = gallery.add(vectors[:3]).ids
    assert gallery.search(np.empty((0, DIM))) == []
    assert gallery.search(np.zeros((1, DIM)), 2)[0][0].similarity == 0
    gallery.delete(ids)
    assert gallery.search(vectors[:1]) == [[]]
    gallery.compact()
    assert open_gallery().search(vectors[:1]) == gallery.search(vectors[:1]) == [[]]
    assert gallery.update([], identity="x") == gallery.delete([]) == 0


def test_wrong_arguments_are_named(open_gallery: Open, vectors) -> None:
    gallery = open_gallery()
    with pytest.raises(ValueError, match="expected 72 cameras beside 72 vectors, got 2"):
        gallery.add(vectors, cameras=[1, 2])
    with pytest.raises(ValueError, match="NaN or infinity"):
        gallery.add(vectors * np.inf)
    with pytest.raises(ValueError, match=r"expected vectors \(N, D\)"):
        gallery.add(vectors[0])
    with pytest.raises(ValueError, match=r"expected identities of integers.*float 1.5"):
        gallery.add(vectors[:1], identities=[1.5])
    with pytest.raises(ValueError, match="that JSON can hold"):
        gallery.add(vectors[:1], extras=[{"a": float("nan")}])
    with pytest.raises(ValueError, match="64 bits"):
        gallery.add(vectors[:1], cameras=[2**70])
    with pytest.raises(ValueError, match="expected text"):
        gallery.add(vectors[:1], cameras=["\ud800"])
    with pytest.raises(ValueError, match="hexadecimal"):
        gallery.delete(["../../etc/passwd"])
    with pytest.raises(ValueError, match=r"expected changes of identity.*got vector"):
        gallery.update(["0" * 32], vector=[1])
    with pytest.raises(ValueError, match="finite time"):
        gallery.update(["0" * 32], time=float("inf"))
    with pytest.raises(ValueError, match="expected k of at least 1, got 0"):
        gallery.search(vectors, 0)
    with pytest.raises(ValueError, match="picture, identity or track"):
        gallery.search(vectors, by="person")  # type: ignore[arg-type]
    assert len(gallery) == 0


def test_marks_and_calibration_are_kept(open_gallery: Open, vectors, sightings) -> None:
    gallery = open_gallery()
    ids = gallery.add(vectors, **sightings).ids
    gallery.mark("query", ids[0], similarity=0.75, same=True)
    gallery.mark("query", ids[0], similarity=0.75, same=False)
    gallery.mark("query", ids[1], similarity=0.5, same=True)
    assert {(m.item, m.similarity, m.same) for m in gallery.marks()} == {(ids[0], 0.75, False), (ids[1], 0.5, True)}
    (gone,) = gallery.add(vectors[:1] + 1).ids
    gallery.mark("query", gone, similarity=0.5, same=True)
    assert len(gallery.marks()) == 3
    gallery.delete([gone])
    gallery.mark("another query", gone, similarity=0.5, same=True)
    assert {mark.item for mark in gallery.marks()} == set(ids[:2])
    assert gallery.calibration() is None
    assert gallery.search(vectors[:1], 1)[0][0].probability is None
    with pytest.raises(GalleryError, match="reseen calibrate"):
        gallery.identify(vectors[:1])

    calibration = calibrate(*labelled(gallery), rates=(0.1, 0.05))
    gallery.put_calibration(calibration)
    reader = open_gallery()
    assert reader.calibration() == calibration
    probabilities = [match.probability for match in reader.search(vectors[:1], 72)[0]]
    assert probabilities == sorted(probabilities, reverse=True)  # type: ignore[type-var]
    assert probabilities[0] > 0.9 > 0.1 > probabilities[-1]  # type: ignore[operator]


def test_strangers_get_no_name(open_gallery: Open, vectors, sightings) -> None:
    gallery = open_gallery()
    gallery.add(vectors, **sightings)
    gallery.put_calibration(calibrate(*labelled(gallery), rates=(0.05,)))
    strangers = np.random.default_rng(5).normal(size=(20, DIM)).astype(np.float32)
    assert sum(match is None for match in gallery.identify(strangers, false_alarms=0.05)) >= 17
    named = gallery.identify(vectors[::NUM_EACH], false_alarms=0.05)
    assert [match and match.item.identity for match in named] == sightings["identities"][::NUM_EACH]
    with pytest.raises(GalleryError, match=r"calibrated for \(0.05\), got 0.5"):
        gallery.identify(strangers, false_alarms=0.5)


def test_a_gallery_that_must_exist(open_gallery: Open) -> None:
    with pytest.raises(GalleryError, match="found none; `reseen index` makes one"):
        open_gallery(create=False)
    open_gallery().close()
    assert len(open_gallery(create=False)) == 0


def test_a_password_is_not_shown() -> None:
    with pytest.raises(GalleryError, match=r"milvus://127.0.0.1:1/people") as refused:
        Gallery("milvus://me:secret@127.0.0.1:1/people")
    assert "secret" not in str(refused.value)
