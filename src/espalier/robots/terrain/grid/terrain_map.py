"""A map of the ground: named layers over one frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.grid.place import Place

if TYPE_CHECKING:
    from espalier.robots.terrain.plan.route import Route

Layer = npt.NDArray[np.float32]

LAYERS: Mapping[str, str] = {
    "elevation": "height of the ground, metres",
    "uncertainty": "standard deviation, metres: of points about the elevation (whole clouds), of the elevation (scans)",
    "slope": "rise over run, 0 for level",
    "roughness": "curvature of the neighbourhood, 0 to 1/3",
    "step": "mean height difference to the neighbourhood, metres",
    "cost": "fused traversability cost, 0 (easy) to 1 (not passable)",
    "observed": "1 where a point was near enough to say something, else 0",
}
"""Every layer and its meaning. Cells not observed are NaN in all but the last."""


@dataclass(frozen=True)
class TerrainMap:
    """layers: by name, (rows, cols) float32, row 0 at the least y. NaN where nothing is known. dropped: points that
    were not mapped, by reason. warnings: why the map should not be believed, if so. Files of maps keep neither. place:
    where on Earth it lies, where it came from a GeoTIFF that knows.
    """

    frame: Frame
    layers: Mapping[str, Layer]
    dropped: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    place: Place | None = None

    def __getitem__(self, name: str) -> Layer:
        return self.layers[name]

    @property
    def observed(self) -> npt.NDArray[np.bool_]:
        """(rows, cols): where something is known."""
        return self.layers["observed"] > 0

    def at(self, x: float, y: float) -> dict[str, float]:
        """The layers' values at a point; an empty dict outside the map."""
        cell = self.frame.cells(np.array([[x, y]]))
        if not self.frame.inside(cell)[0]:
            return {}
        row, col = cell[0]
        return {name: float(layer[row, col]) for name, layer in self.layers.items()}

    def save(self, file: str | Path, **settings: Any) -> Path:
        """Write the map, in the format of the suffix: .tif, .npz, .png, .yaml (Nav2, with its .pgm) or .json
        (grid_map). settings: of the format, such as `epsg` of a GeoTIFF. Raises DataError for another suffix.
        """
        from espalier.robots.terrain.export.save import save_map

        return save_map(self, Path(file), **settings)

    def plan(self, start: Sequence[float], goal: Sequence[float], **settings: Any) -> Route:
        """A route over this map, see `terrain.plan`."""
        from espalier.robots.terrain.plan.config import PlanConfig
        from espalier.robots.terrain.plan.planner import plan

        return plan(self, start, goal, PlanConfig.of(**settings))
