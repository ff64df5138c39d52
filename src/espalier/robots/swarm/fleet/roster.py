"""The members of the formation and their slots, as one vehicle knows them. No clock: the caller passes the time.

A vehicle is out if the registration rejects it, it is far from its place and its path does not bring it nearer. It is
lost if it has been out for `lost_s`. If too many are lost, the lowest-numbered vehicle that is not lost assigns the
slots anew and sends the assignment in its messages. The vehicles that have not lost the sender adopt it. A vehicle that
loses its slot in this way and recovers takes a free one. All of this is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from espalier.robots.swarm.fleet.config import PolicyConfig
from espalier.robots.swarm.formation.assign import remap
from espalier.robots.swarm.register.spatiotemporal import Registration

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
ENOUGH = 0.5
"""A vehicle that hears a smaller share of the others does not assign slots: most may only be out of range."""
FAR = 3.0
"""Times the limit of residuals, 1.5 slots. A vehicle that flies around an obstacle does not get as far, or not for
long.
"""


class Allotment(NamedTuple):
    """slot: (n,) of each vehicle, -1 for none. round: number of assignments so far. by: the vehicle that made it."""

    round: int
    by: int
    slot: Ints

    def beats(self, other: Allotment) -> bool:
        """Whether this one is the later; of two in one round, whether it is by the lower number."""
        return (self.round, -self.by) > (other.round, -other.by)


class Claims(NamedTuple):
    """Contents of recent messages. senders: (m,). slot: (m,) that each holds. which: (m,) index of its assignment in
    `allotments`.
    """

    senders: Ints
    slot: Ints
    which: Ints
    allotments: Sequence[Allotment]


class Roster:
    """me: the vehicle that keeps this roster, of n. slot: its own. out_since_s: (n,) time since which a vehicle has
    been out, infinite if it is in.
    """

    def __init__(self, me: int, n: int, config: PolicyConfig) -> None:
        self.me, self.config = me, config
        self.slot = me
        self._said = np.arange(n, dtype=np.int64)
        self.allotment = Allotment(0, 0, np.arange(n, dtype=np.int64))
        self.out_since_s = np.full(n, np.inf)
        self._heard_s = np.full(n, np.inf)
        self._awaited_s = np.full(n, np.inf)
        self._heard = np.zeros(n, np.bool_)

    @property
    def claimed(self) -> Ints:
        """(n,) the slot that each vehicle reports, -1 for none. A slot that was assigned to another is not counted."""
        theirs, mine = self._said, self.allotment.slot
        return np.where((mine < 0) & np.isin(theirs, mine), -1, theirs)

    def listen(self, now_s: float, claims: Claims) -> bool:
        """Process messages. Returns whether a new assignment was adopted."""
        self._heard[:] = False
        self._heard[claims.senders] = True
        self._heard_s[claims.senders] = now_s
        self._said[claims.senders] = claims.slot
        lost, before = self.lost(now_s), self.allotment
        for which in np.unique(claims.which[~lost[claims.senders]]).tolist():
            if claims.allotments[which].beats(self.allotment):
                self.allotment = claims.allotments[which]
        return self.allotment is not before and self._follow()

    def judge(self, now_s: float, found: Registration, behind: Flags, nearing: Flags) -> None:
        """Update from a registration which vehicles are out; a registration that is not sure changes nothing. behind:
        (n,) vehicles farther from the goal than their places. nearing: (n,) vehicles whose path leads to their places.
        """
        if found.held or not found.memory.sure:
            return
        fine = found.inlier | nearing | (found.residual_m[0] <= FAR * found.c_m)
        since_s = np.where(fine, np.inf, np.minimum(self.out_since_s, now_s))
        self.out_since_s = np.where(self._heard, since_s, self.out_since_s)
        missed = behind & self.lost(now_s)
        self._awaited_s = np.where(found.inlier, np.inf, np.minimum(self._awaited_s, np.where(missed, now_s, np.inf)))

    def lost(self, now_s: float) -> Flags:
        """(n,) vehicles that have been out or silent for `lost_s`. A vehicle that was never heard is not lost."""
        since_s = np.minimum(self.out_since_s, self._heard_s)
        silent_or_out: Flags = now_s - np.where(self._heard, self.out_since_s, since_s) >= self.config.lost_s
        return silent_or_out

    def waits(self, now_s: float) -> bool:
        """Whether to wait, under the policy `wait` and for at most `wait_s`, for a lost vehicle that is behind, has not
        returned and still sends messages.
        """
        since_s = self._awaited_s[self._heard & (self.allotment.slot >= 0)]
        return self.config.stuck == "wait" and bool(((now_s - since_s < self.config.wait_s) & (since_s < np.inf)).any())

    def allot(
        self, now_s: float, found: Registration, positions: Floats, slots: Floats, *, inwards: bool = True
    ) -> bool:
        """Assign slots (m, 3) to the vehicles at positions (n, 3) that are not lost, if this is the vehicle to do so
        and enough vehicles with a slot are lost. Returns whether it did. inwards: as of `remap`.
        """
        share, lost = self.config.remap_share, self.lost(now_s)
        most = found.inlier.sum() + 1 > self._heard.sum() / 2.0
        sure = found.memory.sure and not found.held and most and self._heard.sum() >= ENOUGH * (len(lost) - 1)
        if share is None or not sure or self.waits(now_s):
            return False
        there = ~lost & np.isfinite(positions).all(1)
        there[self.me] = True
        if there[: self.me].any() or (lost & (self.allotment.slot >= 0)).sum() <= share * len(lost):
            return False
        slot = remap(positions, slots, there, place=found.fit.one(0), inwards=inwards).slot
        self.allotment = Allotment(self.allotment.round + 1, self.me, slot)
        return self._follow()

    def free(self, now_s: float) -> Ints:
        """Slots that no vehicle holds. If there are none, slots that are held by lost vehicles only."""
        every, others = np.arange(len(self.claimed)), np.delete(self.allotment.slot, self.me)
        nobodys = np.setdiff1d(every, np.union1d(self.claimed[self._heard], others))
        if len(nobodys):
            return nobodys
        return np.setdiff1d(every, np.union1d(self.claimed[self._heard & ~self.lost(now_s)], others))

    def settle(self, now_s: float, position: Floats, places: Floats) -> None:
        """A vehicle at (3,) without an assigned slot takes the nearest free one of the slots at (m, 3). If a vehicle
        with a lower number has taken it too, it gives it up.
        """
        if self.allotment.slot[self.me] >= 0:
            return
        rivals = (self.claimed == self.slot) & self._heard
        if self.slot >= 0 and not rivals[: self.me].any() and self.slot not in self.allotment.slot:
            return
        free = self.free(now_s)
        away = np.linalg.norm(places[free] - position, axis=1)
        self.slot = int(free[away.argmin()]) if len(free) else -1

    def change(self, before: Floats, slots: Floats, *, inwards: bool = True) -> None:
        """Change from slots `before` to `slots` (m, 3) of another formation. No vehicle is out then. If there are empty
        slots, they are chosen anew for the new shape. All vehicles compute the same result, so no message is needed.
        """
        self.out_since_s[:] = self._awaited_s[:] = np.inf
        held = self.allotment.slot
        if (held < 0).any():
            slot = remap(before[held], slots, held >= 0, inwards=inwards).slot
            self.allotment = self.allotment._replace(slot=slot)
            self.slot = int(slot[self.me])

    def _follow(self) -> bool:
        self.slot = int(self.allotment.slot[self.me])
        self.out_since_s[self.allotment.slot >= 0] = np.inf
        return True
