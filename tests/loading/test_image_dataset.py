import dataclasses
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from reseen.errors import DataError
from reseen.loading import Draw, IdentityBatchSampler, ImageDataset, number_modalities, training_transform
from reseen.loading import test_transform as make_test_transform
from reseen.types import Sample


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    rng = np.random.default_rng(0)
    for row in range(12):
        Image.fromarray(rng.integers(0, 256, (20, 10, 3), dtype=np.uint8)).save(tmp_path / f"{row}.png")
    return [Sample(str(tmp_path / f"{row}.png"), ["b", 7, "a", 3][row // 3], camera=row % 2) for row in range(12)]


def test_items_are_pictures_labels_and_rows(samples: list[Sample]) -> None:
    images = ImageDataset(samples, make_test_transform((16, 8)))
    assert images.identities == (3, 7, "a", "b")
    item = images[4]
    assert item.image.shape == (3, 16, 8)
    assert item.image.dtype == torch.uint8
    assert (item.label, item.row) == (1, 4)


def test_kept_pictures_are_the_read_ones_and_are_read_once(
    samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    vary = training_transform((16, 8))
    plain = ImageDataset(samples, vary, size=(16, 8), cache=None)
    kept = ImageDataset(samples, vary, size=(16, 8))
    reads: Counter[str] = Counter()
    from reseen.loading import image_dataset

    read = image_dataset.read_picture
    monkeypatch.setattr(image_dataset, "read_picture", lambda sample: (reads.update([sample.path]), read(sample))[1])
    for _ in range(2):
        for row in range(len(samples)):
            assert torch.equal(kept[Draw(row, 5)].image, plain[Draw(row, 5)].image)
    assert set(reads.values()) == {3}  # once to keep, twice by the one that keeps nothing


def test_what_does_not_fit_is_not_kept(samples: list[Sample]) -> None:
    needed = 12 * 3 * 16 * 8
    assert ImageDataset(samples, make_test_transform((16, 8)), size=(16, 8), cache=needed)._kept is not None
    assert ImageDataset(samples, make_test_transform((16, 8)), size=(16, 8), cache=needed - 1)._kept is None


def test_changing_an_item_does_not_change_what_is_kept(samples: list[Sample]) -> None:
    images = ImageDataset(samples, make_test_transform((16, 8)), size=(16, 8))
    before = images[0].image.clone()
    for _ in range(2):
        images[0].image.zero_()
    assert torch.equal(images[0].image, before)


def test_a_seed_decides_the_variation_and_leaves_the_generator_alone(samples: list[Sample]) -> None:
    images = ImageDataset(samples, training_transform((16, 8)))
    state = torch.get_rng_state()
    first, other = images[Draw(0, 1)].image, images[Draw(0, 2)].image
    torch.rand(3)
    assert torch.equal(images[Draw(0, 1)].image, first)
    assert not torch.equal(other, first)
    torch.set_rng_state(state)
    images[Draw(0, 1)]
    assert torch.equal(torch.get_rng_state(), state)


def test_the_set_travels_to_a_fresh_process(samples: list[Sample]) -> None:
    images = ImageDataset(samples, training_transform((16, 8)), size=(16, 8))
    there = pickle.loads(pickle.dumps(images))
    assert torch.equal(there[Draw(3, 9)].image, images[Draw(3, 9)].image)


def test_worker_processes_change_nothing(samples: list[Sample]) -> None:
    batches = IdentityBatchSampler(2, 2).over(samples, seed=3)
    images = ImageDataset(samples, training_transform((16, 8)), size=(16, 8))
    here = [images[draw].image for batch in batches for draw in batch]
    fresh = ImageDataset(samples, training_transform((16, 8)), size=(16, 8))
    loader = DataLoader(fresh, batch_sampler=batches, num_workers=2, multiprocessing_context="fork")
    there = torch.cat([batch[0] for batch in loader])
    assert torch.equal(there, torch.stack(here))
    assert fresh._kept is not None
    assert int(fresh._kept.has.sum()) == len({d.row for b in batches for d in b})  # what they read, we have too


def test_modalities_are_numbered_or_absent() -> None:
    kinds = [Sample("", 0, modality=m) for m in ("infrared", "visible", "visible")]
    numbered = number_modalities(kinds)
    assert numbered is not None
    assert numbered.tolist() == [1, 0, 0]
    assert number_modalities([Sample("", 0)]) is None
    for wrong in ("sonar", None):
        with pytest.raises(DataError, match="visible or infrared"):
            number_modalities([*kinds, Sample("", 0, modality=wrong)])


def test_transforms_may_differ_by_modality(samples: list[Sample]) -> None:
    both = [dataclasses.replace(s, modality="infrared" if s.camera else "visible") for s in samples]
    plain = ImageDataset(both, make_test_transform((16, 8)))
    images = ImageDataset(both, {"visible": lambda image: 255 - plain.transform(image), "infrared": plain.transform})
    for row, sample in enumerate(both):
        picture = plain[row].image
        assert torch.equal(images[row].image, picture if sample.camera else 255 - picture)
    with pytest.raises(DataError, match=r"expected every picture to be visible or infrared.*got None for .*0\.png"):
        ImageDataset(samples, images.transform)
