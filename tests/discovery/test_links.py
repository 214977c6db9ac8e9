"""Links from tracks and from a person's answers."""

from pathlib import Path

import numpy as np
import pytest

from reseen.discovery import Links, pair_links, track_links
from reseen.discovery.links import sample_links
from reseen.errors import DataError
from reseen.types import Sample, as_labels


def pairs(links: Links) -> tuple[set[frozenset[int]], set[frozenset[int]]]:
    return tuple({frozenset(pair) for pair in each.tolist()} for each in (links.must, links.cannot))  # type: ignore[return-value]


def test_a_track_is_one_individual_and_tracks_of_one_time_are_several() -> None:
    rows = [  # camera, track, time
        ("a", 1, 0.0), ("a", 1, 5.0),
        ("a", 2, 5.0), ("a", 2, 9.0),  # meets 1 in its last moment
        ("a", 3, 10.0),  # after both
        ("b", 1, 3.0), ("b", 9, 4.0),  # another camera's track 1; no overlap with 9
        ("a", None, 3.0),
    ]  # fmt: skip
    cameras, tracks, times = zip(*rows, strict=True)
    must, cannot = pairs(track_links(as_labels(cameras), as_labels(tracks), times))
    assert must == {frozenset({0, 1}), frozenset({2, 3})}
    assert cannot == {frozenset({0, 2})}


def test_against_a_slow_loop() -> None:
    generator = np.random.default_rng(0)
    spans = [(float(start), float(start + length)) for start, length in generator.integers(0, 40, (60, 2)) / [1, 8]]
    samples = [Sample(f"{n}", 0, "a", time=t, track=n) for n, span in enumerate(spans) for t in span]
    _, cannot = pairs(sample_links(samples))
    expected = {
        frozenset({2 * i, 2 * j})
        for i, one in enumerate(spans) for j, two in enumerate(spans)
        if i < j and one[0] <= two[1] and two[0] <= one[1]
    }  # fmt: skip
    assert cannot == expected
    assert len(cannot) > 50


def test_without_tracks_or_times() -> None:
    assert pairs(track_links(None, None, None)) == (set(), set())
    tracks = as_labels([1, 1, 2])
    assert pairs(track_links(None, tracks, None)) == ({frozenset({0, 1})}, set())
    assert pairs(track_links(None, tracks, [None, 1.0, 1.0]))[1] == {frozenset({0, 2})}


def written(folder: Path, text: str) -> Path:
    path = folder / "answers.csv"
    path.write_text(text)
    return path


def test_answers(tmp_path: Path) -> None:
    path = written(tmp_path, "first,second,same,why\na,b,yes,coat\nb,c,No,\na,c,,\nc,d,1,\n")
    must, cannot = pairs(pair_links(path, {name: row for row, name in enumerate("abcd")}))
    assert must == {frozenset({0, 1}), frozenset({2, 3})}
    assert cannot == {frozenset({1, 2})}


@pytest.mark.parametrize(
    ("row", "said"),
    [("a,b,perhaps", "expected yes or no as same .* 'perhaps' in row 1"), ("a,z,yes", "'z' in row 1")],
)
def test_wrong_answers_are_named(row: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        pair_links(written(tmp_path, f"first,second,same\n{row}\n"), {"a": 0, "b": 1})
