"""Fewer identities to train on: nested, seeded, whole, and tested on as before."""

import itertools

import pytest

from reseen.datasets import Subset, Synthetic
from reseen.errors import DataError


@pytest.fixture(scope="module")
def source():
    return Synthetic(num_train_identities=20, num_test_identities=2, num_cameras=2, images_per_camera=2)


def identities(data):
    return {s.identity for s in data.train}


def test_smaller_shares_are_part_of_larger_ones(source):
    shares = [identities(Subset(source, share=share)) for share in (1.0, 0.75, 0.5, 0.25)]
    assert [len(kept) for kept in shares] == [20, 15, 10, 5]
    assert all(small < large for large, small in itertools.pairwise(shares))


def test_every_picture_of_who_is_kept_and_the_same_test(source):
    half = Subset(source, share=0.5)
    assert half.train == tuple(s for s in source.train if s.identity in identities(half))
    assert (half.query, half.gallery, half.protocol) == (source.query, source.gallery, source.protocol)


def test_the_seed_alone_chooses(source):
    assert identities(Subset(source, share=0.5)) == identities(Subset(source, share=0.5))
    assert identities(Subset(source, share=0.5)) != identities(Subset(source, share=0.5, seed=1))


def test_too_few_are_refused(source):
    with pytest.raises(DataError, match="two identities or more"):
        Subset(source, share=0.05)
    with pytest.raises(ValueError, match="above 0 and up to 1"):
        Subset(source, share=25)
