"""The message of the grid_map library, field by field, as a plain dict and as JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np

from espalier.core.config import Config
from espalier.core.io.files import write_atomic
from espalier.robots.terrain.grid.terrain_map import Layer, TerrainMap


class GridMapConfig(Config):
    """What a map itself does not say."""

    frame_id: str = "map"
    """Name of the coordinate frame."""
    stamp: float = 0.0
    """Time of the map, seconds."""
    ros: Literal[1, 2] = 2
    """Whose message: ROS 2 has the header beside `info`, ROS 1 inside it."""


def to_gridmap(
    ground: TerrainMap, frame_id: str = "map", stamp: float = 0.0, *, ros: Literal[1, 2] = 2
) -> dict[str, Any]:
    """The fields of grid_map_msgs/GridMap, with plain lists and numbers; unknown cells are NaN, as grid_map has it.

    Its matrices have row i along -x and column j along -y, from the corner of greatest x and y; data are column by
    column. A cell is valid there where `elevation` is known.
    """
    frame = ground.frame
    least_x, least_y, most_x, most_y = frame.bounds
    seconds = math.floor(stamp)
    fraction = round((stamp - seconds) * 1e9)
    time = {"sec": seconds, "nanosec": fraction} if ros == 2 else {"secs": seconds, "nsecs": fraction}
    header = {"stamp": time, "frame_id": frame_id}
    info = {
        "resolution": frame.cell_m,
        "length_x": frame.cols * frame.cell_m,
        "length_y": frame.rows * frame.cell_m,
        "pose": {
            "position": {"x": (least_x + most_x) / 2, "y": (least_y + most_y) / 2, "z": 0.0},
            "orientation": {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0},
        },
    }
    return {
        **({"header": header, "info": info} if ros == 2 else {"info": {"header": header, **info}}),
        "layers": list(ground.layers),
        "basic_layers": [name for name in ground.layers if name == "elevation"],
        "data": [_multi_array(layer) for layer in ground.layers.values()],
        "outer_start_index": 0,
        "inner_start_index": 0,
    }


def save_gridmap(ground: TerrainMap, file: Path, config: GridMapConfig | None = None) -> None:
    """`to_gridmap` as JSON, which has no NaN: unknown cells are null, as in rosbridge."""
    config = config or GridMapConfig()
    message = to_gridmap(ground, config.frame_id, config.stamp, ros=config.ros)
    for array in message["data"]:
        array["data"] = [None if math.isnan(value) else value for value in array["data"]]
    write_atomic(file, json.dumps(message, allow_nan=False) + "\n")


def _multi_array(layer: Layer) -> dict[str, Any]:
    """std_msgs/Float32MultiArray. Turned by half a turn, our rows are grid_map's columns."""
    along_y, along_x = layer.shape
    dimensions = [
        {"label": "column_index", "size": along_y, "stride": layer.size},
        {"label": "row_index", "size": along_x, "stride": along_x},
    ]
    values = np.asarray(layer[::-1, ::-1], np.float32).ravel().tolist()
    return {"layout": {"dim": dimensions, "data_offset": 0}, "data": values}
