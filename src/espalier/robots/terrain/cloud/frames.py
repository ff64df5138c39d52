"""Where a sensor stands: poses as 4 x 4 matrices from the sensor's frame to the world's, z up, and checks of them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from espalier.core.errors import DataError

Floats = npt.NDArray[np.float64]

RIGID = 1e-3
"""How far from a rotation a matrix may be, for digits lost in writing."""
FAR_M = 10_000.0
TALL = 5.0
"""Times that the height of a scan exceeds its width where z is not up."""
ENOUGH = 100
"""Points of which the shape says something."""
SAMPLE = 4096


def pose_matrix(x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> Floats:
    """(4, 4) of a level sensor at x, y, z in metres, turned by `yaw` radians from x towards y."""
    c, s = math.cos(yaw), math.sin(yaw)
    return np.array([[c, -s, 0.0, x], [s, c, 0.0, y], [0.0, 0.0, 1.0, z], [0.0, 0.0, 0.0, 1.0]])


def rotations(quaternions: Floats) -> Floats:
    """(n, 3, 3) of (n, 4) quaternions x, y, z, w, which are normalised."""
    x, y, z, w = (quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def distortion(matrices: Floats) -> Floats:
    """(n,): how far (n, 3, 3) matrices are from rotations, the worse of their orthogonality and determinant."""
    skew = np.abs(matrices @ np.swapaxes(matrices, -1, -2) - np.eye(3)).max((-1, -2))
    worst: Floats = np.maximum(skew, np.abs(np.linalg.det(matrices) - 1.0))
    return worst


def transform(points: Floats, pose: Floats) -> Floats:
    """(n, 3) points of the sensor's frame in the world's."""
    moved: Floats = points @ pose[:3, :3].T + pose[:3, 3]
    return moved


def tilt(pose: Floats) -> float:
    """Radians between the sensor's z and the world's."""
    return math.acos(min(max(float(pose[2, 2]), -1.0), 1.0))


def check_frame(points: Floats, pose: Floats) -> None:
    """Raise DataError where points of the sensor's frame cannot be that, or the pose is none: the usual mistakes are
    points that are in the world's frame already, and a z that is not up. Ours.
    """
    if pose.shape != (4, 4) or not np.isfinite(pose).all() or distortion(pose[None, :3, :3])[0] > RIGID:
        raise DataError("a pose is a finite (4, 4) matrix with a rotation in its upper left; is this one transposed?")
    some = points[:: max(1, len(points) // SAMPLE)]
    if not len(some):
        return
    in_world = np.array_equal(pose, np.eye(4))
    nearest_m = math.sqrt((some**2).sum(1).min())
    if nearest_m > FAR_M and not in_world:
        raise DataError(
            f"every point of the scan is over {nearest_m / 1000:.0f} km from its sensor: the points seem to be in the "
            "world's frame already. Give None as their pose, or bring them into the sensor's frame"
        )
    low, high = np.percentile(transform(some, pose), (5, 95), axis=0)
    width, depth, height = high - low
    if len(points) >= ENOUGH and height > TALL * max(width, depth):
        raise DataError(
            f"the scan is {height:.1f} m high but only {max(width, depth):.1f} m wide: z seems not to be up. Turn the "
            "points, or the pose, so that z points away from the ground; a camera's has z forward and y down"
        )
