"""A piece of space and what stands in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from espalier.core.errors import DataError
from espalier.robots.swarm.world.esdf import Bools, DistanceField, Floats, Grid, look_up, signed_distance
from espalier.robots.swarm.world.shapes import Solid

MOST_CELLS = 200_000_000
"""More would not fit into the memory of a usual machine."""

TOUCH = (np.sqrt(3.0) - 1.0) / 2.0
"""Cells: with half a cell, which the distance field takes off, half the diagonal of a cell. So the field at the middles
of cells is that of a convex solid, to half a diagonal either way."""


@dataclass(frozen=True)
class World:
    """occupancy: (nx, ny, nz) cells of side `cell_m`, the first with its least corner at `origin` (3,). esdf: of the
    same shape, see `signed_distance`. solids: what the occupancy was made of, for drawing and exact distances; empty
    where that is not known. The ground is no obstacle: vehicles have a band of altitudes.
    """

    origin: Floats
    cell_m: float
    occupancy: Bools
    esdf: Grid
    solids: tuple[Solid, ...] = ()

    @classmethod
    def of_occupancy(cls, occupancy: Bools, origin: Floats, cell_m: float, solids: Sequence[Solid] = ()) -> World:
        """With its distance field. Raises DataError for a grid that is not (2 or more, 2 or more, 2 or more)."""
        if occupancy.ndim != 3 or min(occupancy.shape) < 2:
            raise DataError(f"a grid of {occupancy.shape} cells is no world: it needs two along each of x, y and z")
        return cls(np.asarray(origin, np.float64), cell_m, occupancy, signed_distance(occupancy, cell_m), tuple(solids))

    @classmethod
    def of_solids(cls, solids: Sequence[Solid], low: Sequence[float], high: Sequence[float], cell_m: float) -> World:
        """Solids in the box from `low` to `high`. A cell is occupied where its middle is in one or nearly so, by TOUCH.

        Raises DataError for more cells than memory holds.
        """
        origin = np.array(low, np.float64)
        shape = tuple(np.maximum(np.ceil((np.array(high) - origin) / cell_m - 1e-9).astype(int), 2).tolist())
        if np.prod(shape, dtype=float) > MOST_CELLS:
            raise DataError(f"{shape} cells of {cell_m:g} m are too many: make the world smaller or cell_m larger")
        occupancy = np.zeros(shape, np.bool_)
        for solid in solids:
            _fill(occupancy, solid, origin, cell_m)
        return cls.of_occupancy(occupancy, origin, cell_m, solids)

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """The least and the greatest (3,) x, y, z."""
        return self.origin, self.origin + np.array(self.occupancy.shape) * self.cell_m

    @property
    def field(self) -> DistanceField:
        """What a planner needs to know of the world."""
        return DistanceField(self.esdf, self.origin, self.cell_m)

    def clearance(self, points: Floats) -> Floats:
        """(n,): metres to the nearest obstacle at (n, 3) points, by the distance field."""
        return look_up(self.field, points)[0]

    def distance(self, points: Floats) -> Floats:
        """(n,): metres from (n, 3) points to the nearest solid, exact where outside of all; by the distance field
        where the solids are not known.
        """
        points = np.asarray(points, np.float64)
        if not self.solids and self.occupancy.any():
            return self.clearance(points)
        nearest = np.full(len(points), np.inf)
        for solid in self.solids:
            np.minimum(nearest, solid.distance(points), out=nearest)
        return nearest


def _fill(occupancy: Bools, solid: Solid, origin: Floats, cell_m: float) -> None:
    """Mark the cells whose middles lie in the solid."""
    low, high = ((bound - origin) / cell_m for bound in solid.bounds)
    first = np.clip(np.floor(low - TOUCH).astype(int), 0, occupancy.shape)
    last = np.clip(np.ceil(high + TOUCH).astype(int), 0, occupancy.shape)
    part = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    axes = [origin[k] + (np.arange(first[k], last[k]) + 0.5) * cell_m for k in range(3)]
    middles = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    occupancy[part] |= (solid.distance(middles) <= TOUCH * cell_m).reshape(occupancy[part].shape)
