"""What is said about several seeds: mean, deviation, and a paired test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Summary(NamedTuple):
    """mean and population standard deviation of `n` seeds, as the published tables give them."""

    mean: float
    std: float
    n: int

    def __str__(self) -> str:
        return f"{100 * self.mean:.2f} ± {100 * self.std:.2f}"


class Paired(NamedTuple):
    """Mean difference over seeds, its 95% interval (Student's t), and the p-value of no difference."""

    difference: float
    low: float
    high: float
    p: float


def summary(values: Sequence[float]) -> Summary:
    """Of at least one value."""
    return Summary(float(np.mean(values)), float(np.std(values)), len(values))


def paired(values: Sequence[float], baseline: Sequence[float]) -> Paired:
    """Seed by seed; values and baseline are of equal length, at least two."""
    from scipy import stats

    gaps = np.subtract(values, baseline)
    mean, n = float(gaps.mean()), gaps.size
    error = float(gaps.std(ddof=1)) / n**0.5
    if error == 0.0:
        return Paired(mean, mean, mean, 1.0 if mean == 0.0 else 0.0)
    reach = float(stats.t.ppf(0.975, n - 1)) * error
    return Paired(mean, mean - reach, mean + reach, float(2 * stats.t.sf(abs(mean) / error, n - 1)))
