"""Points beside a surface: those that the clutter explains better than the surface does."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LEAST = 5
"""Neighbours that are needed to fit a plane."""
THIN = 0.05
"""A neighbourhood is taken as no thinner than this share of its radius: edges have planes on both sides."""
ROUNDS = 3
"""At first, others that are beside the surface still take part in planes."""


def beside(points: Floats, neighbours: Ints, radius: Floats, intensity: float) -> Bools:
    """(n,): whether a point of (n, 3) lies so far from the plane through its neighbours (n, k) that clutter of so many
    points a cubic metre is denser there than the surface, a normal distribution about the plane. Ours.
    """
    out = np.zeros(len(points), bool)
    for _ in range(ROUNDS):
        out = _beside(points, neighbours, radius, intensity, out)
    return out


@njit(cache=True)
def _beside(
    points: Floats, neighbours: Ints, radius: Floats, intensity: float, without: Bools
) -> Bools:  # pragma: no cover
    """One round; `without` (n,) take no part in planes. A point itself takes none in its own."""
    n = len(neighbours)
    out = np.zeros(n, np.bool_)
    for i in range(n):
        count = 0
        mx = my = mz = 0.0
        for j in neighbours[i]:
            if j != i and not without[j]:
                count += 1
                mx += points[j, 0]
                my += points[j, 1]
                mz += points[j, 2]
        if count < LEAST:
            out[i] = without[i]
            continue
        mx, my, mz = mx / count, my / count, mz / count
        xx = yy = zz = xy = xz = yz = 0.0
        for j in neighbours[i]:
            if j != i and not without[j]:
                x, y, z = points[j, 0] - mx, points[j, 1] - my, points[j, 2] - mz
                xx += x * x
                yy += y * y
                zz += z * z
                xy += x * y
                xz += x * z
                yz += y * z
        least, nx, ny, nz = _thinnest(xx / count, yy / count, zz / count, xy / count, xz / count, yz / count)
        off = abs(nx * (points[i, 0] - mx) + ny * (points[i, 1] - my) + nz * (points[i, 2] - mz))
        spread = max(np.sqrt(max(least, 0.0)), THIN * radius[i])
        dense = count / (np.pi * radius[i] ** 2) / (np.sqrt(2.0 * np.pi) * spread)
        out[i] = dense * np.exp(-0.5 * (off / spread) ** 2) < intensity
    return out


@njit(cache=True)
def _thinnest(
    xx: float, yy: float, zz: float, xy: float, xz: float, yz: float
) -> tuple[float, float, float, float]:  # pragma: no cover
    """Least eigenvalue of a covariance and its direction (unit; z where there is none)."""
    mean = (xx + yy + zz) / 3.0
    a, b, c = xx - mean, yy - mean, zz - mean
    size = np.sqrt((a * a + b * b + c * c + 2.0 * (xy * xy + xz * xz + yz * yz)) / 6.0)
    if size <= 1e-12 * mean or size == 0.0:
        return mean, 0.0, 0.0, 1.0
    determinant = a * (b * c - yz * yz) - xy * (xy * c - yz * xz) + xz * (xy * yz - b * xz)
    angle = np.arccos(min(max(determinant / (2.0 * size**3), -1.0), 1.0)) / 3.0
    least = mean + 2.0 * size * np.cos(angle + 2.0 * np.pi / 3.0)
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
    return least, nx * scale, ny * scale, nz * scale
