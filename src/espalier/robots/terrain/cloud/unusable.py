"""Points that are none: not finite, beams that did not return, and those that the file itself calls noise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from espalier.core.errors import DataError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Columns = Mapping[str, npt.NDArray[np.generic]]

NOT_FINITE, NO_RETURN, NOISE = "not finite", "no return", "noise by their class"
"""Reasons why a point is dropped."""
CLASSES = (7, 18)
"""Low and high noise, of the ASPRS's classes of LAS."""
AGAIN = 10
"""A place that is given so many times as often as others, and so many times at least, is where beams are put that did
not return: no range is measured twice to the last bit. Of (0, 0, 0) it takes `AGAIN_AT_ORIGIN`."""
AGAIN_AT_ORIGIN = 2
NEAR_M = 0.01
"""Nearer to its own middle a sensor sees nothing."""


class NothingUsableError(DataError):
    """A cloud without a point that can be used. dropped: how many it has, by reason."""

    def __init__(self, message: str, dropped: Mapping[str, int]) -> None:
        super().__init__(message)
        self.dropped = dropped


def usable(points: Floats, about: str, columns: Columns | None = None) -> tuple[Bools, dict[str, int]]:
    """Which of (n, 3) points can be used, and how many cannot, by reason. columns: what else a file says of them.

    Raises NothingUsableError, which begins with `about`, where none can.
    """
    good, dropped = sort_out(points, columns)
    if not good.any():
        counts = ", ".join(f"{count} {why}" for why, count in dropped.items())
        finite = "finite" if set(dropped) == {NOT_FINITE} else f"usable ({counts})"
        raise NothingUsableError(f"{about}: none of its {len(points)} points is {finite}", dropped)
    return good, dropped


def sort_out(points: Floats, columns: Columns | None = None) -> tuple[Bools, dict[str, int]]:
    """The same, be it none."""
    good = np.logical_and.reduce(np.isfinite(points), axis=1)
    dropped = {NOT_FINITE: len(points) - int(np.count_nonzero(good))}
    for why, bad in ((NOISE, _noise(len(points), columns or {})), (NO_RETURN, _no_returns(points, good))):
        dropped[why] = int(np.count_nonzero(bad & good))
        good = good & ~bad
    return good, {why: count for why, count in dropped.items() if count}


def at_sensor(points: Floats) -> Bools:
    """(n,): which of (n, 3) points of a sensor's own frame are beams that did not return."""
    near: Bools = np.einsum("ij,ij->i", points, points) < NEAR_M**2
    return near


def _no_returns(points: Floats, good: Bools) -> Bools:
    """(n,): points at a place that is given again and again. Clouds whose every point is given twice are left alone."""
    bad = np.zeros(len(points), bool)
    some = np.flatnonzero(good)
    if len(some) <= AGAIN:
        return bad
    place = np.ascontiguousarray(points[some] + 0.0)  # no -0
    order = np.argsort(place[:, 0], kind="stable")
    order = order[_in_runs(place[order, 0], AGAIN_AT_ORIGIN)]  # only these can be of one place
    if not len(order):
        return bad
    order = order[np.lexsort(place[order].T)]
    first = np.flatnonzero(np.r_[True, (np.diff(place[order], axis=0) != 0).any(1)])
    copies = np.diff(first, append=len(order))
    usual = len(some) / (len(some) - len(order) + len(first))
    at_origin = (place[order[first]] == 0.0).all(1)
    again = (copies >= AGAIN * usual) | (at_origin & (copies >= AGAIN_AT_ORIGIN * usual))
    bad[some[order[np.repeat(again, copies)]]] = True
    return bad


def _in_runs(ascending: Floats, least: int) -> Bools:
    """(n,): which values occur `least` times or more."""
    first = np.flatnonzero(np.r_[True, np.diff(ascending) != 0])
    lengths = np.diff(first, append=len(ascending))
    return np.repeat(lengths >= least, lengths)


def _noise(n: int, columns: Columns) -> Bools:
    """(n,): by a column `classification`, or LAS's flag `withheld`, whatever the case of their letters."""
    bad = np.zeros(n, bool)
    for name, values in columns.items():
        if values.shape != (n,) or values.dtype.kind not in "fiub":
            continue
        match name.lower():
            case "classification":
                bad |= np.isin(values, CLASSES)
            case "withheld":
                bad |= values != 0
    return bad
