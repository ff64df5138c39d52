"""What clutter does to the map of a whole cloud, and how much of the cloud is lost with it."""

from __future__ import annotations

from dataclasses import dataclass
from time import process_time

import numpy as np
import numpy.typing as npt

from espalier.core.seed import np_rng
from espalier.robots.terrain.api import whole_config
from espalier.robots.terrain.clean.survey import survey
from espalier.robots.terrain.cloud.cloud import Cloud
from espalier.robots.terrain.config import LETHAL_COST, MapperConfig
from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.grid.terrain_map import TerrainMap
from espalier.robots.terrain.plan.config import PlanConfig
from espalier.robots.terrain.whole import build

Floats = npt.NDArray[np.float64]
BAND = 1.645
"""Standard deviations that hold 90% of a normal distribution."""


@dataclass(frozen=True)
class Harm:
    """lost: share of the clean points that were dropped. kept: share of the clutter that was not. error_m: mean of
    |elevation - that of the map of the clean cloud|. falsely_lethal: share of the cells that are passable in that map.
    seconds: of the map, in processor time. slower: times as long as without the filter.
    """

    lost: float
    kept: float
    error_m: float
    falsely_lethal: float
    warnings: tuple[str, ...]
    seconds: float
    slower: float


def with_clutter(points: Floats, share: float, seed: int, *, below_m: float = 0.0, above_m: float = 0.0) -> Floats:
    """(n, 3) points, and after them as many evenly in their box that these are `share` of all. below_m, above_m: so
    much higher is the box.
    """
    count = round(len(points) * share / (1.0 - share))
    low, high = points.min(0), points.max(0)
    low[2], high[2] = low[2] - below_m, high[2] + above_m
    return np.concatenate([points, np_rng(seed, "clutter").uniform(low, high, (count, 3))])


def judge_outliers(
    points: Floats, share: float, *, seed: int = 0, below_m: float = 0.0, above_m: float = 0.0, cell_m: float = 0.1
) -> Harm:
    """Of (n, 3) clean points with so much clutter."""
    dirty = with_clutter(points, share, seed, below_m=below_m, above_m=above_m)
    robust, bare = whole_config(cell_m, {}), whole_config(cell_m, {"drop_outliers": False})
    kept = survey(dirty, robust.features.neighbours).kept
    right, _ = _timed(points, bare)
    _, seconds_without = _timed(dirty, bare)
    ground, seconds = _timed(dirty, robust)
    both = _shared(right.frame, ground.frame)
    error = np.abs(_cut(ground, both, "elevation") - _cut(right, both, "elevation"))
    free = ~_lethal(right, both) & (_cut(right, both, "observed") > 0)
    clean = int(np.count_nonzero(kept < len(points)))
    return Harm(
        lost=1.0 - clean / len(points),
        kept=(len(kept) - clean) / max(len(dirty) - len(points), 1),
        error_m=float(np.nanmean(error)),
        falsely_lethal=float(np.mean(_lethal(ground, both)[free])),
        warnings=ground.warnings,
        seconds=seconds,
        slower=seconds / seconds_without,
    )


def coverage(points: Floats, *, seed: int = 0, noise_m: float = 0.02, cell_m: float = 0.1) -> float:
    """Share of a fifth of (n, 3) points, with noise, that lies in the 90% bands of the map of the others."""
    rng = np_rng(seed, "coverage")
    points = points + rng.normal(0.0, noise_m, points.shape)
    held = rng.random(len(points)) < 0.2
    ground = build(Cloud(points[~held]), whole_config(cell_m, {}))
    cells = ground.frame.cells(points[held, :2])
    inside = ground.frame.inside(cells)
    at = tuple(cells[inside].T)
    off = np.abs(points[held, 2][inside] - ground["elevation"][at])
    return float(np.mean((off <= BAND * ground["uncertainty"][at])[np.isfinite(off)]))


def _timed(points: Floats, config: MapperConfig) -> tuple[TerrainMap, float]:
    begun = process_time()
    ground = build(Cloud(points), config)
    return ground, process_time() - begun


def _shared(one: Frame, other: Frame) -> Frame:
    """What both cover."""
    row, col = max(one.row, other.row), max(one.col, other.col)
    last_row, last_col = (
        min(one.row + one.rows, other.row + other.rows),
        min(one.col + one.cols, other.col + other.cols),
    )
    return Frame(one.cell_m, row, col, last_row - row, last_col - col)


def _cut(ground: TerrainMap, frame: Frame, name: str) -> npt.NDArray[np.float32]:
    row, col = frame.row - ground.frame.row, frame.col - ground.frame.col
    return ground[name][row : row + frame.rows, col : col + frame.cols]


def _lethal(ground: TerrainMap, frame: Frame) -> npt.NDArray[np.bool_]:
    steep = PlanConfig().max_slope or np.inf
    lethal: npt.NDArray[np.bool_] = (_cut(ground, frame, "cost") >= LETHAL_COST) | (
        _cut(ground, frame, "slope") > steep
    )
    return lethal
