"""GeoTIFF: a float32 band a layer, north up, with what a geographic information system needs to place it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import PositiveInt, model_validator

from espalier.core.config import Config
from espalier.core.errors import DataError, MissingExtraError
from espalier.core.io.files import write_atomic
from espalier.robots.terrain.cloud.columns import reading
from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.grid.place import Place, check_local, projected
from espalier.robots.terrain.grid.terrain_map import LAYERS, TerrainMap

if TYPE_CHECKING:
    from types import ModuleType

    from affine import Affine

TAGS = "ESPALIER"
"""Namespace of the tags that keep the frame exactly."""
MOST_CELLS = 1_000_000_000
ALIGNED = 1e-3
"""A foreign file's corner lies on our numbering of cells when it is off by no more than this share of a cell."""


class GeoTiffConfig(Config):
    """Where on Earth the map lies. Without any of these, where it says itself, if it came from such a file; else its
    coordinates are its own."""

    epsg: PositiveInt | None = None
    """Code of the coordinate system of `origin`, such as 32632 for UTM zone 32 north; its axes are metres."""
    origin: tuple[float, float] = (0.0, 0.0)
    """Easting and northing of the map's (0, 0), metres."""
    origin_lat_lon: tuple[float, float] | None = None
    """Latitude and longitude of the map's (0, 0), degrees (WGS 84): the map gets a coordinate system of its own,
    azimuthal equidistant about this place."""
    compress: bool = True
    """Without loss."""

    @model_validator(mode="after")
    def _one_place(self) -> GeoTiffConfig:
        if self.origin_lat_lon is None:
            return self
        if self.epsg is not None or self.origin != (0.0, 0.0):
            raise ValueError("origin_lat_lon: its coordinate system is its own; give it alone, or epsg and origin")
        latitude, longitude = self.origin_lat_lon
        if not (abs(latitude) <= 90 and abs(longitude) <= 360):
            raise ValueError(f"origin_lat_lon: no place has latitude {latitude:g} and longitude {longitude:g}")
        return self


def save_geotiff(ground: TerrainMap, file: Path, config: GeoTiffConfig | None = None) -> None:
    """Bands are named after the layers, unknown cells NaN. Raises ConfigError for an EPSG code that does not exist."""
    rasterio = _rasterio()
    config = config or GeoTiffConfig()
    frame = ground.frame
    if config.origin_lat_lon is not None:
        check_local("the map", max(map(abs, frame.bounds)))
    crs, east, north = _placed(ground, config)
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "dtype": "float32",
        "count": len(ground.layers),
        "height": frame.rows,
        "width": frame.cols,
        "crs": crs,
        "transform": _transform(frame, east, north),
        "nodata": np.nan,
    }
    if config.compress:
        profile |= {"compress": "deflate", "predictor": 3}
    with rasterio.MemoryFile() as memory:
        with _quiet(), memory.open(**profile) as raster:
            for band, (name, layer) in enumerate(ground.layers.items(), 1):
                raster.write(layer[::-1].astype(np.float32), band)
                raster.set_band_description(band, name)
                raster.update_tags(band, meaning=LAYERS.get(name, ""))
            raster.update_tags(
                ns=TAGS,
                cell_m=repr(float(frame.cell_m)),
                row=frame.row,
                col=frame.col,
                rows=frame.rows,
                cols=frame.cols,
            )
        write_atomic(file, memory.read())


def load_geotiff(file: Path) -> TerrainMap:
    """A map saved here, exactly, in its own coordinates; or another north-up GeoTIFF of square cells. It knows its
    place on Earth if the file does.

    Of another file, bands are named after their descriptions (`band_1` without one), the cells' numbers come from its
    coordinates, and cells where any band says something count as observed. Raises DataError naming the file.
    """
    rasterio = _rasterio()
    with reading(file, "GeoTIFF"):
        with _quiet(), rasterio.open(file) as raster:
            _check_size(file, raster)
            bands = raster.read(out_dtype="float32", masked=True).filled(np.nan)[:, ::-1]
            names = [name or f"band_{band}" for band, name in enumerate(raster.descriptions, 1)]
            tags, transform, crs = raster.tags(ns=TAGS), raster.transform, raster.crs
        rows, cols = bands.shape[1:]
        if tags and (int(tags.get("rows", 0)), int(tags.get("cols", 0))) == (
            rows,
            cols,
        ):  # else another tool has cut it
            frame = Frame(float(tags["cell_m"]), int(tags["row"]), int(tags["col"]), rows, cols)
        else:
            frame = _frame(file, transform, rows, cols)
    layers = dict(zip(names, (np.ascontiguousarray(band) for band in bands), strict=True))
    if "observed" not in layers:
        layers["observed"] = np.isfinite(bands).any(0).astype(np.float32)
    left, _, _, top = frame.bounds
    place = Place(crs.to_wkt(), transform.c - left, transform.f - top) if crs else None
    return TerrainMap(frame, layers, place=place)


def _check_size(file: Path, raster: Any) -> None:
    """Raise DataError for a header that promises more cells than a map can have."""
    cells = raster.width * raster.height * raster.count
    if cells > MOST_CELLS:
        raise DataError(f"{file} promises {cells:.3g} cells, more than a map has place for; is its header whole?")


def _transform(frame: Frame, east: float, north: float) -> Affine:
    """From columns and rows, counted from the north-west corner, to coordinates."""
    left, _, _, top = frame.bounds
    return _rasterio().Affine(frame.cell_m, 0.0, east + left, 0.0, -frame.cell_m, north + top)


def _placed(ground: TerrainMap, config: GeoTiffConfig) -> tuple[Any, float, float]:
    """Coordinate system, easting and northing of (0, 0): those asked for, else those the map came with."""
    from rasterio.crs import CRS

    if config.origin_lat_lon is not None:
        latitude, longitude = config.origin_lat_lon
        local = f"+proj=aeqd +lat_0={latitude!r} +lon_0={longitude!r} +datum=WGS84 +units=m +no_defs"
        return CRS.from_proj4(local), 0.0, 0.0
    if config.epsg is not None:
        return projected(config.epsg), *config.origin
    if ground.place is not None and config.origin == (0.0, 0.0):
        return CRS.from_string(ground.place.crs), ground.place.east, ground.place.north
    return None, *config.origin


def _frame(file: Path, transform: Affine, rows: int, cols: int) -> Frame:
    cell_m = transform.a
    if transform.b or transform.d or not np.isclose(transform.e, -cell_m, rtol=1e-6) or cell_m <= 0:
        raise DataError(f"{file}: its cells are not squares with north up; warp it first (gdalwarp does)")
    west, south = transform.c / cell_m, (transform.f - rows * cell_m) / cell_m
    if max(abs(west - round(west)), abs(south - round(south))) > ALIGNED:
        raise DataError(f"{file}: its corner is no multiple of its cells of {cell_m:g}; gdalwarp -tap aligns it")
    return Frame(cell_m, round(south), round(west), rows, cols)


def _rasterio() -> ModuleType:
    try:
        import rasterio
        import rasterio.errors
    except ImportError as error:
        raise MissingExtraError("rasterio", "robots") from error
    return rasterio


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warning that a map has no place on Earth: it need not have one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", _rasterio().errors.NotGeoreferencedWarning)
        yield
