"""Layers of a map, and routes over it, drawn on matplotlib's axes. Unknown cells are hatched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from espalier.core.errors import DataError, MissingExtraError, nearest
from espalier.robots.terrain.grid.terrain_map import TerrainMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Look:
    """label: beside the colour bar, with the unit. colours: a colour map of matplotlib's that the colour-blind can
    read. low, high: limits, None for those of the data.
    """

    label: str
    colours: str
    low: float | None = 0.0
    high: float | None = None


LOOKS: Mapping[str, Look] = {
    "elevation": Look("elevation, m", "viridis", low=None),
    "uncertainty": Look("uncertainty, m (one standard deviation)", "cividis"),
    "slope": Look("slope, m/m", "magma"),
    "roughness": Look("roughness (curvature)", "magma"),
    "step": Look("step, m", "magma"),
    "cost": Look("cost, 0 easy to 1 not passable", "inferno", high=1.0),
    "observed": Look("observed", "cividis", high=1.0),
}
SUN = np.array([-1.0, 1.0, 1.6]) / np.sqrt(4.56)
"""Towards the light of the hillshade: from the north-west, as on paper maps."""
STEEPER = 1.5
"""Heights count so much more in the hillshade."""
TAIL = 1.0
"""Percent of the values at an open end of the scale that may lie beyond it."""


def draw_layer(axis: Axes, ground: TerrainMap, name: str, *, colour_bar: bool = True) -> AxesImage:
    """Draw a layer in metres, y upwards; the elevation with a hillshade. Raises DataError where there is no such layer.

    Layers unknown to us are drawn with the limits of their data.
    """
    if name not in ground.layers:
        raise DataError(f"the map has no layer {name!r}{nearest(name, ground.layers)}")
    try:
        from matplotlib import colormaps
        from matplotlib.colors import Normalize
    except ImportError as error:
        raise MissingExtraError("matplotlib", "robots") from error
    look, values = LOOKS.get(name, Look(name, "viridis", low=None)), ground[name].astype(np.float64)
    low, high, extend = limits(values, look)
    left, bottom, right, top = ground.frame.bounds
    extent = (left, right, bottom, top)
    _hatch(axis, ground)
    image = axis.imshow(
        np.ma.masked_invalid(values),
        cmap=colormaps[look.colours],
        norm=Normalize(low, high),
        extent=extent,
        origin="lower",
        interpolation="nearest",
    )
    if name == "elevation":
        dark = 1.0 - hillshade(values, ground.frame.cell_m)
        axis.imshow(_shadow(dark, values), extent=extent, origin="lower", interpolation="nearest")
    axis.set(xlabel="x, m", ylabel="y, m", xlim=(left, right), ylim=(bottom, top), aspect="equal")
    if colour_bar:
        axis.figure.colorbar(image, ax=axis, label=look.label, extend=extend, shrink=0.8)
    return image


def draw_route(axis: Axes, points: npt.ArrayLike, *, label: str = "", colour: str = "#00d5ff") -> None:
    """Draw a route, (n, 2 or more) x and y, with its start (circle) and goal (star)."""
    xy = np.asarray(points, np.float64)
    if xy.ndim != 2 or xy.shape[1] < 2 or not len(xy):
        raise DataError(f"a route is an array (n, 2) of x and y, not {xy.shape}")
    axis.plot(*xy[:, :2].T, color="black", linewidth=4.0, solid_capstyle="round")
    axis.plot(*xy[:, :2].T, color=colour, linewidth=2.0, solid_capstyle="round", label=label or None)
    for (x, y), marker, size in ((xy[0, :2], "o", 7), (xy[-1, :2], "*", 13)):
        axis.plot(x, y, marker, color=colour, markeredgecolor="black", markersize=size)


def limits(values: Floats, look: Look) -> tuple[float, float, str]:
    """Ends of the scale, and matplotlib's word for those that values lie beyond. An open end is a percentile."""
    known = values[np.isfinite(values)]
    if not len(known):
        return look.low or 0.0, look.high or 1.0, "neither"
    low = float(np.percentile(known, TAIL)) if look.low is None else look.low
    high = float(np.percentile(known, 100.0 - TAIL)) if look.high is None else look.high
    if high <= low:
        high = low + 1e-3
    below, above = known.min() < low, known.max() > high
    return low, high, {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[below, above]


def hillshade(heights: Floats, cell_m: float) -> Floats:
    """(rows, cols) in 0..1: light on each cell. Unknown cells count as their nearest known ones, so none bleeds."""
    known = np.isfinite(heights)
    if min(heights.shape) < 2 or not known.any():
        return np.ones(heights.shape)
    if not known.all():
        from scipy import ndimage

        heights = heights[tuple(ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True))]
    to_y, to_x = np.gradient(STEEPER * heights, cell_m)
    light = (SUN[2] - SUN[0] * to_x - SUN[1] * to_y) / np.sqrt(1.0 + to_x**2 + to_y**2)
    return light.clip(0.0, 1.0)


def _shadow(dark: Floats, values: Floats) -> Floats:
    """(rows, cols, 4): black or white, more or less transparent, so that level ground keeps its colour."""
    level = 1.0 - SUN[2]
    alpha = np.where(dark > level, 0.6 * (dark - level) / (1.0 - level), 0.5 * (level - dark) / level)
    rgba = np.zeros((*dark.shape, 4))
    rgba[..., :3] = (dark < level)[..., None]
    rgba[..., 3] = np.where(np.isfinite(values), alpha, 0.0)
    return rgba


def _hatch(axis: Axes, ground: TerrainMap) -> None:
    from matplotlib.patches import Rectangle

    left, bottom, right, top = ground.frame.bounds
    style: dict[str, Any] = {"facecolor": "#ececec", "edgecolor": "#c4c4c4", "hatch": "////", "linewidth": 0}
    axis.add_patch(Rectangle((left, bottom), right - left, top - bottom, zorder=0, **style))
