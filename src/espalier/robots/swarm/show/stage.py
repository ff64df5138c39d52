"""An empty picture of a piece of space, seen from a view: axes in metres, obstacles, and where points lie in it.

Everything that does not move is drawn once. What moves is drawn over a copy of that, which takes milliseconds rather
than the tenths of a second of a whole figure; axes cannot jump.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import CircleCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d import Axes3D, proj3d
from scipy.ndimage import binary_erosion

from espalier.robots.swarm.fleet.config import View
from espalier.robots.swarm.show.view import AZIMUTH, ELEVATION, PLANES, TOWARDS
from espalier.robots.swarm.traj.config import VEHICLE_M
from espalier.robots.swarm.world.world import World

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
LONG_IN, SHORT_IN = 8.2, 1.8
"""Longer and, at least, shorter side of the axes, inches."""
LEFT_IN, RIGHT_IN, BELOW_IN, ABOVE_IN = 0.65, 0.15, 0.5, 0.35
"""Around the axes."""
AROUND_IN = np.array([1.0, 0.6])
"""Left and right of a space in 3d, above and below it."""
NAMES_PT = ((-12.0, -34.0), (44.0, -16.0), (46.0, 0.0))
"""From the middles of the axes of 3d to their names, which matplotlib puts on the numbers of a low box."""
LEAST_PT, MOST_PT = 2.6, 12.0
"""Across a vehicle, at least and at most, in points of print."""
MOST_POINTS = 40_000
"""Of obstacles in 3d."""


@dataclass(frozen=True)
class Stage:
    """flat: points (..., 3) to (..., 2), in the data coordinates of `axis`. towards: (3,) the unit vector to the eye.
    metre_pt: a metre that is not foreshortened, in points of print. floor_m: where shadows fall, None for none.
    """

    figure: Figure
    axis: Axes
    flat: Callable[[Floats], Floats]
    towards: Floats
    metre_pt: float
    floor_m: float | None = None

    @property
    def vehicle_pt(self) -> float:
        """Across a vehicle, in points of print."""
        return min(max(2.0 * VEHICLE_M * self.metre_pt, LEAST_PT), MOST_PT)

    def dots(self, across_pt: float, **look: Any) -> Any:
        """Circles, for `set_offsets`, that `still` leaves out."""
        found = CircleCollection(
            [np.pi / 4.0 * across_pt**2], offsets=[(np.nan, np.nan)], offset_transform=self.axis.transData, **look
        )
        return self._added(found)

    def line(self, **look: Any) -> Any:
        """A line, for `set_data`, that `still` leaves out."""
        return self._added(Line2D([], [], transform=self.axis.transData, **look))

    def title(self) -> Any:
        """Words at the top left, for `set_text`, that `still` leaves out; there they do not move when they change."""
        return self.figure.text(0.012, 0.985, " ", fontsize=9, va="top", animated=True)

    def _added(self, artist: Artist) -> Artist:
        artist.set_animated(True)
        self.axis.add_artist(artist)
        return artist

    def still(self) -> Callable[[Iterable[Artist]], Picture]:
        """Draw what is there; then a function that draws animated artists over it, (h, w, 3)."""
        canvas: Any = self.figure.canvas
        canvas.draw()
        behind = canvas.copy_from_bbox(self.figure.bbox)

        def over(artists: Iterable[Artist]) -> Picture:
            canvas.restore_region(behind)
            for artist in artists:
                artist.draw(canvas.get_renderer())
            return np.asarray(canvas.buffer_rgba())[..., :3].copy()

        return over


def stage(low: Floats, high: Floats, view: View, dpi: int, world: World | None = None) -> Stage:
    """Space from `low` to `high`, (3,) each, and what of a world stands in it."""
    return _solid(low, high, dpi, world) if view == "3d" else _plane(low, high, view, dpi, world)


def _plane(low: Floats, high: Floats, view: View, dpi: int, world: World | None) -> Stage:
    """As large as the space, but neither side shorter than SHORT_IN: then more of the space is shown."""
    axes = list(PLANES[view])
    middle, sides = (low + high)[axes] / 2, (high - low)[axes]
    inches = np.maximum(LONG_IN * sides / sides.max(), SHORT_IN)
    per_inch = float(sides.max()) / LONG_IN
    if view != "top":
        middle[1] = low[2] + inches[1] * per_inch / 2  # what is more is sky
    (left, bottom), (right, top) = middle - inches * per_inch / 2, middle + inches * per_inch / 2
    wide, tall = inches[0] + LEFT_IN + RIGHT_IN, inches[1] + BELOW_IN + ABOVE_IN
    figure = Figure(figsize=(wide, tall), dpi=dpi)
    FigureCanvasAgg(figure)
    axis = figure.add_axes((LEFT_IN / wide, BELOW_IN / tall, inches[0] / wide, inches[1] / tall))
    if world is not None and world.occupancy.any():
        _shade(axis, world, view)
    across, up = ("xyz"[k] for k in axes)
    axis.set(xlim=(left, right), ylim=(bottom, top), xlabel=f"{across}, m", ylabel=f"{up}, m")
    return Stage(figure, axis, lambda points: points[..., axes], TOWARDS[view], 72.0 / per_inch)


def _shade(axis: Axes, world: World, view: View) -> None:
    """From above, obstacles are what they are; from the front or side, the darker the more of them are in line."""
    axes = PLANES[view]
    (through,) = {0, 1, 2} - set(axes)
    depth = world.occupancy.sum(through).T * world.cell_m
    dark = 0.55 * (depth > 0) if view == "top" else 0.3 * (1.0 - np.exp(-depth / 2.0))
    low, high = world.bounds
    extent = (low[axes[0]], high[axes[0]], low[axes[1]], high[axes[1]])
    axis.imshow(
        1.0 - dark,
        origin="lower",
        extent=extent,
        cmap="gray",
        vmin=0,
        vmax=1,
        interpolation="antialiased",
        aspect="auto",
    )


def _solid(low: Floats, high: Floats, dpi: int, world: World | None) -> Stage:
    """Without perspective, so that a metre is a metre everywhere; the picture is as high as the space looks. What is in
    the space is drawn on plain axes over those in 3d, whose own artists are sorted and projected anew for each picture.
    """
    figure = Figure(dpi=dpi)
    FigureCanvasAgg(figure)
    axis: Any = figure.add_axes(Axes3D(figure, proj_type="ortho", computed_zorder=False))
    axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    for each, side in zip((axis.xaxis, axis.yaxis, axis.zaxis), (high - low) / (high - low).max(), strict=True):
        each.set_major_locator(MaxNLocator(max(round(6 * side), 1)))
    axis.view_init(ELEVATION, AZIMUTH)
    axis.set_box_aspect(high - low)

    def flat(points: Floats) -> Floats:
        x, y, _ = proj3d.proj_transform(*np.moveaxis(points, -1, 0), axis.get_proj())
        return np.stack([x, y], -1)

    seen = flat(_corners(low, high))
    window, sides = axis.viewLim, np.ptp(seen, axis=0)
    per_inch = float(sides.max()) / LONG_IN
    inches = np.maximum(sides / per_inch, SHORT_IN) + 2 * AROUND_IN
    figure.set_size_inches(*inches)
    corner = inches / 2 + ((window.min - (seen.min(0) + seen.max(0)) / 2) / per_inch)
    place = (*(corner / inches), *(window.size / per_inch / inches))
    axis.set_position(place)
    pane = figure.add_axes(place, xlim=window.intervalx, ylim=window.intervaly)
    pane.set_axis_off()
    ends = np.array([[low[0], low[1], low[2]], [high[0], low[1], low[2]], [high[0], high[1], low[2]], high])
    for name, middle, away in zip("xyz", (ends[:-1] + ends[1:]) / 2, NAMES_PT, strict=True):
        x, y = flat(middle).tolist()
        pane.annotate(f"{name}, m", (x, y), away, textcoords="offset points", ha="center", va="center")
    camera = axis.get_proj()
    metre = float(np.linalg.norm(camera[0, :3]) / camera[3, 3])
    found = Stage(figure, pane, flat, TOWARDS["3d"], 72.0 * metre / per_inch, float(low[2]))
    if world is not None and world.occupancy.any():
        _stand(found, world, low, high)
    return found


def _corners(low: Floats, high: Floats) -> Floats:
    return np.stack(np.meshgrid(*np.stack([low, high], 1), indexing="ij"), -1).reshape(-1, 3)


def _stand(seen: Stage, world: World, low: Floats, high: Floats) -> None:
    """Cells at the surface of obstacles in the space, those at the back first and paler."""
    solid = world.occupancy
    points = world.origin + (np.argwhere(solid & ~binary_erosion(solid)) + 0.5) * world.cell_m
    points = points[((points >= low) & (points <= high)).all(1)]
    left_out = len(points) // MOST_POINTS + 1
    points = points[::left_out]
    depth = points @ seen.towards
    order = np.argsort(depth)
    near = (depth[order] - depth.min(initial=np.inf)) / max(float(np.ptp(depth)) if len(depth) else 0.0, 1e-9)
    across_pt = max(1.2 * world.cell_m * np.sqrt(left_out) * seen.metre_pt, 2.0)
    dots = CircleCollection(
        [np.pi / 4.0 * across_pt**2],
        offsets=seen.flat(points[order]),
        offset_transform=seen.axis.transData,
        linewidths=0.0,
    )
    dots.set_facecolor(np.repeat((0.9 - 0.2 * near)[:, None], 3, 1))
    seen.axis.add_artist(dots)
