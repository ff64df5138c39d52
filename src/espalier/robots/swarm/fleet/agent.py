"""One vehicle: it plans from its own state and the messages it got, and knows nothing else of the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from espalier.robots.swarm.fleet.comms import Inbox
from espalier.robots.swarm.fleet.config import PlannerConfig
from espalier.robots.swarm.register.memory import Memory
from espalier.robots.swarm.register.spatiotemporal import Registration, register, target
from espalier.robots.swarm.traj.brake import brake
from espalier.robots.swarm.traj.checks import check
from espalier.robots.swarm.traj.front_end import NOTHING, find_way, guess
from espalier.robots.swarm.traj.graph_metric import Graph, Wanted, graph, wanted
from espalier.robots.swarm.traj.neighbours import Neighbours, sampled, selected
from espalier.robots.swarm.traj.optimise import Optimiser, Problem
from espalier.robots.swarm.traj.penalties import Places
from espalier.robots.swarm.traj.trajectory import Trajectory
from espalier.robots.swarm.world.esdf import DistanceField

Floats = npt.NDArray[np.float64]
FORGOTTEN_S = 3.0
"""A vehicle that was not heard of for so long is taken to hover where it was last heard of."""
DODGE_M = 0.8
"""Radius of the ball around a place where a plan fails, that a second plan goes around."""


class Site(NamedTuple):
    """What all vehicles are given before they start. slots: (n, 3) around 0. goal: (3,) middle of the formation at the
    end. field: distances to what is in the way. spacing_m: between slots. edges: (n, n), the pairs whose
    distance counts for a graph; None for all.
    """

    slots: Floats
    goal: Floats
    field: DistanceField
    spacing_m: float
    edges: npt.NDArray[np.bool_] | None = None


@dataclass
class Agent:
    """me: its number, which is also its slot's. flown: the trajectory that it is flying. dodges, brakes: how often a
    plan was not safe and a second one, or an emergency stop, was flown instead. ms: of each plan.
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
    _memory: Memory | None = None
    _shape: tuple[npt.NDArray[np.int64], Wanted] | None = None

    def plan(self, now_s: float, inbox: Inbox) -> Trajectory:
        """The trajectory to fly from now on; it is flown, and to be told to the others."""
        begun = perf_counter()
        times = now_s + np.linspace(0.0, self.config.horizon_s, self.config.samples)
        seen = np.full((len(times), len(self.site.slots), 3), np.nan)
        ages = np.full(len(self.site.slots), np.inf)
        seen[:, inbox.senders] = sampled(inbox.paths, times, inbox.sent_s + FORGOTTEN_S)
        ages[inbox.senders] = now_s - inbox.sent_s
        places = self._places(seen, ages, times)
        near = self._near(inbox, seen[:, inbox.senders], times)
        self.flown = self._safe(now_s, places, near)
        self.ms.append(1000.0 * (perf_counter() - begun))
        return self.flown

    def _places(self, seen: Floats, ages: Floats, times: Floats) -> Places | Graph | None:
        """Where the formation wants this vehicle, or the graph that it should form, by the method."""
        slots, me, stale = self.site.slots, self.me, self.config.register_by.stale_s
        heard = np.isfinite(seen[0, :, 0]) & (ages <= stale)
        match self.config.method:
            case "goal":
                return None
            case "leader":
                return Places(times, seen[:, 0] + slots[me] - slots[0]) if me and heard[0] else None
            case "rigid":
                mean = (seen[:, heard] - slots[heard]).mean(1) if heard.any() else None
                return None if mean is None else Places(times, mean + slots[me])
            case "graph" | "sparse":
                return self._graph(seen, np.flatnonzero(heard), times)
        self.registration = register(
            seen,
            slots,
            ages,
            times,
            spacing_m=self.site.spacing_m,
            config=self.config.register_by,
            rng=self.rng,
            memory=self._memory,
        )
        self._memory = self.registration.memory
        points = target(self.registration, slots[me])
        return Places(times, points) if np.isfinite(points).all() else None

    def _graph(self, seen: Floats, heard: npt.NDArray[np.int64], times: Floats) -> Graph | None:
        """Of the distances to and among those heard (h,), who make a shape with this vehicle if they are two."""
        if len(heard) < 2:
            return None
        if self._shape is None or not np.array_equal(self._shape[0], heard):
            all_, edges = np.append(heard, self.me), self.site.edges
            among = None if edges is None else edges[np.ix_(all_, all_)]
            self._shape = heard, wanted(self.site.slots[self.me], self.site.slots[heard], among)
        return graph(times, seen[:, heard], self._shape[1])

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

    def _safe(self, now_s: float, places: Places | Graph | None, near: Neighbours) -> Trajectory:
        """A plan that keeps clear for long enough; else one around the place where it does not; else what was flown, if
        that does; else a stop.
        """
        field, limits = self.site.field, self.config.trajectory.limits
        until = now_s + self.config.safe_s
        avoid = NOTHING
        for attempt in range(2):
            found = self._optimised(now_s, places, near, avoid)
            checked = check(found, field, near, limits, now_s, until)
            if checked.safe:
                return found
            self.dodges += attempt == 0
            avoid = np.append(found.position(checked.first_violation_s), DODGE_M)[None]
        if check(self.flown, field, near, limits, now_s, until).safe:
            return self.flown
        self.brakes += 1
        return brake(self.flown, now_s, limits.accel_mps2)

    def _optimised(self, now_s: float, places: Places | Graph | None, near: Neighbours, avoid: Floats) -> Trajectory:
        planner, front = self.config.trajectory, self.config.trajectory.front_end
        head = np.stack([self.flown.position(now_s), self.flown.velocity(now_s), self.flown.acceleration(now_s)])
        goal = self.site.goal + self.site.slots[self.me]
        way, reach = goal - head[0], front.cruise_mps * self.config.horizon_s
        distance = float(np.linalg.norm(way))
        local = goal if distance <= reach else head[0] + way * (reach / distance)
        path = find_way(self.site.field, head[0], local, front, planner.limits, avoid)
        last = np.zeros(3) if distance <= reach else front.cruise_mps * way / distance
        first = guess(path, float(np.linalg.norm(head[1])), float(np.linalg.norm(last)), front)
        tail = np.stack([path.points[-1], last, np.zeros(3)])
        problem = Problem(now_s, head, tail, *first, self.site.field, near, places, free_tail=distance > reach)
        return self.optimiser.plan(problem).trajectory
