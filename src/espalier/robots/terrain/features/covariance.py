"""How the neighbours of a point lie around their middle, and in which direction they are thinnest. Compiled."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Symmetric = tuple[float, float, float, float, float, float]
"""xx, yy, zz, xy, xz, yz of a symmetric 3 x 3 matrix."""
Vector = tuple[float, float, float]

EPS = 1e-12


@njit(cache=True)
def scatter(points: Floats, around: Ints, taken: Bools, but: int) -> tuple[int, Vector, Symmetric]:  # pragma: no cover
    """Of those of `around` (k,) in (n, 3) points that are taken (n,), but for point `but` (-1: none): how many, their
    mean, and the sums of squares and products about it.
    """
    count = 0
    mx = my = mz = 0.0
    for j in around:
        if taken[j] and j != but:
            count += 1
            mx += points[j, 0]
            my += points[j, 1]
            mz += points[j, 2]
    some = max(count, 1)
    mx, my, mz = mx / some, my / some, mz / some
    xx = yy = zz = xy = xz = yz = 0.0
    for j in around:
        if taken[j] and j != but:
            x, y, z = points[j, 0] - mx, points[j, 1] - my, points[j, 2] - mz
            xx += x * x
            yy += y * y
            zz += z * z
            xy += x * y
            xz += x * z
            yz += y * z
    return count, (mx, my, mz), (xx, yy, zz, xy, xz, yz)


@njit(cache=True)
def least_eigenvalue(matrix: Symmetric) -> float:  # pragma: no cover
    """In closed form (trigonometric solution of the cubic)."""
    xx, yy, zz, xy, xz, yz = matrix
    mean = (xx + yy + zz) / 3.0
    xx, yy, zz = xx - mean, yy - mean, zz - mean
    off = xy * xy + xz * xz + yz * yz
    size = np.sqrt((xx * xx + yy * yy + zz * zz + 2.0 * off) / 6.0)
    if size < EPS * mean or size == 0.0:
        return max(mean, 0.0)
    determinant = xx * (yy * zz - yz * yz) - xy * (xy * zz - yz * xz) + xz * (xy * yz - yy * xz)
    half = min(max(determinant / (2.0 * size**3), -1.0), 1.0)
    angle = np.arccos(half) / 3.0
    return max(mean + 2.0 * size * np.cos(angle + 2.0 * np.pi / 3.0), 0.0)


@njit(cache=True)
def thinnest(matrix: Symmetric) -> tuple[float, Vector]:  # pragma: no cover
    """Least eigenvalue and its direction (unit; z where there is none)."""
    least = least_eigenvalue(matrix)
    xx, yy, zz, xy, xz, yz = matrix
    a, b, c = xx - least, yy - least, zz - least
    best, nx, ny, nz = 0.0, 0.0, 0.0, 1.0
    for first, second in (((a, xy, xz), (xy, b, yz)), ((a, xy, xz), (xz, yz, c)), ((xy, b, yz), (xz, yz, c))):
        x = first[1] * second[2] - first[2] * second[1]
        y = first[2] * second[0] - first[0] * second[2]
        z = first[0] * second[1] - first[1] * second[0]
        length = x * x + y * y + z * z
        if length > best:
            best, nx, ny, nz = length, x, y, z
    scale = 1.0 / np.sqrt(best) if best > 0.0 else 1.0
    return least, (nx * scale, ny * scale, nz * scale)
