"""Differences paired over seeds and queries."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reseen.studies.results.significance import Difference, crossed, paired


def tables(precisions):
    return [pd.DataFrame({"repeat": 0, "query": range(len(row)), "average_precision": row}) for row in precisions]


def test_with_one_seed_it_is_the_paired_t_test_over_queries():
    generator = np.random.default_rng(0)
    one, other = generator.uniform(size=(2, 1, 50))
    known = stats.ttest_rel(one[0], other[0])
    found = paired(tables(one), tables(other))
    assert found.probability == pytest.approx(known.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(known.confidence_interval()))


def test_where_seeds_are_all_that_differs_it_is_the_paired_t_test_over_seeds():
    seeds = np.random.default_rng(1).normal(0.1, 0.1, size=(6, 1))
    known = stats.ttest_1samp(seeds[:, 0], 0)
    assert crossed(np.repeat(seeds, 30, axis=1)).probability == pytest.approx(known.pvalue)


def test_it_finds_nothing_where_nothing_is_as_often_as_it_says():
    generator = np.random.default_rng(2)
    found, over_queries_only = [], []
    for _ in range(200):
        d = generator.normal(0, 0.02, (3, 1)) + generator.normal(0, 0.1, (1, 100)) + generator.normal(0, 0.15, (3, 100))
        found.append(crossed(d).probability < 0.05)
        over_queries_only.append(stats.ttest_1samp(d.mean(0), 0).pvalue < 0.05)
    assert 0.01 < np.mean(found) < 0.1
    assert np.mean(over_queries_only) > 0.1  # what leaving out the seeds would do


def test_its_interval_holds_the_mean_and_tightens_with_seeds():
    d = np.random.default_rng(3).normal(0.05, 0.1, (8, 40))
    few, many = crossed(d[:3]), crossed(d)
    assert few.low < few.mean < few.high
    assert many.high - many.low < few.high - few.low
    assert crossed(-d).mean == pytest.approx(-many.mean)
    assert crossed(-d).probability == pytest.approx(many.probability)


def test_alike_is_not_different():
    same = tables(np.full((2, 5), 0.5))
    assert paired(same, same).probability == 1


def test_queries_that_count_in_neither_are_left_out():
    one, other = np.random.default_rng(4).uniform(size=(2, 2, 9))
    one[:, 3] = np.nan
    kept = np.arange(9) != 3
    assert paired(tables(one), tables(other)) == crossed((one - other)[:, kept])


def test_seeds_must_match():
    with pytest.raises(ValueError, match="as many seeds of both"):
        paired(tables(np.ones((2, 3))), tables(np.ones((3, 3))))


def test_what_stands_in_a_table():
    assert Difference(0.0123, -0.004, 0.0286, 0.1294).cells() == ["+1.2", "-0.4", "+2.9", "0.129"]
    assert Difference(-0.5, -0.6, -0.4, 0.0009).cells()[-1] == "< 0.001"
