"""Fewer points that still cover the ground: means of voxels, and choices spread over the area."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espalier.core.errors import DataError
from espalier.robots.terrain.cloud.voxel import spread, voxel_means, voxels


def test_voxel_means_by_hand() -> None:
    points = np.array([[0.1, 0.1, 0.1, 5], [0.3, 0.5, 0.9, 7], [-0.1, 0.1, 0.1, 1], [1.0, 0, 0, 2]])
    means, counts = voxel_means(points, 1.0)
    np.testing.assert_allclose(means, [[-0.1, 0.1, 0.1, 1], [0.2, 0.3, 0.5, 6], [1, 0, 0, 2]])
    assert counts.tolist() == [1, 2, 1]
    assert voxel_means(np.zeros((0, 3)), 0.1).means.shape == (0, 3)


@settings(deadline=None)
@given(st.integers(1, 200), st.sampled_from([0.05, 0.3, 2.0]), st.sampled_from([0.0, 5e6]), st.integers(0, 999))
def test_voxel_means_are_the_obvious_ones(n: int, size: float, far: float, seed: int) -> None:
    points = np.random.default_rng(seed).normal(0, 1, (n, 3)) + far
    slow: dict[tuple[float, ...], list[np.ndarray]] = {}
    for point in points:
        slow.setdefault(tuple(np.floor(point / size)), []).append(point)
    means, counts = voxel_means(points, size)
    np.testing.assert_allclose(means, [np.mean(slow[key], axis=0) for key in sorted(slow)], rtol=0, atol=1e-8)
    assert counts.tolist() == [len(slow[key]) for key in sorted(slow)]


def test_voxels_that_cannot_be_numbered_are_an_error() -> None:
    with pytest.raises(DataError, match=r"points lie 1e\+12 m apart, too far for voxels of 0.1 m"):
        voxel_means(np.array([[0.0, 0, 0], [1e12, 1e12, 1]]), 0.1)


@settings(deadline=None)
@given(
    st.integers(2, 300), st.integers(0, 300), st.sampled_from([(1, 1), (20, 0.1), (3, 0), (0, 0)]), st.integers(0, 99)
)
def test_a_spread_choice_has_a_point_near_every_point(
    n: int, count: int, sides: tuple[float, float], seed: int
) -> None:
    points = np.random.default_rng(seed).uniform(-1, 1, (n, 3)) * (*sides, 1)
    chosen = spread(points, count, np.random.default_rng(seed))
    assert len(chosen) == min(n, count)
    assert (np.diff(chosen) > 0).all()
    assert chosen.tolist() == spread(points, count, np.random.default_rng(seed)).tolist()
    if 2 <= count < n:
        width, height = np.ptp(points[:, :2], axis=0)
        both = width + height  # squares of this side cannot be more than `count`: (width/s + 1)(height/s + 1) = count
        side = (both + math.sqrt(both**2 + 4 * (count - 1) * width * height)) / (2 * (count - 1))
        gaps = np.linalg.norm(points[:, None, :2] - points[None, chosen, :2], axis=-1).min(1)
        assert gaps.max() <= 1.3 * side * math.sqrt(2) + 1e-9


def test_a_spread_choice_takes_from_the_crowd_and_from_the_lonely() -> None:
    crowd, lonely = np.random.default_rng(0).uniform(0, 1, (990, 2)), np.array([[5.0, k] for k in range(10)])
    points = np.vstack([crowd, lonely])
    chosen = spread(points, 60, np.random.default_rng(1))
    assert np.count_nonzero(chosen >= 990) == 10
    assert voxels(points[chosen], 0.5)[1] == voxels(points, 0.5)[1]


def test_squares_grow_until_each_can_have_a_point() -> None:
    three_places = np.repeat([[0.0, 0], [1, 0], [2, 0]], 100, axis=0)  # squares of 1 m would be one too many
    for seed in range(20):
        assert spread(three_places, 2, np.random.default_rng(seed))[1] >= 200


def test_a_choice_of_one_ends_wherever_the_origin_lies() -> None:
    points = np.array([[-1.0, -1, 0], [1, 1, 0], [-1, 1, 0], [1, -1, 0]])
    chosen = {int(spread(points, 1, np.random.default_rng(seed))[0]) for seed in range(40)}
    assert chosen == {0, 1, 2, 3}
