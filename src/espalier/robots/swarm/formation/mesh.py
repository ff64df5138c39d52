"""Surfaces of meshes as formations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from espalier.core.errors import DataError, MissingExtraError
from espalier.robots.swarm.formation.even import PER_POINT, Floats, evenly, spaced

if TYPE_CHECKING:
    from trimesh import Trimesh

PLASTIC = 1.324717957244746
"""Root of x^3 = x + 1: its powers make the most even sequence of pairs (Roberts, 2018)."""


def mesh(file: str | Path, count: int, spacing_m: float) -> Floats:
    """(count, 3) slots over the surface of an OBJ, STL or PLY file, axes as in the file, the two nearest `spacing_m`
    apart. Raises DataError where the file cannot be read or has no surface.
    """
    return spaced(evenly(sampled(_triangles(Path(file)), PER_POINT * count), count), spacing_m)


def sampled(triangles: Floats, count: int) -> Floats:
    """(count, 3) points over (t, 3, 3) triangles, by area, the same each time; and their corners besides."""
    edges = triangles[:, 1:] - triangles[:, :1]
    areas = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=-1)
    number = np.arange(count)
    ends = np.cumsum(areas)
    face = np.searchsorted(ends, (number + 0.5) / max(count, 1) * ends[-1]).clip(0, len(areas) - 1)
    u, v = (0.5 + number / PLASTIC) % 1.0, (0.5 + number / PLASTIC**2) % 1.0
    over = u + v > 1.0
    u, v = np.where(over, 1.0 - u, u), np.where(over, 1.0 - v, v)
    inside = triangles[face, 0] + u[:, None] * edges[face, 0] + v[:, None] * edges[face, 1]
    return np.concatenate([inside, np.unique(triangles[areas > 0.0].reshape(-1, 3), axis=0)])


def _triangles(file: Path) -> Floats:
    try:
        import trimesh
    except ModuleNotFoundError as error:
        raise MissingExtraError("trimesh", "robots") from error
    if not file.is_file():
        raise DataError(f"there is no mesh {file}")
    try:
        loaded: Trimesh = trimesh.load_mesh(file)
        triangles = np.asarray(loaded.triangles, np.float64)
    except Exception as error:
        raise DataError(f"{file} is no mesh that can be read: {error}") from None
    areas = np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=-1)
    if not len(triangles) or not np.isfinite(areas).all() or not areas.any():
        raise DataError(f"{file} has no surface: there are no triangles with an area in it")
    return triangles
