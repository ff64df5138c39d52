"""Trajectories of others in arrays, for the kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from espalier.core.errors import DataError
from espalier.robots.swarm.traj.quintic import Floats
from espalier.robots.swarm.traj.trajectory import Trajectory, derivative


class Neighbours(NamedTuple):
    """coefficients: (n, m, 6, 3), padded. ends: (n, m) time since the start at which each piece ends; the last of each,
    and all after it, are infinite. starts: (n,) seconds. totals: (n,) durations.
    """

    coefficients: Floats
    ends: Floats
    starts: Floats
    totals: Floats


def pack(trajectories: Sequence[Trajectory]) -> Neighbours:
    """The same curves. Raises DataError for one with a number that is not finite: it could not be kept clear of."""
    n, most = len(trajectories), max((len(one.durations) for one in trajectories), default=1)
    coefficients, ends = np.zeros((n, most, 6, 3)), np.full((n, most), np.inf)
    starts, totals = np.zeros(n), np.zeros(n)
    for k, one in enumerate(trajectories):
        m = len(one.durations)
        coefficients[k, :m] = one.coefficients
        ends[k, : m - 1] = one.durations[:-1].cumsum()
        starts[k], totals[k] = one.start_s, one.total_s
        if not (np.isfinite(one.coefficients).all() and np.isfinite(starts[k]) and 0.0 < totals[k] < np.inf):
            raise DataError(f"trajectory {k} of {n} has numbers that are not finite, or no duration; leave it out")
    return Neighbours(coefficients, ends, starts, totals)


def selected(others: Neighbours, which: npt.NDArray[np.int64]) -> Neighbours:
    """A copy of some, in that order."""
    return Neighbours(*(values[which] for values in others))


@njit(cache=True)
def place(others: Neighbours, k: int, time: float, order: int) -> tuple[float, float, float]:
    """Position (order 0) or velocity (order 1) of other k at an absolute time."""
    since = time - others.starts[k]
    within = min(max(since, 0.0), others.totals[k])
    piece = 0
    while within >= others.ends[k, piece]:
        piece += 1
    s = within - (others.ends[k, piece - 1] if piece else 0.0)
    curve, beyond = others.coefficients[k, piece], since - within
    if order or beyond == 0.0:
        return derivative(curve, s, order, 0), derivative(curve, s, order, 1), derivative(curve, s, order, 2)
    return (
        derivative(curve, s, 0, 0) + beyond * derivative(curve, s, 1, 0),
        derivative(curve, s, 0, 1) + beyond * derivative(curve, s, 1, 1),
        derivative(curve, s, 0, 2) + beyond * derivative(curve, s, 1, 2),
    )


@njit(cache=True)
def sampled(others: Neighbours, times: Floats, until: Floats) -> Floats:
    """(T, n, 3) positions at absolute times (T,). until: (n,) when each is taken to stop where it is."""
    found = np.empty((len(times), len(others.starts), 3))
    for k in range(len(others.starts)):
        for i, time in enumerate(times):
            found[i, k] = place(others, k, min(time, until[k]), 0)
    return found
