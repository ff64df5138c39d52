"""From a map, a start and a goal to a route."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.grid.terrain_map import TerrainMap
from espalier.robots.terrain.plan.arcs import sampled
from espalier.robots.terrain.plan.astar import astar
from espalier.robots.terrain.plan.config import PlanConfig
from espalier.robots.terrain.plan.curve import curvatures, headings, speeds, stations, times
from espalier.robots.terrain.plan.errors import NoRouteError, PlanError
from espalier.robots.terrain.plan.hybrid import hybrid
from espalier.robots.terrain.plan.obstacles import FREE, Cell, Obstacles, obstacles
from espalier.robots.terrain.plan.route import Route
from espalier.robots.terrain.plan.smooth import smooth

Floats = npt.NDArray[np.float64]
Place = Sequence[float]


class Line(NamedTuple):
    """points: (n, 2) x, y in cells. heading, curvature (1/cell), direction: of each. expanded: cells or poses."""

    points: Floats
    heading: Floats
    curvature: Floats
    direction: Floats
    expanded: int


def plan(ground: TerrainMap, start: Place, goal: Place, config: PlanConfig, *, speed_mps: float = 0.0) -> Route:
    """The route that costs least, from x, y (m) and optionally yaw (rad) to the same; `astar` takes no notice of yaw.

    The route begins and ends there, to a micrometre. Its points, and the straight lines between them, stay in cells
    whose distance to every obstacle is no less than `radius_m` and `clearance_m`. A start that is nearer to an obstacle
    is left by about the shortest way, and the route does not come that near again. speed_mps: of the robot at the
    start, forwards. Raises PlanError where start or goal cannot be used, NoRouteError where nothing joins them.
    """
    began = perf_counter()
    begin, end = _in_cells(ground.frame, "start", start), _in_cells(ground.frame, "goal", goal)
    around = obstacles(ground, config)
    if around.lethal[_cell(begin)]:
        raise _unusable(around, config, "start", start, _cell(begin))
    if around.state[_cell(end)] != FREE:
        raise _unusable(around, config, "goal", goal, _cell(end))
    around = around.leaving(_cell(begin))
    search = _over_cells if config.method == "astar" else _over_poses
    line = search(around, begin, end, config)
    return _route(ground, around, line, config, began, speed_mps)


def _in_cells(frame: Frame, name: str, place: Place) -> Floats:
    """(2,) or (3,): x and y in cells from the frame's corner, and yaw if there is one."""
    if len(place) not in (2, 3) or not np.isfinite(place).all():
        raise PlanError(f"the {name} {tuple(place)} is not x, y or x, y, yaw, all finite")
    out = np.array(place, np.float64)
    out[:2] = out[:2] / frame.cell_m - (frame.col, frame.row)
    if not (0.0 <= out[0] < frame.cols and 0.0 <= out[1] < frame.rows):
        x0, y0, x1, y1 = frame.bounds
        covers = f"x from {x0:g} to {x1:g} and y from {y0:g} to {y1:g} m"
        raise PlanError(f"the {name} {_text(place)} lies outside the map, which covers {covers}")
    return out


def _unusable(around: Obstacles, config: PlanConfig, name: str, place: Place, cell: Cell) -> PlanError:
    cost, steep = around.cost[cell], config.max_slope
    if cost >= np.float32(config.lethal_cost):
        reason = f"lies on an obstacle of cost {cost:.2f}, where {config.lethal_cost:g} is lethal"
    elif around.lethal[cell]:
        kinds = ["unknown"] * (config.unknown == "lethal") + [f"steeper than {steep}"] * (steep is not None)
        reason = f"lies on ground that is {' or '.join(kinds)}"
    else:
        need = config.radius_m + config.clearance_m
        reason = f"is {around.distance_m[cell]:.2f} m from an obstacle, and the robot needs {need:.2f} m"
    free = around.nearest_free(cell)
    advice = "no place of the map is free" if free is None else f"the nearest free place is {_text(free)}"
    return PlanError(f"the {name} {_text(place)} {reason}; {advice}")


def _over_cells(around: Obstacles, begin: Floats, end: Floats, config: PlanConfig) -> Line:
    found = astar(around.state, around.toll, _cell(begin), _cell(end))
    if found is None:
        raise _no_route(around, begin, end, "")
    middles = found.cells[:, ::-1] + 0.5 if len(found.cells) > 1 else np.empty((0, 2))
    points = np.vstack([begin[:2], middles, end[:2]])
    points = points[np.r_[True, (np.diff(points, axis=0) != 0.0).any(1)]]
    if config.smoothing.on:
        length = config.smoothing.length_m / around.frame.cell_m
        points = smooth(around.state, around.toll, points, length, config.smoothing.slack)
    return Line(points, headings(points), curvatures(points), np.ones(len(points)), found.expanded)


def _over_poses(around: Obstacles, begin: Floats, end: Floats, config: PlanConfig) -> Line:
    if len(begin) == 2:
        begin = np.append(begin, _towards(around, begin, end, config))
    start = float(begin[0]), float(begin[1]), float(begin[2])
    found = hybrid(around.state, around.toll, start, tuple(end.tolist()), config.hybrid, around.frame.cell_m)
    if not np.isfinite(found.cost):
        radius, most = config.hybrid.turning_radius_m, config.hybrid.max_poses
        tried = f" with a turning radius of {radius:g} m; {found.expanded} poses were tried, at most {most} allowed"
        advice = ". Allow reversing, another heading, a smaller radius or more poses"
        raise _no_route(around, begin, end, tried + advice)
    poses, bends, direction = sampled(start, found.pieces)
    return Line(poses[:, :2], poses[:, 2], bends, direction, found.expanded)


def _towards(around: Obstacles, begin: Floats, end: Floats, config: PlanConfig) -> float:
    """The heading in which the way over cells sets off: to its point one turning radius away."""
    found = astar(around.state, around.toll, _cell(begin), _cell(end))
    if found is None:
        raise _no_route(around, begin, end, "")
    ways = np.vstack([found.cells[1:, ::-1] + 0.5, end[:2]]) - begin[:2]
    far = np.hypot(*ways.T) * around.frame.cell_m >= config.hybrid.turning_radius_m
    x, y = ways[far.argmax()] if far.any() else ways[-1]
    return float(np.arctan2(y, x))


def _no_route(around: Obstacles, begin: Floats, end: Floats, tried: str) -> NoRouteError:
    connected = around.connected(_cell(begin), _cell(end))
    places = " and ".join(_text(around.metres(place[:2])) for place in (begin, end))
    if connected:
        return NoRouteError(f"{places} lie in one free region, but no route was found{tried}", connected=True)
    return NoRouteError(
        f"{places} lie in different free regions: obstacles with the footprint around them part the map. Look at "
        "radius_m, clearance_m, lethal_cost, max_slope and unknown",
        connected=False,
    )


def _route(
    ground: TerrainMap, around: Obstacles, line: Line, config: PlanConfig, began: float, speed_mps: float
) -> Route:
    points = around.metres(line.points)
    cols, rows = line.points.astype(np.int64).T
    elevation = ground.layers.get("elevation", np.full(around.lethal.shape, np.nan, np.float32))[rows, cols]
    station, curvature = stations(points), line.curvature / ground.frame.cell_m
    speed = speeds(station, curvature, line.direction, config.follow, speed_mps)
    return Route(
        points=points,
        elevation=elevation.astype(np.float64),
        cost=around.cost[rows, cols],
        heading=np.arctan2(np.sin(line.heading), np.cos(line.heading)),
        curvature=curvature,
        direction=line.direction,
        speed=speed,
        time=times(station, speed, config.follow.accel_mps2),
        method=config.method,
        expanded=line.expanded,
        ms=(perf_counter() - began) * 1000.0,
        place=ground.place,
    )


def _cell(place: Floats) -> Cell:
    return int(place[1]), int(place[0])


def _text(place: Place | Floats) -> str:
    return f"({place[0]:g}, {place[1]:g})"
