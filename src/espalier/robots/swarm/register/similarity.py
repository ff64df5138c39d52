"""Similarities x = s R f + t, one or a batch of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class Freedom(NamedTuple):
    """What a similarity may be. yaw_only: turns about z alone. scale: least and greatest; equal where it is fixed."""

    yaw_only: bool = False
    scale: tuple[float, float] = (0.0, math.inf)


@dataclass(frozen=True, slots=True)
class Similarity:
    """scale: (...,). rotation: (..., 3, 3). translation: (..., 3) metres; NaN where no point counted.

    rank: (...,) directions in which the matched points spread: 3 solid, 2 planar, 1 a line, 0 a point. ambiguous:
    (...,) whether they leave the rotation open, which then comes from elsewhere.
    """

    scale: Floats
    rotation: Floats
    translation: Floats
    rank: Ints
    ambiguous: Flags

    def apply(self, points: Floats) -> Floats:
        """(..., n, 3): where the points (n, 3) or (..., n, 3) go."""
        turned = points @ np.swapaxes(self.scale[..., None, None] * self.rotation, -1, -2)
        moved: Floats = turned + self.translation[..., None, :]
        return moved

    def one(self, k: int) -> Similarity:
        """Of a batch (K,), the k-th."""
        return Similarity(self.scale[k], self.rotation[k], self.translation[k], self.rank[k], self.ambiguous[k])

    def at(self, times_s: Floats, wanted_s: Floats) -> Similarity:
        """Of a batch (K,) at `times_s`, ascending, those at `wanted_s` (m,) between; before and after, the ends."""
        place = np.interp(wanted_s, times_s, np.arange(len(times_s)))
        low = np.floor(place).astype(np.int64)
        high = np.minimum(low + 1, len(times_s) - 1)
        part = place - low

        def between(values: Floats) -> Floats:
            share = part.reshape(-1, *(1,) * (values.ndim - 1))
            mixed: Floats = (1.0 - share) * values[low] + share * values[high]
            return mixed

        return Similarity(
            between(self.scale),
            nearest_rotation(between(self.rotation)),
            between(self.translation),
            np.minimum(self.rank[low], self.rank[high]),
            self.ambiguous[low] | self.ambiguous[high],
        )

    def smoothed(self, strength: float, pivot: Floats) -> Similarity:
        """A batch (K,) whose scale and rotation change evenly along it, with `pivot` (3,) moved to where it was.

        Minimises squared changes plus `strength` times squared second differences; a constant rate stays as it is. Of
        rotations, the nearest to the smoothed matrices are taken. Source: Whittaker, 1923; its use here is ours.
        """
        count = len(self.scale)
        if strength <= 0.0 or count < 3:
            return self
        even = _whittaker(count, strength)
        scale = even @ self.scale
        rotation = nearest_rotation(np.tensordot(even, self.rotation, 1))
        held = self.apply(pivot[None])[:, 0]
        return replace(self, scale=scale, rotation=rotation, translation=held - scale[:, None] * (rotation @ pivot))


def nearest_rotation(matrices: Floats) -> Floats:
    """(..., 3, 3): the rotation R of the greatest tr(R^T M), for each of (..., 3, 3)."""
    u, _, vt = np.linalg.svd(matrices)
    u[..., 2] *= np.linalg.det(u @ vt)[..., None]
    rotation: Floats = u @ vt
    return rotation


@lru_cache(maxsize=16)
def _whittaker(count: int, strength: float) -> Floats:
    second = np.diff(np.eye(count), 2, axis=0)
    return np.asarray(np.linalg.inv(np.eye(count) + strength * second.T @ second), np.float64)
