"""The cheapest way over cells, to 8 neighbours: A* and, without a goal, Dijkstra."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from espalier.robots.terrain.plan.heap import pop, push
from espalier.robots.terrain.plan.obstacles import BLOCKED, FREE, Cell, Floats, States

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

DIAGONAL = np.sqrt(2.0)
TIES = 1.0 + 1e-9
"""Factor of the heuristic: of equal ways the search follows the one that is nearer to its goal. A route may cost this
much more than the cheapest."""
NOWHERE = 8


class CellPath(NamedTuple):
    """cells: (n, 2) rows and columns from start to goal. cost: sum over moves of length (cells) times mean toll of the
    two cells. expanded: cells whose neighbours were looked at.
    """

    cells: Ints
    cost: float
    expanded: int


def astar(state: States, toll: Floats, start: Cell, goal: Cell) -> CellPath | None:
    """The cheapest path between two cells, or None. state and toll: see `Obstacles`.

    A diagonal move needs both cells beside it. Source: Hart, Nilsson & Raphael, 1968; octile distance times the least
    toll as heuristic.
    """
    padded, tolls, width = _padded(state, toll)
    source, target = ((row + 1) * width + col + 1 for row, col in (start, goal))
    least = float(toll.min(initial=np.inf, where=state != BLOCKED))
    if padded[source] == BLOCKED:
        return None
    costs, came, expanded = _search(padded, tolls, width, source, target, least * TIES)
    if not np.isfinite(costs[target]):
        return None
    flat = _trace(came, width, source, target)
    return CellPath(np.stack([flat // width - 1, flat % width - 1], 1), float(costs[target]), expanded)


def cost_to(state: States, toll: Floats, goal: Cell) -> Floats:
    """(rows, cols): cost of the cheapest path from each cell to the goal, infinite where there is none.

    Cells to be left (LEAVING) count as free ones, which makes it a lower bound for a path out of them.
    """
    open_state = np.where(state == BLOCKED, BLOCKED, FREE).astype(np.uint8)
    padded, tolls, width = _padded(open_state, toll)
    costs, _, _ = _search(padded, tolls, width, (goal[0] + 1) * width + goal[1] + 1, -1, 0.0)
    return costs.reshape(-1, width)[1:-1, 1:-1]


def _padded(state: States, toll: Floats) -> tuple[States, Floats, int]:
    """Both with a blocked rim, flat, and the width with it."""
    padded = np.pad(state, 1, constant_values=BLOCKED)
    return padded.ravel(), np.pad(toll, 1).ravel(), padded.shape[1]


@njit(cache=True)
def _search(
    state: States, toll: Floats, width: int, source: int, target: int, least: float
) -> tuple[Floats, Bytes, int]:
    """Costs from the source, the direction by which each cell was reached, and the number of cells expanded."""
    offsets = np.array([1, width, -1, -width, width + 1, width - 1, -width - 1, 1 - width])
    down, right = np.array([0, 1, 0, -1, 1, 1, -1, -1]), np.array([1, 0, -1, 0, 1, -1, -1, 1])
    costs = np.full(state.size, np.inf)
    came = np.full(state.size, NOWHERE, np.uint8)
    done = np.zeros(state.size, np.bool_)
    keys, items = np.empty(8 * state.size + 1), np.empty(8 * state.size + 1, np.int32)
    beside = np.zeros(8, np.bool_)
    to_row, to_col = target // width, target % width
    costs[source] = 0.0
    size, expanded = push(keys, items, 0, 0.0, source), 0
    while size:
        cell = items[0]
        size = pop(keys, items, size)
        if done[cell]:
            continue
        done[cell] = True
        expanded += 1
        if cell == target:
            break
        row, col = cell // width - to_row, cell % width - to_col
        level, here, half = state[cell], costs[cell], 0.5 * toll[cell]
        for k in range(8):
            other = cell + offsets[k]
            beside[k] = state[other] <= level and (k < 4 or (beside[k - 4] and beside[(k - 3) & 3]))
            if not beside[k] or done[other]:
                continue
            cost = here + (half + 0.5 * toll[other]) * (1.0 if k < 4 else DIAGONAL)
            if cost < costs[other]:
                costs[other], came[other] = cost, k
                dy, dx = abs(row + down[k]), abs(col + right[k])
                ahead = least * (max(dy, dx) + (DIAGONAL - 1.0) * min(dy, dx))
                size = push(keys, items, size, cost + ahead, other)
    return costs, came, expanded


@njit(cache=True)
def _trace(came: Bytes, width: int, source: int, target: int) -> Ints:
    """Flat cells from the source to the target."""
    offsets = np.array([1, width, -1, -width, width + 1, width - 1, -width - 1, 1 - width])
    count, cell = 1, target
    while cell != source:
        cell -= offsets[came[cell]]
        count += 1
    path = np.empty(count, np.int64)
    cell = target
    for k in range(count - 1, -1, -1):
        path[k] = cell
        if k:
            cell -= offsets[came[cell]]
    return path
