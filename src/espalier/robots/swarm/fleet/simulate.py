"""Many vehicles, each planning when its turn comes. One seed, one flight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import numpy as np
import numpy.typing as npt

from espalier.core.seed import np_rng
from espalier.robots.swarm.fleet.agent import Agent
from espalier.robots.swarm.fleet.comms import Channel
from espalier.robots.swarm.fleet.config import FlightConfig
from espalier.robots.swarm.fleet.failures import Fate, befallen, fates, told
from espalier.robots.swarm.fleet.recording import Recording
from espalier.robots.swarm.fleet.site import Site, acts_of
from espalier.robots.swarm.traj.optimise import Optimiser
from espalier.robots.swarm.traj.trajectory import Trajectory
from espalier.robots.swarm.world.make import make_world

Floats = npt.NDArray[np.float64]
TICK_S = 0.05
"""Between two looks at where everybody is."""


@dataclass(frozen=True)
class Flight:
    """recording: what was seen. fates: whom something befell, by number. agents: with what each of them did."""

    recording: Recording
    fates: dict[int, Fate]
    agents: list[Agent]
    channel: Channel


def simulate(config: FlightConfig, seed: int, watch: Callable[[float], bool] | None = None) -> Flight:
    """Fly. watch: told the time at every look; the flight ends where it returns False."""
    n, world, acts = config.n, make_world(config.world), acts_of(config)
    site = Site(acts, world.field)
    scatter = np_rng(seed, "scatter").uniform(-1.0, 1.0, (n, 3)) * config.scatter_m * [1.0, 1.0, 0.0]
    begin = np.array(config.start) + acts[0].slots + scatter
    optimiser = Optimiser(config.planner.trajectory)
    agents = [
        Agent(k, site, config.planner, optimiser, np_rng(seed, "agent", k), Trajectory.hover(begin[k]))
        for k in range(n)
    ]
    channel = Channel(n, config.comms, np_rng(seed, "comms"))
    fate = fates(n, config.failures, np_rng(seed, "failures"))
    first = np_rng(seed, "turns").uniform(0, config.planner.replan_s, n)
    turns = [(float(at), k, False) for k, at in enumerate(first)]
    heapify(turns)
    steps = round(config.seconds / TICK_S) + 1
    times, positions = TICK_S * np.arange(steps, dtype=np.float64), np.full((steps, n, 3), np.nan)
    slot, struck, seen = np.zeros((steps, n), np.int64), np.zeros((steps, n), np.bool_), steps
    for step, now in enumerate(times.tolist()):
        while turns[0][0] <= now:
            at, k, again = heappop(turns)
            if again and agents[k].is_safe(at, channel.inbox(k, at)):
                continue
            _turn(agents[k], at, fate.get(k), channel, agents, config)
            if not again:
                heappush(turns, (at + config.planner.replan_s, k, False))
                if config.planner.look_s is not None:
                    heappush(turns, (at + config.planner.look_s, k, True))
        struck[step, [k for k, one in fate.items() if one.strikes(now)]] = True
        gone = [k for k, one in fate.items() if one.kind == "crash" and one.strikes(now)]
        positions[step] = [agent.flown.position(now) for agent in agents]
        positions[step, gone] = np.nan
        slot[step] = [agent.roster.slot for agent in agents]
        if watch is not None and not watch(now):
            seen = step + 1
            break
    on = np.array([site.act(now) for now in times.tolist()], np.int64)
    formations, goals = np.stack([act.slots for act in acts]), np.stack([act.goal for act in acts])
    recording = Recording(
        times[:seen], positions[:seen], slot[:seen], on[:seen], formations, goals, struck[:seen], world
    )
    return Flight(recording, fate, agents, channel)


def _turn(
    agent: Agent, now_s: float, fate: Fate | None, channel: Channel, agents: list[Agent], config: FlightConfig
) -> None:
    """Plan, or suffer, and tell."""
    struck = fate is not None and fate.strikes(now_s)
    path: Trajectory | None = None
    if struck and fate is not None:
        if fate.kind == "crash":
            return
        if fate.kind != "lie":
            agent.flown = befallen(fate, agent.flown, now_s, config.planner.trajectory.limits.accel_mps2)
    if not struck or (fate is not None and fate.kind == "lie"):
        agent.plan(now_s, channel.inbox(agent.me, now_s))
    if struck and fate is not None:
        path = told(fate, agent.flown, now_s)
    here = (
        np.array([one.flown.position(now_s) for one in agents]) if config.comms.range_m else np.zeros((len(agents), 3))
    )
    channel.send(agent.message(now_s, path), now_s, here)
