"""The first guess of a plan: ways around obstacles, against Dijkstra and by hand, and times on them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from espalier.robots.swarm.traj.config import FrontEndConfig, LimitsConfig
from espalier.robots.swarm.traj.front_end import Way, find_way, guess
from espalier.robots.swarm.traj.lattice import Lattice, search, straightened
from espalier.robots.swarm.world.config import GapConfig
from espalier.robots.swarm.world.esdf import DistanceField
from espalier.robots.swarm.world.make import make_world
from espalier.robots.swarm.world.shapes import Box, Pole
from espalier.robots.swarm.world.world import World

SEEDS = st.integers(0, 2**32 - 1)
LIMITS, FRONT = LimitsConfig(), FrontEndConfig()
NONE = np.empty((0, 4))


def world_with(*solids: Pole | Box) -> World:
    return World.of_solids(solids, (-10, -5, 0), (10, 5, 3), 0.1)


OPEN, POLE = world_with(), world_with(Pole(0, 0, 0.5, 0, 3))


def test_what_is_in_sight_is_a_straight_line() -> None:
    way = find_way(POLE.field, np.array([-6, 3, 1.5]), np.array([6, 3, 1.5]), FRONT, LIMITS)
    assert way == Way(way.points, True)
    assert way.points.tolist() == [[-6, 3, 1.5], [6, 3, 1.5]]
    assert way.length_m == 12.0


def test_a_way_around_keeps_its_distance_and_is_short() -> None:
    start, goal = np.array([-6.0, 0, 1.5]), np.array([6.0, 0, 1.5])
    way = find_way(POLE.field, start, goal, FRONT, LIMITS)
    assert way.reached
    assert (way.points[0], way.points[-1]) == (pytest.approx(start), pytest.approx(goal))
    share = np.linspace(0, 1, 50)[:, None, None]
    line = ((1 - share) * way.points[:-1] + share * way.points[1:]).reshape(-1, 3)
    assert POLE.distance(line).min() > FRONT.clearance_m - 0.1
    tangent = 2 * np.sqrt(36 - 1) + 2 * np.arcsin(1 / 6)  # around a pole of 1 m radius, the clearance with it
    assert tangent - 0.1 < way.length_m < tangent * 1.03
    assert len(way.points) <= 6


def test_a_sphere_to_avoid_leads_another_way() -> None:
    start, goal = np.array([-4.0, 0, 1.5]), np.array([4.0, 0, 1.5])
    side = np.sign(find_way(POLE.field, start, goal, FRONT, LIMITS).points[1, 1])
    around = find_way(POLE.field, start, goal, FRONT, LIMITS, np.array([[0.0, side * 1.2, 1.5, 0.5]]))
    assert np.sign(around.points[1:-1, 1]).tolist() == [-side] * (len(around.points) - 2)


def test_through_a_gap_and_not_over_the_wall() -> None:
    gap = make_world(GapConfig(gap_m=2.0, approach_m=0.0))
    start, goal = np.array([-4.0, 3, 1.5]), np.array([4.0, 4, 1.5])
    way = find_way(gap.field, start, goal, FrontEndConfig(room_m=6.0), LIMITS)
    crossing = [np.interp(0, way.points[:, 0], way.points[:, k]) for k in (1, 2)]
    assert way.reached
    assert abs(crossing[0]) < 0.55
    assert 0.3 <= crossing[1] <= 3.0
    near = find_way(gap.field, start, goal, FrontEndConfig(room_m=1.0, most_room_m=1.0), LIMITS)
    assert not near.reached
    assert near.points[-1, 0] < 0.0
    assert find_way(gap.field, start, goal, FrontEndConfig(room_m=1.0, most_room_m=2.5), LIMITS).reached, "wider"


def test_the_only_way_may_be_far_aside() -> None:
    """22 m beside the straight one; a coarser search finds it, too."""
    gap = make_world(GapConfig(gap_m=2.0, width_m=60.0, approach_m=0.0))
    start, goal = np.array([-4.0, 22, 1.5]), np.array([2.0, 22, 1.5])
    way = find_way(gap.field, start, goal, FRONT, LIMITS)
    assert way.reached
    assert abs(np.interp(0, way.points[:, 0], way.points[:, 1])) < 0.7
    assert gap.distance(way.points[1:-1]).min() >= FRONT.least_clearance_m - 0.05
    assert not find_way(gap.field, start, goal, FRONT, LIMITS, widen=False).reached


def test_whether_there_is_no_way_at_all() -> None:
    """Through a wall there is none; where a sphere fills the gap, the world is not shut for that."""
    ends = np.array([-4.0, 0, 1.5]), np.array([4.0, 0, 1.5])
    wall, gap = (make_world(GapConfig(gap_m=m, width_m=12.0, approach_m=0.0)).field for m in (0.4, 2.0))
    found = find_way(wall, *ends, FRONT, LIMITS)
    assert (found.reached, found.shut) == (False, True)
    found = find_way(gap, *ends, FRONT, LIMITS, np.array([[0.0, 0, 1.5, 2.5]]))
    assert (found.reached, found.shut) == (False, False)
    assert not find_way(wall, *ends, FRONT, LIMITS, widen=False).shut, "nobody looked"


def test_altitudes_are_kept() -> None:
    """A low beam is crossed above, unless the ceiling is too low; then below."""
    beam = world_with(Box((-0.2, -5, 0.9), (0.2, 5, 1.1)))
    start, goal = np.array([-3.0, 0, 1.1]), np.array([3.0, 0, 1.1])
    heights = []
    for limits in (LimitsConfig(floor_m=0.9), LimitsConfig(floor_m=0.1, ceiling_m=1.2)):
        way = find_way(beam.field, start, goal, FRONT, limits)
        assert way.reached
        heights.append(float(np.interp(0, way.points[:, 0], way.points[:, 2])))
    assert heights[0] > 1.3
    assert heights[1] < 0.7


def test_a_goal_in_an_obstacle_is_moved_and_a_start_in_one_is_left() -> None:
    way = find_way(POLE.field, np.array([-4.0, 0.1, 1.5]), np.array([-0.2, 0.1, 1.5]), FRONT, LIMITS)
    assert way.reached
    assert POLE.distance(way.points[-1:])[0] >= FRONT.clearance_m - 0.1
    assert np.linalg.norm(way.points[-1] - (-0.2, 0.1, 1.5)) < 1.2
    out = find_way(POLE.field, np.array([-0.1, 0.0, 1.5]), np.array([4.0, 0.0, 1.5]), FRONT, LIMITS)
    assert out.reached
    assert POLE.distance(out.points[1:]).max() > 0.25


@settings(max_examples=60)
@given(SEEDS)
def test_the_search_finds_the_shortest_way(seed: int) -> None:
    """Against SciPy's Dijkstra over the same lattice; clearances are 0 or 1, so that no metre is costlier."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(2, 6, 3))
    free = rng.random(shape) > rng.choice([0.0, 0.3, 0.5])
    start, goal = (tuple(int(rng.integers(n)) for n in shape) for _ in range(2))
    free[start] = free[goal] = True
    field = DistanceField(free.astype(np.float32), np.full(3, -0.5), 1.0)
    points, reached = search(field, NONE, Lattice((0.0, 0.0, 0.0), 1.0, shape, start, goal, 1.0), 0.9, 0.9)
    cells = np.argwhere(free)
    apart = np.linalg.norm(cells[:, None] - cells, axis=2)
    rows, cols = np.nonzero((apart < 1.8) & (apart > 0))
    number = {tuple(cell): k for k, cell in enumerate(cells.tolist())}
    graph = coo_array((apart[rows, cols], (rows, cols)), shape=apart.shape).tocsr()
    least = dijkstra(graph, indices=number[start])[number[goal]]
    assert reached == np.isfinite(least)
    assert tuple(points[0]) == start
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    assert (steps < 1.8).all()
    assert all(tuple(point) in number for point in points.astype(int).tolist())
    if reached:
        assert tuple(points[-1]) == goal
        assert least - 1e-9 <= steps.sum() <= least * 1.001 + 1e-9


def test_clearance_is_worth_a_detour() -> None:
    """Two ways past a block, a short one through a slit of 0.35 m to either side and a longer one in the open."""
    below = Box((-2, -5, 0), (2, -1.1, 3))
    slit, open_side = (world_with(below, Box((-2, -0.4, 0), (2, top, 3))) for top in (5.0, 0.8))
    start, goal = np.array([-3.0, -0.75, 1.5]), np.array([3.0, -0.75, 1.5])
    through, around = (find_way(one.field, start, goal, FRONT, LIMITS) for one in (slit, open_side))
    assert through.reached
    assert -1.0 < np.interp(0, through.points[:, 0], through.points[:, 1]) < -0.5
    assert np.interp(0, around.points[:, 0], around.points[:, 1]) > 1.0


def test_a_straightened_way_keeps_its_ends_and_its_clearance() -> None:
    corner = np.array([[-3, 0, 1.5], [-2, 0.7, 1.5], [-1, 1.0, 1.5], [0, 1.1, 1.5], [1, 1.0, 1.5], [3, 0, 1.5]])
    kept = straightened(POLE.field, NONE, corner, 0.5)
    assert (kept[0], kept[-1]) == (0, 5)
    assert len(kept) <= 4
    share = np.linspace(0, 1, 50)[:, None, None]
    line = (1 - share) * corner[kept][:-1] + share * corner[kept][1:]
    assert POLE.distance(line.reshape(-1, 3)).min() > 0.4
    open_line = straightened(OPEN.field, NONE, corner, 0.5)
    assert open_line.tolist() == [0, 5]


def test_a_guess_by_hand() -> None:
    """10 m at up to 2 m/s and 2 m/s^2: from rest to rest 6 s, at full speed 5 s; five pieces of 2 m."""
    config = FrontEndConfig(cruise_mps=2.0, accel_mps2=2.0, piece_m=2.0, right_m=0.0)
    way = Way(np.array([[0, 0, 1], [4, 0, 1], [4, 6, 1]], float), True)
    waypoints, durations = guess(way, 2.0, 2.0, config)
    np.testing.assert_allclose(waypoints, [[2, 0, 1], [4, 0, 1], [4, 2, 1], [4, 4, 1]], atol=1e-12)
    assert durations == pytest.approx(np.ones(5))
    rest = guess(way, 0.0, 0.0, config).durations
    assert rest.sum() == pytest.approx(6.0, rel=0.01)
    assert rest == pytest.approx([1.5, 1, 1, 1, 1.5], rel=0.02)
    few = guess(way, 2.0, 2.0, config.model_copy(update={"most_pieces": 2}))
    assert few.waypoints.tolist() == [[4, 1, 1]]
    still = guess(Way(np.ones((1, 3)), True), 0.0, 0.0, config)
    assert still.waypoints.shape == (0, 3)
    assert still.durations[0] > 0.0


def test_a_guess_keeps_to_the_right() -> None:
    config = FrontEndConfig(right_m=0.2)
    for turn, side in (((8, 0, 1), (0, -0.2, 0)), ((0, -8, 1), (-0.2, 0, 0)), ((0, 0, 9), (0, 0, 0))):
        way = Way(np.array([(0, 0, 1), turn], float), True)
        waypoints = guess(way, 1.0, 1.0, config).waypoints
        middle = guess(way, 1.0, 1.0, FrontEndConfig(right_m=0.0)).waypoints
        np.testing.assert_allclose(waypoints - middle, np.tile(side, (3, 1)), atol=1e-12)
