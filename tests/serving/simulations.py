"""Small simulations, for tests: engines of which a full chunk takes a second."""

from __future__ import annotations

from typing import get_args

import numpy as np

from espalier.serving.config import PolicyName
from espalier.serving.core.immediate import Immediate
from espalier.serving.core.policies.least_tokens import LeastTokens
from espalier.serving.core.policies.round_robin import RoundRobin
from espalier.serving.core.scheduler import Scheduler
from espalier.serving.core.staggered import Staggered
from espalier.serving.core.types import Request
from espalier.serving.core.whole import WholePrompts
from espalier.serving.model.lockstep import PrefillEngine
from espalier.serving.model.steptime import PrefillTime
from espalier.serving.sim.loop import Log, Simulation
from espalier.serving.traces.arrivals import poisson

SECOND = PrefillTime(base=0.0, per_token=0.01, chunk=100)
"""A full chunk takes a second."""
SCHEDULERS = {
    "round robin": lambda pool: Immediate(pool, RoundRobin()),
    "least tokens": lambda pool: Immediate(pool, LeastTokens()),
    "sbs": Staggered,
    "whole": WholePrompts,
}

POLICIES = get_args(PolicyName)


def run(scheduler: Scheduler, requests: list[Request], time: PrefillTime = SECOND, **more: object) -> Log:
    engines = [PrefillEngine(one.ranks, time) for one in scheduler.pool.instances]
    return Simulation(scheduler, engines, requests, **more).run()


def random_requests(n: int, rate: float, seed: int, longest: int = 300) -> list[Request]:
    rng = np.random.default_rng(seed)
    times, sizes = poisson(n, rate, rng), rng.integers(1, longest, n)
    return [Request(k, float(times[k]), int(sizes[k])) for k in range(n)]
