"""The robust solvers, each alone: against what made the points, when they move, and where there is little to go by."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from espalier.robots.swarm.register.consensus import Consensus, residuals, within
from espalier.robots.swarm.register.consistency import consistent, core_numbers, kcore
from espalier.robots.swarm.register.gnc import gnc
from espalier.robots.swarm.register.ransac import ransac
from espalier.robots.swarm.register.similarity import Flags, Floats, Freedom
from espalier.robots.swarm.register.triangle import triple_fit
from espalier.robots.swarm.register.triples import best_triple, draw
from espalier.robots.swarm.register.umeyama import umeyama

SEEDS = st.integers(0, 2**32 - 1)
BOUNDED, LEVEL = Freedom(scale=(0.7, 1.3)), Freedom(yaw_only=True, scale=(0.7, 1.3))
C = 1.0
SHIFT = np.array([1.0, 2, 3])
Solver = Callable[..., Consensus]


def drawn(slots: Floats, positions: Floats, c_m: float, **settings: object) -> Consensus:
    return ransac(slots, positions, c_m, np.random.default_rng(0), **settings)  # type: ignore[arg-type]


ALL = pytest.mark.parametrize("solve", [drawn, gnc, kcore])


def turn(rng: np.random.Generator, level: bool = False) -> Floats:
    rotation = Rotation.from_rotvec([0, 0, rng.uniform(-3, 3)]) if level else Rotation.random(random_state=rng)
    return rotation.as_matrix()


def spread(n: int, rng: np.random.Generator) -> Floats:
    """Slots about 2 m apart: a lattice, shaken, without its symmetry."""
    side = int(np.ceil(n ** (1 / 3)))
    lattice = np.stack(np.meshgrid(*[np.arange(side)] * 3), -1).reshape(-1, 3)[:n]
    return 2.0 * lattice + rng.uniform(-0.4, 0.4, (n, 3))


def swarm(
    n: int, out: int, samples: int, rng: np.random.Generator, level: bool = False
) -> tuple[Floats, Floats, Floats, Flags]:
    """Slots, positions, where the positions should be, and who is out: half lag together, the others are anywhere."""
    slots = spread(n, rng)
    rotation = turn(rng, level)
    truth = np.stack([(1.0 + 0.02 * k) * slots @ rotation.T + (30.0 + k, 5 * k, 2) for k in range(samples)])
    positions = truth + 0.05 * rng.normal(size=(n, 3))
    bad = np.zeros(n, bool)
    bad[rng.choice(n, out, replace=False)] = True
    ids = np.flatnonzero(bad)
    positions[:, ids[::2]] += (4.0, 3.0, 1.0)
    positions[:, ids[1::2]] = truth.mean((0, 1)) + rng.uniform(-15, 15, (len(ids[1::2]), 3))
    return slots, positions, truth, bad


@ALL
@pytest.mark.parametrize("level", [False, True])
@pytest.mark.parametrize(("n", "out", "samples"), [(27, 0, 1), (27, 8, 1), (27, 8, 6), (64, 19, 3), (7, 2, 4)])
def test_up_to_30_percent_are_told_apart(solve: Solver, level: bool, n: int, out: int, samples: int) -> None:
    for seed in range(4):
        slots, positions, truth, bad = swarm(n, out, samples, np.random.default_rng(seed), level)
        found = solve(slots, positions, C, freedom=LEVEL if level else BOUNDED)
        np.testing.assert_array_equal(found.inlier, ~bad)
        assert np.linalg.norm(found.fit.apply(slots) - truth, axis=-1).mean() < 0.1
        np.testing.assert_allclose(found.residual_m, residuals(found.fit, slots, positions))
        plain = umeyama(slots, positions)
        assert not out or np.linalg.norm(plain.apply(slots) - truth, axis=-1).mean() > 0.5


@ALL
@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_the_result_moves_with_the_positions_and_keeps_no_order(solve: Solver, seed: int) -> None:
    rng = np.random.default_rng(seed)
    slots, positions, _, _ = swarm(24, 6, 3, rng)
    found = solve(slots, positions, C)
    more, q, shift = turn(rng), rng.uniform(0.5, 2), rng.normal(size=3) * 50
    moved = solve(slots, q * positions @ more.T + shift, q * C)
    np.testing.assert_array_equal(moved.inlier, found.inlier)
    np.testing.assert_allclose(moved.fit.apply(slots), q * found.fit.apply(slots) @ more.T + shift, atol=1e-6)
    order = rng.permutation(24)
    mixed = solve(slots[order], positions[:, order], C)
    np.testing.assert_array_equal(mixed.inlier, found.inlier[order])
    np.testing.assert_allclose(mixed.fit.apply(slots), found.fit.apply(slots), atol=1e-6)


@ALL
def test_a_line_with_the_roll_of_before(solve: Solver) -> None:
    rng = np.random.default_rng(1)
    slots = np.outer(np.arange(12.0), (0, 2, 0))
    towards = turn(rng)
    positions = slots @ towards.T + (9.0, 9, 9) + np.zeros((2, 1, 1))
    positions[:, [2, 7, 8]] += (3.0, 3, 3)
    found = solve(slots, positions, C, towards=np.stack([towards] * 2), freedom=BOUNDED)
    assert np.flatnonzero(~found.inlier).tolist() == [2, 7, 8]
    np.testing.assert_allclose(found.fit.rotation, [towards] * 2, atol=1e-6)


@ALL
@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_agents_are_fitted_as_they_are(solve: Solver, n: int) -> None:
    slots = spread(8, np.random.default_rng(2))[:n]
    found = solve(slots, slots[None] + SHIFT, C, freedom=BOUNDED)
    assert found.inlier.all()
    assert found.inlier.shape == (n,)
    if n:
        np.testing.assert_allclose(found.fit.apply(slots)[0], slots + SHIFT, atol=1e-9)


@ALL
def test_agents_that_are_all_in_one_place_do_no_harm(solve: Solver) -> None:
    slots = spread(9, np.random.default_rng(3))
    found = solve(slots, np.full((2, 9, 3), 7.0), C, freedom=BOUNDED)
    assert np.isfinite(found.fit.rotation).all()
    np.testing.assert_allclose(found.fit.scale, 0.7)


@pytest.mark.parametrize("level", [False, True])
@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_a_triple_is_fitted_as_umeyama_would(level: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    slots = rng.normal(size=(3, 3))
    positions = slots @ turn(rng, level).T + rng.normal(size=3) + rng.choice([0.0, 0.3]) * rng.normal(size=(3, 3))
    low, high = 0.7, 1.3
    _, matrix, t = triple_fit(
        np.ascontiguousarray(slots.T), np.ascontiguousarray(positions.T), np.arange(3), np.eye(3), level, low, high
    )
    fit = umeyama(slots, positions, freedom=Freedom(level, (low, high)))
    assume(not fit.ambiguous)
    np.testing.assert_allclose(slots @ matrix.T + t, fit.apply(slots), atol=1e-6)


def test_a_triple_on_a_line_turns_the_least() -> None:
    """From along x to along y, to the opposite of x, and from a line to a triangle, which has no line to turn to."""
    slots, towards = np.array([[0.0, 1, 2], [0, 0, 0], [0, 0, 0]]), np.eye(3)
    for line, expected in (
        (np.array([[0.0, 0, 0], [0, 1, 2], [0, 0, 0]]), [[0, -1, 0], [1, 0, 0], [0, 0, 1]]),
        (np.array([[0.0, -1, -2], [0, 0, 0], [0, 0, 0]]), None),
    ):
        fits, matrix, t = triple_fit(slots, line, np.arange(3), towards, False, 1.0, 1.0)
        assert fits
        np.testing.assert_allclose(matrix @ slots + t[:, None], line, atol=1e-9)
        assert np.linalg.det(matrix) == pytest.approx(1.0)
        assert expected is None or matrix == pytest.approx(np.array(expected), abs=1e-12)
    corner = np.array([[0.0, 1, 0], [0, 0, 1], [0, 0, 0]])
    assert triple_fit(corner, slots, np.arange(3), towards, False, 1.0, 1.0)[0] is False
    assert triple_fit(np.ones((3, 3)), corner, np.arange(3), towards, False, 1.0, 1.0)[0] is False


def test_the_best_triple_by_the_obvious_sum() -> None:
    rng = np.random.default_rng(4)
    slots, positions, _, _ = swarm(15, 4, 3, rng)
    triples, _ = draw(slots, 30, rng, BOUNDED)
    sums = []
    for triple in triples:
        fit = umeyama(slots, positions, np.isin(np.arange(15), triple), freedom=BOUNDED)
        sums.append((np.minimum(residuals(fit, slots, positions), C) ** 2).sum())
    flat = np.ascontiguousarray(slots.T), np.ascontiguousarray(np.swapaxes(positions, 1, 2))
    towards = np.stack([np.eye(3)] * 3)
    best, loss = best_triple(triples, *flat, towards, False, 0.7, 1.3, C, np.inf)
    assert (best, loss) == (int(np.argmin(sums)), pytest.approx(min(sums)))
    assert best_triple(triples, *flat, towards, False, 0.7, 1.3, C, min(sums) / 2)[0] == -1


def test_triples_are_of_three_and_the_thin_ones_are_left_out() -> None:
    """A long row with one agent beside it: a triple without that one is a line."""
    slots = np.concatenate([np.outer(np.arange(5.0), (1, 0, 0)), [[2.0, 3, 0]]])
    triples, skipped = draw(slots, 40, np.random.default_rng(5), BOUNDED)
    assert len(triples) == 40 or skipped
    assert skipped > 0
    assert all(len(set(triple)) == 3 for triple in triples.tolist())
    assert (triples == 5).any(-1).all()
    again, _ = draw(slots, 40, np.random.default_rng(5), BOUNDED)
    np.testing.assert_array_equal(triples, again)


def test_more_triples_are_drawn_where_few_agree() -> None:
    rng = np.random.default_rng(6)
    slots, positions, _, bad = swarm(60, 40, 2, rng)
    positions[:, bad] = rng.uniform(-20, 60, (int(bad.sum()), 3))
    found = ransac(slots, positions, C, rng, hypotheses=48, freedom=BOUNDED)
    assert found.tried > 96
    np.testing.assert_array_equal(found.inlier, ~bad)
    assert ransac(slots, positions[:, :, :] * 0 + slots, C, rng, hypotheses=48).tried <= 48


def test_gnc_weights_by_hand_and_its_convergence() -> None:
    slots, positions, _, bad = swarm(30, 8, 2, np.random.default_rng(7))
    found = gnc(slots, positions, C, freedom=BOUNDED)
    assert found.converged
    assert 5 < found.iterations < 60
    np.testing.assert_allclose(found.weights, ~bad, atol=1e-4)
    assert not gnc(slots, positions, C, iterations=4, freedom=BOUNDED).converged
    still = gnc(slots, slots[None] + 3.0, C)
    assert (still.iterations, still.converged) == (1, True)
    scattered = np.random.default_rng(8).uniform(-99, 99, (1, 30, 3))
    lost = gnc(slots, scattered, 0.01, freedom=BOUNDED)
    assert np.isfinite(lost.fit.translation).all()


def test_lengths_by_hand() -> None:
    """A square whose last corner has left, at twice its size: the first three agree with each other only."""
    slots = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    positions = np.stack([2.0 * slots, 2.0 * slots])
    positions[:, 3] += (-5.0, 5, 0)
    agree = consistent(slots, positions, np.array([2.0, 2.0]), 0.1)
    assert agree.astype(int).tolist() == [[0, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    half = positions.copy()
    half[0] = 2.0 * slots
    assert consistent(slots, half, np.array([2.0, 2.0]), 0.1).sum() == 12
    found = kcore(slots, positions, 0.1)
    assert (found.core.tolist(), found.degree) == ([True, True, True, False], 2)


@given(st.integers(1, 12), SEEDS)
@settings(max_examples=60, deadline=None)
def test_core_numbers_are_what_peeling_leaves(n: int, seed: int) -> None:
    upper = np.triu(np.random.default_rng(seed).random((n, n)) < 0.5, 1)
    agree = upper | upper.T
    slow = np.zeros(n, int)
    for k in range(n):
        left = np.ones(n, bool)
        while (small := left & (agree[:, left].sum(1) < k)).any():
            left &= ~small
        slow[left] = k
    assert core_numbers(agree).tolist() == slow.tolist()


def test_half_of_the_samples_may_be_off() -> None:
    residual_m = np.array([[0.0, 2, 2], [0, 2, 2], [2, 0, 2], [2, 0, 0]])
    assert within(residual_m, 1.0).tolist() == [True, True, False]
