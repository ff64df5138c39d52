"""Straight lines over cells: whether the robot's centre may go along one, and what that costs."""

from __future__ import annotations

import numpy as np
from numba import njit

from espalier.robots.terrain.plan.obstacles import BLOCKED, Floats, States

CORNER = 1e-9


@njit(cache=True)
def walk(state: States, toll: Floats, x0: float, y0: float, x1: float, y1: float, level: int) -> tuple[int, float]:
    """The state at the end of a line and the integral of the toll along it; (BLOCKED, inf) where the line is barred.

    x, y: in cells, so that cell (r, c) covers x in [c, c + 1). level: state of the cell that the robot comes from. Each
    cell on the way must be of a state no more than the one before; where the line goes through a corner, so must both
    cells beside it. Source: cell by cell as Amanatides & Woo, 1987.
    """
    row, col = int(np.floor(y0)), int(np.floor(x0))
    rows, cols = int(np.floor(y1)) - row, int(np.floor(x1)) - col
    dx, dy = x1 - x0, y1 - y0
    down, right = (1 if rows > 0 else -1), (1 if cols > 0 else -1)
    rows, cols = abs(rows), abs(cols)
    length, at, cost = np.hypot(dx, dy), 0.0, 0.0
    while True:
        if not _open(state, row, col, level):
            return BLOCKED, np.inf
        level = state[row, col]
        to_row = (row + (down > 0) - y0) / dy if rows else np.inf
        to_col = (col + (right > 0) - x0) / dx if cols else np.inf
        then = min(to_row, to_col, 1.0)
        cost += toll[row, col] * max(then - at, 0.0) * length
        at = max(then, at)
        if not rows and not cols:
            return level, cost
        if abs(to_row - to_col) * length < CORNER:
            if not (_open(state, row + down, col, level) and _open(state, row, col + right, level)):
                return BLOCKED, np.inf
            row, col, rows, cols = row + down, col + right, rows - 1, cols - 1
        elif to_row < to_col:
            row, rows = row + down, rows - 1
        else:
            col, cols = col + right, cols - 1


@njit(cache=True)
def _open(state: States, row: int, col: int, level: int) -> bool:
    inside = 0 <= row < state.shape[0] and 0 <= col < state.shape[1]
    return inside and state[row, col] <= level and state[row, col] != BLOCKED


@njit(cache=True)
def walks(state: States, toll: Floats, path: Floats) -> Floats:
    """(n - 1,): the cost of each piece of a path (n, 2) of x, y in cells; infinite where it is barred."""
    costs = np.empty(len(path) - 1)
    for k in range(len(costs)):
        (x0, y0), (x1, y1) = path[k], path[k + 1]
        row, col = int(np.floor(y0)), int(np.floor(x0))
        inside = 0 <= row < state.shape[0] and 0 <= col < state.shape[1]
        costs[k] = walk(state, toll, x0, y0, x1, y1, state[row, col])[1] if inside else np.inf
    return costs
