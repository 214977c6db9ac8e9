"""AP, INP and CMC from ranks, against sums by hand and a walk down the list."""

import numpy as np
import pytest

from reseen.evaluation import PositiveRanks, average_precision, inverse_negative_penalty


def of(*lists: list[int]) -> PositiveRanks:
    starts = np.cumsum([0, *map(len, lists)])
    return PositiveRanks(np.array([rank for ranks in lists for rank in ranks], dtype=np.intp), starts)


def test_by_hand() -> None:
    ranks = of([1, 3], [], [2])
    assert average_precision(ranks) == pytest.approx([(1 + 2 / 3) / 2, np.nan, 1 / 2], nan_ok=True)
    assert average_precision(ranks, "trapezoid") == pytest.approx(
        [((1 + 1) / 2 + (1 / 2 + 2 / 3) / 2) / 2, np.nan, (0 / 1 + 1 / 2) / 2], nan_ok=True
    )
    assert inverse_negative_penalty(ranks) == pytest.approx([2 / 3, np.nan, 1 / 2], nan_ok=True)
    assert ranks.first() == pytest.approx([1, np.nan, 2], nan_ok=True)
    assert ranks.last() == pytest.approx([3, np.nan, 2], nan_ok=True)


def test_perfect_is_one_under_both_rules() -> None:
    for rule in ("step", "trapezoid"):
        assert average_precision(of([1, 2, 3, 4]), rule) == pytest.approx([1])


def test_no_query() -> None:
    assert average_precision(of()).shape == (0,)
    assert average_precision(of([], []), "trapezoid").shape == (2,)
