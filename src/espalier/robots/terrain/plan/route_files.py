"""Route files: a table of comma-separated values, and GeoJSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from espalier.core.errors import DataError
from espalier.core.files import write_atomic
from espalier.robots.terrain.grid.place import Place, check_local, projected
from espalier.robots.terrain.plan.route import Route

Floats = npt.NDArray[np.float64]
COLUMNS = {"x": 4, "y": 4, "z": 4, "heading": 6, "curvature": 6, "cost": 6, "station": 4, "speed": 4}
"""Of a table, and their decimals."""
AXIS_M, FLATTENING = 6_378_137.0, 1 / 298.257223563
"""Of the WGS84 ellipsoid."""


def save_route(route: Route, file: Path, origin: tuple[float, float] | None, epsg: int | None) -> Path:
    """See `Route.save`."""
    if file.suffix == ".csv":
        write_atomic(file, _table(route))
    elif file.suffix == ".geojson":
        write_atomic(file, json.dumps(feature(route, origin, epsg), allow_nan=False) + "\n")
    else:
        raise DataError(f"{file}: a route is written as .csv or .geojson, not {file.suffix or 'without a suffix'!r}")
    return file


def _table(route: Route) -> str:
    """A line a point; what is unknown is left empty."""
    columns = (*route.points.T, route.elevation, route.heading, route.curvature, route.cost, route.station, route.speed)
    texts = [
        ["" if np.isnan(value) else f"{value:.{decimals}f}" for value in column]
        for column, decimals in zip(columns, COLUMNS.values(), strict=True)
    ]
    return "\n".join([",".join(COLUMNS), *map(",".join, zip(*texts, strict=True))]) + "\n"


def feature(route: Route, origin: tuple[float, float] | None, epsg: int | None) -> dict[str, Any]:
    """A GeoJSON feature: longitude and latitude (RFC 7946) by the origin, the EPSG code, or what the map says. Without
    any of these the coordinates are the map's metres, and the member `coordinates_are` says so.
    """
    if origin is not None and epsg is not None:
        raise DataError("give either the origin's latitude and longitude, or the EPSG code of the map, not both")
    xy = _lon_lat(route, origin, epsg)
    placed = xy is not None
    line = route.points if xy is None else xy
    if np.isfinite(route.elevation).all():
        line = np.column_stack([line, route.elevation])
    if len(line) == 1:
        line = np.repeat(line, 2, axis=0)  # a LineString has two positions at least
    out: dict[str, Any] = {
        "type": "Feature",
        "geometry": {"type": "LineString", "coordinates": np.round(line, 9 if placed else 4).tolist()},
        "properties": {
            "method": route.method,
            "length_m": round(route.length_m, 4),
            "seconds": round(route.seconds, 3),
            "mean_cost": round(route.mean_cost, 6),
        },
    }
    if not placed:
        out["coordinates_are"] = "metres in the frame of the map"
    return out


def _lon_lat(route: Route, origin: tuple[float, float] | None, epsg: int | None) -> Floats | None:
    """(n, 2) degrees; None where nothing says where the map lies."""
    if origin is not None:
        placed = degrees(route.points, *origin)
        check_local("the route", float(np.abs(route.points).max()))
        return placed
    if epsg is not None:
        return Place(projected(epsg).to_wkt()).lon_lat(route.points)
    return None if route.place is None else route.place.lon_lat(route.points)


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
