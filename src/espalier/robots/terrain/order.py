"""Whether a scan follows the one before it: stamps that repeat or go back, poses that jump. No clock, no map."""

from __future__ import annotations

import math
from collections import deque
from enum import StrEnum
from typing import NamedTuple

from espalier.robots.terrain.config import ClockConfig

Place = tuple[float, float]
STAMPS = 1000
"""Stamps that are remembered."""


class Verdict(StrEnum):
    """What becomes of a scan."""

    USED = "used"
    """It follows."""
    DUPLICATE = "duplicate stamp"
    """Its stamp was used before; it is left out, since the same scan is no further evidence."""
    LATE = "late"
    """It is older than the newest by a little; it is left out."""
    CLOCK_BACK = "clock went back"
    """It is older by a lot: the clock was set anew. It is used, the map is kept, and ages go on from where they
    were."""
    STRAY = "pose out of line"
    """Nothing moves so fast: its pose is wrong, or the robot is elsewhere than was thought. It is left out until the
    next scan says which."""
    JUMP = "pose jumped"
    """The scan after a stray one agrees with it: the robot is elsewhere. The map begins anew."""
    EMPTY = "too few points"
    """Too few of its points can be used; it is left out."""

    @property
    def used(self) -> bool:
        """Whether the scan changes the map."""
        return self in (Verdict.USED, Verdict.CLOCK_BACK, Verdict.JUMP)


class Sight(NamedTuple):
    """When, and from where."""

    stamp: float
    place: Place | None


class Order:
    """Judges scans as they come. time: seconds of all scans used, never going back, from `time` on. Ours."""

    def __init__(self, config: ClockConfig, time: float = 0.0) -> None:
        self.config, self.time = config, time
        self._last: Sight | None = None
        self._stray: Sight | None = None
        self._seen: deque[float] = deque(maxlen=STAMPS)

    def judge(self, stamp: float, place: Place | None) -> Verdict:
        """The verdict on a scan of `stamp` seconds from `place` (x, y); where none is given, nothing can jump."""
        last = self._last
        if last is None:
            return self._use(Verdict.USED, stamp, place, 0.0)
        if stamp in self._seen:
            return Verdict.DUPLICATE
        passed = stamp - last.stamp
        if passed < 0.0:
            if -passed <= self.config.late_s:
                return Verdict.LATE
            self._seen.clear()
            return self._use(Verdict.CLOCK_BACK, stamp, place, 0.0)
        if self._follows(last, stamp, place):
            return self._use(Verdict.USED, stamp, place, passed)
        stray, self._stray = self._stray, Sight(stamp, place)
        if stray is None or not self._follows(stray, stamp, place):
            return Verdict.STRAY
        return self._use(Verdict.JUMP, stamp, place, passed)

    def _follows(self, before: Sight, stamp: float, place: Place | None) -> bool:
        if before.place is None or place is None:
            return True
        way, passed = math.dist(before.place, place), abs(stamp - before.stamp)
        return way <= max(self.config.slack_m, self.config.speed_mps * passed)

    def _use(self, verdict: Verdict, stamp: float, place: Place | None, passed: float) -> Verdict:
        self._last, self._stray = Sight(stamp, place), None
        self._seen.append(stamp)
        self.time += passed
        return verdict
