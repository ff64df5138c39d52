"""Route files: a table of comma-separated values, and GeoJSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from espalier.core.errors import DataError
from espalier.robots.terrain.grid.place import Place, check_local, projected

Floats = npt.NDArray[np.float64]
COLUMNS = {"x": 4, "y": 4, "z": 4, "heading": 6, "curvature": 6, "cost": 6, "station": 4, "speed": 4}
"""Of a table, and their decimals."""
AXIS_M, FLATTENING = 6_378_137.0, 1 / 298.257223563
"""Of the WGS84 ellipsoid."""


def table(columns: Mapping[str, Floats]) -> str:
    """A line a point, of the `COLUMNS`; what is unknown is left empty."""
    texts = [
        ["" if np.isnan(value) else f"{value:.{decimals}f}" for value in columns[name]]
        for name, decimals in COLUMNS.items()
    ]
    return "\n".join([",".join(COLUMNS), *map(",".join, zip(*texts, strict=True))]) + "\n"


def feature(line: Floats, placed: bool, properties: Mapping[str, Any]) -> str:
    """GeoJSON (RFC 7946) of a line, (n, 2) or with elevation (n, 3): longitude and latitude where `placed`, else the
    map's metres, and the member `coordinates_are` says so.
    """
    if len(line) == 1:
        line = np.repeat(line, 2, axis=0)  # a LineString has two positions at least
    out: dict[str, Any] = {
        "type": "Feature",
        "geometry": {"type": "LineString", "coordinates": np.round(line, 9 if placed else 4).tolist()},
        "properties": dict(properties),
    }
    if not placed:
        out["coordinates_are"] = "metres in the frame of the map"
    return json.dumps(out, allow_nan=False) + "\n"


def lon_lat(xy: Floats, place: Place | None, origin: tuple[float, float] | None, epsg: int | None) -> Floats | None:
    """(n, 2) degrees of (n, 2) metres, by the origin, the EPSG code or the place; None where nothing says where the map
    lies. Raises DataError where both of the first two are given.
    """
    if origin is not None and epsg is not None:
        raise DataError("give either the origin's latitude and longitude, or the EPSG code of the map, not both")
    if origin is not None:
        placed = degrees(xy, *origin)
        check_local("the route", float(np.abs(xy).max()))
        return placed
    if epsg is not None:
        return Place(projected(epsg).to_wkt()).lon_lat(xy)
    return None if place is None else place.lon_lat(xy)


def degrees(xy: Floats, latitude: float, longitude: float) -> Floats:
    """(n, 2): longitude and latitude of (n, 2) metres east and north of a place on WGS84.

    Equirectangular, with the ellipsoid's two radii at the origin: off by about 2 mm at 100 m and 0.2 m at a kilometre
    in middle latitudes. Raises DataError at the poles and beyond.
    """
    if not (abs(latitude) < 89.9 and abs(longitude) <= 180.0):
        raise DataError(f"the origin {latitude:g}, {longitude:g} is no latitude and longitude in degrees")
    squared = FLATTENING * (2.0 - FLATTENING)
    sine, cosine = np.sin(np.radians(latitude)), np.cos(np.radians(latitude))
    across = AXIS_M / np.sqrt(1.0 - squared * sine**2)
    along = AXIS_M * (1.0 - squared) / (1.0 - squared * sine**2) ** 1.5
    return np.array([longitude, latitude]) + np.degrees(xy / (across * cosine, along))
