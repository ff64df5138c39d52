"""The drive as a film: the ground with the path on the left, the map as the robot has it on the right."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from espalier.robots.animate import frame_of
from espalier.robots.terrain.compare.truth import Truth
from espalier.robots.terrain.drive.config import DriveConfig
from espalier.robots.terrain.drive.simulate import Moment
from espalier.robots.terrain.export.draw import hillshade

Picture = npt.NDArray[np.uint8]
COLOURS = "cividis"


class Film:
    """Call it with moments; it returns pictures of one size. right: the ground as it is."""

    def __init__(self, config: DriveConfig, right: Truth) -> None:
        self.config, self._frame = config, right.frame
        left, bottom, east, north = right.frame.bounds
        height = 4.4
        self._figure = Figure(
            figsize=(2 * height * (east - left) / (north - bottom) + 0.6, height), dpi=72, layout="tight"
        )
        FigureCanvasAgg(self._figure)
        self._axes = self._figure.subplots(1, 2)
        extent = (left, east, bottom, north)
        heights = np.where(np.isfinite(right.elevation), right.elevation, np.nanmin(right.elevation))
        self._axes[0].imshow(heights, origin="lower", extent=extent, cmap="gist_earth")
        self._axes[0].imshow(
            hillshade(heights, right.frame.cell_m), origin="lower", extent=extent, cmap="gray", alpha=0.35
        )
        blank = np.full(right.frame.shape, np.nan)
        self._cost = self._axes[1].imshow(blank, origin="lower", extent=extent, cmap=COLOURS, vmin=0, vmax=1)
        self._axes[1].set_facecolor("#bdbdbd")
        self._path: list[tuple[float, float]] = []
        self._moving = [self._mobile(axis) for axis in self._axes]
        self._title = self._axes[1].set_title(" ", fontsize=9)
        self._axes[0].set_title("ground, path and boxes", fontsize=9)
        for axis in self._axes:
            axis.set(xlim=(left, east), ylim=(bottom, north), xlabel="x, m")
            axis.plot(*config.goal, "*", color="#ff3b30", markersize=12)

    def _mobile(self, axis: Any) -> dict[str, Any]:
        """What moves on an axis."""
        robot = axis.add_patch(Circle(self.config.start[:2], self.config.plan.radius_m, color="#00d5ff", zorder=5))
        (nose,) = axis.plot([], [], color="black", linewidth=1.5, zorder=6)
        (path,) = axis.plot([], [], color="#00d5ff", linewidth=1.5)
        (route,) = axis.plot([], [], color="white", linewidth=1.5, linestyle="--")
        corners = [(box.x_m - box.side_m / 2, box.y_m - box.side_m / 2) for box in self.config.obstacles]
        boxes = [
            axis.add_patch(Rectangle(corner, box.side_m, box.side_m, fill=False, edgecolor="#ff3b30", linewidth=1.5))
            for corner, box in zip(corners, self.config.obstacles, strict=True)
        ]
        return {"robot": robot, "nose": nose, "path": path, "route": route, "boxes": boxes}

    def __call__(self, moment: Moment) -> Picture:
        """The picture of a moment."""
        x, y, yaw = moment.pose
        self._path.append((x, y))
        self._cost.set_data(moment.mapper.map(self._frame)["cost"])
        route = moment.navigator.route
        for one in self._moving:
            one["robot"].center = (x, y)
            reach = 1.6 * self.config.plan.radius_m
            one["nose"].set_data([x, x + reach * np.cos(yaw)], [y, y + reach * np.sin(yaw)])
            one["path"].set_data(*zip(*self._path, strict=True))
            one["route"].set_data(*(route.points.T if route is not None else ([], [])))
            for patch, box in zip(one["boxes"], self.config.obstacles, strict=True):
                patch.set_visible(box.from_s <= moment.seconds < box.to_s)
        plans, blocked = moment.navigator.plans, moment.navigator.blocked
        self._title.set_text(f"map: cost   {moment.seconds:5.1f} s, {plans} plans, {blocked} as the way was blocked")
        return frame_of(self._figure)
