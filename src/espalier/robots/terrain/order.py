"""Whether a scan follows the one before it: stamps that repeat or go back, poses that jump. No clock, no map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from espalier.robots.terrain.config import ClockConfig


class Verdict(StrEnum):
    """What becomes of a scan."""

    USED = "used"
    """It follows."""
    DUPLICATE = "duplicate stamp"
    """Its stamp was seen last time; it is left out, since the same scan is no further evidence."""
    LATE = "late"
    """It is older than the newest by a little; it is left out."""
    CLOCK_BACK = "clock went back"
    """It is older by a lot: the clock was set anew. It is used, the map is kept, and ages go on from where they
    were."""
    JUMP = "pose jumped"
    """Nothing moves so fast: the robot is elsewhere in the world than it was thought to be. The map begins anew."""
    EMPTY = "too few points"
    """Too few of its points can be used; it is left out."""

    @property
    def used(self) -> bool:
        """Whether the scan changes the map."""
        return self in (Verdict.USED, Verdict.CLOCK_BACK, Verdict.JUMP)


@dataclass(slots=True)
class Order:
    """Judges scans as they come. time: seconds since the first, never going back. Ours."""

    config: ClockConfig
    time: float = 0.0
    _stamp: float | None = None
    _place: tuple[float, float] = (0.0, 0.0)

    def judge(self, stamp: float, x: float, y: float) -> Verdict:
        """The verdict on a scan of `stamp` seconds from (x, y); `time` and place move on if it is used."""
        if self._stamp is None:
            self._move(stamp, x, y, 0.0)
            return Verdict.USED
        passed = stamp - self._stamp
        if passed == 0.0:
            return Verdict.DUPLICATE
        if passed < 0.0:
            if -passed <= self.config.late_s:
                return Verdict.LATE
            self._move(stamp, x, y, 0.0)
            return Verdict.CLOCK_BACK
        way = math.dist((x, y), self._place)
        jumped = way > max(self.config.slack_m, self.config.speed_mps * passed)
        self._move(stamp, x, y, passed)
        return Verdict.JUMP if jumped else Verdict.USED

    def _move(self, stamp: float, x: float, y: float, passed: float) -> None:
        self._stamp, self._place = stamp, (x, y)
        self.time += passed
