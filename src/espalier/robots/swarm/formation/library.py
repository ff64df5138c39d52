"""Formations by name. Each takes (n, spacing_m) and gives (n, 3) slots centred at 0, the two nearest so far apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count

import numpy as np

from espalier.core.errors import DataError, nearest
from espalier.robots.swarm.formation.even import Floats, farthest, spaced

GOLDEN = np.pi * (3.0 - np.sqrt(5.0))
"""Radians from one point of the lattice to the next."""


def line(n: int, spacing_m: float) -> Floats:
    """Abreast: along y."""
    _check(n)
    return spaced(np.outer(np.arange(n), (0.0, 1.0, 0.0)), spacing_m)


def ring(n: int, spacing_m: float) -> Floats:
    """A level circle."""
    _check(n)
    angle = 2.0 * np.pi * np.arange(n) / n
    return spaced(np.stack([np.cos(angle), np.sin(angle), np.zeros(n)], -1), spacing_m)


def grid(n: int, spacing_m: float) -> Floats:
    """A level square of rows; the last row, where it is not full, has its agents in the middle."""
    _check(n)
    side = _side(n, lambda k: k * k)
    return spaced(_rows(n, side), spacing_m)


def cube(n: int, spacing_m: float) -> Floats:
    """A solid of square layers, filled from below."""
    _check(n)
    side = _side(n, lambda k: k**3)
    layer = np.arange(n) // (side * side)
    levels = [_rows(members, side) for members in np.bincount(layer)]
    points = np.concatenate(levels)
    points[:, 2] = layer
    return spaced(points, spacing_m)


def hexagon(n: int, spacing_m: float) -> Floats:
    """A level hexagon: one in the centre, 6 around, then 12, and so on; an outer ring that is not full is even."""
    _check(n)
    points, left = [np.zeros((1, 3))], n - 1
    for k in count(1):
        if left <= 0:
            break
        corners = k * np.exp(1j * np.pi / 3.0 * np.arange(7))
        steps = np.arange(k) / k
        around = (corners[:-1, None] + steps * np.diff(corners)[:, None]).ravel()
        taken = around[np.floor(np.arange(min(left, 6 * k)) * (6 * k / min(left, 6 * k)) + 1e-9).astype(int)]
        points.append(np.stack([taken.real, taken.imag, np.zeros(len(taken))], -1))
        left -= len(taken)
    return spaced(np.concatenate(points), spacing_m)


def sphere(n: int, spacing_m: float) -> Floats:
    """A hollow sphere: the Fibonacci lattice."""
    _check(n)
    z = 1.0 - (2.0 * np.arange(n) + 1.0) / n
    radius, angle = np.sqrt(1.0 - z * z), GOLDEN * np.arange(n)
    return spaced(np.stack([radius * np.cos(angle), radius * np.sin(angle), z], -1), spacing_m)


def prism(n: int, spacing_m: float) -> Floats:
    """A solid triangular prism on its base, as high as wide, in layers of triangles."""
    _check(n)
    side = _side(n, lambda k: k * k * (k + 1) // 2)
    rows = [(np.sqrt(0.75) * row, column - row / 2.0) for row in range(side) for column in range(row + 1)]
    base = np.array(rows).reshape(-1, 2)
    layer, place = np.divmod(np.arange(n), len(base))
    return spaced(np.column_stack([base[place], layer]), spacing_m)


def octahedron(n: int, spacing_m: float) -> Floats:
    """A hollow octahedron: its six corners, then a triangular lattice on its faces, of which as many as there are."""
    _check(n)
    edge = _side(n, lambda k: 4 * k * k + 2)
    steps = np.arange(-edge, edge + 1)
    lattice = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3).astype(np.float64)
    surface = lattice[np.abs(lattice).sum(-1) == edge]
    return spaced(surface[farthest(surface, np.zeros(len(surface), np.int64), np.array([n]))], spacing_m)


FORMATIONS: Mapping[str, Callable[[int, float], Floats]] = {
    "cube": cube,
    "grid": grid,
    "hexagon": hexagon,
    "line": line,
    "octahedron": octahedron,
    "prism": prism,
    "ring": ring,
    "sphere": sphere,
}


def formation(name: str, n: int, spacing_m: float) -> Floats:
    """(n, 3) slots of the formation of that name. Raises DataError where there is none."""
    if name not in FORMATIONS:
        raise DataError(f"there is no formation {name!r}{nearest(name, FORMATIONS)}")
    return FORMATIONS[name](n, spacing_m)


def _check(n: int) -> None:
    if n < 1:
        raise DataError(f"a formation has at least one slot, not {n}")


def _side(n: int, holds: Callable[[int], int]) -> int:
    """The least length that holds n."""
    return next(k for k in count(1) if holds(k) >= n)


def _rows(n: int, side: int) -> Floats:
    """Up to side * side points in rows of `side`, the last in the middle of its row."""
    row, column = np.divmod(np.arange(n), side)
    lengths = np.bincount(row)
    return np.stack([row, column + (side - lengths[row]) / 2.0, np.zeros(n)], -1)
