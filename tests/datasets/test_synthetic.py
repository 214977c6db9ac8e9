import dataclasses
import pickle
from itertools import product

import numpy as np
import pytest
import torch

from reseen.datasets import Synthetic
from reseen.datasets.synthetic.dataset import latents, subject_of
from reseen.datasets.synthetic.latents import Hidden, shared_surface
from reseen.datasets.synthetic.painting import paint
from reseen.datasets.synthetic.scenes import picture
from reseen.datasets.synthetic.shapes import Paint, as_rows, box
from reseen.types import Embeddings, Sample

KINDS = ("person", "vehicle")


def small(kind="person", **changes):
    sizes = {
        "num_train_identities": 4,
        "num_test_identities": 3,
        "num_cameras": 3,
        "images_per_camera": 2,
        "height": 64,
    }
    return Synthetic(kind, **{**sizes, **changes})


def distance(first, second):
    return float(np.abs(first.astype(float) - second).mean())


@pytest.mark.parametrize(("kind", "modality"), list(product(KINDS, ("visible", "infrared"))))
def test_a_picture_follows_from_the_seed_whatever_was_drawn_before(kind, modality):
    forwards = [sample.draw() for sample in small(kind, modality=modality).train]
    backwards = [sample.draw() for sample in reversed(small(kind, modality=modality).train)][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forwards, backwards, strict=True))
    assert forwards[0].shape == (64, 32 if kind == "person" else 64, 3)
    assert forwards[0].dtype == np.uint8
    assert len({picture.tobytes() for picture in forwards}) == len(forwards)
    assert not np.array_equal(forwards[0], small(kind, modality=modality, seed=1).train[0].draw())


def test_a_picture_does_not_depend_on_how_many_there_are():
    few, many = small(num_train_identities=2), small(num_train_identities=3, images_per_camera=4)
    same = {sample.path: sample for sample in many.train}
    assert all(np.array_equal(sample.draw(), same[sample.path].draw()) for sample in few.train)


def test_samples_pickle():
    sample = small().train[3]
    again = pickle.loads(pickle.dumps(sample))
    assert again == sample
    assert np.array_equal(again.draw(), sample.draw())


def test_train_and_test_identities_differ_and_every_query_has_a_match():
    data = small()
    train, test = ({s.identity for s in samples} for samples in (data.train, data.query + data.gallery))
    assert len(train) == 4
    assert len(test) == 3
    assert not train & test
    assert len({(s.identity, s.camera) for s in data.query}) == len(data.query) == 3 * 3
    assert len(data.gallery) == 3 * 3
    for query in data.query:
        assert any(s.identity == query.identity and s.camera != query.camera for s in data.gallery)


def test_with_both_modalities_thermal_cameras_ask_and_visible_ones_answer():
    data = small(modality="both", num_cameras=6)
    assert {(s.camera, s.modality) for s in data.query} == {(3, "infrared"), (6, "infrared")}
    assert {(s.camera, s.modality) for s in data.gallery} == {(c, "visible") for c in (1, 2, 4, 5)}
    assert {s.modality for s in data.train if s.identity == 0} == {"visible", "infrared"}
    assert [data.cameras[number].indoor for number in range(1, 7)] == [True] * 3 + [False] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_infrared_carries_no_colour_and_is_not_the_grey_of_the_visible_picture(kind):
    data = small(kind, modality="both", occlusion=0)
    warm = next(s for s in data.train if s.modality == "infrared")
    drawn = warm.draw()
    assert (drawn == drawn[..., :1]).all()
    visible = dataclasses.replace(warm.draw, modality="visible")().astype(float)
    assert np.ptp(visible, axis=2).mean() > 5
    assert abs(np.corrcoef(visible.mean(axis=2).ravel(), drawn[..., 0].ravel())[0, 1]) < 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_look_alikes_differ_in_a_small_part_and_others_in_a_large_one(kind):
    """The same scene with another individual in it: how many of the pixels change, from the best of several sides."""
    data = small(kind, look_alikes=1.0, num_train_identities=24, num_cameras=2, intra_variation=0.0, occlusion=0)
    scene = data.train[0].draw

    def share_changed(first, second):
        shares = []
        for yaw in (0.6, 2.2, 3.8, 5.4):
            changed = dataclasses.replace(scene.latents, yaw=yaw, grain=(0, 0))
            a, b = (picture(who, data.cameras[1], changed, height=128, width=64) for who in (first, second))
            shares.append((np.abs(a.astype(int) - b).max(axis=2) > 20).mean())
        return max(shares)

    twins = {s.identity: s.draw.twin for s in data.train}
    assert all(twins[i] == (i - 1 if i % 2 else None) for i in range(24))
    who = [subject_of(kind, 0, i, twins[i]) for i in range(24)]
    alike = [share_changed(who[i], who[i + 1]) for i in range(0, 24, 2)]
    unlike = [share_changed(who[i], who[i + 3]) for i in range(0, 20, 2)]
    assert min(alike) > 0.001
    assert max(alike) < 0.1
    assert np.mean(unlike) > 3 * np.mean(alike)
    assert not any(dataclasses.astuple(who[i]) == dataclasses.astuple(who[i + 1]) for i in range(23))


@pytest.mark.parametrize("kind", KINDS)
def test_more_variation_makes_pictures_of_one_identity_less_alike(kind):
    def spread(variation):
        data = small(kind, intra_variation=variation, occlusion=0, look_alikes=0, num_cameras=2, images_per_camera=4)
        groups = {}
        for sample in data.train:
            groups.setdefault((sample.identity, sample.camera), []).append(sample.draw())
        return np.mean([distance(a, b) for group in groups.values() for a, b in product(group, group)])

    def shared(variation):
        data = small(kind, intra_variation=variation, occlusion=0, num_cameras=4)
        one = [latents(s) for s in data.train if s.identity == 0]
        return np.mean([shared_surface(a, b) for a, b in product(one, one)])

    assert spread(0.0) < spread(0.5) < spread(1.0) < spread(2.0)
    assert shared(0.0) == pytest.approx(1)
    assert shared(0.0) > shared(0.3) > shared(0.6) > shared(1.0)


def test_shared_surface_is_known_from_the_viewpoint_and_what_is_hidden():
    here = dataclasses.replace(latents(small().train[0]), yaw=0.3, hidden=None)

    def turned(angle):
        return dataclasses.replace(here, yaw=0.3 + angle)

    assert shared_surface(here, here) == pytest.approx(1)
    assert shared_surface(here, turned(np.pi)) == pytest.approx(0, abs=1e-9)
    # At a right angle both see a quarter turn: the integral of min(cos, sin) over it is 2 - sqrt 2, out of 2.
    assert shared_surface(here, turned(np.pi / 2)) == pytest.approx((2 - np.sqrt(2)) / 2, abs=0.02)
    half = dataclasses.replace(here, hidden=Hidden(0, 0.5, 1, 1, "low wall"))
    assert shared_surface(here, half) == pytest.approx(0.5, abs=0.02)
    assert shared_surface(half, here) == shared_surface(here, half)


def test_occlusion_is_as_frequent_as_asked():
    data = small(num_train_identities=200, occlusion=0.3)
    assert np.mean([latents(s).hidden is not None for s in data.train]) == pytest.approx(0.3, abs=0.05)
    assert all(latents(s).hidden is None for s in small(occlusion=0).train)


@pytest.mark.parametrize("behind", ["post", "low wall", "screen", "passer-by"])
def test_what_hides_covers_its_part_of_the_picture(behind):
    drawing = small(occlusion=0).train[0].draw
    clear = drawing.latents
    hidden = Hidden(0.3, 0.2, 0.7, 0.9, behind)
    camera = small().cameras[1]
    who = subject_of("person", 0, 0, None)
    a, b = (
        picture(who, camera, now, height=128, width=64) for now in (clear, dataclasses.replace(clear, hidden=hidden))
    )
    changed = np.abs(a.astype(int) - b).max(axis=2) > 15
    assert changed[40:100, 22:42].mean() > 0.5
    assert changed[:, :5].mean() < 0.05


def test_shapes_cover_what_their_geometry_says():
    """A slanted, tapered box against the polygon it stands for, drawn pixel by pixel at 64 points each."""
    white, black = Paint(1, 1, 1, 1), Paint(0, 0, 0, 0)
    canvas = np.zeros((1, 40, 50), np.float32)
    v = np.exp(0.5j)
    paint(canvas, as_rows([box(25 + 20j, 8, 12, white, v=v, taper=0.5)]), channels=slice(0, 1))
    fine = (np.arange(8) + 0.5) / 8
    x = (np.arange(50)[:, None] + fine).ravel()
    y = (np.arange(40)[:, None] + fine).ravel()
    from_centre = (x[None] + 1j * y[:, None]) - (25 + 20j)
    along, across = (from_centre * np.conj(v)).real, (from_centre * np.conj(-1j * v)).real
    inside = (np.abs(along) <= 12) & (np.abs(across) <= 8 * (1 + 0.5 * along / 12))
    expected = inside.reshape(40, 8, 50, 8).mean(axis=(1, 3))
    assert canvas[0].sum() == pytest.approx(expected.sum(), rel=0.02)
    assert np.abs(canvas[0] - expected).max() < 0.35
    paint(canvas, as_rows([box(25 + 20j, 100, 100, black)]), channels=slice(0, 1))
    assert canvas.max() == pytest.approx(0)
    paint(canvas, as_rows([box(-90 - 90j, 5, 5, white)]), channels=slice(0, 1))
    assert canvas.max() == pytest.approx(0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"images_per_camera": 1}, "expected images_per_camera of 2 or more, got 1"),
        ({"look_alikes": 1.5}, "expected look_alikes from 0 to 1, got 1.5"),
        ({"occlusion": -0.1}, "expected occlusion from 0 to 1, got -0.1"),
        ({"modality": "both", "num_cameras": 2}, "expected num_cameras of 3 or more, got 2"),
        ({"intra_variation": float("nan")}, "expected intra_variation of 0 or more, got nan"),
    ],
)
def test_numbers_out_of_range_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        small(**wrong)


def test_latents_are_of_synthetic_samples_only():
    with pytest.raises(ValueError, match=r"expected a sample of Synthetic, got a\.png"):
        latents(Sample("a.png", 1))


def test_both_modalities_are_measured_in_the_settings_of_sysu_mm01():
    data = Synthetic(
        num_train_identities=2, num_test_identities=3, num_cameras=6, images_per_camera=4, height=16, modality="both"
    )
    query, gallery = (Embeddings.of(torch.zeros(len(part), 1), part) for part in (data.query, data.gallery))
    sizes = {}
    for other in data.further:
        assert (other.query, other.gallery) == (data.query, data.gallery)
        trials = list(other.protocol.trials(query, gallery))
        assert len(trials) == 10
        sizes[other.protocol.name] = ({len(t.gallery) for t in trials}, set(gallery.cameras[trials[0].gallery]))
    assert sizes == {
        "synthetic, all search, single shot": ({12}, {1, 2, 4, 5}),
        "synthetic, all search, multi shot": ({24}, {1, 2, 4, 5}),
        "synthetic, indoor search, single shot": ({6}, {1, 2}),
        "synthetic, indoor search, multi shot": ({12}, {1, 2}),
    }
    assert Synthetic(num_train_identities=0, num_test_identities=2, num_cameras=2).further == ()
