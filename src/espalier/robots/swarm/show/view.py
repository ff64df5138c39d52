"""From where a flight or a formation is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from espalier.robots.swarm.fleet.config import View
from espalier.robots.swarm.world.world import World

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
PLANES: Mapping[View, tuple[int, int]] = {"top": (0, 1), "front": (0, 2), "side": (1, 2)}
"""Which coordinates go to the right and up. A front is seen from where y is negative, a side from a large x."""
ELEVATION, AZIMUTH = 22.0, -68.0
"""Degrees: 3d is seen from above where y is negative, so that upright texts can be read."""
_E, _A = np.radians([ELEVATION, AZIMUTH])
TOWARDS: Mapping[View, Floats] = {
    "top": np.array([0.0, 0.0, 1.0]),
    "front": np.array([0.0, -1.0, 0.0]),
    "side": np.array([1.0, 0.0, 0.0]),
    "3d": np.array([np.cos(_E) * np.cos(_A), np.cos(_E) * np.sin(_A), np.sin(_E)]),
}
"""Unit vectors to the eye, which is far away."""
FLAT = 0.25
"""What extends less than this share of its other directions in one is flat."""


def view_of_flight(formations: Floats) -> View:
    """Front where one of the formations (acts, n, 3) stands upright and is flat, as texts are; else top."""
    _, deep, high = np.ptp(formations, axis=1).T
    return "front" if (deep < FLAT * high).any() else "top"


def view_of_formation(slots: Floats) -> View:
    """Across the direction in which slots (n, 3) extend least; 3d where they fill space."""
    extent = np.ptp(slots, axis=0)
    least, middle, _ = np.sort(extent)
    if least >= FLAT * middle > 0.0:
        return "3d"
    views: Sequence[View] = ("top", "front", "side")
    across = [extent[2], extent[1], extent[0]]
    return views[int(np.argmin(across))]


def is_hidden(points: Floats, towards: Floats, world: World) -> Flags:
    """(n,): whether an obstacle stands between a point (n, 3) and an eye far away in that direction (3,)."""
    hidden = np.zeros(len(points), np.bool_)
    there = np.isfinite(points).all(1)
    if not world.occupancy.any() or not there.any():
        return hidden
    low, high = world.bounds
    along = towards != 0.0
    bound = np.where(towards > 0.0, high, low)[along]
    leaves_m = ((bound - points[there][:, along]) / towards[along]).min(1)
    steps = world.cell_m * np.arange(1, max(int(leaves_m.max() / world.cell_m), 0) + 1)
    cells = (points[there, None] + steps[:, None] * towards - world.origin) / world.cell_m
    inside: Flags = np.logical_and.reduce((cells >= 0.0) & (cells < world.occupancy.shape), axis=2)
    index = np.where(inside[..., None], cells, 0.0).astype(np.int64)
    i, j, k = np.moveaxis(index, -1, 0)
    hidden[there] = (inside & world.occupancy[i, j, k]).any(1)
    return hidden
