"""What is said about several seeds: a mean with Student's t interval, of values or of paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

from espalier.core.errors import DataError

LEVEL = 0.95
"""Of all intervals."""


class Estimate(NamedTuple):
    """Mean of `n` values, its 95% t interval (None where one value has none) and the two-sided p-value of a mean of 0.

    As in Student, Biometrika 6 (1908): mean ± t(0.975, n - 1) s / sqrt(n), s with n - 1 in its denominator.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    p: float | None = None


def estimate(values: Sequence[float]) -> Estimate:
    """Of at least one finite value."""
    n = len(values)
    mean = math.fsum(values) / n
    if n < 2:
        return Estimate(mean, None, None, n)
    error = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n)
    if error == 0.0:
        return Estimate(mean, mean, mean, n, 1.0 if mean == 0.0 else 0.0)
    reach = error * t_quantile((1 + LEVEL) / 2, n - 1)
    return Estimate(mean, mean - reach, mean + reach, n, 1.0 - t_within(abs(mean) / error, n - 1))


def paired(values: Sequence[float], baseline: Sequence[float]) -> Estimate:
    """Of the differences, seed by seed; both are of equal length."""
    return estimate([value - base for value, base in zip(values, baseline, strict=True)])


def paired_by_seed(values: Mapping[int, float], baseline: Mapping[int, float], *, relative: bool = False) -> Estimate:
    """`paired` over the seeds that both have. relative: differences are divided by the baseline's value."""
    both = sorted(values.keys() & baseline.keys())
    if relative and (nil := [seed for seed in both if baseline[seed] == 0.0]):
        raise DataError(f"a relative difference divides by the number of the other arm, which is 0 with seed {nil[0]}")
    scale = {seed: abs(baseline[seed]) if relative else 1.0 for seed in both}
    return estimate([(values[seed] - baseline[seed]) / scale[seed] for seed in both])


def t_within(t: float, n: int) -> float:
    """P(|T| < t) for Student's t with `n` degrees of freedom. Abramowitz and Stegun, 26.7.3 and 26.7.4: finite sums."""
    angle = math.atan(t / math.sqrt(n))
    sine, cosine = math.sin(angle), math.cos(angle)
    term, total = (sine * cosine, sine * cosine) if n % 2 else (sine, sine)
    for k in range(3 if n % 2 else 2, n, 2):
        term *= (k - 1) / k * cosine**2
        total += term
    if n % 2 == 0:
        return total
    return 2 / math.pi * (angle + (total if n > 1 else 0.0))


@cache
def t_quantile(share: float, n: int) -> float:
    """The `share` quantile (above one half) of Student's t with `n` degrees of freedom, by bisection."""
    low, high = 0.0, 1.0
    while t_within(high, n) < 2 * share - 1:
        high *= 2
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if t_within(middle, n) < 2 * share - 1 else (low, middle)
    return high
