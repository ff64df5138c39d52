"""The formation that a configuration asks for."""

from __future__ import annotations

from espalier.robots.swarm.formation.config import ImageShape, MeshShape, PointsShape, Shape, TextShape
from espalier.robots.swarm.formation.even import Floats
from espalier.robots.swarm.formation.image import image
from espalier.robots.swarm.formation.library import formation
from espalier.robots.swarm.formation.mesh import mesh
from espalier.robots.swarm.formation.points import points
from espalier.robots.swarm.formation.text import text


def make_formation(shape: Shape, n: int, spacing_m: float) -> Floats:
    """(n, 3) slots around 0; the two nearest are `spacing_m` apart, but for those of a file of points.

    Raises DataError for what cannot be made or read.
    """
    match shape:
        case TextShape():
            return text(shape.words, n, spacing_m, style=shape.style, font=shape.font)
        case ImageShape():
            return image(shape.file, n, spacing_m, style=shape.style, threshold=shape.threshold, bright=shape.bright)
        case MeshShape():
            return mesh(shape.file, n, spacing_m)
        case PointsShape():
            return points(shape.file, n)
    return formation(shape, n, spacing_m)
