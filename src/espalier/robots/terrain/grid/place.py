"""Where on Earth a map lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from espalier.core.errors import ConfigError, DataError, MissingExtraError

Floats = npt.NDArray[np.float64]

FAR_M = 100_000.0
"""Farther from its origin a local frame is a mistake."""


@dataclass(frozen=True)
class Place:
    """crs: coordinate system, as WKT or `EPSG:` and a code. east, north: of the map's (0, 0) in it."""

    crs: str
    east: float = 0.0
    north: float = 0.0

    def lon_lat(self, xy: Floats) -> Floats:
        """(n, 2) longitude and latitude (WGS 84, degrees) of (n, 2) places of the map, metres. Raises DataError where
        the coordinate system does not reach there.
        """
        try:
            from rasterio.errors import RasterioError
            from rasterio.warp import transform
        except ImportError as error:
            raise MissingExtraError("rasterio", "robots") from error
        try:
            there = np.add(xy, (self.east, self.north))
            out = transform(self.crs, "EPSG:4326", *there.T.tolist())[:2]
        except RasterioError as error:
            raise DataError(f"the coordinate system of the map cannot be turned into degrees: {error}") from None
        found = np.array(out).T
        if not np.isfinite(found).all() or np.abs(found).max(initial=0.0) > 360.0:
            raise DataError("the map lies outside of what its coordinate system covers: is its EPSG code right?")
        return found


def projected(epsg: int) -> Any:
    """Rasterio's coordinate system of a code. Raises ConfigError where there is none, or its axes are no metres."""
    try:
        from rasterio.crs import CRS
        from rasterio.errors import CRSError
    except ImportError as error:
        raise MissingExtraError("rasterio", "robots") from error
    try:
        found = CRS.from_epsg(epsg)
    except CRSError:
        raise ConfigError(f"epsg: there is no coordinate system {epsg}; see epsg.io") from None
    if not found.is_projected:
        raise ConfigError(f"epsg: the axes of {epsg} are degrees; give one in metres, or origin_lat_lon")
    return found


def check_local(what: str, farthest_m: float) -> None:
    """Raise DataError where what is placed by the latitude and longitude of its (0, 0) is too far from that."""
    if farthest_m > FAR_M:
        raise DataError(
            f"{what} is {farthest_m / 1000:.0f} km from the map's (0, 0), whose latitude and longitude are given: its "
            "coordinates seem to be of a system of their own, so give the EPSG code of that instead"
        )
