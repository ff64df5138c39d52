"""How long a plan takes, what of it a registration takes, and what is done beside it, on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController

from espalier.robots.swarm.fleet.agent import Agent
from espalier.robots.swarm.fleet.comms import Inbox
from espalier.robots.swarm.fleet.config import FlightConfig, PlannerConfig
from espalier.robots.swarm.fleet.message import decode, encode
from espalier.robots.swarm.fleet.simulate import HELLO_S, simulate
from espalier.robots.swarm.formation.make import make_formation
from espalier.robots.swarm.register.spatiotemporal import register
from espalier.robots.swarm.world.config import OpenConfig

SIZES = (30, 120, 300)
REGISTRATIONS, READS = 40, 10
SPEED_MPS, NOISE_M = 1.5, 0.05
LATE_M, LATE = 3.0, 0.1
"""So far behind is this share of the vehicles whose formation is registered."""


class Timing(NamedTuple):
    """Milliseconds, with one thread, for `n` vehicles: median and 95th percentile of a plan, medians of a registration,
    of a look at the news between two plans, and of reading a message of each other vehicle.
    """

    n: int
    plans: int
    ms: float
    p95: float
    register_ms: float
    look_ms: float
    read_ms: float


def time_plans(sizes: Sequence[int] = SIZES, seconds: float = 4.0) -> Iterator[Timing]:
    """A grid that flies over an open field, for each number of vehicles. Code is compiled before."""
    with ThreadpoolController().limit(limits=1):
        _flown(7, 1.0)
        for n in sizes:
            agents = _flown(n, seconds)
            plans = [ms for agent in agents for ms in agent.ms[1:]]
            looks = [ms for agent in agents for ms in agent.look_ms]
            medians = map(float, map(np.median, (_register_ms(n), looks, _read_ms(agents))))
            yield Timing(n, len(plans), float(np.median(plans)), float(np.quantile(plans, 0.95)), *medians)


def _flown(n: int, seconds: float) -> list[Agent]:
    """The vehicles, after so long a flight."""
    side_m = 2.0 * np.sqrt(n) + 10.0
    world = OpenConfig(length_m=60.0 + side_m, width_m=side_m, cell_m=0.2)
    return simulate(FlightConfig(n=n, world=world, seconds=HELLO_S + seconds), 0).agents


def _read_ms(agents: Sequence[Agent]) -> list[float]:
    """One vehicle reads what all others say."""
    said, found = [encode(agent.message(0.0)) for agent in agents[1:]], []
    for _ in range(READS):
        begun = perf_counter()
        Inbox.of_messages([decode(one, len(agents)) for one in said])
        found.append(1000.0 * (perf_counter() - begun))
    return found


def _register_ms(n: int) -> list[float]:
    """Of a formation that flies along x, some of it late, from noisy predictions; each with the memory of the last."""
    planner, rng = PlannerConfig(), np.random.default_rng(0)
    slots, late = make_formation("grid", n, 2.0), rng.permutation(n) < round(LATE * n)
    ahead_s, memory, found = np.linspace(0.0, planner.horizon_s, planner.samples), None, []
    for k in range(REGISTRATIONS):
        times = k * planner.replan_s + ahead_s
        seen = slots + SPEED_MPS * times[:, None, None] * [1.0, 0.0, 0.0] + rng.normal(0.0, NOISE_M, (1, n, 3))
        seen[:, late, 0] -= LATE_M
        begun = perf_counter()
        result = register(
            seen,
            slots,
            np.full(n, 0.1),
            times,
            spacing_m=2.0,
            config=planner.register_by,
            rng=rng,
            memory=memory,
        )
        found.append(1000.0 * (perf_counter() - begun))
        memory = result.memory
    return found
