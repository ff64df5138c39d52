"""One revolution of a lidar: each beam draws a ring, whose points have neighbours along it, however far they are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

THIN_RAD = 0.001
"""Points of one ring differ less in elevation."""
COARSE = 16
"""Bins of that width, in which it is looked for how uneven the elevations are."""
WIDE = 200
"""There are so many of these, over more than half a turn."""
UNEVEN = 0.1
"""Of 1 / COARSE where elevations are spread evenly, to 1 where all are those of a few beams."""
MANY, SOME = 5_000, 1_000
"""In clouds of so many points the height of a sensor is looked for, by so many of them."""
MAST_M = (0.3, 3.0, 0.02)
"""Heights of the sensor above the ground that are tried: lowest, highest and step."""
EXPECTED = 0.15
"""Points of the clutter in the wedge along a ring that leans."""
ENOUGH = 3
"""Others that a point needs in the wedge around it, besides the one that the wedge points to."""
LEVEL, LEANING = 1.5, 0.5
"""Half of the width of a wedge, for each metre along the ring: of the one that holds its range, and of the others."""
SLACK_M = 0.1
"""By so much more may the range differ on a rough surface."""
STEEPEST = 12.0
"""A ring changes its range by so much at most, for each metre around the sensor: along walls, and over crests."""
WIDEST_RAD = 0.25
SIDE = 6
"""Points looked at on each side of a point, in each of three bins."""
ROUNDS = 4
"""In which the number of the clutter is found."""
NEAREST = 0.25
"""Of the points have no say: they show how far the source of a beam lies from the middle of the sensor."""
LEVEL_BINS = 2
"""Bins of the greater width that have no say, the fullest: a level floor through the sensor fills so many."""
BESIDE = 0.1
"""Of the width of the points, so far may the sensor stand beside them, and so narrow are they not."""


def found_sensor(points: Floats) -> Floats | None:
    """Where the sensor of (n, 3) points stands if they are one revolution around (0, 0, 0), or around a place above
    (0, 0) where that is the ground; None where they are not. Ours.
    """
    sensor = np.zeros(3)
    if is_revolution(points):
        return sensor
    if len(points) < MANY:
        return None
    some = points[:: len(points) // SOME]
    level = np.hypot(some[:, 0], some[:, 1])
    foot = float(np.median(some[np.argsort(level)[: SOME // 50], 2]))
    low, high, step = MAST_M
    for tried in (np.arange(low, high, step), np.arange(-step, step, step / 8)):
        heights = foot + tried
        foot = float(heights[np.argmax([_unevenness(level, some[:, 2] - height) for height in heights])])
    sensor[2] = foot
    return sensor if is_revolution(points - sensor) else None


def is_revolution(local: Floats) -> bool:
    """Whether (n, 3) points of a sensor's frame lie on few cones around its z axis."""
    low, high = local[:, :2].min(0), local[:, :2].max(0)
    wide = high - low
    if wide.min() <= BESIDE * wide.max() or (np.abs(low + high) > (1.0 + 2.0 * BESIDE) * wide).any():
        return False
    level = np.hypot(local[:, 0], local[:, 1])
    far = level >= np.quantile(level, NEAREST)
    return _unevenness(level[far], local[far, 2]) > UNEVEN


def _unevenness(level: Floats, height: Floats) -> float:
    """Of the elevations of (n,) points: 1 where all are those of few beams, 1 / COARSE where they are spread evenly."""
    bins = ((np.arctan2(height, level) + 0.5 * np.pi) / THIN_RAD).astype(np.int64)
    fine = np.bincount(bins, minlength=WIDE * COARSE)[: WIDE * COARSE].reshape(WIDE, COARSE).astype(np.float64)
    wide = fine.sum(1)
    fine, wide = (fine * (fine - 1.0)).sum(1), wide * (wide - 1.0)
    others = np.argsort(wide)[:-LEVEL_BINS]
    return float(fine[others].sum()) / max(float(wide[others].sum()), 1.0)


def on_rings(local: Floats) -> tuple[Bools, float]:
    """Whether each of (n, 3) points of a sensor's frame has others beside it on its ring, and how many points a cubic
    metre the others are. Ours.

    Along a ring on a plane the inverse range is nearly linear in the azimuth. So others are looked for in a wedge along
    such a line, thin in elevation, and as long as that little of the clutter lies in it: for far and sparse rings that
    is much longer than the radius of a ball with so much clutter.
    """
    level = np.hypot(local[:, 0], local[:, 1])
    elevation, azimuth = np.arctan2(local[:, 2], level), np.arctan2(local[:, 1], local[:, 0])
    bins = np.floor(elevation / THIN_RAD).astype(np.int64)
    bins -= bins.min()
    order = np.lexsort((azimuth, bins))
    starts = np.concatenate([[0], np.cumsum(np.bincount(bins))])
    range_m = np.maximum(np.hypot(level, local[:, 2]), 1e-6)
    a, e, r, b = azimuth[order], elevation[order], range_m[order], bins[order]
    box = np.maximum(local.max(0), 0.0) - np.minimum(local.min(0), 0.0)
    volume = float(np.maximum(box, SLACK_M).prod())
    left, held = len(local), np.zeros(len(local), bool)
    for _ in range(ROUNDS):
        held[order] = _held(a, e, r, _longest(r, left / volume), b, starts)
        fewer = max(len(local) - int(np.count_nonzero(held)), 1)
        if fewer > 0.9 * left:
            break
        left = fewer
    return held, left / volume


def _longest(range_m: Floats, intensity: float) -> Floats:
    """(n,): half of the azimuth of a wedge at a range, radians, so that it holds what is expected. Its volume is
    4 THIN_RAD r^2 w (LEANING r w + SLACK_M) for an azimuth of w on each side.
    """
    square, plain = LEANING * range_m, SLACK_M
    volume = EXPECTED / intensity / (4.0 * THIN_RAD * range_m**2)
    return ((np.sqrt(plain**2 + 4.0 * square * volume) - plain) / (2.0 * square)).clip(0.0, WIDEST_RAD)


@njit(cache=True)
def _held(
    azimuth: Floats, elevation: Floats, range_m: Floats, longest: Floats, bins: Ints, starts: Ints
) -> Bools:  # pragma: no cover
    """Points in the order of their bins of elevation, and in each by azimuth."""
    n = len(azimuth)
    out = np.zeros(n, np.bool_)
    turn, rise = np.empty(6 * SIDE), np.empty(6 * SIDE)
    for i in range(n):
        count = 0
        for near in range(max(bins[i] - 1, 0), min(bins[i] + 2, len(starts) - 1)):
            first, size = starts[near], starts[near + 1] - starts[near]
            middle = np.searchsorted(azimuth[first : first + size], azimuth[i])
            for k in range(-min(SIDE, size // 2), min(SIDE + 1, size - size // 2)):
                j = first + (middle + k) % size
                around = azimuth[j] - azimuth[i]
                if around > np.pi:
                    around -= 2.0 * np.pi
                elif around < -np.pi:
                    around += 2.0 * np.pi
                if j == i or abs(around) > longest[i] or abs(elevation[j] - elevation[i]) > THIN_RAD:
                    continue
                change = range_m[i] * (1.0 - range_m[i] / range_m[j])  # metres, as the inverse range changes
                if abs(change) <= STEEPEST * range_m[i] * abs(around) + SLACK_M and count < len(turn):
                    turn[count], rise[count] = range_m[i] * around, change
                    count += 1
        if count >= ENOUGH:
            out[i] = _agree(turn[:count], rise[:count])
    return out


@njit(cache=True)
def _agree(turn: Floats, rise: Floats) -> bool:  # pragma: no cover
    """Whether enough of these lie on one line through the middle."""
    for i in range(-1, len(turn)):
        lean = rise[i] / turn[i] if i >= 0 and turn[i] != 0.0 else 0.0
        width = LEANING if i >= 0 else LEVEL
        found = 0
        for j in range(len(turn)):
            if abs(rise[j] - lean * turn[j]) <= width * abs(turn[j]) + SLACK_M:
                found += 1
        if found >= ENOUGH + (i >= 0):
            return True
    return False
