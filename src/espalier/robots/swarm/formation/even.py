"""Points spread evenly over a shape that is given by many candidates: exactly so many, none in a clump."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.spatial import cKDTree

from espalier.core.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PER_POINT = 40
"""Candidates per point that a surface should be given by; a curve does with fewer."""
ROUNDS = 120
TURNS = 3
"""A point moves every so many rounds, so that neighbours do not chase each other."""
STEPS = 9
"""Nearest candidates that a point may move to, its own among them."""
NEIGHBOURS = 12
POWER = 6


def evenly(candidates: Floats, count: int, parts: Ints | None = None) -> Floats:
    """(count, d) of the candidates (m, d), spread to the ends and corners of the shape.

    parts: (m,) numbers from 0: each part has points in proportion to its candidates, and one at least. Begins with
    points each farthest from those before; then each goes to the candidate near it where the sum of 1 / distance^6 to
    its neighbours is least. Ours. Raises DataError where there are fewer candidates, or more parts, than points.
    """
    parts = np.zeros(len(candidates), np.int64) if parts is None else parts
    least = int(parts.max(initial=0)) + 1 if count else 0
    if not least <= count <= len(candidates):
        raise DataError(
            f"{count} points cannot show a shape of {least} parts and {len(candidates)} candidates: take at least "
            "as many points as parts, and at most as many as candidates"
        )
    if not count:
        return candidates[:0]
    near = _near(candidates, parts)
    chosen = farthest(np.ascontiguousarray(candidates, np.float64), parts, shares(parts, count))
    for number in range(ROUNDS if count > 1 else 0):
        points = candidates[chosen]
        apart, others = cKDTree(points).query(points, k=min(NEIGHBOURS + 1, count))
        mover = np.arange(number % TURNS, count, TURNS)
        steps = near[chosen[mover]]
        square = ((candidates[steps][:, :, None] - points[others[mover, 1:]][:, None]) ** 2).sum(-1)
        relative = square / max(float(apart[:, 1].mean()) ** 2, 1e-300)
        push = np.maximum(relative, 1e-9) ** (-POWER / 2)
        chosen[mover] = steps[np.arange(len(mover)), push.sum(-1).argmin(1)]
    return candidates[chosen]


def _near(candidates: Floats, parts: Ints) -> Ints:
    """(m, k): the nearest candidates of each in its part; itself where there are none."""
    near = cKDTree(candidates).query(candidates, k=min(STEPS, len(candidates)))[1].reshape(len(candidates), -1)
    itself = np.arange(len(candidates))[:, None]
    return np.where(parts[near] == parts[:, None], near, itself)


def shares(parts: Ints, count: int) -> Ints:
    """(p,): of `count` points, those of each part numbered in (m,): one, and the next to where each covers most."""
    sizes = np.bincount(parts)
    taken = np.ones(len(sizes), np.int64)
    for _ in range(count - len(sizes)):
        taken[np.argmax(sizes / taken)] += 1
    return taken


@njit(cache=True)
def farthest(candidates: Floats, parts: Ints, quota: Ints) -> Ints:
    """Indices of (m, d) candidates, `quota` (p,) of each part numbered in (m,): each farthest from all before.

    The first is the one farthest from the middle of all. Source: Gonzalez, 1985; the parts are ours.
    """
    m, d = candidates.shape
    middle = np.zeros(d)
    for i in range(m):
        middle += candidates[i] / m
    square = np.zeros(m)
    for i in range(m):
        square[i] = ((candidates[i] - middle) ** 2).sum()
    left, chosen = quota.copy(), np.empty(quota.sum(), np.int64)
    for number in range(len(chosen)):
        best = -1
        for i in range(m):
            if left[parts[i]] > 0 and (best < 0 or square[i] > square[best]):
                best = i
        chosen[number] = best
        left[parts[best]] -= 1
        for i in range(m):
            apart = 0.0
            for k in range(d):
                apart += (candidates[i, k] - candidates[best, k]) ** 2
            square[i] = min(square[i], apart) if number else apart
    return chosen


def spacing(points: Floats) -> float:
    """Distance between the two nearest of (n, d) points; infinite for fewer than two."""
    if len(points) < 2:
        return float("inf")
    return float(cKDTree(points).query(points, k=2)[0][:, 1].min())


def spaced(points: Floats, spacing_m: float) -> Floats:
    """(n, d) points centred at 0 and scaled, so that the two nearest are `spacing_m` apart.

    Raises DataError where two coincide.
    """
    if not 0.0 < spacing_m < np.inf:
        raise DataError(f"slots are to be a finite number, and more than 0 m apart, not {spacing_m:g} m")
    if not len(points):
        return points
    centred = points - points.mean(0)
    now = spacing(points)
    if now <= 1e-9 * float(np.abs(centred).max()):
        raise DataError("two points of the formation coincide: take fewer points, or a larger shape")
    return centred * (spacing_m / now) if np.isfinite(now) else centred
