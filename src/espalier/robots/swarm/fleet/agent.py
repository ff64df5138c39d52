"""One vehicle: it plans from its own state and the messages it got, and knows nothing else of the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import numpy.typing as npt

from espalier.core.errors import DataError
from espalier.robots.swarm.fleet.comms import Inbox
from espalier.robots.swarm.fleet.config import PlannerConfig
from espalier.robots.swarm.fleet.message import Message
from espalier.robots.swarm.fleet.pilot import Pilot, Traffic, Wish
from espalier.robots.swarm.fleet.roster import Roster
from espalier.robots.swarm.fleet.site import Act, Site
from espalier.robots.swarm.register.memory import Memory
from espalier.robots.swarm.register.spatiotemporal import Registration, register, target
from espalier.robots.swarm.traj.graph_metric import Graph, Wanted, graph, wanted
from espalier.robots.swarm.traj.optimise import Optimiser
from espalier.robots.swarm.traj.penalties import Places
from espalier.robots.swarm.traj.trajectory import Trajectory

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
NEARER = 0.5
"""Of the limit of residuals: who means to come nearer to its place by more within the horizon is on its way."""
LAG = 0.5
"""Slots' spacings behind its place, a vehicle flies as fast as it may."""
PROGRESS = 0.5
"""Slots' spacings: who came nearer to its goal by less came no nearer."""
STRAYED = 2.0
"""Slots' spacings from its place in the formation: farther away, a vehicle is not in it."""


@dataclass
class Agent:
    """me: its number, which is also its first slot's. flown: the trajectory that it is flying. roster: who has which
    slot. pilot: what makes its paths. registration: the last. ms: of each plan. look_ms: of each look at the news.
    """

    me: int
    site: Site
    config: PlannerConfig
    optimiser: Optimiser
    rng: np.random.Generator
    flown: Trajectory
    registration: Registration | None = None
    ms: list[float] = field(default_factory=list)
    look_ms: list[float] = field(default_factory=list)
    _act: int = -1
    _memory: Memory | None = None
    _sure_s: float = 0.0
    _nearest: tuple[int, float, float] = (-1, 0.0, np.inf)
    _stalls: int = 0
    _alone_until_s: float = -np.inf
    _wanted: tuple[tuple[int, Ints], Wanted] | None = None

    def __post_init__(self) -> None:
        self.roster = Roster(self.me, len(self.site.acts[0].slots), self.config.policy)
        self.pilot = Pilot(self.config, self.optimiser, self.site.field)

    @property
    def act(self) -> Act:
        """The formation that it flies in; before its first plan, the first."""
        return self.site.acts[max(self._act, 0)]

    def message(self, now_s: float, path: Trajectory | None = None) -> Message:
        """What it tells the others; path: instead of the one that it is flying."""
        return Message(self.me, now_s, path or self.flown, self.roster.slot, self.roster.allotment)

    def plan(self, now_s: float, inbox: Inbox) -> Trajectory:
        """The trajectory to fly from now on; it is flown, and to be told to the others. now_s: by the clock that all
        share. The first in a formation is flown alone: as long as the others stand, their formation does.

        Raises DataError for a time that is none, or is before the path that it is flying.
        """
        begun = perf_counter()
        if not now_s >= self.flown.start_s:
            raise DataError(
                f"vehicle {self.me} is to plan at {now_s} s, and flies a path that begins at {self.flown.start_s}"
            )
        act = self.site.act(now_s)
        if begins := act != self._act:
            before, after = self.act, self.site.acts[act]
            self._act, self._memory, self._sure_s = act, None, now_s
            self._nearest, self._stalls, self._alone_until_s = (-1, now_s, np.inf), 0, -np.inf
            self.roster.change(before.slots, after.slots, inwards=after.inwards)
        if self.roster.listen(now_s, inbox.claims(now_s - self.config.register_by.stale_s)) and self._memory:
            self._memory = self._memory.with_members(self.roster.allotment.slot >= 0)
        traffic = self.pilot.traffic(now_s, inbox)
        shape = self._shape(now_s, traffic)
        wish = self._wish(now_s, None if begins else shape)
        self.flown = self.pilot.fly(now_s, self.flown, wish, traffic)
        self.ms.append(1000.0 * (perf_counter() - begun))
        return self.flown

    def is_safe(self, now_s: float, news: Inbox) -> bool:
        """Whether what it is flying keeps clear of those that have news. Of two whose plans do not fit together, as
        they were made at the same time, it is the one with the higher number that is to plan again; and both where
        there is no time left.
        """
        begun, planner = perf_counter(), self.config
        lower, hurry_s = news.senders < self.me, planner.stop_s + (planner.tell_s or 0.0)
        safe = self._is_clear(now_s, news.only(lower), planner.safe_s) and self._is_clear(
            now_s, news.only(~lower), hurry_s
        )
        self.look_ms.append(1000.0 * (perf_counter() - begun))
        return safe

    def _is_clear(self, now_s: float, news: Inbox, seconds: float) -> bool:
        return self.pilot.check(now_s, self.flown, self.pilot.traffic(now_s, news), seconds).safe

    def _shape(self, now_s: float, traffic: Traffic) -> Places | Graph | None:
        """Where the formation wants this vehicle, or the graph that it should make, by the method."""
        inbox, claimed, slots, times = traffic.inbox, self.roster.claimed, self.act.slots, self.pilot.moments(now_s)
        if self.config.method == "goal":
            return None
        ages = np.full(len(slots), np.inf)
        ages[inbox.senders] = now_s - inbox.sent_s
        heard = (ages <= self.config.register_by.stale_s) & (claimed >= 0)
        seen = np.full((len(times), len(slots), 3), np.nan)
        seen[:, inbox.senders] = traffic.places
        seen[:, ~heard] = np.nan
        match self.config.method:
            case "leader":
                own = slots[self.roster.slot] - slots[0]
                return Places(times, seen[:, 0] + own) if self.me and heard[0] else None
            case "rigid":
                mean = (seen[:, heard] - slots[claimed[heard]]).mean(1) if heard.any() else None
                return None if mean is None else Places(times, mean + slots[self.roster.slot])
            case "graph" | "sparse":
                return self._graph(times, seen, np.flatnonzero(heard))
        return self._registered(times, seen, slots[claimed], ages)

    def _graph(self, times: Floats, seen: Floats, heard: Ints) -> Graph | None:
        """Of the distances to and among those heard (h,), who make a shape with this vehicle if they are two."""
        if len(heard) < 2:
            return None
        if self._wanted is None or self._wanted[0][0] != self._act or not np.array_equal(self._wanted[0][1], heard):
            everybody, edges, slots = np.append(heard, self.me), self.site.edges, self.act.slots
            among = None if edges is None else edges[np.ix_(everybody, everybody)]
            self._wanted = (self._act, heard), wanted(slots[self.me], slots[heard], among)
        return graph(times, seen[:, heard], self._wanted[1])

    def _registered(self, times: Floats, seen: Floats, slots: Floats, ages: Floats) -> Places | None:
        """By registration; the roster learns from it who is out, and may allot the slots anew."""
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
        self._memory, fit, goals, later = (
            found.memory,
            found.fit.one(0),
            act.goal + slots,
            found.fit.one(-1).apply(slots),
        )
        behind = away(seen[0], goals) > away(fit.apply(slots), goals)
        roster.judge(now_s, found, behind, away(seen[0], later) - away(seen[-1], later) > NEARER * found.c_m)
        everybody = seen[0].copy()
        everybody[self.me] = self.flown.position(now_s)
        if roster.allot(now_s, found, everybody, act.slots, inwards=act.inwards):
            self._memory = self._memory.with_members(roster.allotment.slot >= 0)
        roster.settle(now_s, everybody[self.me], fit.apply(act.slots))
        if found.memory.sure and not found.held:
            self._sure_s = now_s
        if roster.slot < 0 or now_s - self._sure_s > self.config.alone_s or self._stalled(now_s):
            return None
        points = target(found, act.slots[roster.slot])
        return Places(times, points) if np.isfinite(points).all() else None

    def _stalled(self, now_s: float) -> bool:
        """Whether to go on alone, as the formation comes no nearer to its goal: it may be the dead that hold it, or a
        gap that it does not fit through. Each time twice as long.
        """
        stall_s, spacing_m, slot = self.config.stall_s, self.act.spacing_m, self.roster.slot
        left_m = float(np.linalg.norm(self.act.goal + self.act.slots[slot] - self.flown.position(now_s)))
        whose, since_s, least_m = self._nearest
        nearer = slot != whose or left_m < least_m - PROGRESS * spacing_m
        if nearer or left_m <= spacing_m or now_s < self._alone_until_s or self.roster.waits(now_s):
            self._nearest = slot, now_s, left_m
        elif stall_s is not None and now_s - since_s >= stall_s:
            self._stalls += 1
            self._alone_until_s = now_s + 2.0 ** (self._stalls - 1) * stall_s
        return now_s < self._alone_until_s

    def _wish(self, now_s: float, shape: Places | Graph | None) -> Wish:
        """To its place in the end, in formation.

        While it waits for others it stays where the formation is now. Far from there it flies to where it will be,
        alone: a pull over so far would draw it through whatever is between. Without a slot it stays.
        """
        here, end = self.flown.position(now_s), self.act.goal + self.act.slots[self.roster.slot]
        if self.roster.slot < 0:
            return Wish(here, None)
        if self.roster.waits(now_s):
            if not isinstance(shape, Places):
                return Wish(here, None)
            stay = shape.points[0]
            return Wish(stay, Places(shape.times, np.tile(stay, (len(shape.times), 1))))
        if shape is None:
            return Wish(end, None)
        if not isinstance(shape, Places) or np.linalg.norm(shape.points[0] - here) <= STRAYED * self.act.spacing_m:
            return Wish(end, shape, self._pace(here, end, shape))
        sure = self.registration is None or self.registration.memory.sure
        return Wish(shape.points[-1] if sure else end, None)

    def _pace(self, here: Floats, end: Floats, shape: Places | Graph) -> float:
        """In its place a vehicle leaves a part of its speed to those that fell behind; behind it, it leaves none."""
        pace, lag_m = self.config.pace, 0.0
        if isinstance(shape, Places):
            way = end - here
            lag_m = float((shape.points[0] - here) @ way) / max(float(np.linalg.norm(way)), 1e-6)
        return pace + (1.0 - pace) * min(max(lag_m / (LAG * self.act.spacing_m), 0.0), 1.0)


def away(points: Floats, others: Floats) -> Floats:
    """(n,) metres from points (n, 3) to others, each to its own."""
    return np.linalg.norm(points - others, axis=1)
