"""Many vehicles, each planning when its turn comes. One seed, one flight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from espalier.core.seed import np_rng
from espalier.robots.swarm.fleet.agent import Agent
from espalier.robots.swarm.fleet.comms import Channel
from espalier.robots.swarm.fleet.config import FlightConfig
from espalier.robots.swarm.fleet.failures import Fate, befallen, fates, told
from espalier.robots.swarm.fleet.preflight import starts_of
from espalier.robots.swarm.fleet.recording import Recording
from espalier.robots.swarm.fleet.site import site_of
from espalier.robots.swarm.traj.optimise import Optimiser
from espalier.robots.swarm.traj.trajectory import Trajectory
from espalier.robots.swarm.world.make import make_world

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
TICK_S = 0.05
"""Between two looks at where everybody is."""
HELLO_S = 0.5
"""At first all only tell where they are, for so long: who has not heard of another flies into it. Then each plans once,
and all set out together.
"""


class Flagged(NamedTuple):
    """Over the regular plans of vehicles whom nothing befalls, of the others that they heard of: how many something was
    upon (struck), how many they held for out (said), and how many of these rightly.
    """

    right: int
    said: int
    struck: int


@dataclass(frozen=True)
class Flight:
    """recording: what was seen. fates: whom something befell, by number. agents: with what each of them did.
    success_share: of the settings.
    """

    recording: Recording
    fates: dict[int, Fate]
    agents: list[Agent]
    channel: Channel
    flagged: Flagged
    success_share: float


def simulate(config: FlightConfig, seed: int, watch: Callable[[float], bool] | None = None) -> Flight:
    """Fly. watch: told the time at every look; the flight ends where it returns False. Raises ConfigError for a start
    or a goal that cannot be.
    """
    n, world, optimiser = config.n, make_world(config.world), Optimiser(config.planner.trajectory)
    site = site_of(config, world, seed)
    acts, begin = site.acts, starts_of(config, site.acts, world, np_rng(seed, "scatter"))
    agents = [
        Agent(k, site, config.planner, optimiser, np_rng(seed, "agent", k), Trajectory.hover(begin[k]))
        for k in range(n)
    ]
    fate = fates(n, config.failures, np_rng(seed, "failures"))
    fleet = _Fleet(config, agents, fate, Channel(n, config.comms, np_rng(seed, "comms")), begin)
    steps = round(config.seconds / TICK_S) + 1
    times, positions = TICK_S * np.arange(steps, dtype=np.float64), np.full((steps, n, 3), np.nan)
    slot, seen = np.zeros((steps, n), np.int64), steps
    struck, adrift = np.zeros((2, steps, n), np.bool_)
    turns = _turns(config, seed)
    for k in range(n):
        fleet.hello(k)
    for step, now in enumerate(times.tolist()):
        while turns[0][0] <= now:
            at, k, again = heappop(turns)
            fleet.turn(k, at, again)
            if not again:
                heappush(turns, (at + config.planner.replan_s, k, False))
                for later in np.arange(at, at + config.planner.replan_s, config.planner.tell_s or np.inf).tolist()[1:]:
                    heappush(turns, (later, k, True))
        upon = {k: kind for k in fate if (kind := fleet.upon(k, now))}
        struck[step, list(upon)] = True
        adrift[step, [k for k, kind in upon.items() if kind in ("crash", "late") or k in fleet.struck]] = True
        gone = [k for k, kind in upon.items() if kind == "crash"]
        positions[step], slot[step] = fleet.look(now), [agent.roster.slot for agent in agents]
        positions[step, gone] = np.nan
        if watch is not None and not watch(now):
            seen = step + 1
            break
    on = np.array([site.act(now) for now in times.tolist()], np.int64)
    formations, goals = np.stack([act.slots for act in acts]), np.stack([act.goal for act in acts])
    recording = Recording(
        times[:seen], positions[:seen], slot[:seen], on[:seen], formations, goals, struck[:seen], adrift[:seen], world
    )
    return Flight(recording, fate, agents, fleet.channel, Flagged(*fleet.flagged.tolist()), config.success_share)


def _turns(config: FlightConfig, seed: int) -> list[tuple[float, int, bool]]:
    """A heap of when each vehicle has its first turns, who, and whether it only tells again: so until it plans."""
    first = HELLO_S + np_rng(seed, "turns").uniform(0, config.planner.replan_s, config.n)
    turns = [(float(at), k, False) for k, at in enumerate(first)]
    if (tell_s := config.planner.tell_s) is not None:
        turns += [(float(one), k, True) for at, k, _ in turns for one in np.arange(at, 0.0, -tell_s)[1:]]
    heapify(turns)
    return turns


@dataclass
class _Fleet:
    """The vehicles, what befalls them, and what is between them. seen: (n, 3) where they were at the last look, which
    is how far messages reach. struck: who flies what befell it. flagged: (3,) as of `Flagged`.
    """

    config: FlightConfig
    agents: list[Agent]
    fates: dict[int, Fate]
    channel: Channel
    seen: Floats
    struck: set[int] = field(default_factory=set)
    flagged: Ints = field(default_factory=lambda: np.zeros(3, np.int64))

    def look(self, now_s: float) -> Floats:
        """(n, 3): where everybody is."""
        self.seen = np.array([agent.flown.position(now_s) for agent in self.agents])
        return self.seen

    def upon(self, k: int, now_s: float) -> str:
        """The kind of what is upon one of them; empty for nothing."""
        fate = self.fates.get(k)
        return fate.kind if fate is not None and fate.strikes(now_s) else ""

    def hello(self, k: int) -> None:
        """One of them tells at the beginning where it is."""
        if self.upon(k, 0.0) != "crash":
            self.channel.send(self.agents[k].message(0.0), 0.0, self.seen)

    def turn(self, k: int, now_s: float, again: bool) -> None:
        """One of them plans, or suffers, and tells; again: it tells once more what it told, unless it is to plan."""
        agent, fate, channel, kind = self.agents[k], self.fates.get(k), self.channel, self.upon(k, now_s)
        if kind == "crash":
            return
        able = kind in ("", "lie")
        if again and not (able and not agent.is_safe(now_s, channel.news(k, now_s))):
            channel.repeat(k, now_s, self.seen)
            return
        if able:
            agent.plan(max(now_s, HELLO_S + self.config.planner.replan_s), channel.inbox(k, now_s))
            if not again:
                self._count(agent, now_s)
        elif fate is not None and k not in self.struck:
            self.struck.add(k)
            agent.flown = befallen(fate, agent.flown, now_s, self.config.planner.trajectory.limits.accel_mps2)
        path = told(fate, agent.flown, now_s) if fate is not None and kind else None
        channel.send(agent.message(now_s, path), now_s, self.seen)

    def _count(self, agent: Agent, now_s: float) -> None:
        """What a vehicle whom nothing befalls thinks of the others after a plan."""
        if agent.me in self.fates or agent.registration is None:
            return
        heard, struck = np.isfinite(agent.registration.residual_m[0]), np.zeros(self.config.n, np.bool_)
        struck[[k for k in self.fates if self.upon(k, now_s)]] = True
        heard[agent.me] = False
        out, struck = ~agent.registration.inlier & heard, struck & heard
        self.flagged += [(out & struck).sum(), out.sum(), struck.sum()]
