"""Many vehicles, each planning when its turn comes. One seed, one flight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import numpy as np
import numpy.typing as npt

from espalier.core.seed import np_rng
from espalier.robots.swarm.fleet.agent import Agent, Site
from espalier.robots.swarm.fleet.comms import Channel, Message
from espalier.robots.swarm.fleet.config import FlightConfig
from espalier.robots.swarm.fleet.failures import Fate, befallen, fates, told
from espalier.robots.swarm.formation.library import formation
from espalier.robots.swarm.traj.graph_metric import random_edges
from espalier.robots.swarm.traj.optimise import Optimiser
from espalier.robots.swarm.traj.trajectory import Trajectory
from espalier.robots.swarm.world.make import make_world
from espalier.robots.swarm.world.world import World

Floats = npt.NDArray[np.float64]
TICK_S = 0.05
"""Between two looks at where everybody is."""


@dataclass(frozen=True)
class Flight:
    """times: (t,) seconds. positions: (t, n, 3), NaN of a vehicle that is gone. slots: (n, 3). fates: by number.
    agents: with what each of them did.
    """

    times: Floats
    positions: Floats
    slots: Floats
    fates: dict[int, Fate]
    agents: list[Agent]
    channel: Channel
    world: World

    @property
    def healthy(self) -> npt.NDArray[np.bool_]:
        """(n,): whom nothing befell."""
        return ~np.isin(np.arange(self.positions.shape[1]), list(self.fates))


def simulate(config: FlightConfig, seed: int, watch: Callable[[float], bool] | None = None) -> Flight:
    """Fly. watch: told the time at every look; the flight ends where it returns False."""
    world, slots = make_world(config.world), formation(config.shape, config.n, config.spacing_m)
    share = config.planner.edge_share if config.planner.method == "sparse" else None
    edges = None if share is None else random_edges(config.n, share, np_rng(seed, "edges"))
    site = Site(slots, np.array(config.goal), world.field, config.spacing_m, edges)
    scatter = np_rng(seed, "scatter").uniform(-1.0, 1.0, (config.n, 3)) * config.scatter_m * [1.0, 1.0, 0.0]
    begin = np.array(config.start) + slots + scatter
    optimiser = Optimiser(config.planner.trajectory)
    agents = [
        Agent(k, site, config.planner, optimiser, np_rng(seed, "agent", k), Trajectory.hover(begin[k]))
        for k in range(config.n)
    ]
    channel = Channel(config.n, config.comms, np_rng(seed, "comms"))
    fate = fates(config.n, config.failures, np_rng(seed, "failures"))
    turns = [(float(at), k) for k, at in enumerate(np_rng(seed, "turns").uniform(0, config.planner.replan_s, config.n))]
    heapify(turns)
    steps = round(config.seconds / TICK_S) + 1
    times, positions = TICK_S * np.arange(steps, dtype=np.float64), np.full((steps, config.n, 3), np.nan)
    for step, now in enumerate(times.tolist()):
        while turns[0][0] <= now:
            at, k = heappop(turns)
            _turn(agents[k], at, fate.get(k), channel, agents, config)
            heappush(turns, (at + config.planner.replan_s, k))
        gone = [k for k, one in fate.items() if one.kind == "crash" and one.at_s <= now]
        positions[step] = [agent.flown.position(now) for agent in agents]
        positions[step, gone] = np.nan
        if watch is not None and not watch(now):
            times, positions = times[: step + 1], positions[: step + 1]
            break
    return Flight(times, positions, slots, fate, agents, channel, world)


def _turn(
    agent: Agent, now_s: float, fate: Fate | None, channel: Channel, agents: list[Agent], config: FlightConfig
) -> None:
    """Plan, or suffer, and tell."""
    late = fate is not None and fate.kind == "late" and now_s < fate.at_s
    struck = fate is not None and fate.kind != "late" and fate.at_s <= now_s
    if struck and fate is not None and fate.kind == "crash":
        return
    if late:
        agent.flown = Trajectory.hover(agent.flown.position(now_s), now_s)
    elif struck and fate is not None and fate.kind != "lie":
        agent.flown = befallen(fate, agent.flown, now_s, config.planner.trajectory.limits.accel_mps2)
    else:
        agent.plan(now_s, channel.inbox(agent.me, now_s))
    says = told(fate, agent.flown, now_s) if struck and fate is not None else agent.flown
    here = (
        np.array([one.flown.position(now_s) for one in agents]) if config.comms.range_m else np.zeros((len(agents), 3))
    )
    channel.send(Message(agent.me, now_s, says), now_s, here)
