"""From a wish to a path that is safe: one vehicle on its way to a goal, in formation or alone, clear of the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from espalier.robots.swarm.fleet.comms import Inbox
from espalier.robots.swarm.fleet.config import PlannerConfig
from espalier.robots.swarm.traj.brake import brake
from espalier.robots.swarm.traj.checks import Check, check
from espalier.robots.swarm.traj.front_end import find_way, guess
from espalier.robots.swarm.traj.graph_metric import Graph
from espalier.robots.swarm.traj.neighbours import Neighbours, sampled, selected
from espalier.robots.swarm.traj.optimise import Optimiser, Problem
from espalier.robots.swarm.traj.penalties import Places
from espalier.robots.swarm.traj.trajectory import Trajectory
from espalier.robots.swarm.world.esdf import DistanceField

Floats = npt.NDArray[np.float64]
HOVERS_S = 3.0
"""A vehicle that was not heard of for so long is taken to hover where it was then."""
BEYOND = 1.2
"""Of the limits of speed and acceleration: a plan that has more is not flown."""
STANDING_M = 0.2
"""Who moves by less in all of the horizon stands."""
DODGE_M = 0.8
"""Radius of the ball around a place where a plan fails, that a second plan goes around."""


class Traffic(NamedTuple):
    """The others, as far as they were heard: what they said, and (K, m, 3) where they will be at the moments of the
    horizon.
    """

    inbox: Inbox
    places: Floats


class Near(NamedTuple):
    """paths: of those that come near. ages_s: (k,) how long ago each was heard of."""

    paths: Neighbours
    ages_s: Floats


class Wish(NamedTuple):
    """goal: (3,) where to fly. shape: the places that the formation has for the vehicle on its way, or the graph that
    it is to make with the others; None to fly alone. pace: of the limit of speed, how fast at most.
    """

    goal: Floats
    shape: Places | Graph | None
    pace: float = 1.0


@dataclass
class Pilot:
    """dodges: how often a plan was not safe, so that another was sought. brakes: how often that and what was flown were
    not safe either, so that the vehicle stopped, or flew the least bad.
    """

    config: PlannerConfig
    optimiser: Optimiser
    field: DistanceField
    dodges: int = 0
    brakes: int = 0
    _shut_until_s: float = -np.inf

    def moments(self, now_s: float) -> Floats:
        """(K,) of the horizon, the first of them now."""
        return now_s + np.linspace(0.0, self.config.horizon_s, self.config.samples)

    def traffic(self, now_s: float, inbox: Inbox) -> Traffic:
        """Of those that were heard, but for those that were not for so long that they are taken to be gone."""
        config = self.config
        if config.gone_s is not None:
            inbox = inbox.only(inbox.sent_s >= now_s - config.gone_s)
        hovers_s = inbox.sent_s + HOVERS_S
        until_s = np.where(now_s > hovers_s, hovers_s, np.inf)
        return Traffic(inbox, sampled(inbox.paths, self.moments(now_s), until_s))

    def near(self, now_s: float, path: Trajectory, traffic: Traffic) -> Near:
        """Those that come nearest to a path; who was long silent hovers."""
        inbox, places = traffic
        own = path.position(self.moments(now_s))
        closest = np.linalg.norm(places - own[:, None], axis=2).min(0)
        order = np.argsort(closest, kind="stable")[: self.config.neighbours]
        order = order[closest[order] <= self.config.near_m]
        found = selected(inbox.paths, order)
        for k in np.flatnonzero(now_s > inbox.sent_s[order] + HOVERS_S):
            found.coefficients[k] = 0.0
            found.coefficients[k, 0, 0], found.ends[k] = places[0, order[k]], np.inf
        return Near(found, np.maximum(now_s - inbox.sent_s[order], 0.0))

    def check(
        self, now_s: float, path: Trajectory, traffic: Traffic, seconds: float, doubt_mps: float | None = None
    ) -> Check:
        """A hard look at a path for so long, at those that come nearest to it. doubt_mps: the planner's by default."""
        near, planner = self.near(now_s, path, traffic), self.config
        ages_s = np.minimum(near.ages_s, max(planner.horizon_s - seconds, 0.0))
        doubt_mps = planner.doubt_mps if doubt_mps is None else doubt_mps
        limits, until_s = planner.trajectory.limits, now_s + seconds
        return check(path, self.field, near.paths, limits, now_s, until_s, ages_s, doubt_mps)

    def fly(self, now_s: float, flown: Trajectory, wish: Wish, traffic: Traffic) -> Trajectory:
        """A plan that keeps clear for long enough, and that the vehicle can fly; else one around the place where it
        does not; else what was flown, if that does: the others count on it, so it is not left for a mere doubt; else a
        stop. Where that is not safe either, it is the one of all these that comes least near to anything.
        """
        safe_s, near, worse = self.config.safe_s, self.near(now_s, flown, traffic).paths, []
        avoid = self._standing(now_s, flown, near)
        for attempt in range(2):
            found = self._planned(now_s, flown, wish, near, avoid)
            checked = self.check(now_s, found, traffic, safe_s)
            if self._can(checked):
                if checked.safe:
                    return found
                worse.append((checked, found))
            self.dodges += attempt == 0
            fails_s = min(checked.first_violation_s, now_s + self.config.horizon_s / 2.0)
            avoid = np.vstack([avoid, np.append(found.position(fails_s), DODGE_M)])
        if (kept := self.check(now_s, flown, traffic, safe_s, 0.0)).safe:
            return flown
        self.brakes += 1
        stop = brake(flown, now_s, self.config.trajectory.limits.accel_mps2)
        if (stopped := self.check(now_s, stop, traffic, safe_s)).safe:
            return stop
        return max([(stopped, stop), *worse, (kept, flown)], key=lambda one: one[0].spare_m)[1]

    def _can(self, checked: Check) -> bool:
        """Whether the limits, which the optimiser takes for soft, are kept nearly."""
        limits = self.config.trajectory.limits
        slow = checked.greatest_speed_mps <= BEYOND * limits.speed_mps
        return slow and checked.greatest_accel_mps2 <= BEYOND * limits.accel_mps2

    def _standing(self, now_s: float, flown: Trajectory, near: Neighbours) -> Floats:
        """(k, 4): balls around those that stay where they are, for the way to go around them."""
        ends, never = now_s + np.array([0.0, self.config.horizon_s]), np.full(len(near.starts), np.inf)
        begin, end = sampled(near, ends, never)
        at = begin[np.linalg.norm(end - begin, axis=1) < STANDING_M]
        gap = np.linalg.norm(at - flown.position(now_s), axis=1) - STANDING_M
        radius = np.minimum(gap, self.config.trajectory.limits.separation_m)
        return np.column_stack([at, radius])[radius > 0.0]

    def _planned(self, now_s: float, flown: Trajectory, wish: Wish, near: Neighbours, avoid: Floats) -> Trajectory:
        """The optimiser's, from a free way around the balls (k, 4); as far as the horizon reaches. Where the way ends
        short of that the plan ends at rest.
        """
        planner, front = self.config.trajectory, self.config.trajectory.front_end
        head = np.stack([flown.position(now_s), flown.velocity(now_s), flown.acceleration(now_s)])
        way, reach = wish.goal - head[0], front.cruise_mps * self.config.horizon_s
        distance = float(np.linalg.norm(way))
        local = wish.goal if distance <= reach else head[0] + way * (reach / distance)
        widen = now_s >= self._shut_until_s
        path = find_way(self.field, head[0], local, front, planner.limits, avoid, widen=widen)
        if path.shut:
            self._shut_until_s = now_s + front.again_s
        goes_on = path.reached and distance > reach
        last = front.cruise_mps * way / distance if goes_on else np.zeros(3)
        first = guess(path, float(np.linalg.norm(head[1])), float(np.linalg.norm(last)), front)
        tail = np.stack([path.points[-1], last, np.zeros(3)])
        speed_mps = wish.pace * planner.limits.speed_mps
        problem = Problem(now_s, head, tail, *first, self.field, near, wish.shape, goes_on, speed_mps)
        return self.optimiser.plan(problem).trajectory
