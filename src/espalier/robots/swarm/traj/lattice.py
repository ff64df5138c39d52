"""A* in space, over points of a lattice with 26 neighbours each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from espalier.robots.swarm.traj.quintic import Floats
from espalier.robots.swarm.world.esdf import DistanceField, distance_at
from espalier.robots.terrain.plan.heap import pop, push

Index = tuple[int, int, int]

TIES = 1.001
"""Factor of the heuristic: of about equal ways the search follows the one nearer to its goal."""
CROWDED = 3.0
"""Share by which a metre costs more where there is no clearance at all."""
SLACK = 1e-9
"""Metres of clearance that rounding may take."""
LEAST_STEP = 0.02
"""Metres by which a line of sight advances at least."""


class Lattice(NamedTuple):
    """Point (i, j, k) of `shape` lies at `origin` + `pitch` (i, j, k). start: the point that a search begins at. goal:
    the one that stands for the goal, which need not lie on the lattice; goal_room: the goal's own clearance.
    """

    origin: tuple[float, float, float]
    pitch: float
    shape: Index
    start: Index
    goal: Index
    goal_room: float


@njit(cache=True)
def clearance(field: DistanceField, avoid: Floats, x: float, y: float, z: float) -> float:
    """Metres from a point to the nearest obstacle, or sphere (k, 4) of x, y, z, radius to be avoided."""
    nearest = distance_at(field, x, y, z)[0]
    for k in range(len(avoid)):
        away = np.sqrt((x - avoid[k, 0]) ** 2 + (y - avoid[k, 1]) ** 2 + (z - avoid[k, 2]) ** 2) - avoid[k, 3]
        nearest = min(nearest, away)
    return nearest


@njit(cache=True)
def sees(field: DistanceField, avoid: Floats, a: Floats, b: Floats, wanted: float) -> bool:
    """Whether the straight line between two points (3,) keeps a clearance: in steps as long as the distance allows."""
    length = np.sqrt((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2 + (b[2] - a[2]) ** 2)
    gone = 0.0
    while gone < length:
        u = gone / length
        x, y, z = a[0] + u * (b[0] - a[0]), a[1] + u * (b[1] - a[1]), a[2] + u * (b[2] - a[2])
        spare = clearance(field, avoid, x, y, z) - wanted
        if spare < 0.0:
            return False
        gone += max(spare, LEAST_STEP)
    return True


@njit(cache=True)
def straightened(field: DistanceField, avoid: Floats, points: Floats, wanted: float) -> npt.NDArray[np.int64]:
    """The corners (n, 3) of a way to keep: from each the last one in sight, at the clearance wanted or at the least of
    the corners between.
    """
    kept, count, at = np.zeros(len(points), np.int64), 1, 0
    while at < len(points) - 1:
        least, best = wanted, at + 1
        for k in range(at, len(points)):
            least = min(least, clearance(field, avoid, points[k, 0], points[k, 1], points[k, 2]) - SLACK)
            if k > best and sees(field, avoid, points[at], points[k], least):
                best = k
        at, kept[count] = best, best
        count += 1
    return kept[:count]


@njit(cache=True)
def search(field: DistanceField, avoid: Floats, lattice: Lattice, wanted: float, least: float) -> tuple[Floats, bool]:
    """(n, 3) points of the cheapest way over lattice points, and whether it reaches the goal; if not, it ends where it
    comes nearest.

    A move leads to a point of at least the least clearance, or of more than where it comes from: a start too near to
    something is left. It costs its length, and up to CROWDED times that more where clearance is missing to the one
    wanted. Source: Hart, Nilsson & Raphael, 1968, with the octile distance as heuristic; the price is ours.
    """
    nx, ny, nz = lattice.shape
    count = nx * ny * nz
    costs, room = np.full(count, np.inf), np.full(count, np.nan)
    came, done = np.full(count, -1, np.int32), np.zeros(count, np.bool_)
    keys, items = np.empty(26 * count + 1), np.empty(26 * count + 1, np.int32)
    source, target = _number(lattice.start, ny, nz), _number(lattice.goal, ny, nz)
    costs[source], room[target] = 0.0, lattice.goal_room
    room[source] = clearance(field, avoid, *_point(lattice, source))
    best, nearest = source, _ahead(source, target, ny, nz)
    size = push(keys, items, 0, 0.0, source)
    while size and best != target:
        node = items[0]
        size = pop(keys, items, size)
        if done[node]:
            continue
        done[node] = True
        ahead = _ahead(node, target, ny, nz)
        if ahead < nearest:
            best, nearest = node, ahead
        i, j, k = node // (ny * nz), node // nz % ny, node % nz
        for a in range(max(i - 1, 0), min(i + 2, nx)):
            for b in range(max(j - 1, 0), min(j + 2, ny)):
                for c in range(max(k - 1, 0), min(k + 2, nz)):
                    other = (a * ny + b) * nz + c
                    if done[other]:
                        continue
                    if np.isnan(room[other]):
                        room[other] = clearance(field, avoid, *_point(lattice, other))
                    if room[other] < least and room[other] <= room[node]:
                        continue
                    price = 1.0 + CROWDED * max(0.0, 1.0 - room[other] / wanted)
                    cost = costs[node] + price * np.sqrt(abs(a - i) + abs(b - j) + abs(c - k))
                    if cost < costs[other]:
                        costs[other], came[other] = cost, node
                        size = push(keys, items, size, cost + TIES * _ahead(other, target, ny, nz), other)
    return _trace(lattice, came, best), best == target


@njit(cache=True)
def _number(index: Index, ny: int, nz: int) -> int:
    return (index[0] * ny + index[1]) * nz + index[2]


@njit(cache=True)
def _ahead(node: int, target: int, ny: int, nz: int) -> float:
    """The octile distance between two lattice points, in pitches."""
    a = abs(node // (ny * nz) - target // (ny * nz))
    b = abs(node // nz % ny - target // nz % ny)
    c = abs(node % nz - target % nz)
    most, least = max(a, b, c), min(a, b, c)
    return most + (np.sqrt(2.0) - 1.0) * (a + b + c - most - least) + (np.sqrt(3.0) - np.sqrt(2.0)) * least


@njit(cache=True)
def _point(lattice: Lattice, node: int) -> tuple[float, float, float]:
    ny, nz = lattice.shape[1], lattice.shape[2]
    x, y, z = lattice.origin
    pitch = lattice.pitch
    return x + pitch * (node // (ny * nz)), y + pitch * (node // nz % ny), z + pitch * (node % nz)


@njit(cache=True)
def _trace(lattice: Lattice, came: npt.NDArray[np.int32], node: int) -> Floats:
    """(n, 3): the points from the source of the search to a lattice point."""
    count, at = 1, node
    while came[at] >= 0:
        at = came[at]
        count += 1
    points, at = np.empty((count, 3)), node
    for n in range(count - 1, -1, -1):
        points[n] = _point(lattice, at)
        at = came[at]
    return points
