"""Intervals: by hand, against scipy, and by how often a null effect passes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from espalier.core.errors import DataError
from espalier.core.study.stats import Estimate, estimate, paired, paired_by_seed, t_quantile, t_within

FINITE = st.floats(-1e6, 1e6)


def test_four_values_by_hand() -> None:
    # mean 2.5, s = sqrt(5/3), standard error sqrt(5/12), t(0.975, 3) = 3.182446
    found = estimate([1.0, 2.0, 3.0, 4.0])
    assert found.value == 2.5
    assert found.high is not None
    assert found.low is not None
    assert found.high - 2.5 == pytest.approx(3.182446 * (5 / 12) ** 0.5, rel=1e-6)
    assert 2.5 - found.low == pytest.approx(found.high - 2.5)


def test_one_value_has_no_interval_and_equal_values_have_an_empty_one() -> None:
    assert estimate([3.0]) == Estimate(3.0, None, None, 1)
    assert estimate([3.0, 3.0]) == Estimate(3.0, 3.0, 3.0, 2, 0.0)
    assert estimate([0.0, 0.0]).p == 1.0


@given(st.lists(st.tuples(FINITE, FINITE), min_size=2, max_size=12))
def test_paired_agrees_with_scipy(pairs: list[tuple[float, float]]) -> None:
    ours, theirs = zip(*pairs, strict=True)
    gaps = np.subtract(ours, theirs)
    error = stats.sem(gaps)
    if error < 1e-9 * max(1.0, abs(gaps).max()):
        return
    found = paired(ours, theirs)
    low, high = stats.t.interval(0.95, len(gaps) - 1, gaps.mean(), error)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9, abs=1e-9 * error)
    assert found.p == pytest.approx(stats.ttest_rel(ours, theirs).pvalue, abs=1e-9)


@given(st.integers(1, 200), st.floats(0.0, 50.0))
def test_the_t_distribution_agrees_with_scipy(n: int, t: float) -> None:
    assert t_within(t, n) == pytest.approx(1 - 2 * stats.t.sf(t, n), abs=1e-12)
    assert t_quantile(0.975, n) == pytest.approx(stats.t.ppf(0.975, n), rel=1e-12)


def test_three_pairs_by_hand() -> None:
    found = paired([3.0, 4.0, 5.0], [1.0, 1.0, 1.0])  # differences 2, 3, 4: t(0.975, 2) = 4.3027, error 1 / sqrt(3)
    assert found.value == 3.0
    assert found.high is not None
    assert found.high - 3.0 == pytest.approx(4.3027 / 3**0.5, abs=1e-3)
    assert found.p == pytest.approx(0.0351, abs=1e-3)


def test_pairs_are_made_by_seed() -> None:
    found = paired_by_seed({1: 3.0, 0: 2.0, 7: 100.0}, {0: 1.0, 1: 1.0})
    assert (found.value, found.n) == (1.5, 2)
    assert paired_by_seed({0: 3.0, 1: 5.0}, {0: 2.0, 1: 4.0}, relative=True).value == pytest.approx((0.5 + 0.25) / 2)


@pytest.mark.parametrize("seeds", [3, 5])
def test_one_null_effect_in_forty_lies_above_zero(seeds: int) -> None:
    values = np.random.default_rng(0).normal(size=(4000, seeds))
    above = sum((found := estimate(list(row))).low is not None and found.low > 0 for row in values)
    assert 0.018 < above / 4000 < 0.032


def test_a_relative_difference_to_nothing_is_an_error_that_names_the_seed() -> None:
    with pytest.raises(DataError, match="which is 0 with seed 4"):
        paired_by_seed({3: 1.0, 4: 2.0}, {3: 1.0, 4: 0.0}, relative=True)
