"""The graph metric: by hand, beside a slow version, invariances, exact gradients, edges, vehicles at one place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from espalier.robots.swarm.traj.graph_metric import LEAST_EDGES, graph, random_edges, shape_error, wanted

SEEDS = st.integers(0, 2**32 - 1)


def measured(positions: np.ndarray, slots: np.ndarray, edges: np.ndarray | None = None) -> tuple[float, np.ndarray]:
    """f_s and its gradient by the position of the last; the moment before, all were elsewhere."""
    others, pull = np.stack([positions[:-1] - 3.0, positions[:-1]]), np.full(3, np.nan)
    found = graph(np.arange(2.0), others, wanted(slots[-1], slots[:-1], edges))
    return shape_error(found, 1, positions[-1], pull), pull


def laplacian(points: np.ndarray, edges: np.ndarray) -> np.ndarray:
    lengths = np.where(edges, ((points[:, None] - points) ** 2).sum(2), 0.0)
    degrees = np.diag(lengths.sum(1) ** -0.5)
    return np.eye(len(points)) - degrees @ lengths @ degrees


def slow(positions: np.ndarray, slots: np.ndarray, edges: np.ndarray | None) -> float:
    edges = ~np.eye(len(slots), dtype=bool) if edges is None else edges
    return float(np.linalg.norm(laplacian(positions, edges) - laplacian(slots, edges), "fro") ** 2)


def scene(seed: int) -> tuple[np.random.Generator, np.ndarray, np.ndarray, np.ndarray | None]:
    """Positions, slots and edges, these half of the time."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 40))
    slots = rng.normal(size=(n, 3)) * (3.0, 3.0, rng.choice([0.0, 1.0]))
    positions = slots + rng.uniform(0.1, 1.0) * rng.normal(size=(n, 3)) + rng.uniform(-50, 50, 3)
    return rng, positions, slots, random_edges(n, 0.3, rng) if seed % 2 else None


def test_three_in_a_row_by_hand() -> None:
    """Wanted: an equilateral triangle, where every W is 1/2. Squared distances 1, 1 and 4 have degrees 2, 5 and 5."""
    triangle = np.array([[0.0, 0, 0], [2, 0, 0], [1, np.sqrt(3), 0]])
    row = np.array([[0.0, 0, 0], [2, 0, 0], [1, 0, 0]])
    right = 2 * (2 * (1 / np.sqrt(10) - 0.5) ** 2 + (4 / 5 - 0.5) ** 2)
    for order in ([0, 1, 2], [2, 0, 1]):
        value, pull = measured(row[order], triangle[order])
        assert value == pytest.approx(right)
    value, pull = measured(row, triangle)
    assert pull == pytest.approx([0.0, 0.0, 0.0], abs=1e-12), "it is the worst place between the others"
    without = ~np.eye(3, dtype=bool)
    without[0, 1] = without[1, 0] = False  # a path, whose middle is oneself: W is 1/sqrt(2) whatever the lengths
    assert measured(np.array([[0.0, 0, 0], [2, 0, 0], [1, 0, 0]]), triangle, without)[0] == pytest.approx(0.0)
    bent, pull = measured(np.array([[0.0, 0, 0], [2, 0, 0], [1.5, 0, 0]]), triangle, without)
    assert bent == pytest.approx(2 * (0.9**0.5 - 0.5**0.5) ** 2 + 2 * (0.1**0.5 - 0.5**0.5) ** 2)
    assert pull[0] > 0.1


@settings(max_examples=60)
@given(SEEDS)
def test_it_is_the_norm_of_the_difference_of_laplacians(seed: int) -> None:
    _, positions, slots, edges = scene(seed)
    right = slow(positions, slots, edges)
    assert measured(positions, slots, edges)[0] == pytest.approx(right, rel=1e-9, abs=1e-12)


@settings(max_examples=40)
@given(SEEDS)
def test_moments_are_a_sum_over_all_edges(seed: int) -> None:
    _, positions, slots, _ = scene(seed)
    every = ~np.eye(len(slots), dtype=bool)
    (by_moments, pull), (by_edges, other) = measured(positions, slots), measured(positions, slots, every)
    assert by_moments == pytest.approx(by_edges, rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(pull, other, rtol=1e-8, atol=1e-11)


@settings(max_examples=60)
@given(SEEDS)
def test_the_gradient_is_exact(seed: int) -> None:
    _, positions, slots, edges = scene(seed)
    pull, right, step = measured(positions, slots, edges)[1], np.empty(3), 1e-3

    def moved(x: int, by: float) -> float:
        there = positions.copy()
        there[-1, x] += by
        return slow(there, slots, edges)

    for x in range(3):
        right[x] = 8 * (moved(x, step) - moved(x, -step)) - moved(x, 2 * step) + moved(x, -2 * step)
    np.testing.assert_allclose(pull, right / (12 * step), rtol=1e-6, atol=1e-6 * np.abs(right / (12 * step)).max())


@settings(max_examples=60)
@given(SEEDS)
def test_moved_turned_and_scaled_it_is_the_same(seed: int) -> None:
    rng, positions, slots, edges = scene(seed)
    turn, scale, move = Rotation.random(random_state=seed), rng.uniform(0.2, 5.0), rng.uniform(-100, 100, 3)
    here, pull = measured(positions, slots, edges)
    there, turned = measured(scale * turn.apply(positions) + move, slots, edges)
    assert there == pytest.approx(here, rel=1e-8, abs=1e-12)
    np.testing.assert_allclose(scale * turned, turn.apply(pull), rtol=1e-6, atol=1e-7 * np.abs(pull).max() + 1e-12)
    again = measured(positions, scale * turn.apply(slots) + move, edges)[0]
    assert again == pytest.approx(here, rel=1e-8, abs=1e-12)
    value, pull = measured(scale * turn.apply(slots) + move, slots, edges)
    assert value == pytest.approx(0.0, abs=1e-12), "in formation"
    np.testing.assert_allclose(pull, 0.0, atol=1e-9)


def test_its_scale_is_the_mean_degree() -> None:
    """Of a row of squared distances 1, 1 and 4: degrees 2, 5 and 5; of its path through the middle: 2, 1 and 1."""
    row, path = np.array([[1.0, 0, 0], [2, 0, 0], [0, 0, 0]]), np.array([[0, 1, 1], [1, 0, 0], [1, 0, 0]], bool)
    assert wanted(row[2], row[:2]).scale == pytest.approx(4.0)
    assert wanted(row[2], row[:2], path).scale == pytest.approx(4 / 3)


@settings(max_examples=20)
@given(SEEDS)
def test_downhill_is_the_place_in_the_formation(seed: int) -> None:
    """From near it, with the others in formation."""
    rng = np.random.default_rng(seed)
    slots = rng.normal(size=(12, 3)) * 3
    there, scale = slots.copy(), float(((slots[:, None] - slots) ** 2).sum() / 12)
    there[-1] += 0.3 * rng.normal(size=3)
    for _ in range(400):
        there[-1] -= 0.1 * scale * measured(there, slots)[1]
    assert there[-1] == pytest.approx(slots[-1], abs=1e-2)


@pytest.mark.parametrize("edges", [None, ~np.eye(4, dtype=bool)])
def test_nothing_breaks_where_vehicles_are_at_one_place(edges: np.ndarray | None) -> None:
    slots = np.array([[0.0, 0, 0], [2, 0, 0], [0, 2, 0], [2, 2, 0]])
    on_another = slots.copy()
    on_another[3] = on_another[0]
    value, pull = measured(on_another, slots, edges)
    assert value == pytest.approx(slow(on_another, slots, edges))
    assert np.isfinite(pull).all()
    value, pull = measured(np.ones((4, 3)), slots, edges)
    assert np.isfinite(value)
    assert value > 0.0
    assert pull.tolist() == [0.0, 0.0, 0.0]
    value, pull = measured(slots, np.zeros((4, 3)), edges)
    assert np.isfinite([value, *pull]).all(), "a formation of one point"


@pytest.mark.parametrize("edges", [None, ~np.eye(6, dtype=bool)])
def test_where_all_are_nearly_at_one_place_the_gradient_is_that_of_the_value(edges: np.ndarray | None) -> None:
    slots, positions = np.random.default_rng(0).normal(size=(2, 6, 3))
    positions, step = 5e-6 * positions, 1e-8
    pull, right = measured(positions, slots, edges)[1], np.empty(3)
    for x in range(3):
        ahead, behind = positions.copy(), positions.copy()
        ahead[-1, x] += step
        behind[-1, x] -= step
        right[x] = (measured(ahead, slots, edges)[0] - measured(behind, slots, edges)[0]) / (2 * step)
    np.testing.assert_allclose(pull, right, rtol=1e-3)


def test_two_are_always_in_shape_and_without_edges_nothing_counts() -> None:
    two = np.array([[0.0, 0, 0], [1, 0, 0]])
    value, pull = measured(np.array([[5.0, 1, 0], [0, 3, 2]]), two)
    assert value == pytest.approx(0.0, abs=1e-15)
    assert pull == pytest.approx([0.0] * 3, abs=1e-15)
    three, apart = np.eye(3), np.zeros((3, 3), bool)
    assert measured(three * 2 + 1.0, three - 4, apart) == (0.0, pytest.approx([0.0] * 3))
    star = np.array([[0, 0, 1], [0, 0, 1], [1, 1, 0]], bool)  # none among the others
    positions = np.array([[0.0, 0, 0], [3, 0, 0], [1, 0.5, 0]])
    assert measured(positions, three, star)[0] == pytest.approx(slow(positions, three, star))


@pytest.mark.parametrize("n", [4, 5, 6, 9, 16, 40])
def test_to_the_last_bit_it_does_not_depend_on_where_arrays_are_in_memory(n: int) -> None:
    rng, found, taken = np.random.default_rng(n), set(), []
    slots, positions, pull = 2.0 * rng.normal(size=(n, 3)), rng.normal(size=(20, n, 3)), np.empty(3)
    shape = graph(np.arange(20.0), 1.5 * positions, wanted(slots[0], slots))
    for k in range(400):
        taken = [*taken[-(k % 9) :], rng.normal(size=rng.integers(1, 500))]
        found.add(tuple((shape_error(shape, i, slots[0].copy(), pull), *pull) for i in range(20)))
    assert len(found) == 1


@settings(max_examples=30)
@given(SEEDS, st.integers(1, 60), st.floats(0, 1))
def test_random_edges(seed: int, n: int, share: float) -> None:
    edges = random_edges(n, share, np.random.default_rng(seed))
    assert (edges == edges.T).all()
    assert not edges.diagonal().any()
    assert edges.sum(1).min() >= min(LEAST_EDGES, n - 1)
    least = n * min(LEAST_EDGES, n - 1) // 2
    assert edges.sum() == 2 * max(least, round(share * n * (n - 1) / 2))
    np.testing.assert_array_equal(edges, random_edges(n, share, np.random.default_rng(seed)))
    if n > 20 and share < 0.5:
        assert (edges != random_edges(n, share, np.random.default_rng(seed + 1))).any()
