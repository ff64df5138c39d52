"""When requests come: generated arrivals, and those of a trace at another pace. Seconds, ascending from about 0."""

from __future__ import annotations

import numpy as np

from espalier.core.errors import DataError
from espalier.serving.traces.trace import Floats, Trace

Generator = np.random.Generator


def poisson(n: int, rate: float, rng: Generator) -> Floats:
    """n arrivals at `rate` a second, independent of each other."""
    return np.cumsum(rng.exponential(1.0 / rate, n))


def gamma(n: int, rate: float, cv: float, rng: Generator) -> Floats:
    """n arrivals whose gaps have the coefficient of variation `cv`: 1 is Poisson, more is burstier."""
    shape = 1.0 / cv**2
    return np.cumsum(rng.gamma(shape, 1.0 / (rate * shape), n))


def on_off(n: int, rate: float, on: float, off: float, rng: Generator) -> Floats:
    """n arrivals at `rate` on average: Poisson during periods of `on` seconds, none during the `off` seconds between.

    Both are means of exponentially distributed periods.
    """
    busy = poisson(n, rate * (on + off) / on, rng)
    periods = int(busy[-1] / on * 2) + 10
    ends = np.cumsum(rng.exponential(on, periods))
    while ends[-1] < busy[-1]:
        ends = np.append(ends, ends[-1] + rng.exponential(on))
    pauses = np.concatenate([[0.0], np.cumsum(rng.exponential(off, ends.size))])
    return busy + pauses[np.searchsorted(ends, busy)]


def replay(trace: Trace, rate: float) -> Floats:
    """The trace's own times, stretched so that `rate` come a second on average. Raises DataError where it has none."""
    if trace.arrival is None or len(trace) < 2:
        raise DataError(f"{trace.name} has no arrival times to replay; generate them (arrivals: poisson)")
    span = float(trace.arrival[-1])
    if span <= 0.0:
        raise DataError(f"{trace.name}: all requests arrive at the same moment")
    return trace.arrival * ((len(trace) - 1) / rate / span)
