"""A scene's parts, and the cloud that they make: nothing is seen that lies inside something else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from espalier.robots.terrain.cloud.cloud import Cloud
from espalier.robots.terrain.scenes import sample
from espalier.robots.terrain.scenes.sample import Floats, Height
from espalier.robots.terrain.scenes.shapes import TOUCH, Bools, Solid

Ints = npt.NDArray[np.int64]

GROUND = -1
"""Number of the ground among the owners of points."""


@dataclass(frozen=True)
class Parts:
    """height: of the ground. solids: what stands on it. faces: (n, 3) points on upright faces of the ground itself."""

    height: Height
    solids: Sequence[Solid] = ()
    faces: Floats = field(default_factory=lambda: np.empty((0, 3)))

    def cloud(self, size_m: float, density: float, rng: np.random.Generator, source: str) -> Cloud:
        """Every surface that is neither in the ground nor in another solid, in the square around (0, 0).

        The field `solid` is 0 for points of the ground, and 1, 2... for those of each solid.
        """
        clouds = [sample.ground(self.height, size_m, density, rng), self.faces]
        clouds += [self._above(solid.surface(density, rng)) for solid in self.solids]
        owners = np.repeat([GROUND, GROUND, *range(len(self.solids))], [len(each) for each in clouds])
        points = np.concatenate(clouds)
        seen = (np.abs(points[:, :2]) <= size_m / 2).all(1)
        points, owners = points[seen], owners[seen]
        hidden = self._hidden(points, owners)
        return Cloud(points[~hidden], source, {"solid": (owners[~hidden] + 1).astype(np.uint32)})

    def _above(self, points: Floats) -> Floats:
        return points[points[:, 2] >= self.height(points[:, 0], points[:, 1])]

    def _hidden(self, points: Floats, owners: Ints) -> Bools:
        """(n,): which points lie in a solid that is not their own."""
        hidden = np.zeros(len(points), bool)
        order = np.argsort(points[:, 0])
        x = points[order, 0]
        for number, solid in enumerate(self.solids):
            (left, front, _), (right, back, _) = solid.bounds[0] - TOUCH, solid.bounds[1] + TOUCH
            near = order[slice(*np.searchsorted(x, (left, right)))]
            near = near[(points[near, 1] >= front) & (points[near, 1] <= back) & (owners[near] != number)]
            hidden[near[solid.contains(points[near])]] = True
        return hidden
