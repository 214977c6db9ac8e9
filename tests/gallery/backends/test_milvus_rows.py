"""Filters in Milvus's language, which need no server to be looked at."""

import pytest

from reseen.gallery.backends.base import Groups
from reseen.gallery.backends.milvus.rows import condition
from reseen.gallery.records import EVERYTHING, Where


@pytest.mark.parametrize(
    ("where", "answered", "expected"),
    [
        (EVERYTHING, None, ""),
        (EVERYTHING, Groups("identity", [], []), ""),
        (Where(named=True), Groups("identity", [7, "7"], []), r'identity != "" and identity not in ["7", "\"7\""]'),
        (EVERYTHING, Groups("track", ["a"], ["0f", "1e"]), r'track not in ["\"a\""] and id not in ["0f", "1e"]'),
        (Where(cameras=[1, None], until=2.5), None, 'camera in ["1", ""] and timed == true and time < 2.5'),
    ],
)
def test_a_filter_and_what_has_been_answered(where: Where, answered: Groups | None, expected: str) -> None:
    assert condition(where, answered) == expected
