"""Maps to files and back, by the file's suffix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from espalier.core.config import Config
from espalier.core.errors import DataError, nearest
from espalier.robots.terrain.export.geotiff import GeoTiffConfig, load_geotiff, save_geotiff
from espalier.robots.terrain.export.gridmap import GridMapConfig, save_gridmap
from espalier.robots.terrain.export.nav2 import Nav2Config, save_nav2
from espalier.robots.terrain.export.npz import NpzConfig, load_npz, save_npz
from espalier.robots.terrain.export.png import PictureConfig, save_picture
from espalier.robots.terrain.grid.terrain_map import TerrainMap


@dataclass(frozen=True)
class Format:
    """settings: what may be chosen. save: writes a map by such settings. load: reads one; None where a file tells too
    little of the map.
    """

    settings: type[Config]
    save: Callable[[TerrainMap, Path, Any], None]
    load: Callable[[Path], TerrainMap] | None = None


_GEOTIFF = Format(GeoTiffConfig, save_geotiff, load_geotiff)
FORMATS: Mapping[str, Format] = {
    ".tif": _GEOTIFF,
    ".tiff": _GEOTIFF,
    ".npz": Format(NpzConfig, save_npz, load_npz),
    ".png": Format(PictureConfig, save_picture),
    ".yaml": Format(Nav2Config, save_nav2),
    ".json": Format(GridMapConfig, save_gridmap),
}
"""By suffix, in lower case."""


def save_map(ground: TerrainMap, file: Path, **settings: Any) -> Path:
    """Write a map in the format of the file's suffix, and return the file. Folders are made as needed.

    settings: of that format's config. Raises DataError for another suffix, or a map that the format cannot hold;
    ConfigError for a setting that the format does not have; MissingExtraError without the format's package.
    """
    kind = _format(file, FORMATS)
    config = kind.settings.of(**settings)
    file.parent.mkdir(parents=True, exist_ok=True)
    kind.save(ground, file, config)
    return file


def load_map(file: Path) -> TerrainMap:
    """The map in a .npz that was saved from one, or in a north-up GeoTIFF. Raises DataError naming the file."""
    kind = _format(file, {suffix: each for suffix, each in FORMATS.items() if each.load})
    if not file.is_file():
        raise DataError(f"there is no map {file}")
    assert kind.load is not None
    return kind.load(file)


def _format(file: Path, formats: Mapping[str, Format]) -> Format:
    suffix = file.suffix.lower()
    if suffix not in formats:
        what = f"the suffix {suffix!r} is no format for this" if suffix else "there must be a suffix to tell the format"
        raise DataError(f"{file}: {what}{nearest(suffix, formats)}")
    return formats[suffix]
