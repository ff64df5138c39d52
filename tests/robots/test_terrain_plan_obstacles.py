"""Which cells bar the way, and how near to them the robot may come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.grid.terrain_map import TerrainMap
from espalier.robots.terrain.plan.config import PlanConfig
from espalier.robots.terrain.plan.errors import PlanError
from espalier.robots.terrain.plan.obstacles import BLOCKED, FREE, LEAVING, distance, obstacles

NAN = float("nan")


def ground(cost: object, cell_m: float = 0.5, **layers: object) -> TerrainMap:
    array = np.array(cost, np.float32)
    named = {name: np.array(layer, np.float32) for name, layer in layers.items()}
    return TerrainMap(Frame(cell_m, -2, 3, *array.shape), {"cost": array, **named})


def dot(rows: int, cols: int, *at: tuple[int, int]) -> np.ndarray:
    cost = np.zeros((rows, cols))
    cost[tuple(zip(*at, strict=True))] = 1.0
    return cost


@pytest.mark.parametrize(
    ("settings", "lethal", "cost"),
    [
        ({}, [True, False, True, False], [0.0, 0.5, 0.8, 0.1]),
        ({"unknown": "optimistic"}, [False, False, True, False], [0.0, 0.5, 0.8, 0.1]),
        ({"unknown": "cost", "unknown_cost": 0.6}, [False, False, True, False], [0.6, 0.5, 0.8, 0.1]),
        ({"unknown": "cost", "unknown_cost": 0.8}, [True, False, True, False], [0.8, 0.5, 0.8, 0.1]),
        ({"unknown": "optimistic", "lethal_cost": 0.5}, [False, True, True, False], [0.0, 0.5, 0.8, 0.1]),
        ({"unknown": "optimistic", "max_slope": 0.3}, [False, False, True, True], [0.0, 0.5, 0.8, 0.1]),
    ],
)
def test_what_is_lethal(settings: dict[str, object], lethal: list[bool], cost: list[float]) -> None:
    found = obstacles(
        ground([[NAN, 0.5, 0.8, 0.1]], slope=[[NAN, 0.2, 0.3, 0.4]]),
        PlanConfig.of(**{"radius_m": 0.0, "lethal_cost": 0.8, **settings}),
    )
    assert found.lethal[0].tolist() == lethal
    assert found.cost[0] == pytest.approx(cost, abs=1e-7)
    assert found.toll[0] == pytest.approx([1.0 + 3.0 * value for value in cost], abs=1e-6)
    assert ((found.state == BLOCKED) == found.lethal).all()


def test_distances_by_hand() -> None:
    found = obstacles(ground(dot(3, 4, (0, 0))), PlanConfig(radius_m=0.74, clearance_m=0.01))
    assert found.distance_m[0] == pytest.approx([-0.25, 0.25, 0.75, 1.25])
    assert found.distance_m[2, 2] == pytest.approx((np.sqrt(8) - 0.5) * 0.5)
    assert (found.state == FREE).tolist() == [[False, False, True, True], [False, False, True, True], [True] * 4]
    assert np.isinf(obstacles(ground(np.zeros((2, 2))), PlanConfig()).distance_m).all()


@given(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_distance_is_exact(lethal: np.ndarray) -> None:
    found = distance(lethal, 0.2)
    bad = np.argwhere(lethal)
    for cell in np.ndindex(lethal.shape):
        slow = min((np.hypot(*(other - cell)) for other in bad), default=np.inf)
        assert found[cell] == pytest.approx((slow - 0.5) * 0.2)


def test_the_region_of_a_start_that_is_too_near_may_be_left() -> None:
    around = obstacles(ground(dot(5, 9, (2, 0), (2, 8))), PlanConfig(radius_m=0.6))
    left = around.leaving((2, 1))
    assert (left.state[:, :5] == LEAVING).sum() == (around.state[:, :5] == BLOCKED).sum() - 1
    assert left.state[2, 0] == BLOCKED  # lethal itself
    assert (left.state[:, 5:] == around.state[:, 5:]).all()  # the other region is none of the robot's business
    assert around.leaving((2, 4)) is around


def test_the_nearest_free_place_and_regions() -> None:
    around = obstacles(ground(dot(5, 7, *((row, 3) for row in range(5)))), PlanConfig(radius_m=0.4))
    assert around.nearest_free((2, 2)) == (2.25, 0.25)  # column 1 of a frame that begins at column 3, row -2
    assert around.connected((0, 0), (4, 1))
    assert not around.connected((0, 0), (0, 6))
    assert not around.connected((0, 3), (0, 3))
    assert obstacles(ground([[1.0]]), PlanConfig()).nearest_free((0, 0)) is None


def test_a_layer_that_is_needed_and_missing() -> None:
    with pytest.raises(PlanError, match="the map has no layer 'slope', only cost"):
        obstacles(ground([[0.0]]), PlanConfig(max_slope=0.5))
