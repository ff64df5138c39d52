"""A picture of a map for people: its layers side by side."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import PositiveInt

from espalier.core.config import Config
from espalier.core.errors import DataError, MissingExtraError
from espalier.core.io.files import write_atomic
from espalier.robots.terrain.export.draw import draw_layer, draw_route
from espalier.robots.terrain.grid.terrain_map import TerrainMap

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = ("elevation", "slope", "roughness", "uncertainty", "cost")
PANEL_IN, LEAST_IN = 4.2, 1.2
"""Longer and, at least, shorter side of a panel, inches."""
LANDSCAPE = 1.4
"""About how much wider than high the picture shall be."""


class PictureConfig(Config):
    """What the picture shows."""

    layers: tuple[str, ...] = ()
    """Which layers, in order; none for those of elevation, slope, roughness, uncertainty and cost that there are."""
    title: str = ""
    """Above all."""
    dots_per_inch: PositiveInt = 120
    """Of the file; a panel is about four inches wide."""


def picture(ground: TerrainMap, config: PictureConfig | None = None) -> Figure:
    """A figure whose `axes` begin with one a layer, in order. It is not pyplot's: nothing has to be closed.

    Raises DataError for a layer that the map lacks, and for a map without any.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "robots") from error
    config = config or PictureConfig()
    names = _shown(ground, config)
    if not names:
        raise DataError("the map has no layers to draw")
    wide, high = ground.frame.cols, ground.frame.rows
    width, height = (max(PANEL_IN * side / max(wide, high), LEAST_IN) for side in (wide, high))
    width, height = width + 1.1, height + 0.5  # the colour bar, the title
    cols = min(math.ceil(math.sqrt(LANDSCAPE * len(names) * height / width)), len(names))
    rows = math.ceil(len(names) / cols)
    cols = math.ceil(len(names) / rows)
    figure = Figure(figsize=(cols * width, rows * height + 0.5), dpi=config.dots_per_inch, layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(rows, cols, number) for number in range(1, len(names) + 1)]
    for axis, name in zip(axes, names, strict=True):
        draw_layer(axis, ground, name)
        axis.set_title(name)
    unknown = 1.0 - float(np.mean(ground.observed)) if "observed" in ground.layers else 0.0
    note = f"cells of {ground.frame.cell_m:g} m" + (f"; hatched: unknown ({unknown:.0%})" if unknown else "")
    figure.supxlabel(note, fontsize="small", color="#555555")
    if config.title:
        figure.suptitle(config.title)
    return figure


def save_picture(
    ground: TerrainMap, file: Path, config: PictureConfig | None = None, *, route: npt.ArrayLike | None = None
) -> None:
    """`picture` as a PNG file, written in one step; with a route, (n, 2 or more) x and y, drawn on each layer."""
    figure = picture(ground, config)
    if route is not None:
        for axis in figure.axes[: len(_shown(ground, config))]:
            draw_route(axis, route)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    write_atomic(file, stream.getvalue())


def _shown(ground: TerrainMap, config: PictureConfig | None) -> tuple[str, ...]:
    chosen = config.layers if config is not None else ()
    return chosen or tuple(name for name in PANELS if name in ground.layers) or tuple(ground.layers)
