"""A route over cells made short and smooth, and still free."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy import sparse
from scipy.linalg import solveh_banded
from scipy.ndimage import binary_dilation

from espalier.robots.terrain.plan.obstacles import Floats, States
from espalier.robots.terrain.plan.sight import walk, walks

PITCH, PART = 0.5, 1 / 8
"""Two points of a smooth route are at most this many cells apart, or this part of the length it is smooth over."""
PULL = 3.0
"""Factor by which the weight of the original grows where the smooth route is barred."""
ROUNDS = 20
"""Pulls before the original is kept."""


def smooth(state: States, toll: Floats, path: Floats, length: float, slack: float) -> Floats:
    """(m, 2): a smooth way along a free polyline (n, 2) of x, y in cells, from its first point to its last.

    First the polyline is shortened, see `straight`. Then the points p of the result are those that minimise

        sum_i w_i |p_i - q_i|^2 + length^6 sum_i |D^3 p_i|^2 / pitch^6

    for points q on the polyline: the jerk of a robot that drives at constant speed, against the distance to the
    original. Where the result is barred the weights w grow there, until it is free. Source: Whittaker, 1923, of the
    third order, which tends to the piecewise quintic of least jerk (Flash & Hogan, 1985); the pulling is ours.
    """
    pitch = max(PITCH, length * PART)
    original = divided(path[straight(state, toll, path, slack)], pitch)
    if len(original) < 4:
        return original
    third = sparse.diags_array([-1.0, 3.0, -3.0, 1.0], offsets=[0, 1, 2, 3], shape=(len(original) - 3, len(original)))
    energy = (length / pitch) ** 6 * (third.T @ third).tocsr()
    weights = np.ones(len(original) - 2)
    reach = int(np.ceil(0.5 * length / pitch))
    for _ in range(ROUNDS):
        out = _least_jerk(original, weights, energy)
        barred = ~np.isfinite(walks(state, toll, out))
        if not barred.any():
            return out
        weights[binary_dilation(barred[1:] | barred[:-1], iterations=reach)] *= PULL
    return original


def _least_jerk(original: Floats, weights: Floats, energy: sparse.csr_array) -> Floats:
    """The minimum for these weights of the inner points; both ends stay."""
    inner = energy[1:-1, 1:-1]
    bands = np.zeros((4, len(weights)))
    for k in range(min(4, len(weights))):
        bands[3 - k, k:] = inner.diagonal(k)
    bands[3] += weights
    ends = energy[1:-1, [0, -1]] @ original[[0, -1]]
    out = original.copy()
    out[1:-1] = solveh_banded(bands, weights[:, None] * original[1:-1] - ends)
    return out


def divided(path: Floats, pitch: float) -> Floats:
    """The polyline (n, 2) with its pieces cut into equal parts no longer than `pitch`."""
    lengths = np.hypot(*np.diff(path, axis=0).T)
    counts = np.maximum(np.ceil(lengths / pitch - 1e-9).astype(int), 1)
    place = np.concatenate([k + np.arange(count) / count for k, count in enumerate(counts)] + [[len(path) - 1]])
    number = np.arange(len(path))
    return np.stack([np.interp(place, number, path[:, 0]), np.interp(place, number, path[:, 1])], 1)


@njit(cache=True)
def straight(state: States, toll: Floats, path: Floats, slack: float) -> npt.NDArray[np.int64]:
    """The points of a polyline to keep: from each the last one in sight whose straight line costs no more than the
    pieces between times 1 + slack.
    """
    costs = np.zeros(len(path))
    costs[1:] = walks(state, toll, path).cumsum()
    kept = np.empty(len(path), np.int64)
    count, at = 1, 0
    kept[0] = 0
    while at < len(path) - 1:
        best = at + 1
        level = state[int(np.floor(path[at, 1])), int(np.floor(path[at, 0]))]
        for k in range(at + 2, len(path)):
            cost = walk(state, toll, path[at, 0], path[at, 1], path[k, 0], path[k, 1], level)[1]
            if cost <= (costs[k] - costs[at]) * (1.0 + slack):
                best = k
        at, kept[count] = best, best
        count += 1
    return kept[:count]
