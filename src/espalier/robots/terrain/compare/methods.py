"""What is compared: each method turns scans into a cost for every cell of the robot's window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

from espalier.robots.terrain.cloud.cloud import Scan
from espalier.robots.terrain.cloud.frames import transform
from espalier.robots.terrain.cloud.voxel import spread
from espalier.robots.terrain.compare.config import MethodName
from espalier.robots.terrain.compare.elevation import ElevationMap
from espalier.robots.terrain.config import FusionConfig, MapperConfig
from espalier.robots.terrain.cost import cost
from espalier.robots.terrain.features.geometric import geometry_at
from espalier.robots.terrain.features.slope import plane_slopes
from espalier.robots.terrain.gp.subset import SubsetGp
from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.mapper import TraversabilityMapper

Floats = npt.NDArray[np.float64]


class Method(Protocol):
    """Anything that is fed scans and then says what each cell costs."""

    def __call__(self, scan: Scan, frame: Frame) -> Floats:
        """(rows, cols), 0 to 1, of the window around the robot, finite wherever the method can say anything."""


class Fused:
    """The mapper. Where it has seen nothing yet, what its process extrapolates. alone: each scan by itself (FSGP)."""

    def __init__(self, config: MapperConfig, *, alone: bool = False) -> None:
        self.mapper, self.alone = TraversabilityMapper(config), alone

    def __call__(self, scan: Scan, frame: Frame) -> Floats:
        """Of the mapper's own window, which is `frame`."""
        found = self.mapper.add(scan)
        assert found.estimate is not None
        if self.alone:
            return found.estimate.cost
        fused = found.map["cost"].astype(np.float64)
        return np.where(np.isfinite(fused), fused, found.estimate.cost)


class SparseGp:
    """SGP: a Gaussian process of the height over x and y alone, on as many points, drawn evenly.

    Its cost is the slope, the only term of the formula that it can see. fair: curvature and step are taken from its own
    height map, by the neighbours of each cell, so that it has all three.
    """

    def __init__(self, config: MapperConfig, *, fair: bool = False) -> None:
        self.config, self.fair, self._rng = config, fair, np.random.default_rng(config.seed)

    def __call__(self, scan: Scan, frame: Frame) -> Floats:
        """From this scan alone."""
        gp, world = self.config.gp, transform(scan.points, scan.pose)
        points = world[spread(world, self.config.inducing.count, self._rng)]
        process = SubsetGp(
            points[:, :2],
            points[:, 2],
            np.full(len(points), gp.noise_m),
            lengths=np.array([gp.length_m, gp.length_m]),
            kernel=gp.kernel,
            alpha=gp.alpha,
            std=gp.std_m,
        )
        centres = frame.centres()
        height = process.predict(centres).mean
        sigma = self.config.smooth.slope_sigma_m
        slope = plane_slopes(height.reshape(frame.shape), frame.cell_m, sigma)
        if not self.fair:
            return np.clip(slope / self.config.cost.slope, 0.0, 1.0)
        surface = np.column_stack([centres, height])
        around = geometry_at(surface, centres, self.config.features.neighbours)
        return cost(around, slope.ravel(), self.config.cost).reshape(frame.shape)


class Elevation:
    """An elevation map, and the cost formula on its heights."""

    def __init__(self, config: MapperConfig) -> None:
        self.config = config
        self.map = ElevationMap(config.window.cell_m)

    def __call__(self, scan: Scan, frame: Frame) -> Floats:
        """Cells without a height take the nearest one's."""
        self.map.update(transform(scan.points, scan.pose), scan.stamp)
        height = self.map.heights(frame)
        known = np.isfinite(height)
        if not known.any():
            return np.zeros(frame.shape)
        centres = frame.centres()
        surface = np.column_stack([centres[known.ravel()], height[known]])
        around = geometry_at(surface, centres, self.config.features.neighbours)
        rows, cols = distance_transform_edt(~known, return_distances=False, return_indices=True)
        slope = plane_slopes(height[rows, cols], frame.cell_m, self.config.smooth.slope_sigma_m)
        return cost(around, slope.ravel(), self.config.cost).reshape(frame.shape)


def _ruled(config: MapperConfig, rule: Literal["precision", "paper", "none"]) -> MapperConfig:
    return config.model_copy(update={"fusion": FusionConfig(**{**config.fusion.model_dump(), "rule": rule})})


METHODS: Mapping[MethodName, Callable[[MapperConfig], Method]] = {
    "sgp": SparseGp,
    "sgp_fair": lambda config: SparseGp(config, fair=True),
    "fsgp": lambda config: Fused(config, alone=True),
    "fsgp_bgk": Fused,
    "fsgp_bgk_paper": lambda config: Fused(_ruled(config, "paper")),
    "elevation": Elevation,
}
"""By the names of the published table; `fair`, `paper` and `elevation` are further baselines of ours."""
