"""One scan's view of the ground: the stages of the map in order, each a pure function."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

from espalier.robots.terrain.config import GpConfig, MapperConfig
from espalier.robots.terrain.cost import cost, upright
from espalier.robots.terrain.features.geometric import Geometry, geometry
from espalier.robots.terrain.features.slope import plane_slopes
from espalier.robots.terrain.gp.subset import SubsetGp
from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.inducing import Inducing, between, choose

Floats = npt.NDArray[np.float64]
T = TypeVar("T")


@dataclass(frozen=True)
class Estimate:
    """Arrays of (rows, cols). elevation: metres. variance: of it. slope: rise over run. curvature, step, radius:
    interpolated. cost: preliminary, 0 to 1. observed: whether a measured point was near. ms: of each stage.
    """

    elevation: Floats
    variance: Floats
    slope: Floats
    curvature: Floats
    step: Floats
    radius: Floats
    cost: Floats
    observed: npt.NDArray[np.bool_]
    inducing: Inducing
    ms: dict[str, float]


def estimate(points: Floats, frame: Frame, config: MapperConfig, rng: np.random.Generator) -> Estimate:
    """From (n, 3) points in the world. Source: FSGP-BGK (arXiv 2503.04134), steps 1 to 5."""
    watch = Stopwatch()
    found = watch("features", lambda: geometry(points, config.features.neighbours))
    return estimate_from(points, found, frame, config, rng, watch)


def estimate_from(
    points: Floats,
    found: Geometry,
    frame: Frame,
    config: MapperConfig,
    rng: np.random.Generator,
    watch: Stopwatch | None = None,
) -> Estimate:
    """The same, where the geometry of the points is known already."""
    watch, shape, centres = watch or Stopwatch(), frame.shape, frame.centres()
    inducing = watch("inducing", lambda: choose(points, found, config.features, config.inducing, rng))
    here = watch("between", lambda: between(inducing, centres, config.gp.neighbours))
    process = watch("fit", lambda: fit(inducing, config.gp))
    queries = np.column_stack([centres, *here[:2]])
    height = watch("predict", lambda: process.predict(queries))
    elevation = height.mean.reshape(shape)
    slope = watch("slope", lambda: plane_slopes(elevation, frame.cell_m, config.smooth.slope_sigma_m))
    price = cost(here, slope.ravel(), config.cost).reshape(shape)
    if config.cost.upright_m is not None:
        price[upright(points, frame, config.cost.upright_m)] = 1.0
    return Estimate(
        elevation=elevation,
        variance=height.variance.reshape(shape),
        slope=slope,
        curvature=here.curvature.reshape(shape),
        step=here.step.reshape(shape),
        radius=here.radius.reshape(shape),
        cost=price,
        observed=seen(points, frame, config.gp.reach_m),
        inducing=inducing,
        ms=watch.ms,
    )


def seen(points: Floats, frame: Frame, reach_m: float) -> npt.NDArray[np.bool_]:
    """(rows, cols): whether a cell with a measured point (n, 3) is within reach, as from middle to middle."""
    around = math.ceil(reach_m / frame.cell_m)
    cells = frame.cells(points[:, :2]) + around
    hit = np.zeros((frame.rows + 2 * around, frame.cols + 2 * around), bool)
    cells = cells[((cells >= 0) & (cells < hit.shape)).all(1)]
    hit[cells[:, 0], cells[:, 1]] = True
    if not hit.any():
        return np.zeros(frame.shape, bool)
    far = distance_transform_edt(~hit) * frame.cell_m
    return far[around : around + frame.rows, around : around + frame.cols] <= reach_m


def fit(inducing: Inducing, config: GpConfig) -> SubsetGp:
    """The process of the height over x, y, curvature and step. A mean of k points has noise / sqrt(k)."""
    lengths = np.array([config.length_m, config.length_m, config.length_curvature, config.length_step_m])
    return SubsetGp(
        np.column_stack([inducing.points[:, :2], *inducing.geometry[:2]]),
        inducing.points[:, 2],
        config.noise_m / np.sqrt(inducing.merged),
        lengths=lengths,
        kernel=config.kernel,
        alpha=config.alpha,
        std=config.std_m,
    )


class Stopwatch:
    """Milliseconds of named stages."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}

    def __call__(self, name: str, what: Callable[[], T]) -> T:
        """What `what` returns; its time is kept under `name`."""
        begun = perf_counter()
        found = what()
        self.ms[name] = 1000.0 * (perf_counter() - begun)
        return found
