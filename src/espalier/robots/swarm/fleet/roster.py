"""Who takes part in the formation, and in which slot, as one vehicle believes. No clock: the caller tells the time.

A vehicle is out where the registration does not believe it, it is far from its place and does not mean to come nearer,
and lost once it has been out for `lost_s`. When too many are lost, the lowest-numbered vehicle that is not allots the
slots anew and says so in its messages; who believes it follows. A vehicle that lost its slot so and can fly again takes
a free one. All of this is ours.
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
"""Who hears fewer than this share of all others does not allot slots: most may only be out of range."""
FAR = 3.0
"""Of the limit of residuals, 1.5 slots: who flies around an obstacle is not as far from its place, or not for long."""


class Allotment(NamedTuple):
    """slot: (n,) of each vehicle, -1 for none. round: how often slots were allotted. by: who did so last."""

    round: int
    by: int
    slot: Ints

    def beats(self, other: Allotment) -> bool:
        """Of two, the later counts; of two in one round, that of the lower number."""
        return (self.round, -self.by) > (other.round, -other.by)


class Claims(NamedTuple):
    """What vehicles say that were heard of late: who (m,), which slot each holds (m,), and by which of the allotments,
    (m,) numbers in a list.
    """

    senders: Ints
    slot: Ints
    which: Ints
    allotments: Sequence[Allotment]


class Roster:
    """me: the vehicle that believes this, of n. slot: its own. out_since_s: (n,) since when a vehicle has been out,
    infinite where it is in.
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
        """(n,): the slot of each by what it says, -1 for none: the slot of one that lost it is another's now."""
        theirs, mine = self._said, self.allotment.slot
        return np.where((mine < 0) & np.isin(theirs, mine), -1, theirs)

    def listen(self, now_s: float, claims: Claims) -> bool:
        """Take over what others say; whether the slots were allotted anew."""
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
        """Learn from a registration who is out; from one that is not sure of itself, nothing. behind: (n,) who is
        farther from the goal than its place in the formation. nearing: (n,) who means to come nearer to its place.
        """
        if found.held or not found.memory.sure:
            return
        fine = found.inlier | nearing | (found.residual_m[0] <= FAR * found.c_m)
        since_s = np.where(fine, np.inf, np.minimum(self.out_since_s, now_s))
        self.out_since_s = np.where(self._heard, since_s, self.out_since_s)
        missed = behind & self.lost(now_s)
        self._awaited_s = np.where(found.inlier, np.inf, np.minimum(self._awaited_s, np.where(missed, now_s, np.inf)))

    def lost(self, now_s: float) -> Flags:
        """(n,): who has been out or silent for long; who was never heard may come yet."""
        since_s = np.minimum(self.out_since_s, self._heard_s)
        silent_or_out: Flags = now_s - np.where(self._heard, self.out_since_s, since_s) >= self.config.lost_s
        return silent_or_out

    def waits(self, now_s: float) -> bool:
        """Whether to stay for one that was lost, is behind and not back yet, and speaks: under the policy `wait`, for
        so long.
        """
        since_s = self._awaited_s[self._heard & (self.allotment.slot >= 0)]
        return self.config.stuck == "wait" and bool(((now_s - since_s < self.config.wait_s) & (since_s < np.inf)).any())

    def allot(
        self, now_s: float, found: Registration, positions: Floats, slots: Floats, *, inwards: bool = True
    ) -> bool:
        """Give the slots (m, 3) to those that are not lost, (n, 3) by where they are, if it is this vehicle's turn and
        enough are lost that still have one; whether it did. inwards: as of `remap`.
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
        """Slots that nobody has; where there is none, those that nobody has who could fill them."""
        every, others = np.arange(len(self.claimed)), np.delete(self.allotment.slot, self.me)
        nobodys = np.setdiff1d(every, np.union1d(self.claimed[self._heard], others))
        if len(nobodys):
            return nobodys
        return np.setdiff1d(every, np.union1d(self.claimed[self._heard & ~self.lost(now_s)], others))

    def settle(self, now_s: float, position: Floats, places: Floats) -> None:
        """Without a slot of its own, a vehicle at (3,) takes the nearest that is free of those at (m, 3); it lets it go
        to one of a lower number that took it too.
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
        """The formation is another now, (m, 3) `slots` instead of `before`: nobody is out. Where ranks were closed, the
        slots that stay free are chosen anew, as these are of another shape: by all vehicles alike, so nobody need say.
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
