"""avg@n, pass@k (P13), expansion rates (P14) and the bootstrap interval."""

from __future__ import annotations

import math

import numpy as np
import pytest

from espalier.rl.algorithms.evaluation import avg_at_n, bootstrap_interval, pass_at_k


def test_p13_pass_at_k_is_unbiased_by_enumeration() -> None:
    n, k, p = 10, 4, 0.23
    expected = sum(math.comb(n, c) * p**c * (1 - p) ** (n - c) * pass_at_k(n, c, k) for c in range(n + 1))
    assert expected == pytest.approx(1 - (1 - p) ** k, abs=1e-14)
    assert expected == pytest.approx(0.64847, abs=5e-6)


def test_p13_pass_at_k_is_the_ratio_of_binomials() -> None:
    for n in range(1, 13):
        for c in range(n + 1):
            for k in range(1, n + 1):
                assert pass_at_k(n, c, k) == pytest.approx(1 - math.comb(n - c, k) / math.comb(n, k), abs=1e-14)


def test_pass_at_k_is_stable_where_binomials_are_not() -> None:
    assert pass_at_k(100_000, 1, 1) == pytest.approx(1e-5, rel=1e-12)
    assert pass_at_k(100_000, 5, 50_000) == pytest.approx(1 - 0.5**5, abs=1e-4)
    assert pass_at_k(7, 0, 7) == 0.0


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 5), (4, 2, 0)])
def test_pass_at_k_refuses_nonsense(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass@"):
        pass_at_k(n, c, k)


def test_p14_averaging_ratios_oversamples_relative_to_averaging_rates() -> None:
    """A fact that expansion of batches must respect; for rates from Beta(8, 4) the two averages are 11/3 and 3."""
    invalid = np.random.default_rng(0).beta(8, 4, 400_000)
    ratios, rates = np.mean(1 / (1 - invalid)), 1 / (1 - np.mean(invalid))
    assert ratios == pytest.approx(11 / 3, rel=0.01)
    assert rates == pytest.approx(3.0, rel=0.01)
    assert ratios > rates


def test_avg_at_n_weighs_tasks_equally() -> None:
    assert avg_at_n([[True, False], [True, True, True, False]]) == pytest.approx((0.5 + 0.75) / 2)


def test_bootstrap_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(200):
        low, high = bootstrap_interval(rng.normal(2.0, 1.0, 50), seed=trial, resamples=400)
        hits += low <= 2.0 <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_bootstrap_interval_is_seeded_and_has_no_width_without_spread() -> None:
    values = [0.0, 1.0, 1.0, 0.0, 1.0]
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval([0.5] * 4, seed=0) == (0.5, 0.5)
    with pytest.raises(ValueError, match="no values"):
        bootstrap_interval([], seed=0)
