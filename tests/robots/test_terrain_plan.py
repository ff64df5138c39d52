"""Plans over whole maps: from settings to a route, and what is wrong with a start or a goal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from espalier.core.errors import ConfigError
from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.grid.terrain_map import TerrainMap
from espalier.robots.terrain.plan.config import PlanConfig
from espalier.robots.terrain.plan.errors import NoRouteError, PlanError
from espalier.robots.terrain.plan.obstacles import obstacles
from espalier.robots.terrain.plan.planner import plan
from espalier.robots.terrain.plan.route import Route


def flat(rows: int = 40, cols: int = 60, cell_m: float = 0.2) -> TerrainMap:
    """A level field from (-2, 1) to (10, 9)."""
    names = ("cost", "slope", "elevation")
    return TerrainMap(Frame(cell_m, 5, -10, rows, cols), {name: np.zeros((rows, cols), np.float32) for name in names})


def hilly(seed: int, cell_m: float) -> TerrainMap:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((50, 50)), 2.5)
    cost = ((noise - noise.min()) / np.ptp(noise)).astype(np.float32)
    cost[:3] = np.nan
    return TerrainMap(Frame(cell_m, -20, 7, 50, 50), {"cost": cost, "elevation": cost * 2})


def distances(ground: TerrainMap, config: PlanConfig, route: Route) -> np.ndarray:
    """Distance to obstacles of the cell of every point, and of seven between each two."""
    around = obstacles(ground, config)
    parts = [(1 - share) * route.points[:-1] + share * route.points[1:] for share in np.linspace(0, 1, 8)]
    cells = ground.frame.cells(np.stack(parts, 1).reshape(-1, 2))
    assert ground.frame.inside(cells).all()
    return around.distance_m[cells[:, 0], cells[:, 1]]


@settings(max_examples=50)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["astar", "hybrid"]),
    st.booleans(),
    st.sampled_from([0.1, 0.25]),
    st.sampled_from([0.0, 0.15, 0.3]),
)
def test_a_route_keeps_clear_from_start_to_goal(
    seed: int, method: str, smoothing: bool, cell_m: float, radius_m: float
) -> None:
    ground = hilly(seed, cell_m)
    config = PlanConfig.of(
        method=method, radius_m=radius_m, lethal_cost=0.65, smoothing={"on": smoothing}, hybrid={"max_poses": 20_000}
    )
    rng = np.random.default_rng(seed)
    low, high = np.array(ground.frame.bounds).reshape(2, 2)
    start, goal = rng.uniform(low, high, (2, 2)).tolist()
    try:
        route = plan(ground, start, goal, config)
    except PlanError:
        return
    assert route.points[[0, -1]] == pytest.approx(np.array([start, goal]), abs=1e-6)
    away = distances(ground, config, route)
    assert (away > 0).all()
    near = away < radius_m - 1e-9
    assert not near[near.argmin() :].any()  # too near, if at all, only at the beginning
    assert (route.cost < 0.65).all()
    assert np.isfinite(route.elevation).all()
    assert {len(route)} == {len(column) for column in (route.heading, route.curvature, route.speed, route.time)}
    assert (np.diff(route.time) >= 0).all()


def test_a_straight_way_by_hand() -> None:
    ground = flat()
    ground["cost"][:] = 0.4
    ground["elevation"][:] = 7.0
    route = ground.plan((0.1, 3.1), (8.1, 3.1))
    assert (route.length_m, route.mean_cost) == (pytest.approx(8.0), pytest.approx(0.4))
    assert route.heading == pytest.approx(np.zeros(len(route)), abs=1e-6)
    assert set(route.elevation) == {7.0}
    assert route.seconds == pytest.approx(2 + 7 + 1, abs=0.1)  # 1 m to reach 1 m/s at 0.5 m/s2, 6 m, 1 m
    assert route.expanded == 41
    assert (route.method, route.ms > 0) == ("astar", True)


def test_obstacles_cost_and_slope_are_heeded() -> None:
    ground = flat()
    ground["cost"][:, 30:32] = 0.9  # a wall at x from 4 to 4.4, with a gap at the top
    ground["cost"][34:, 30:32] = 0.0
    route = ground.plan((0.1, 2.1), (8.1, 2.1))
    assert 14.5 < route.length_m < 15.5  # straight to the gap and back is 14.5
    assert distances(ground, PlanConfig(), route).min() >= 0.3 - 1e-9
    with pytest.raises(
        NoRouteError, match=r"\(0\.1, 2\.1\) and \(8\.1, 2\.1\) lie in different free regions"
    ) as caught:
        ground.plan((0.1, 2.1), (8.1, 2.1), radius_m=1.5)
    assert not caught.value.connected
    assert ground.plan((0.1, 2.1), (8.1, 2.1), lethal_cost=0.95, cost_weight=0.1).length_m == pytest.approx(8.0)
    ground["slope"][34:, 30:32] = 0.5
    with pytest.raises(NoRouteError):
        ground.plan((0.1, 2.1), (8.1, 2.1), max_slope=0.4)


def test_unknown_ground() -> None:
    ground = flat()
    ground["cost"][:, 30:32] = np.nan
    with pytest.raises(NoRouteError):
        ground.plan((0.1, 3.1), (8.1, 3.1))
    hopeful = ground.plan((0.1, 3.1), (8.1, 3.1), unknown="optimistic")
    assert (hopeful.length_m, hopeful.mean_cost) == (pytest.approx(8), 0.0)
    assert ground.plan((0.1, 3.1), (8.1, 3.1), unknown="cost").mean_cost == pytest.approx(0.3 * 0.4 / 8, rel=0.3)


@pytest.mark.parametrize("method", ["astar", "hybrid"])
def test_a_start_too_near_to_a_wall_is_left_and_not_entered_again(method: str) -> None:
    ground = flat()
    ground["cost"][:20, :] = 0.9  # a wall up to y = 5
    config = PlanConfig.of(method=method, radius_m=0.6, hybrid={"turning_radius_m": 0.8})
    route = plan(ground, (0.1, 5.3, 0.5), (8.1, 5.7), config)
    away = distances(ground, config, route)
    near = away < 0.6 - 1e-9
    assert near[0]
    assert not near[near.argmin() :].any()
    assert near.sum() / near.size * route.length_m < 1.5  # it did not follow the wall


def test_headings_at_both_ends() -> None:
    config = PlanConfig.of(method="hybrid", hybrid={"turning_radius_m": 0.9})
    route = plan(flat(), (1.0, 5.0, np.pi / 2), (8.0, 5.0, np.pi), config)
    assert np.cos(route.heading[[0, -1]] - [np.pi / 2, np.pi]) == pytest.approx([1, 1], abs=1e-12)
    assert np.abs(route.curvature).max() == pytest.approx(1 / 0.9)
    free = plan(flat(), (1.0, 5.0), (8.0, 5.0), config)
    assert free.heading[0] == pytest.approx(0.0, abs=0.2)  # sets off towards the goal


def test_hybrid_says_that_the_radius_stood_in_the_way() -> None:
    ground = flat(12, 12)
    with pytest.raises(
        NoRouteError, match=r"one free region.*turning radius of 5 m; \d+ poses.*Allow reversing"
    ) as caught:
        plan(ground, (-1.5, 1.5, 0), (-0.5, 2.5, 3), PlanConfig.of(method="hybrid", hybrid={"turning_radius_m": 5}))
    assert caught.value.connected


@pytest.mark.parametrize("method", ["astar", "hybrid"])
@pytest.mark.parametrize("goal", [(3.1, 3.1), (3.15, 3.05), (3.3, 3.1)])
def test_a_goal_where_the_robot_stands(method: str, goal: tuple[float, float]) -> None:
    route = plan(flat(), (3.1, 3.1, 0.0), goal, PlanConfig.of(method=method, hybrid={"turning_radius_m": 0.3}))
    assert route.points[-1] == pytest.approx(goal, abs=1e-6)
    assert all(np.isfinite(column).all() for column in (route.heading, route.curvature, route.speed, route.time))


@pytest.mark.parametrize(
    ("start", "goal", "message"),
    [
        (
            (20, 3),
            (1, 3),
            r"the start \(20, 3\) lies outside the map, which covers x from -2 to 10 and y from 1 to 9 m",
        ),
        ((1, 3), (1, 0.99), r"the goal \(1, 0\.99\) lies outside the map"),
        ((1, np.nan), (1, 3), r"the start \(1, nan\) is not x, y or x, y, yaw, all finite"),
        ((1, 2, 3, 4), (1, 3), "the start .* is not x, y"),
        (
            (4.1, 3),
            (1, 3),
            r"start \(4\.1, 3\) lies on an obstacle of cost 0\.90, where 0\.5 is lethal; the nearest free",
        ),
        (
            (1, 3),
            (-1.9, 8.9),
            r"goal \(-1\.9, 8\.9\) lies on ground that is unknown or steeper than 1\.0; .*place is \(-1\.9, 8\.3\)",
        ),
        ((1, 3), (4.5, 3), r"goal .* is 0\.10 m from an obstacle, and the robot needs 0\.30 m; .*is \(4\.7, 3\.1\)"),
    ],
)
def test_what_is_wrong_with_a_place(start: tuple[float, ...], goal: tuple[float, ...], message: str) -> None:
    ground = flat()
    ground["cost"][:, 30:32] = 0.9
    ground["cost"][-2:, :3] = np.nan
    with pytest.raises(PlanError, match=message):
        plan(ground, start, goal, PlanConfig())


def test_wrong_settings() -> None:
    with pytest.raises(ConfigError, match="radius"):
        flat().plan((1, 3), (2, 3), radius=0.3)
    with pytest.raises(ConfigError, match="creep_mps"):
        flat().plan((1, 3), (2, 3), follow={"speed_mps": 0.05})
