"""Plans of one agent: the optimiser among obstacles and others, the check, the brake."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espalier.core.errors import ConfigError
from espalier.robots.swarm.fleet.config import PlannerConfig
from espalier.robots.swarm.traj.brake import brake
from espalier.robots.swarm.traj.checks import check
from espalier.robots.swarm.traj.config import LimitsConfig, TrajectoryConfig
from espalier.robots.swarm.traj.front_end import find_way, guess
from espalier.robots.swarm.traj.minco import Minco
from espalier.robots.swarm.traj.neighbours import pack
from espalier.robots.swarm.traj.optimise import Optimiser, Plan, Problem
from espalier.robots.swarm.traj.penalties import Places
from espalier.robots.swarm.traj.trajectory import Trajectory
from espalier.robots.swarm.world.config import OpenConfig
from espalier.robots.swarm.world.make import make_world
from espalier.robots.swarm.world.shapes import Box, Pole
from espalier.robots.swarm.world.world import World

SEEDS = st.integers(0, 2**32 - 1)
CONFIG = TrajectoryConfig()
LIMITS, FRONT = CONFIG.limits, CONFIG.front_end
OPTIMISER = Optimiser(CONFIG)


def world_with(*solids: Pole | Box) -> World:
    return World.of_solids(solids, (-10, -5, 0), (10, 5, 3), 0.1)


OPEN, POLE = world_with(), world_with(Pole(0, 0, 0.5, 0, 3))


def state(position: tuple[float, ...], velocity: tuple[float, ...] = (0, 0, 0)) -> np.ndarray:
    return np.array([position, velocity, (0, 0, 0)], float)


def plan(
    world: World,
    start: np.ndarray,
    goal: np.ndarray,
    others: list[Trajectory] | None = None,
    places: Places | None = None,
    free: bool = False,
    optimiser: Optimiser = OPTIMISER,
) -> Plan:
    """One robot's plan between states (3, 3), from the usual first guess."""
    way = find_way(world.field, start[0], goal[0], FRONT, LIMITS)
    first = guess(way, float(np.linalg.norm(start[1])), float(np.linalg.norm(goal[1])), FRONT)
    tail = np.vstack([way.points[-1:], goal[1:]])
    return optimiser.plan(Problem(0.0, start, tail, *first, world.field, pack(others or []), places, free))


# --- the optimiser


def test_it_goes_around_a_pole() -> None:
    found = plan(POLE, state((-6, 0, 1.5), (1.5, 0, 0)), state((6, 0, 1.5)))
    seen = check(found.trajectory, POLE.field, pack([]), LIMITS)
    assert seen.safe
    times = np.linspace(0, found.trajectory.end_s, 500)
    assert POLE.distance(found.trajectory.position(times)).min() > 0.3
    assert seen.greatest_speed_mps < LIMITS.speed_mps * 1.03
    assert seen.greatest_accel_mps2 < LIMITS.accel_mps2 * 1.05
    assert found.trajectory.position(found.trajectory.end_s) == pytest.approx([6, 0, 1.5], abs=1e-6)
    assert found.finite


def test_it_pulls_a_bad_guess_out_of_a_pole() -> None:
    """The first guess cuts through the side of the pole."""
    head, tail = state((-4, 0.25, 1.5), (1.5, 0, 0)), state((4, 0.25, 1.5), (1.5, 0, 0))
    line = np.linspace(head[0], tail[0], 5)[1:-1]
    straight = Problem(0.0, head, tail, line, np.full(4, 1.3), POLE.field, pack([]))
    before = check(Minco(head, tail, line, np.full(4, 1.3)).trajectory(), POLE.field, pack([]), LIMITS)
    found = OPTIMISER.plan(straight)
    assert not before.safe
    assert check(found.trajectory, POLE.field, pack([]), LIMITS).safe


def test_two_that_meet_head_on_keep_apart() -> None:
    """The second knows of the first, then the first of the second. Nothing but the first guess breaks the symmetry."""
    left, right = (-6.0, 0.0, 1.5), (6.0, 0.0, 1.5)
    one = plan(OPEN, state(left, (1.5, 0, 0)), state(right)).trajectory
    apart = check(one, OPEN.field, pack([plan(OPEN, state(right, (-1.5, 0, 0)), state(left)).trajectory]), LIMITS)
    assert not apart.safe
    two = plan(OPEN, state(right, (-1.5, 0, 0)), state(left), [one]).trajectory
    one = plan(OPEN, state(left, (1.5, 0, 0)), state(right), [two]).trajectory
    seen = check(one, OPEN.field, pack([two]), LIMITS)
    assert seen.safe
    assert seen.least_separation_m > 0.6
    times = np.linspace(0, one.end_s, 500)
    assert np.linalg.norm(one.position(times) - two.position(times), axis=1).min() > 0.6


def test_a_formation_draws_it_to_its_places() -> None:
    start, goal = state((-6, 0, 1.5), (1.5, 0, 0)), state((3, 0, 1.5), (1.5, 0, 0))
    times = np.linspace(0.25, 5, 20)
    places = Places(times, np.array([-6, 0.4, 1.5]) + np.outer(times, (1.5, 0, 0)))
    alone, drawn = (plan(OPEN, start, goal, places=one, free=True) for one in (None, places))
    early = times < 4.0
    away = [np.linalg.norm((p.trajectory.position(times) - places.points)[early][4:], axis=1) for p in (alone, drawn)]
    assert away[1].mean() < 0.12 < away[0].mean()
    assert drawn.iterations <= CONFIG.solver.formation_iterations < alone.iterations


def test_a_free_end_is_near_the_goal_and_costs_less() -> None:
    start, goal = state((-6, 0, 1.5), (1.5, 0, 0)), state((3, 0, 1.5), (0, 1.5, 0))
    fixed, free = (plan(OPEN, start, goal, free=one) for one in (False, True))
    assert free.cost < fixed.cost
    gap = np.linalg.norm(free.trajectory.position(free.trajectory.end_s) - goal[0])
    assert 0.0 < gap < 1.0
    strong = TrajectoryConfig.of(weights={"goal": 1e5})
    pulled = plan(OPEN, start, goal, free=True, optimiser=Optimiser(strong)).trajectory
    assert np.linalg.norm(pulled.position(pulled.end_s) - goal[0]) < 0.2 * gap


def test_a_later_start_makes_no_difference() -> None:
    head, tail = state((-4, 0.25, 1.5), (1.5, 0, 0)), state((4, 0.25, 1.5))
    other = Minco(state((4, 0, 1.5)), state((-4, 0, 1.5)), np.empty((0, 3)), np.array([5.0])).trajectory()
    line, parts = np.linspace(head[0], tail[0], 5)[1:-1], np.full(4, 1.3)
    late = Trajectory(other.coefficients, other.durations, 70.0)
    now, then = (
        OPTIMISER.plan(Problem(begin, head, tail, line, parts, POLE.field, pack([one])))
        for begin, one in ((0.0, other), (70.0, late))
    )
    assert then.cost == pytest.approx(now.cost, rel=1e-3)
    assert then.trajectory.start_s == 70.0


def test_where_the_optimiser_fails_the_first_guess_is_kept() -> None:
    head, tail = state((-4, 0, 1.5), (np.nan, 0, 0)), state((4, 0, 1.5))
    found = OPTIMISER.plan(Problem(0.0, head, tail, np.zeros((1, 3)), np.ones(2), OPEN.field, pack([])))
    assert not found.finite
    assert found.trajectory.durations == pytest.approx([1, 1])


# --- the check


def test_a_check_by_hand() -> None:
    """At 2 m/s past a pole's middle, and through the way of another that crosses below."""
    wall = world_with(Box((0, -1, 0), (1, 1, 3)))
    piece = np.zeros((1, 6, 3))
    piece[0, :2] = (-4, 0, 1.5), (2, 0, 0)
    own = Trajectory(piece, np.array([4.0]), 10.0)
    seen = check(own, wall.field, pack([]), LIMITS)
    assert seen.first_violation_s == pytest.approx(11.9, abs=0.06)  # 0.2 m before x = 0; the field is 0.05 early
    assert seen.least_clearance_m < -0.3
    assert np.isinf(seen.least_separation_m)
    assert (seen.greatest_speed_mps, seen.greatest_accel_mps2) == (2.0, 0.0)
    assert check(own, wall.field, pack([]), LIMITS, until_s=11.7).safe
    assert check(own, wall.field, pack([]), LIMITS, from_s=12.9).safe
    crossing = np.zeros((1, 6, 3))
    crossing[0, :2] = (0, -4, 0.9), (0, 2, 0)
    meets = check(own, OPEN.field, pack([Trajectory(crossing, np.array([4.0]), 10.0)]), LIMITS)
    assert meets.least_separation_m == pytest.approx(0.3, abs=1e-6)  # 0.6 m of height
    assert meets.first_violation_s == pytest.approx(12 - 0.4 / np.sqrt(8), abs=0.02)


def flying(place: tuple[float, ...], velocity: tuple[float, ...]) -> Trajectory:
    piece = np.zeros((1, 6, 3))
    piece[0, :2] = place, velocity
    return Trajectory(piece, np.array([4.0]))


@pytest.mark.parametrize(("speed", "safe"), [(1.0, True), (0.0, True), (-0.001, False)])
def test_what_begins_too_near_may_stay_or_part_and_not_come_nearer(speed: float, safe: bool) -> None:
    """0.3 m from another that hovers; 0.1 m from a wall."""
    other = pack([flying((0, 0, 1.5), (0, 0, 0))])
    assert check(flying((0.3, 0, 1.5), (speed, 0, 0)), OPEN.field, other, LIMITS, 0.0, 1.5).safe == safe
    wall = world_with(Box((-1, -1, 0), (0, 1, 3)))
    assert check(flying((0.1, 0, 1.5), (speed, 0, 0)), wall.field, pack([]), LIMITS, 0.0, 0.9).safe == safe


def test_from_one_that_is_too_near_nobody_may_go_to_another() -> None:
    others = pack([flying((0, 0, 1.5), (0, 0, 0)), flying((1.5, 0, 1.5), (0, 0, 0))])
    found = check(flying((0.3, 0, 1.5), (0.5, 0, 0)), OPEN.field, others, LIMITS, 0.0, 3.0)
    assert found.first_violation_s == pytest.approx(1.4, abs=0.021), "0.5 m from the second, at x = 1"


def test_others_count_for_longer_and_from_farther_the_older_the_news_of_them_is() -> None:
    """At 1 m/s, 2.2 and 3.0 m to two that hover: heard of 1 s ago, the first is kept 0.1 m farther from, which fails at
    2.2 - 0.6; the wall at 2.5 m, beyond the 1.5 s, does not count."""
    wall = world_with(Box((2.5, -1, 0), (3, 1, 3)))
    path, others = flying((0, 0, 1.5), (1, 0, 0)), pack([Trajectory.hover([x, 0, 1.5]) for x in (2.2, 3.0)])
    found = check(path, wall.field, others, LIMITS, 0.0, 1.5, np.array([1.0, 0.9]), 0.1)
    assert found.first_violation_s == pytest.approx(1.6, abs=0.021)
    assert found.least_clearance_m == pytest.approx(1.0, abs=0.05)
    assert found.least_separation_m == pytest.approx(0.0, abs=0.05)
    assert found.spare_m == pytest.approx(found.least_separation_m - 0.4), "vehicles are 0.4 m wide"
    new = check(path, wall.field, others, LIMITS, 0.0, 1.5)
    assert new.safe
    assert new.spare_m == pytest.approx(0.3, abs=0.021)
    assert check(path, wall.field, pack([]), LIMITS, 0.0, 2.3).spare_m == pytest.approx(0.0, abs=0.05)
    assert check(path, OPEN.field, others, LIMITS, 0.0, 1.5, np.array([0.0, 0.9]), 0.1).safe, "each by its own age"


def test_a_check_of_altitudes() -> None:
    """From within, or from beyond, where the way back is the only one."""
    limits = LimitsConfig(floor_m=0.5, ceiling_m=2.0)
    for z, up, violated_s in (
        (1.0, -0.25, 2.0),
        (1.5, 0.25, 2.0),
        (0.5, 0.0, np.inf),
        (2.0, 0.0, np.inf),
        (0.4, 0.1, np.inf),
        (0.4, -0.1, 0.0),
        (2.1, -0.1, np.inf),
        (2.1, 0.1, 0.0),
    ):
        found = check(flying((0, 0, z), (0, 0, up)), OPEN.field, pack([]), limits)
        assert found.first_violation_s == pytest.approx(violated_s, abs=0.021)
        assert found.safe == (found.spare_m >= 0.0)


# --- the brake


@settings(max_examples=50)
@given(SEEDS)
def test_a_brake_goes_on_without_a_jump_along_the_path_and_stops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ends = [state(rng.uniform(-3, 3, 3), rng.uniform(-1, 1, 3)) for _ in range(2)]
    path = Minco(*ends, rng.uniform(-3, 3, (3, 3)), rng.uniform(1, 2, 4)).trajectory(5.0)
    t = rng.uniform(5.0, path.end_s)
    stop = brake(path, t, 4.0)
    assert stop.start_s == t
    np.testing.assert_allclose(stop.position(t), path.position(t), atol=1e-9)
    np.testing.assert_allclose(stop.velocity(t), path.velocity(t), atol=1e-9)
    np.testing.assert_allclose(stop.acceleration(t), path.acceleration(t), atol=1e-7)
    np.testing.assert_allclose(stop.velocity(stop.end_s), 0.0, atol=1e-9)
    times = np.linspace(t, stop.end_s, 60)
    line = path.position(np.linspace(t, t + stop.total_s / 2, 4000))
    off = np.linalg.norm(stop.position(times)[:, None] - line, axis=2).min(1)
    assert off.max() < 0.01
    moves = np.linalg.norm(np.diff(stop.position(times), axis=0), axis=1)
    assert moves[-1] < 0.01
    if np.linalg.norm(path.acceleration(np.linspace(t, path.end_s, 200)), axis=1).max() < 3.5:
        assert np.linalg.norm(stop.acceleration(times), axis=1).max() < 4.0 * 1.03


def test_a_straight_brake_by_hand() -> None:
    """From 2 m/s at 4 m/s^2: 1.5 v / a = 0.75 s, and half of that at full speed: 0.75 m. Tried times are 12 % apart."""
    piece = np.zeros((1, 6, 3))
    piece[0, 1, 0] = 2.0
    stop = brake(Trajectory(piece, np.array([10.0])), 3.0, 4.0)
    assert PlannerConfig().stop_s == 0.75
    assert 0.75 <= stop.total_s < 0.75 * 1.13
    assert stop.position(99.0)[0] - 6.0 == pytest.approx(stop.total_s, rel=1e-6)
    assert np.linalg.norm(stop.acceleration(np.linspace(3, 4, 99)), axis=1).max() <= 4.0 * 1.01


def test_settings_that_contradict_each_other() -> None:
    for wrong, message in (
        ({"least_clearance_m": 0.9}, "least_clearance_m"),
        ({"floor_m": 2, "ceiling_m": 1}, "floor_m"),
    ):
        with pytest.raises(ConfigError, match=f"{message}: "):
            LimitsConfig.of(**wrong)


def test_an_open_world_is_no_obstacle() -> None:
    world = make_world(OpenConfig(length_m=10, width_m=10))
    found = plan(world, state((-4, 0, 1.5)), state((4, 0, 1.5)))
    assert found.trajectory.position(found.trajectory.end_s / 2)[1] == pytest.approx(0.0, abs=0.05)
