"""Umeyama's similarity: by hand, against what made the points, under moves of them, and where they leave it open."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from espalier.robots.swarm.register.similarity import Floats, Freedom, Similarity, nearest_rotation
from espalier.robots.swarm.register.umeyama import umeyama

SEEDS = st.integers(0, 2**32 - 1)


def turn(rng: np.random.Generator) -> Floats:
    return Rotation.random(random_state=rng).as_matrix()


def yaw(angle: float) -> Floats:
    return Rotation.from_euler("z", angle).as_matrix()


def cost(fit: Similarity, slots: Floats, positions: Floats) -> float:
    return float(((positions - fit.apply(slots)) ** 2).sum())


def test_by_hand() -> None:
    """Turned by 90 degrees, doubled, moved by (1, 2, 3)."""
    slots = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    fit = umeyama(slots, np.array([[1.0, 2, 3], [1, 4, 3], [-1, 2, 3], [1, 2, 5]]))
    np.testing.assert_allclose(fit.rotation, [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)
    assert fit.scale == pytest.approx(2.0)
    np.testing.assert_allclose(fit.translation, [1, 2, 3], atol=1e-12)
    assert (int(fit.rank), bool(fit.ambiguous)) == (3, False)


def test_the_papers_example_of_a_reflection() -> None:
    """Umeyama, 1991, section II: mirrored triangles; the rotation is proper, and the scale and error are as printed."""
    slots = np.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0]])
    positions = np.array([[0.0, 0, 0], [-1, 0, 0], [0, 2, 0]])
    in_plane = umeyama(slots, positions, freedom=Freedom(yaw_only=True))
    np.testing.assert_allclose(in_plane.rotation[:2, :2], [[0.832, 0.555], [-0.555, 0.832]], atol=1e-3)
    assert in_plane.scale == pytest.approx(0.721, abs=1e-3)
    np.testing.assert_allclose(in_plane.translation, [-0.800, 0.400, 0.0], atol=1e-3)
    solid = umeyama(slots, positions)
    assert cost(solid, slots, positions) == pytest.approx(0.0, abs=1e-12)
    assert np.linalg.det(solid.rotation) == pytest.approx(1.0)


@given(SEEDS, st.integers(4, 12), st.booleans())
@settings(max_examples=60, deadline=None)
def test_what_made_the_points_is_found_and_follows_when_they_move(seed: int, n: int, level: bool) -> None:
    """Exact points give the truth; noisy ones give a fit that moves along with a similarity of either side, and with
    any order of the points.
    """
    rng = np.random.default_rng(seed)
    slots, freedom = rng.normal(size=(n, 3)), Freedom(yaw_only=level)
    truth = yaw(rng.uniform(-3, 3)) if level else turn(rng)
    s, t = rng.uniform(0.3, 3), rng.normal(size=3) * 100
    exact = umeyama(slots, s * slots @ truth.T + t, freedom=freedom)
    np.testing.assert_allclose(exact.rotation, truth, atol=1e-9)
    np.testing.assert_allclose(exact.translation, t, atol=1e-7)
    assert exact.scale == pytest.approx(s)

    positions = s * slots @ truth.T + t + 0.1 * rng.normal(size=(n, 3))
    fit = umeyama(slots, positions, freedom=freedom)
    more, q, shift = yaw(rng.uniform(-3, 3)) if level else turn(rng), rng.uniform(0.3, 3), rng.normal(size=3)
    moved = umeyama(slots, q * positions @ more.T + shift, freedom=freedom)
    np.testing.assert_allclose(moved.apply(slots), q * fit.apply(slots) @ more.T + shift, atol=1e-7)
    other = umeyama(q * slots @ more.T + shift, positions, freedom=freedom)
    np.testing.assert_allclose(other.apply(q * slots @ more.T + shift), fit.apply(slots), atol=1e-7)
    order = rng.permutation(n)
    np.testing.assert_allclose(
        umeyama(slots[order], positions[order], freedom=freedom).rotation, fit.rotation, atol=1e-9
    )


@given(SEEDS, st.booleans())
@settings(max_examples=40, deadline=None)
def test_nothing_near_it_is_better(seed: int, level: bool) -> None:
    rng = np.random.default_rng(seed)
    slots, positions, weights = rng.normal(size=(6, 3)), rng.normal(size=(6, 3)), rng.uniform(0.1, 1, 6)
    fit = umeyama(slots, positions, weights, freedom=Freedom(yaw_only=level))

    def weighed(s: float, rotation: Floats, t: Floats) -> float:
        return float((weights * ((positions - s * slots @ rotation.T - t) ** 2).sum(-1)).sum())

    best = weighed(float(fit.scale), fit.rotation, fit.translation)
    for _ in range(20):
        small = rng.normal(size=3) * 0.05 * ((0, 0, 1) if level else (1, 1, 1))
        rotation = Rotation.from_rotvec(small).as_matrix() @ fit.rotation
        assert weighed(float(fit.scale) * rng.uniform(0.95, 1.05), rotation, fit.translation) >= best - 1e-9
        assert weighed(float(fit.scale), fit.rotation, fit.translation + rng.normal(size=3) * 0.05) >= best - 1e-9


def test_a_scale_is_fixed_or_kept_in_bounds_and_the_middles_still_meet() -> None:
    rng = np.random.default_rng(0)
    slots = rng.normal(size=(5, 3))
    positions = 2.0 * slots @ turn(rng).T + 5.0
    for scale, expected in (((1.0, 1.0), 1.0), ((0.7, 1.3), 1.3), ((2.5, 3.0), 2.5), ((0.0, 9.0), 2.0)):
        fit = umeyama(slots, positions, freedom=Freedom(scale=scale))
        assert fit.scale == pytest.approx(expected)
        np.testing.assert_allclose(fit.apply(slots).mean(0), positions.mean(0))


def test_a_batch_is_its_members_and_points_that_are_not_finite_do_not_count() -> None:
    rng = np.random.default_rng(1)
    slots, positions = rng.normal(size=(8, 3)), rng.normal(size=(2, 5, 8, 3))
    positions[0, 1, 3, 2] = np.nan
    positions[1, 4, 0] = np.inf
    flags = np.array([1, 1, 1, 1, 1, 1, 0, 1], bool)
    whole = umeyama(slots, positions, flags)
    assert whole.rotation.shape == (2, 5, 3, 3)
    for i in range(2):
        for k in range(5):
            kept = flags & np.isfinite(positions[i, k]).all(-1)
            one = umeyama(slots[kept], positions[i, k, kept])
            np.testing.assert_allclose(whole.rotation[i, k], one.rotation, atol=1e-9)
            np.testing.assert_allclose(whole.translation[i, k], one.translation, atol=1e-9)
            assert whole.scale[i, k] == pytest.approx(one.scale)


@pytest.mark.parametrize("level", [False, True])
def test_a_line_keeps_the_roll_of_before(level: bool) -> None:
    """A vertical line for yaw alone; the points lie where they should, and the free turn is that of `towards`."""
    slots = np.outer(np.arange(-3.0, 4.0), (0, 0, 1) if level else (0, 1, 0))
    towards = yaw(0.7) if level else Rotation.from_euler("zyx", [0.3, 0.5, 0.0]).as_matrix()
    for k, truth in enumerate((towards, towards @ Rotation.from_euler("y", 1.0).as_matrix())):
        positions = 1.1 * slots @ truth.T + (100.0, 50, 5) if not (level and k) else slots + 3.0
        fit = umeyama(slots, positions, freedom=Freedom(yaw_only=level), towards=towards)
        assert (int(fit.rank), bool(fit.ambiguous)) == (1, True)
        np.testing.assert_allclose(fit.apply(slots), positions, atol=1e-7)
        np.testing.assert_allclose(fit.rotation, towards, atol=1e-6)
    if not level:
        noisy = 1.1 * slots @ towards.T + 0.02 * np.random.default_rng(2).normal(size=slots.shape)
        fit = umeyama(slots, noisy, towards=towards)
        assert Rotation.from_matrix(fit.rotation @ towards.T).magnitude() < 0.05
        assert Rotation.from_matrix(umeyama(slots, noisy).rotation @ towards.T).magnitude() > 0.05


def test_a_plane_is_enough_for_a_rotation() -> None:
    rng = np.random.default_rng(3)
    slots = rng.normal(size=(9, 3)) * (1, 1, 0)
    truth = turn(rng)
    fit = umeyama(slots, slots @ truth.T, towards=turn(rng))
    assert (int(fit.rank), bool(fit.ambiguous)) == (2, False)
    np.testing.assert_allclose(fit.rotation, truth, atol=1e-9)


def test_coincident_points_one_point_and_none() -> None:
    towards, slots = yaw(1.0), np.random.default_rng(4).normal(size=(5, 3))
    rng, freedom = np.random.default_rng(5), Freedom(scale=(0.7, 1.3))
    weights = rng.uniform(0.1, 1.0, 5)
    for place in np.linspace(1000.1, 9999.9, 7):
        rounded = place * (1.0 + 1e-15 * rng.normal(size=(5, 3)))
        together = umeyama(slots, rounded, weights, towards=towards, freedom=freedom)
        assert (int(together.rank), bool(together.ambiguous), float(together.scale)) == (0, True, 0.7)
        np.testing.assert_allclose(together.rotation, towards, atol=1e-9)
        np.testing.assert_allclose(weights @ together.apply(slots) / weights.sum(), place)
    single = umeyama(slots[:1], np.array([[1.0, 2, 3]]), towards=towards)
    np.testing.assert_allclose(single.apply(slots[:1]), [[1, 2, 3]])
    assert float(single.scale) == 1.0
    for none in (umeyama(slots, np.full((5, 3), np.nan)), umeyama(slots[:0], slots[:0])):
        assert int(none.rank) == 0
        assert np.isnan(none.translation).all()
        np.testing.assert_array_equal(none.rotation, np.eye(3))


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_the_nearest_rotation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(3, 3))
    found = nearest_rotation(matrix)
    assert np.linalg.det(found) == pytest.approx(1.0)
    assert all((found * matrix).sum() >= (turn(rng) * matrix).sum() - 1e-9 for _ in range(20))


def moving(times: Floats, rate: float) -> Similarity:
    k = len(times)
    rotation = Rotation.from_rotvec(np.outer(rate * times, (0, 0, 1))).as_matrix()
    middle = np.stack([times, 2 * times, np.zeros(k)], -1)
    return Similarity(1.0 + 0.1 * times, rotation, middle, np.full(k, 3), np.zeros(k, bool))


def test_between_samples_and_beyond_their_ends() -> None:
    times = np.linspace(0.0, 4.0, 9)
    path = moving(times, 0.4)
    at = path.at(times, np.array([-1.0, 0.0, 0.25, 3.9, 7.0]))
    np.testing.assert_allclose(at.scale, [1, 1, 1.025, 1.39, 1.4])
    np.testing.assert_allclose(at.translation[:, 1], [0, 0, 0.5, 7.8, 8])
    np.testing.assert_allclose(at.rotation @ np.swapaxes(at.rotation, 1, 2), [np.eye(3)] * 5, atol=1e-12)
    angles = np.arctan2(at.rotation[:, 1, 0], at.rotation[:, 0, 0])
    np.testing.assert_allclose(angles, 0.4 * np.array([0, 0, 0.25, 3.9, 4]), atol=1e-3)


def test_smoothing_keeps_a_steady_change_and_takes_noise_away() -> None:
    times, pivot = np.linspace(0.0, 4.0, 20), np.array([1.0, 2, 0])
    path = moving(times, 0.3)
    smooth = path.smoothed(1.0, pivot)
    np.testing.assert_allclose(smooth.scale, path.scale, atol=1e-9)
    np.testing.assert_allclose(smooth.rotation, path.rotation, atol=5e-3)
    rng = np.random.default_rng(5)
    shaken = Rotation.from_rotvec(0.1 * rng.normal(size=(20, 3))).as_matrix() @ path.rotation
    noisy = Similarity(path.scale + 0.1 * rng.normal(size=20), shaken, path.translation, path.rank, path.ambiguous)
    calm = noisy.smoothed(1.0, pivot)
    np.testing.assert_allclose(calm.apply(pivot[None]), noisy.apply(pivot[None]))
    for before, after, truth in (
        (noisy.scale, calm.scale, path.scale),
        (noisy.rotation, calm.rotation, path.rotation),
    ):
        assert np.abs(after - truth).mean() < 0.8 * np.abs(before - truth).mean()
    assert noisy.smoothed(0.0, pivot) is noisy
