"""How long a plan takes, and what of it a registration takes, on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController

from espalier.robots.swarm.fleet.config import FlightConfig, PlannerConfig
from espalier.robots.swarm.fleet.simulate import HELLO_S, simulate
from espalier.robots.swarm.formation.make import make_formation
from espalier.robots.swarm.register.spatiotemporal import register
from espalier.robots.swarm.world.config import OpenConfig

SIZES = (30, 120, 300)
REGISTRATIONS = 40
SPEED_MPS, NOISE_M = 1.5, 0.05
LATE_M, LATE = 3.0, 0.1
"""So far behind is this share of the vehicles whose formation is registered."""


class Timing(NamedTuple):
    """Milliseconds, with one thread: median and 95th percentile of a plan of `n` vehicles, median of a registration."""

    n: int
    plans: int
    ms: float
    p95: float
    register_ms: float


def time_plans(sizes: Sequence[int] = SIZES, seconds: float = 4.0) -> Iterator[Timing]:
    """A grid that flies over an open field, for each number of vehicles. Code is compiled before."""
    with ThreadpoolController().limit(limits=1):
        _plan_ms(7, 1.0)
        for n in sizes:
            ms, register_ms = _plan_ms(n, seconds), _register_ms(n)
            yield Timing(n, len(ms), float(np.median(ms)), float(np.quantile(ms, 0.95)), float(np.median(register_ms)))


def _plan_ms(n: int, seconds: float) -> list[float]:
    """Of all plans but each vehicle's first."""
    side_m = 2.0 * np.sqrt(n) + 10.0
    world = OpenConfig(length_m=60.0 + side_m, width_m=side_m, cell_m=0.2)
    flight = simulate(FlightConfig(n=n, world=world, seconds=HELLO_S + seconds), 0)
    return [ms for agent in flight.agents for ms in agent.ms[1:]]


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
