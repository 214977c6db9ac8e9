from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.reporting.reading import Page

from reseen.reporting import Outcome, write_comparison
from reseen.reporting.comparison import gain
from reseen.types import Benchmark


def test_it_shows_where_the_two_differ_most(
    benchmark: Benchmark, search: Callable[..., Outcome], tmp_path: Path
) -> None:
    plain, better = search(benchmark, noise=0.8, seed=3), search(benchmark, noise=0.5, seed=7)
    page = Page(write_comparison({"plain": plain, "better": better}, tmp_path / "c.html", benchmark=benchmark, lists=1))
    page.assert_self_contained()
    first, second = (o.report.per_query["average_precision"].to_numpy() for o in (plain, better))
    row = int(np.argmax(second - first))
    query = benchmark.query[row]
    assert page.headings[2:] == ["Where better is better", "Where plain is better"]
    after = page.words[page.words.index("Where better is better") :]
    assert f"identity {query.identity}, camera {query.camera}" == after[2]
    assert after[after.index("plain") + 1].startswith(f"AP {100 * first[row]:.1f},")
    assert after[after.index("better") + 1].startswith(f"AP {100 * second[row]:.1f},")
    mean, half = (second - first).mean(), 1.96 * (second - first).std(ddof=1) / np.sqrt(len(first))
    low, high = 100 * (mean - half), 100 * (mean + half)
    said = f"{100 * mean:+.1f}, with 95 % confidence {low:+.1f} to {high:+.1f} over {len(first)} queries"
    assert any(said in words for words in page.words)


def test_the_gain_is_over_the_queries_that_count_in_both(outcome: Outcome) -> None:
    assert (gain(outcome.report, outcome.report) == 0).all()
    assert len(gain(outcome.report, outcome.report)) == outcome.report.num_queries


def test_equal_models_have_no_lists(benchmark: Benchmark, outcome: Outcome, tmp_path: Path) -> None:
    page = Page(write_comparison({"a": outcome, "b": outcome}, tmp_path / "c.html", benchmark=benchmark))
    assert page.shots == []


def test_two_are_compared(benchmark: Benchmark, outcome: Outcome, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected two models to compare, got 1: a"):
        write_comparison({"a": outcome}, tmp_path / "c.html", benchmark=benchmark)
