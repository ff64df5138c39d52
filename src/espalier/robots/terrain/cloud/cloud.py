"""Points in space, and what was wrong with those that were left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from espalier.core.errors import DataError

Points = npt.NDArray[np.float64]


def as_points(given: npt.ArrayLike) -> Points:
    """(n, 3) numbers, copied only if they are not float64. Raises DataError for an array of another shape or kind."""
    array = np.asarray(given)
    if array.ndim == 2 and array.shape[0] == 3 and array.shape[1] != 3:
        raise DataError(f"points are an array of shape (n, 3); {array.shape} looks transposed: give its .T")
    if array.ndim != 2 or array.shape[1] != 3 or not np.issubdtype(array.dtype, np.number):
        raise DataError(f"points are an array of numbers of shape (n, 3), not {array.dtype} of {array.shape}")
    return array.astype(np.float64, copy=False)


@dataclass(frozen=True)
class Cloud:
    """points: (n, 3) finite x, y, z in metres, z up. source: the file. fields: further columns of the file by name,
    (n,) each, such as `intensity`. dropped: how many points the file had besides, by reason (`not finite`).
    """

    points: Points
    source: str = ""
    fields: Mapping[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.points)

    @property
    def low(self) -> Points:
        """(3,): the least x, y and z."""
        return self.points.min(0)

    @property
    def high(self) -> Points:
        """(3,): the greatest x, y and z."""
        return self.points.max(0)


@dataclass(frozen=True)
class Scan:
    """One sweep of a sensor. points: (n, 3) in the sensor's own frame, or in the world's where `pose` is the identity
    and says so. pose: (4, 4), sensor to world. stamp: seconds. dropped: as of a cloud.
    """

    points: Points
    pose: Points
    stamp: float
    source: str = ""
    dropped: Mapping[str, int] = field(default_factory=dict)
