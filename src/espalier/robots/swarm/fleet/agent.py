"""One vehicle: it plans from its own state and the messages it got, and knows nothing else of the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import numpy.typing as npt

from espalier.robots.swarm.fleet.comms import Inbox, Message
from espalier.robots.swarm.fleet.config import PlannerConfig
from espalier.robots.swarm.fleet.roster import Roster
from espalier.robots.swarm.fleet.site import Act, Site
from espalier.robots.swarm.register.memory import Memory
from espalier.robots.swarm.register.spatiotemporal import Registration, register, target
from espalier.robots.swarm.traj.brake import brake
from espalier.robots.swarm.traj.checks import check
from espalier.robots.swarm.traj.front_end import find_way, guess
from espalier.robots.swarm.traj.neighbours import Neighbours, sampled, selected
from espalier.robots.swarm.traj.optimise import Optimiser, Problem
from espalier.robots.swarm.traj.penalties import Places
from espalier.robots.swarm.traj.trajectory import Trajectory

Floats = npt.NDArray[np.float64]
FORGOTTEN_S = 3.0
"""A vehicle that was not heard of for so long is taken to hover where it was last heard of."""
STANDING_M = 0.2
"""Who moves by less in all of the horizon stands."""
DODGE_M = 0.8
"""Radius of the ball around a place where a plan fails, that a second plan goes around."""


@dataclass
class Agent:
    """me: its number, which is also its first slot's. flown: the trajectory that it is flying. roster: who has which
    slot. dodges, brakes: how often a plan was not safe and a second one, or an emergency stop, was flown instead.
    ms: of each plan.
    """

    me: int
    site: Site
    config: PlannerConfig
    optimiser: Optimiser
    rng: np.random.Generator
    flown: Trajectory
    registration: Registration | None = None
    dodges: int = 0
    brakes: int = 0
    ms: list[float] = field(default_factory=list)
    _act: int = 0
    _memory: Memory | None = None

    def __post_init__(self) -> None:
        self.roster = Roster(self.me, len(self.site.acts[0].slots), self.config.policy)

    @property
    def act(self) -> Act:
        """The formation that it flies in."""
        return self.site.acts[self._act]

    def message(self, now_s: float, path: Trajectory | None = None) -> Message:
        """What it tells the others; path: instead of the one that it is flying."""
        return Message(self.me, now_s, path or self.flown, self.roster.slot, self.roster.allotment)

    def plan(self, now_s: float, inbox: Inbox) -> Trajectory:
        """The trajectory to fly from now on; it is flown, and to be told to the others."""
        begun = perf_counter()
        if (act := self.site.act(now_s)) != self._act:
            self._act, self._memory = act, None
            self.roster.forget()
        times, others = self._sampled(now_s, inbox)
        seen = np.full((len(times), len(self.act.slots), 3), np.nan)
        ages = np.full(len(self.act.slots), np.inf)
        seen[:, inbox.senders] = others
        ages[inbox.senders] = now_s - inbox.sent_s
        if self.roster.listen(now_s, inbox.claims(now_s - self.config.register_by.stale_s)):
            self._memory = self._memory and self._memory.with_members(self.roster.allotment.slot >= 0)
        places = self._places(seen, ages, times)
        self.flown = self._safe(now_s, places, self._near(inbox, others, times))
        self.ms.append(1000.0 * (perf_counter() - begun))
        return self.flown

    def is_safe(self, now_s: float, inbox: Inbox) -> bool:
        """Whether what it is flying keeps clear for long enough, by the messages of those that yield to nobody: of two
        that planned at the same time, the one with the higher number is to plan again.
        """
        first = inbox.of_lower(self.me)
        times, seen = self._sampled(now_s, first)
        near, until_s = self._near(first, seen, times), now_s + self.config.safe_s
        return check(self.flown, self.site.field, near, self.config.trajectory.limits, now_s, until_s).safe

    def _sampled(self, now_s: float, inbox: Inbox) -> tuple[Floats, Floats]:
        """Moments of the horizon (K,), and where those that were heard are at them (K, m, 3)."""
        times = now_s + np.linspace(0.0, self.config.horizon_s, self.config.samples)
        forgotten_s = inbox.sent_s + FORGOTTEN_S
        return times, sampled(inbox.paths, times, np.where(now_s > forgotten_s, forgotten_s, np.inf))

    def _places(self, seen: Floats, ages: Floats, times: Floats) -> Places | None:
        """Where the formation wants this vehicle, by the method."""
        roster, stale = self.roster, self.config.register_by.stale_s
        claimed, own = roster.claimed, self.act.slots[roster.slot]
        slots = self.act.slots[claimed]
        heard = np.isfinite(seen[0, :, 0]) & (ages <= stale) & (claimed >= 0)
        match self.config.method:
            case "goal":
                return None
            case "leader":
                return Places(times, seen[:, 0] + own - slots[0]) if self.me and heard[0] else None
            case "rigid":
                mean = (seen[:, heard] - slots[heard]).mean(1) if heard.any() else None
                return None if mean is None else Places(times, mean + own)
        return self._registered(np.where(heard[:, None], seen, np.nan), slots, ages, times)

    def _registered(self, seen: Floats, slots: Floats, ages: Floats, times: Floats) -> Places | None:
        """By registration; it learns from it who is out, and may allot the slots anew."""
        roster, act, now_s = self.roster, self.act, float(times[0])
        self.registration = found = register(
            seen,
            slots,
            ages,
            times,
            spacing_m=act.spacing_m,
            config=self.config.register_by,
            rng=self.rng,
            memory=self._memory,
        )
        self._memory, fit = found.memory, found.fit.one(0)
        roster.judge(now_s, found, away(seen[0], act.goal + slots) > away(fit.apply(slots), act.goal + slots))
        everybody, here = seen[0].copy(), self.flown.position(now_s)
        everybody[self.me] = here
        if roster.allot(now_s, found, everybody, act.slots):
            self._memory = self._memory.with_members(roster.allotment.slot >= 0)
        roster.settle(now_s, here, fit.apply(act.slots))
        if roster.slot < 0:
            return None
        points = target(found, act.slots[roster.slot])
        return Places(times, points) if np.isfinite(points).all() else None

    def _near(self, inbox: Inbox, seen: Floats, times: Floats) -> Neighbours:
        """The others that come nearest to where this vehicle is or means to be; who was long silent hovers."""
        own = self.flown.coasting().position(times)
        closest = np.linalg.norm(seen - own[:, None], axis=2).min(0)
        order = np.argsort(closest, kind="stable")[: self.config.neighbours]
        order = order[closest[order] <= self.config.near_m]
        near = selected(inbox.paths, order)
        for k in np.flatnonzero(times[0] > inbox.sent_s[order] + FORGOTTEN_S):
            near.coefficients[k] = 0.0
            near.coefficients[k, 0, 0], near.ends[k], near.coasts[k] = seen[0, order[k]], np.inf, False
        return near

    def _safe(self, now_s: float, places: Places | None, near: Neighbours) -> Trajectory:
        """A plan that keeps clear for long enough; else one around the place where it does not; else what was flown, if
        that does; else a stop.
        """
        field, limits = self.site.field, self.config.trajectory.limits
        until = now_s + self.config.safe_s
        avoid = self._standing(now_s, near)
        for attempt in range(2):
            found = self._optimised(now_s, places, near, avoid)
            checked = check(found, field, near, limits, now_s, until)
            if checked.safe:
                return found
            self.dodges += attempt == 0
            avoid = np.vstack([avoid, np.append(found.position(checked.first_violation_s), DODGE_M)])
        if check(self.flown, field, near, limits, now_s, until).safe:
            return self.flown
        self.brakes += 1
        return brake(self.flown, now_s, limits.accel_mps2)

    def _standing(self, now_s: float, near: Neighbours) -> Floats:
        """(k, 4): balls around those that stay where they are, for the way to go around them."""
        moments, never = now_s + np.array([0.0, self.config.horizon_s]), np.full(len(near.starts), np.inf)
        begin, end = sampled(near, moments, never)
        at = begin[away(begin, end) < STANDING_M]
        here = self.flown.position(now_s)
        radius = np.minimum(away(at, here) - STANDING_M, self.config.trajectory.limits.separation_m)
        return np.column_stack([at, radius])[radius > 0.0]

    def _optimised(self, now_s: float, places: Places | None, near: Neighbours, avoid: Floats) -> Trajectory:
        planner, front = self.config.trajectory, self.config.trajectory.front_end
        head = np.stack([self.flown.position(now_s), self.flown.velocity(now_s), self.flown.acceleration(now_s)])
        goal = self._goal(now_s, head[0], places)
        way, reach = goal - head[0], front.cruise_mps * self.config.horizon_s
        distance = float(np.linalg.norm(way))
        local = goal if distance <= reach else head[0] + way * (reach / distance)
        path = find_way(self.site.field, head[0], local, front, planner.limits, avoid)
        last = np.zeros(3) if distance <= reach else front.cruise_mps * way / distance
        first = guess(path, float(np.linalg.norm(head[1])), float(np.linalg.norm(last)), front)
        tail = np.stack([path.points[-1], last, np.zeros(3)])
        problem = Problem(now_s, head, tail, *first, self.site.field, near, places, free_tail=distance > reach)
        return self.optimiser.plan(problem).trajectory

    def _goal(self, now_s: float, here: Floats, places: Places | None) -> Floats:
        """Its place in the end; while it waits for others, that where the formation is now; without a slot, here."""
        if self.roster.slot < 0:
            return here
        if self.roster.waits(now_s):
            return here if places is None else places.points[0]
        return self.act.goal + self.act.slots[self.roster.slot]


def away(points: Floats, others: Floats) -> Floats:
    """(n,) metres from points (n, 3) to others, each to its own."""
    return np.linalg.norm(points - others, axis=1)
