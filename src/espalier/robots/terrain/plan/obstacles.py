"""What of a map the robot's centre may enter, and what a metre there counts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.grid.terrain_map import Layer, TerrainMap
from espalier.robots.terrain.plan.config import PlanConfig
from espalier.robots.terrain.plan.errors import PlanError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
States = npt.NDArray[np.uint8]
Cell = tuple[int, int]

FREE, LEAVING, BLOCKED = 0, 1, 2
"""States of a cell. Along a route the state may fall and never rise, and no cell is BLOCKED: so a robot that starts too
near to an obstacle may leave the region of that start, and cannot enter it again."""
HURRY = 100.0
"""A metre in the region that is to be left counts as so many more: the robot leaves by about the shortest way."""


@dataclass(frozen=True)
class Obstacles:
    """All arrays (rows, cols) of `frame`.

    lethal: too costly, too steep, or unknown where that is lethal. distance_m: from the middle of each cell to the
    middle of the nearest lethal one, less half a cell; infinite where there is none. state: FREE where that is no less
    than the footprint's radius and clearance. cost: as in the map, unknown cells by the policy. toll: what a metre
    counts, 1 + cost_weight * cost. The map's edge is no obstacle, but no route crosses it.
    """

    frame: Frame
    lethal: Bools
    distance_m: Floats
    state: States
    cost: Floats
    toll: Floats

    def metres(self, points: Floats) -> Floats:
        """x and y on the map of (..., 2) points in cells, where cell (r, c) covers x in [c, c + 1)."""
        return (points + np.array([self.frame.col, self.frame.row])) * self.frame.cell_m

    def nearest_free(self, cell: Cell) -> tuple[float, float] | None:
        """Middle of the free cell that is nearest to a cell; None where no cell is free."""
        free = np.argwhere(self.state == FREE)
        if not len(free):
            return None
        row, col = free[((free - cell) ** 2).sum(1).argmin()]
        x, y = self.metres(np.array([col + 0.5, row + 0.5]))
        return float(x), float(y)

    def leaving(self, start: Cell) -> Obstacles:
        """The same for a robot at `start`: where that is too near to an obstacle, though not lethal, the connected
        region of such cells around it is LEAVING.
        """
        if self.state[start] != BLOCKED:
            return self
        regions, _ = ndimage.label((self.state == BLOCKED) & ~self.lethal)
        region = regions == regions[start]
        state, toll = self.state.copy(), self.toll.copy()
        state[region] = LEAVING
        toll[region] += HURRY
        return replace(self, state=state, toll=toll)

    def connected(self, start: Cell, goal: Cell) -> bool:
        """Whether one region that is not BLOCKED holds both cells. Corners join nothing."""
        regions, _ = ndimage.label(self.state != BLOCKED)
        return bool(regions[start] == regions[goal] != 0)


def obstacles(ground: TerrainMap, config: PlanConfig) -> Obstacles:
    """Lethal cells, inflated by the footprint and its clearance. Raises PlanError where the map lacks a layer, but for
    slopes where no limit was asked for.
    """
    given = _layer(ground, "cost")
    unknown = np.isnan(given)
    cost = np.where(unknown, np.float32(config.unknown_cost if config.unknown == "cost" else 0.0), given)
    lethal = cost >= np.float32(config.lethal_cost)
    if config.unknown == "lethal":
        lethal |= unknown
    asked = "max_slope" in config.model_fields_set
    if config.max_slope is not None and (asked or "slope" in ground.layers):
        lethal |= _layer(ground, "slope") > np.float32(config.max_slope)
    distance_m = distance(lethal, ground.frame.cell_m)
    near = distance_m < config.radius_m + config.clearance_m - 1e-9
    state = np.where(lethal | near, BLOCKED, FREE).astype(np.uint8)
    counted = cost.astype(np.float64)
    return Obstacles(ground.frame, lethal, distance_m, state, counted, 1.0 + config.cost_weight * counted)


def distance(lethal: Bools, cell_m: float) -> Floats:
    """(rows, cols): exact Euclidean distance from middle to middle, less half a cell; metres."""
    if not lethal.any():
        return np.full(lethal.shape, np.inf)
    cells: Floats = ndimage.distance_transform_edt(~lethal)
    return (cells - 0.5) * cell_m


def _layer(ground: TerrainMap, name: str) -> Layer:
    if name not in ground.layers:
        raise PlanError(f"the map has no layer {name!r}, only {', '.join(ground.layers)}")
    return ground[name]
