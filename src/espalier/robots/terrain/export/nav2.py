"""The map files of Nav2's map_server: a YAML file and the image it names."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import yaml
from pydantic import Field

from espalier.core.config import Config
from espalier.core.errors import DataError, MissingExtraError
from espalier.core.io.files import write_atomic
from espalier.robots.terrain.config import LETHAL_COST
from espalier.robots.terrain.grid.terrain_map import TerrainMap

Pixels = npt.NDArray[np.uint8]

OCCUPIED, FREE, UNKNOWN = 0, 254, 205
"""Grey values of map_server's own files."""
HIGHEST = 0.99
"""A passable cell is written as no more than this, so that only lethal ones read as 100."""


class Nav2Config(Config):
    """How costs become occupancy."""

    mode: Literal["trinary", "scale"] = "trinary"
    """trinary: a PGM of occupied, free and unknown cells. scale: a PNG of graded costs, transparent where unknown; the
    costmap's static layer keeps the grades where its `trinary_costmap` is false."""
    lethal_cost: float = Field(default=LETHAL_COST, gt=0.0)
    """Cells of this cost or more are occupied."""


def save_nav2(ground: TerrainMap, file: Path, config: Nav2Config | None = None) -> None:
    """`file`, and beside it the image of the same name. Raises DataError for a map without costs.

    The thresholds are such that map_server reads the classes written: with its default of 0.25 for `free_thresh`, the
    grey of unknown cells would be free. Readers take (255 - grey) / 255 for the occupancy.
    """
    config = config or Nav2Config()
    if "cost" not in ground.layers:
        raise DataError(f"{file}: a Nav2 map is made of costs, and this map has no layer 'cost'")
    cost = ground["cost"][::-1]
    image = file.with_suffix(".pgm" if config.mode == "trinary" else ".png")
    x, y, _, _ = ground.frame.bounds
    about: dict[str, Any] = {
        "image": image.name,
        "resolution": ground.frame.cell_m,
        "origin": [round(x, 9), round(y, 9), 0.0],
        "negate": 0,
        "occupied_thresh": 0.65 if config.mode == "trinary" else 1.0,
        "free_thresh": 0.196 if config.mode == "trinary" else 0.0,
        "mode": config.mode,
    }
    write_atomic(image, _pgm(classes(cost, config)) if config.mode == "trinary" else _png(grades(cost, config)))
    write_atomic(file, yaml.safe_dump(about, sort_keys=False, default_flow_style=None))


def classes(cost: npt.NDArray[np.floating], config: Nav2Config) -> Pixels:
    """(rows, cols): OCCUPIED, FREE or UNKNOWN."""
    grey = np.where(cost >= config.lethal_cost, OCCUPIED, FREE)
    return np.where(np.isnan(cost), UNKNOWN, grey).astype(np.uint8)


def grades(cost: npt.NDArray[np.floating], config: Nav2Config) -> Pixels:
    """(rows, cols, 4): the darker the costlier, black for lethal; transparent where unknown. Each grey is the one that
    map_server, which rounds to hundredths, reads as the cost in hundredths.
    """
    known = np.nan_to_num(cost, nan=0.0).astype(np.float64)
    hundredths = np.where(cost >= config.lethal_cost, 100.0, np.rint(100.0 * known.clip(0.0, HIGHEST)))
    grey = np.rint(255.0 * (1.0 - hundredths / 100.0))
    return np.stack([grey, grey, grey, np.where(np.isnan(cost), 0, 255)], -1).astype(np.uint8)


def _pgm(grey: Pixels) -> bytes:
    rows, cols = grey.shape
    return f"P5\n{cols} {rows}\n255\n".encode() + grey.tobytes()


def _png(rgba: Pixels) -> bytes:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("pillow", "robots") from error
    stream = io.BytesIO()
    Image.fromarray(rgba, "RGBA").save(stream, "PNG")
    return stream.getvalue()
