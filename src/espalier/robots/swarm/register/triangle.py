"""The similarity of three matched points with the least sum of squared distances, in closed form for a kernel."""

from __future__ import annotations

import numpy as np
from numba import njit

from espalier.robots.swarm.register.similarity import Floats, Ints

TINY = 1e-9
"""A triangle of less area, over its longest edge squared, is a line."""


@njit(cache=True)
def triple_fit(
    slots: Floats, positions: Floats, triple: Ints, towards: Floats, yaw_only: bool, low: float, high: float
) -> tuple[bool, Floats, Floats]:
    """Whether there is a fit of three of (3, n) positions, s R (3, 3), and t (3,).

    The planes of the triangles are turned onto each other, and within the plane by the closed form of two dimensions:
    corners in the same order make this the optimum of Umeyama.
    """
    f, f_mean = _centred(slots, triple)
    y, y_mean = _centred(positions, triple)
    matrix, t = np.zeros((3, 3)), np.zeros(3)
    variance = _dot(f[0], f[0]) + _dot(f[1], f[1]) + _dot(f[2], f[2])
    f_flat, f_axes = _axes(f)
    y_flat, y_axes = _axes(y)
    if variance == 0.0 or (y_flat and not f_flat and not yaw_only):
        return False, matrix, t
    if yaw_only:
        rotation = _about_z(f, y, towards)
    elif f_flat:
        rotation = _along_line(f, y, towards)
    else:
        rotation = _within_planes(f, f_axes, y, y_axes)
    trace = 0.0
    for corner in range(3):
        for i in range(3):
            trace += y[corner, i] * _dot(rotation[i], f[corner])
    scale = min(max(trace / variance, low), high)
    for i in range(3):
        for j in range(3):
            matrix[i, j] = scale * rotation[i, j]
        t[i] = y_mean[i] - _dot(matrix[i], f_mean)
    return True, matrix, t


@njit(cache=True)
def _dot(a: Floats, b: Floats) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(cache=True)
def _cross(a: Floats, b: Floats) -> Floats:
    out = np.empty(3)
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        out[i] = a[j] * b[k] - a[k] * b[j]
    return out


@njit(cache=True)
def _between(corners: Floats, a: int, b: int) -> Floats:
    out = np.empty(3)
    for d in range(3):
        out[d] = corners[b, d] - corners[a, d]
    return out


@njit(cache=True)
def _centred(points: Floats, triple: Ints) -> tuple[Floats, Floats]:
    """Three of (3, n) points as rows, less their mean, and this."""
    corners, mean = np.empty((3, 3)), np.empty(3)
    for d in range(3):
        mean[d] = (points[d, triple[0]] + points[d, triple[1]] + points[d, triple[2]]) / 3.0
        for corner in range(3):
            corners[corner, d] = points[d, triple[corner]] - mean[d]
    return corners, mean


@njit(cache=True)
def _axes(corners: Floats) -> tuple[bool, Floats]:
    """Whether three corners lie on a line; if not, rows: along an edge, across it in their plane, and the normal."""
    axes = np.zeros((3, 3))
    one, two = _between(corners, 0, 1), _between(corners, 0, 2)
    normal = _cross(one, two)
    length, area = np.sqrt(_dot(one, one)), np.sqrt(_dot(normal, normal))
    if area <= TINY * max(_dot(one, one), _dot(two, two)):
        return True, axes
    for d in range(3):
        axes[0, d], axes[2, d] = one[d] / length, normal[d] / area
    across = _cross(axes[2], axes[0])
    for d in range(3):
        axes[1, d] = across[d]
    return False, axes


@njit(cache=True)
def _within_planes(f: Floats, f_axes: Floats, y: Floats, y_axes: Floats) -> Floats:
    """From axes to axes, with the turn in the plane that brings the corners nearest to each other."""
    c, s = 0.0, 0.0
    for corner in range(3):
        a, b = _dot(f[corner], f_axes[0]), _dot(f[corner], f_axes[1])
        u, v = _dot(y[corner], y_axes[0]), _dot(y[corner], y_axes[1])
        c += u * a + v * b
        s += v * a - u * b
    size = np.hypot(c, s)
    c, s = c / size, s / size
    rotation = np.empty((3, 3))
    for i in range(3):
        along, across = c * y_axes[0, i] + s * y_axes[1, i], c * y_axes[1, i] - s * y_axes[0, i]
        for j in range(3):
            rotation[i, j] = along * f_axes[0, j] + across * f_axes[1, j] + y_axes[2, i] * f_axes[2, j]
    return rotation


@njit(cache=True)
def _about_z(f: Floats, y: Floats, towards: Floats) -> Floats:
    c, s, extent = 0.0, 0.0, 0.0
    for corner in range(3):
        c += f[corner, 0] * y[corner, 0] + f[corner, 1] * y[corner, 1]
        s += f[corner, 0] * y[corner, 1] - f[corner, 1] * y[corner, 0]
        extent += np.sqrt(_dot(f[corner], f[corner]) * _dot(y[corner], y[corner]))
    if np.hypot(c, s) <= TINY * extent:
        c, s = towards[0, 0], towards[1, 0]
    rotation, size = np.zeros((3, 3)), np.hypot(c, s)
    rotation[0, 0] = rotation[1, 1] = c / size
    rotation[1, 0], rotation[0, 1] = s / size, -s / size
    rotation[2, 2] = 1.0
    return rotation


@njit(cache=True)
def _along_line(f: Floats, y: Floats, towards: Floats) -> Floats:
    """The least turn after `towards` that brings the line of f onto that of y, between the corners farthest apart.

    Of half a turn, the axis is across. Source: Rodrigues' formula.
    """
    u, v = _between(f, 0, 1), _between(y, 0, 1)
    for a, b in ((0, 2), (1, 2)):
        if _dot(_between(f, a, b), _between(f, a, b)) > _dot(u, u):
            u, v = _between(f, a, b), _between(y, a, b)
    turned = np.empty(3)
    for i in range(3):
        turned[i] = _dot(towards[i], u)
    sizes = np.sqrt(_dot(u, u) * _dot(v, v))
    rotation = towards.copy()
    if sizes == 0.0:
        return rotation
    axis, cosine = _cross(turned, v), _dot(turned, v) / sizes
    half = cosine < TINY - 1.0
    if half:
        side = np.zeros(3)
        least = 0
        for i in range(3):
            least = i if abs(turned[i]) < abs(turned[least]) else least
        side[least] = 1.0
        axis = _cross(turned, side)
        sizes = np.sqrt(_dot(axis, axis))
    for d in range(3):
        axis[d] /= sizes
    for column in range(3):
        before = towards[:, column]
        once, along = _cross(axis, before), _dot(axis, before)
        twice = _cross(axis, once)
        for i in range(3):
            if half:
                rotation[i, column] = 2.0 * along * axis[i] - before[i]
            else:
                rotation[i, column] = before[i] + once[i] + twice[i] / (1.0 + cosine)
    return rotation
