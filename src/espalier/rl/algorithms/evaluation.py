"""Accuracy of repeated attempts: avg@n, unbiased pass@k, and an interval around a mean."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def avg_at_n(correct: Sequence[Sequence[bool]]) -> float:
    """Mean over tasks of each task's share of correct attempts; tasks may have different numbers of attempts."""
    return float(np.mean([np.mean(attempts) for attempts in correct]))


def pass_at_k(n: int, c: int, k: int) -> float:
    """Probability that k of n attempts, drawn without replacement, contain one of the c correct: 1 - C(n-c, k)/C(n, k).

    Its expectation over n attempts of success rate p is 1 - (1 - p)^k (Chen et al. 2021, eq. 1). As a product of ratios
    it neither overflows nor cancels. Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(
            f"pass@{k} of {n} attempts with {c} correct: need 0 <= correct <= attempts and 1 <= k <= attempts"
        )
    if n - c < k:
        return 1.0
    return -math.expm1(sum(math.log1p(-k / i) for i in range(n - c + 1, n + 1)))


def bootstrap_interval(
    values: Sequence[float] | Floats, *, seed: int, level: float = 0.95, resamples: int = 2000
) -> tuple[float, float]:
    """Percentile interval of the mean of independent `values` (tasks, or seeds), by resampling them.

    Raises ValueError if `values` is empty.
    """
    sample = np.asarray(values, np.float64)
    if not len(sample):
        raise ValueError("no values to resample")
    draws = np.random.default_rng(seed).integers(len(sample), size=(resamples, len(sample)))
    low, high = np.quantile(sample[draws].mean(axis=1), ((1.0 - level) / 2.0, (1.0 + level) / 2.0))
    return float(low), float(high)
