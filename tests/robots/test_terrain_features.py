"""Curvature, steps and slopes: by hand, against NumPy's eigenvalues, and on surfaces whose gradient is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from espalier.robots.terrain.config import CostConfig
from espalier.robots.terrain.cost import cost, upright
from espalier.robots.terrain.features.geometric import Geometry, geometry, geometry_at
from espalier.robots.terrain.features.slope import differences, plane_slopes
from espalier.robots.terrain.grid.frame import Frame


def test_four_points_by_hand() -> None:
    """A unit square and its middle lifted by 0.4: of all five the covariance is diagonal."""
    points = np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0], [2, 2, 0], [1, 1, 0.4]], float)
    found = geometry(points, 5)
    xy, z = 4 / 4, (4 * 0.08**2 + 0.32**2) / 4
    assert found.curvature == pytest.approx([z / (2 * xy + z)] * 5)
    assert found.step == pytest.approx([0.08] * 4 + [4 * 0.4 / 5])
    assert found.radius[0] == pytest.approx(np.sqrt(8))


@given(st.integers(0, 1000), st.integers(4, 60), st.integers(3, 12))
@settings(max_examples=40, deadline=None)
def test_curvature_is_that_of_the_eigenvalues(seed: int, n: int, k: int) -> None:
    points = np.random.default_rng(seed).normal(size=(n, 3)) * [3.0, 1.0, 0.2]
    found = geometry(points, k)
    neighbours = cKDTree(points).query(points, k=min(k, n))[1]
    for place, near in enumerate(neighbours):
        values = np.linalg.eigvalsh(np.cov(points[near].T))
        assert found.curvature[place] == pytest.approx(values[0] / values.sum(), abs=1e-9)
        assert found.step[place] == pytest.approx(np.abs(points[near, 2] - points[place, 2]).mean())
    assert (found.curvature >= 0).all()
    assert (found.curvature <= 1 / 3 + 1e-9).all()


@given(st.integers(0, 1000), st.floats(-np.pi, np.pi))
@settings(max_examples=20, deadline=None)
def test_turning_and_moving_a_cloud_changes_nothing(seed: int, angle: float) -> None:
    points = np.random.default_rng(seed).normal(size=(50, 3))
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    before, after = geometry(points, 8), geometry(points @ turn.T + [100.0, -50.0, 7.0], 8)
    for one, other in zip(before, after, strict=True):
        assert other == pytest.approx(one, abs=1e-6)


@pytest.mark.parametrize("points", [np.zeros((5, 3)), np.arange(5.0)[:, None] * [1, 2, 0.0], np.zeros((1, 3))])
def test_points_on_a_line_or_a_point_are_flat(points: np.ndarray) -> None:
    found = geometry(points, 20)
    assert np.isfinite(found.curvature).all()
    assert found.curvature == pytest.approx(0.0, abs=1e-9)


def test_places_between_points() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 1.0], [9, 9, 9]])
    found = geometry_at(points, np.array([[0.1, 0.1]]), 4)
    assert found.step[0] == pytest.approx(0.25)


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.1, 0.6), st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_slopes_are_exact_on_planes_also_beside_what_is_unknown(a: float, b: float, sigma: float, seed: int) -> None:
    y, x = np.mgrid[0:20, 0:30] * 0.2
    heights = a * x + b * y + 3.0
    heights[np.random.default_rng(seed).random(heights.shape) < 0.3] = np.nan
    for found in (plane_slopes(heights, 0.2, sigma), differences(heights, 0.2)):
        known = np.isfinite(found)
        assert known.sum() > 100
        assert not (known & np.isnan(heights)).any()
    found = plane_slopes(heights, 0.2, sigma)
    assert found[np.isfinite(found)] == pytest.approx(np.hypot(a, b), abs=1e-6)


def test_a_gaussian_hill() -> None:
    y, x = np.mgrid[-25:25, -25:25] * 0.1
    heights = np.exp(-0.5 * (x**2 + y**2))
    right = np.hypot(x, y) * heights
    assert plane_slopes(heights, 0.1, 0.1)[3:-3, 3:-3] == pytest.approx(right[3:-3, 3:-3], abs=0.02)
    assert differences(heights, 0.1) == pytest.approx(right, abs=0.06)


def test_what_cannot_be_fitted_is_not_known() -> None:
    heights = np.full((5, 5), np.nan)
    heights[2, 2] = 1.0
    assert np.isnan(plane_slopes(heights, 0.1, 0.1)).all()
    assert differences(heights, 0.1)[2, 2] == 0.0


def test_a_cell_with_a_wall_in_it() -> None:
    points = np.array([[0.1, 0.1, 0.0], [0.1, 0.1, 0.5], [0.9, 0.1, 0.0], [0.9, 0.9, 0.2], [5.0, 5.0, 9.0]])
    found = upright(points, Frame(0.5, 0, 0, 2, 2), 0.3)
    assert found.tolist() == [[True, False], [False, False]]


def test_the_cost_by_hand() -> None:
    """Weights 3 : 3 : 2; half of each range, then more than all of it."""
    geometry = Geometry(np.array([0.05, 9.0, 0.0]), np.array([0.05, 9.0, 0.0]), np.zeros(3))
    assert cost(geometry, np.array([0.4, 9.0, 0.8]), CostConfig()) == pytest.approx([0.5, 1.0, 0.25])
