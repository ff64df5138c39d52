"""Surfaces of meshes as formations."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from espalier.core.errors import DataError, MissingExtraError
from espalier.core.io.text import read_text
from espalier.robots.swarm.formation.even import PER_POINT, Floats, evenly, spaced
from espalier.robots.swarm.formation.mesh_text import read_obj, read_stl

if TYPE_CHECKING:
    from trimesh import Trimesh

PLASTIC = 1.324717957244746
"""Root of x^3 = x + 1: its powers make the most even sequence of pairs (Roberts, 2018)."""
STL_HEAD, STL_FACE = 84, 50
"""Bytes of a binary STL file before its triangles, and of each."""
LONGEST_HEAD = 400
"""Bytes in which a PLY file says whether it is text."""


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
    """(t, 3, 3), as they are in the file."""
    if not file.is_file():
        raise DataError(f"there is no mesh {file}")
    kind = file.suffix.lower()
    if kind == ".obj":
        triangles = read_obj(file)
    elif kind == ".stl" and _is_stl_text(file.read_bytes()):
        triangles = read_stl(file)
    else:
        triangles = _of_trimesh(file)
    areas = np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=-1)
    if not len(triangles) or not np.isfinite(areas).all() or not areas.any():
        raise DataError(f"{file} has no surface: there are no triangles with an area in it")
    return triangles


def _of_trimesh(file: Path) -> Floats:
    try:
        import trimesh
    except ModuleNotFoundError as error:
        raise MissingExtraError("trimesh", "robots") from error
    kind, content = file.suffix.lower().removeprefix("."), file.read_bytes()
    if b"format ascii" in content[:LONGEST_HEAD].replace(b"\0", b""):  # zeros stand in UTF-16
        content = read_text(file).encode()
    try:
        loaded: Trimesh = trimesh.load_mesh(io.BytesIO(content), file_type=kind, process=False)
        triangles = np.asarray(loaded.triangles, np.float64).reshape(-1, 3, 3)
    except Exception as error:  # the library raises many kinds
        raise DataError(f"{file} is no mesh that can be read: {error}") from None
    return triangles


def _is_stl_text(content: bytes) -> bool:
    """Whether an STL file is one of text; those of bytes may begin with `solid` too."""
    count = int.from_bytes(content[STL_HEAD - 4 : STL_HEAD], "little")
    return len(content) != STL_HEAD + STL_FACE * count and b"facet" in content.replace(b"\0", b"")
