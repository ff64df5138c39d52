"""A simulated spinning lidar: what a sensor at a pose would see of a dense cloud."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from espalier.core.config import Config
from espalier.robots.terrain.cloud.cloud import Scan

Floats = npt.NDArray[np.float64]


class LidarConfig(Config):
    """A lidar that turns about its z. The defaults are those of FSGP-BGK's released simulation and protocol."""

    azimuth_rad: PositiveFloat = Field(default=0.05, le=2 * math.pi)
    """Between beams of a line; the last of a turn may be narrower."""
    lines: PositiveInt = 64
    """Beams above one another."""
    elevation_rad: PositiveFloat = Field(default=math.pi, le=math.pi)
    """From the lowest line to the highest, half of it below the horizon."""
    near_m: NonNegativeFloat = 0.1
    """Least range."""
    far_m: PositiveFloat = 5.0
    """Greatest range."""
    noise_m: NonNegativeFloat = 0.02
    """Standard deviation of a range."""
    rate_hz: PositiveFloat = 10.0
    """Turns a second."""
    occluded: NonNegativeFloat = Field(default=0.15, lt=1.0)
    """Share of the azimuth, in one sector that is drawn for each scan, that sees nothing."""

    @model_validator(mode="after")
    def _sensible(self) -> LidarConfig:
        if self.near_m >= self.far_m:
            raise ValueError(f"near_m: {self.near_m:g} m is not less than far_m, {self.far_m:g} m")
        return self


@dataclass(frozen=True)
class SpinningLidar:
    """Scans of one configuration. It keeps nothing between them."""

    config: LidarConfig

    def scan(self, points: Floats, pose: Floats, rng: np.random.Generator, stamp: float = 0.0) -> Scan:
        """The nearest of `points` (n, 3), in the world, in each beam from `pose` (4, 4), sensor to world.

        Those are returned in the sensor's frame, with noise along their rays.
        """
        from espalier.robots.terrain.cloud.returns import first_returns

        c = self.config
        dark = (float(rng.uniform(-math.pi, math.pi)), c.occluded * 2 * math.pi)
        bins = (math.ceil(2 * math.pi / c.azimuth_rad), c.lines)
        angles = (c.azimuth_rad, c.elevation_rad)
        seen = first_returns(points, pose, (c.near_m, c.far_m), bins, angles, dark)
        local = (points[seen] - pose[:3, 3]) @ pose[:3, :3]
        ranges = np.linalg.norm(local, axis=1)
        measured = ranges + rng.normal(0.0, c.noise_m, len(ranges))
        return Scan(local * (measured / ranges)[:, None], pose, stamp)

    def drive(self, points: Floats, poses: Iterable[Floats], rng: np.random.Generator) -> Iterator[Scan]:
        """A scan from each pose, as many a second as the lidar turns."""
        for number, pose in enumerate(poses):
            yield self.scan(points, pose, rng, number / self.config.rate_hz)
