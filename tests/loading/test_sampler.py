from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reseen.errors import DataError
from reseen.loading import IdentityBatchSampler
from reseen.types import Sample


def samples_of(counts: list[int], cameras: int = 3) -> list[Sample]:
    return [
        Sample(f"{identity}_{n}", identity, camera=f"c{n % cameras}")
        for identity, count in enumerate(counts)
        for n in range(count)
    ]


def rows(batches) -> np.ndarray:
    return np.array([[draw.row for draw in batch] for batch in batches])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=3, max_size=12), st.integers(1, 3), st.integers(1, 5), st.integers(0, 9))
def test_every_batch_is_p_by_k_and_every_identity_comes(counts: list[int], p: int, k: int, seed: int) -> None:
    samples = samples_of(counts)
    batches = IdentityBatchSampler(p, k).over(samples, seed=seed)
    got = rows(batches)
    assert got.shape == (len(batches), p * k)
    identities = np.array([s.identity for s in samples])[got].reshape(len(batches), p, k)
    assert (identities == identities[..., :1]).all()
    for batch in identities[..., 0]:
        assert len(set(batch)) == p
    assert set(identities.flat) == set(range(len(counts)))
    for chosen in got.reshape(-1, k):  # only an identity with too few repeats a picture within a batch
        assert len(set(chosen)) == min(k, counts[samples[chosen[0]].identity])


def test_an_epoch_uses_pictures_about_once() -> None:
    batches = IdentityBatchSampler(8, 4).over(samples_of([16] * 36, cameras=2))
    assert len(batches) == 36 * 16 // 32
    assert set(Counter(rows(batches).flat).values()) == {1}


def test_cameras_take_turns() -> None:
    samples = [Sample("", i, camera=c) for i in range(6) for c in "aaaaaaaaab"]
    for chosen in rows(IdentityBatchSampler(2, 4).over(samples)).reshape(-1, 4):
        assert sorted(samples[r].camera for r in chosen) == ["a", "a", "a", "b"]
    samples = samples_of([12] * 6, cameras=4)
    for chosen in rows(IdentityBatchSampler(2, 4).over(samples)).reshape(-1, 4):
        assert len({samples[r].camera for r in chosen}) == 4


def test_identities_meet_at_random() -> None:
    batches = IdentityBatchSampler(4, 1).over(samples_of([8] * 16))
    met = Counter()
    for batches.epoch in range(50):
        for batch in rows(batches) // 8:
            met.update((a, b) for a in batch for b in batch if a < b)
    expected = 50 * 32 * 6 / (16 * 15 / 2)
    assert len(met) == 16 * 15 / 2
    assert 0.5 * expected < min(met.values())
    assert max(met.values()) < 1.6 * expected


def test_the_seed_and_the_epoch_decide_everything() -> None:
    samples = samples_of([9, 5, 2, 7, 1])
    one, same, other = (IdentityBatchSampler(3, 2).over(samples, seed=s) for s in (4, 4, 5))
    assert list(one) == list(same) == list(one)
    assert list(one) != list(other)
    first = list(one)
    one.epoch = 1
    assert list(one) != first


def test_ranks_share_the_batches_of_one_process() -> None:
    samples = samples_of([9, 5, 2, 7, 1, 4])
    alone = list(IdentityBatchSampler(4, 2).over(samples, seed=1))
    parts = [list(IdentityBatchSampler(4, 2).over(samples, seed=1, rank=r, num_ranks=2)) for r in range(2)]
    assert [a + b for a, b in zip(*parts, strict=True)] == alone


def test_a_saved_position_continues_the_epoch() -> None:
    samples = samples_of([9, 5, 2, 7, 1, 4])
    whole = IdentityBatchSampler(3, 2).over(samples, seed=1)
    whole.epoch = 2
    everything = list(whole)
    whole.position = 3
    resumed = IdentityBatchSampler(3, 2).over(samples, seed=1)
    resumed.load_state_dict(whole.state_dict())
    assert list(resumed) == everything[3:]
    with pytest.raises(ValueError, match="expected batches with seed 1 as in the saved state, got 2"):
        IdentityBatchSampler(3, 2).over(samples, seed=2).load_state_dict(whole.state_dict())


@pytest.mark.parametrize(
    ("batches", "samples", "named"),
    [
        (IdentityBatchSampler(8, 2), samples_of([4] * 8), "identities 4"),
        (
            IdentityBatchSampler(4, 4, by_modality=False),
            [*samples_of([4] * 7), *samples_of([4] * 8)[-4:][::-1]],
            "samples",
        ),
        (IdentityBatchSampler(4, 4), [Sample(f"other/{s.path}", s.identity) for s in samples_of([4] * 8)], "samples"),
    ],
)
def test_another_sequence_of_as_many_batches_is_refused(
    batches: IdentityBatchSampler, samples: list[Sample], named: str
) -> None:
    saved = IdentityBatchSampler(4, 4).over(samples_of([4] * 8))
    other = batches.over(samples)
    assert len(other) == len(saved)
    with pytest.raises(ValueError, match=f"expected batches with {named}.* as in the saved state"):
        other.load_state_dict(saved.state_dict())


def test_the_pictures_may_move_together() -> None:
    here, there = ([Sample(f"{root}/a/{n}.png", n % 2) for n in range(8)] for root in ("/here", "/mnt/there"))
    IdentityBatchSampler(2, 2).over(there).load_state_dict(IdentityBatchSampler(2, 2).over(here).state_dict())


def test_the_number_of_batches_is_rounded_up() -> None:
    batches = IdentityBatchSampler(2, 2).over(samples_of([4] * 5), multiple_of=4)
    assert len(batches) == 8
    assert len(rows(batches)) == 8


def test_impossible_sizes_are_refused_with_the_numbers() -> None:
    with pytest.raises(ValueError, match="training data has, 3, got 4"):
        IdentityBatchSampler(4, 2).over(samples_of([4] * 3))
    with pytest.raises(ValueError, match="got 0 and 4"):
        IdentityBatchSampler(0, 4)
    with pytest.raises(ValueError, match="got 8 and 0"):
        IdentityBatchSampler(8, 0)
    with pytest.raises(ValueError, match="multiple of the 2 ranks, got 3"):
        IdentityBatchSampler(3, 2).over(samples_of([4] * 3), num_ranks=2)


def test_modalities_are_balanced_within_an_identity() -> None:
    samples = [Sample("", i, modality=m) for i in range(5) for m in ["visible"] * 7 + ["infrared"] * 3]
    got = rows(IdentityBatchSampler(2, 2, by_modality=True).over(samples))
    assert got.shape[1] == 8
    for batch in got:
        assert [samples[r].modality for r in batch] == ["visible", "visible", "infrared", "infrared"] * 2
        assert [samples[r].identity for r in batch] == [samples[batch[0]].identity] * 4 + [
            samples[batch[4]].identity
        ] * 4
    with pytest.raises(DataError, match="infrared pictures of every identity, got none of 'x'"):
        IdentityBatchSampler(2, 2, by_modality=True).over([*samples, Sample("", "x", modality="visible")])
