"""A* over cells against SciPy's Dijkstra on the same graph, and by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from espalier.robots.terrain.plan.astar import astar, cost_to
from espalier.robots.terrain.plan.obstacles import BLOCKED, FREE, LEAVING

MOVES = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]


def allowed(state: np.ndarray, cell: tuple[int, int], move: tuple[int, int]) -> bool:
    (row, col), (down, right) = cell, move
    touched = {(row + down, col + right), (row + down, col), (row, col + right)}
    inside = all(0 <= r < state.shape[0] and 0 <= c < state.shape[1] for r, c in touched)
    return inside and state[cell] != BLOCKED and all(state[other] <= state[cell] for other in touched)


def graph(state: np.ndarray, toll: np.ndarray) -> coo_array:
    """The obvious graph of all moves."""
    number = np.arange(state.size).reshape(state.shape)
    edges = [
        (number[cell], number[to], np.hypot(*move) * (toll[cell] + toll[to]) / 2)
        for cell in np.ndindex(state.shape)
        for move in MOVES
        if allowed(state, cell, move)
        for to in [(cell[0] + move[0], cell[1] + move[1])]
    ]
    rows, cols, costs = zip(*edges, strict=True) if edges else ((), (), ())
    return coo_array((costs, (rows, cols)), shape=(state.size, state.size))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, tuple[int, int], tuple[int, int]]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(1, 14)), draw(st.integers(1, 14))
    share = draw(st.sampled_from([0.0, 0.2, 0.4]))
    state = rng.choice([FREE, LEAVING, BLOCKED], shape, p=[0.9 - share, 0.1, share]).astype(np.uint8)
    toll = 1.0 + rng.choice([0.0, 1.0, 5.0]) * rng.random(shape)
    start, goal = (tuple(int(rng.integers(size)) for size in shape) for _ in range(2))
    return state, toll, start, goal


@given(worlds())
def test_the_cost_is_the_least(world: tuple[np.ndarray, np.ndarray, tuple[int, int], tuple[int, int]]) -> None:
    state, toll, start, goal = world
    edges = graph(state, toll)
    first, last = np.ravel_multi_index(start, state.shape), np.ravel_multi_index(goal, state.shape)
    least = dijkstra(edges.tocsr(), indices=first)[last]
    found = astar(state, toll, start, goal)
    if found is None:
        assert np.isinf(least) or state[start] == BLOCKED
        return
    assert found.cost == pytest.approx(least, rel=1e-8, abs=1e-12)
    cells = [(int(row), int(col)) for row, col in found.cells]
    assert (cells[0], cells[-1]) == (start, goal)
    total = 0.0
    for cell, other in pairwise(cells):
        move = other[0] - cell[0], other[1] - cell[1]
        assert allowed(state, cell, move)
        total += np.hypot(*move) * (toll[cell] + toll[other]) / 2
    assert total == pytest.approx(found.cost, rel=1e-8)


@given(worlds())
def test_the_costs_to_a_goal_are_the_least(
    world: tuple[np.ndarray, np.ndarray, tuple[int, int], tuple[int, int]],
) -> None:
    state, toll, _, goal = world
    if state[goal] == BLOCKED:
        return
    flat = np.where(state == BLOCKED, BLOCKED, FREE).astype(np.uint8)
    slow = dijkstra(graph(flat, toll).tocsr(), indices=np.ravel_multi_index(goal, state.shape))
    found = cost_to(state, toll, goal)
    open_cells = state.ravel() != BLOCKED
    np.testing.assert_allclose(found.ravel()[open_cells], slow[open_cells], rtol=1e-9)


def test_a_corner_is_not_cut() -> None:
    state = np.zeros((2, 2), np.uint8)
    even = np.ones((2, 2))
    found = astar(state, even, (0, 0), (1, 1))
    assert found is not None
    assert found.cost == pytest.approx(np.sqrt(2))
    state[0, 1] = BLOCKED
    found = astar(state, even, (0, 0), (1, 1))
    assert found is not None
    assert found.cells.tolist() == [[0, 0], [1, 0], [1, 1]]
    state[1, 0] = BLOCKED
    assert astar(state, even, (0, 0), (1, 1)) is None


def test_costly_ground_is_gone_around() -> None:
    toll = np.ones((3, 5))
    toll[1, 2] = 9.0
    found = astar(np.zeros((3, 5), np.uint8), toll, (1, 0), (1, 4))
    assert found is not None
    assert found.cost == pytest.approx(2 + 2 * np.sqrt(2))
    assert [1, 2] not in found.cells.tolist()


def test_the_heuristic_saves_work() -> None:
    found = astar(np.zeros((100, 100), np.uint8), np.full((100, 100), 1.1), (5, 5), (90, 40))
    assert found is not None
    assert found.expanded == len(found.cells) == 86  # of all the ways that cost the same it looks at one
