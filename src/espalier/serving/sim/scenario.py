"""From a recipe to a simulation: arrivals, a scheduler, engines, and what is wrong with them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

import numpy as np

from espalier.core.data import DataRoot
from espalier.core.errors import DataError
from espalier.core.seed import np_rng
from espalier.serving.config import Arm, CompareConfig, SchedulerConfig, TrafficConfig
from espalier.serving.core.immediate import Immediate
from espalier.serving.core.interval import Interval
from espalier.serving.core.policies.least_requests import LeastRequests
from espalier.serving.core.policies.least_tokens import LeastTokens
from espalier.serving.core.policies.power_of_two import PowerOfTwo
from espalier.serving.core.policies.random_rank import RandomRank
from espalier.serving.core.policies.round_robin import RoundRobin
from espalier.serving.core.prefix import PrefixIndex
from espalier.serving.core.scheduler import Scheduler
from espalier.serving.core.staggered import Staggered
from espalier.serving.core.state import Pool
from espalier.serving.core.types import Request
from espalier.serving.core.whole import WholePrompts
from espalier.serving.model.lockstep import PrefillEngine
from espalier.serving.sim.loop import Fault, Log, Simulation
from espalier.serving.traces.arrivals import gamma, on_off, poisson, replay
from espalier.serving.traces.lengths import constant, lognormal
from espalier.serving.traces.load import load_trace
from espalier.serving.traces.trace import Trace

CACHE = 4096
"""Blocks that a rank of the simulated engines keeps."""


class Scenario(NamedTuple):
    """One simulation of a comparison."""

    pool: str
    traffic: str
    load: float
    arm: str
    seed: int


def find_trace(config: TrafficConfig, root: DataRoot) -> Trace:
    """The trace of a recipe, read or generated, its prompts capped where that is asked for."""
    if (lengths := config.generated) is None:
        path = Path(config.trace)
        trace = load_trace(path if path.is_file() else _in_root(config.trace, root))
    elif config.trace == "constant":
        trace = constant(lengths.prompt, lengths.output)
    else:
        trace = lognormal(lengths.prompt, lengths.output, lengths.cv)
    return trace if config.cap is None else trace.capped(config.cap)


def _in_root(name: str, root: DataRoot) -> Path:
    try:
        return root.file(f"traces/{name}")
    except DataError as error:
        raise DataError(f"there is no trace {name} in this folder; {error}") from None


def run_scenario(config: CompareConfig, scenario: Scenario, trace: Trace) -> tuple[Log, int]:
    """Simulate; returns what happened, and the ranks of an instance."""
    instances, ranks = config.shape(scenario.pool)
    traffic, arm, prefill = config.traffic[scenario.traffic], config.arms[scenario.arm], config.prefill
    capacity = instances * ranks * prefill.tokens_per_second
    requests = arrivals(trace, traffic, scenario.load * capacity / float(trace.prompt.mean()), scenario.seed)
    pool = Pool.idle(instances, ranks, prefill.chunk)
    engines = [PrefillEngine(ranks, prefill) for _ in range(instances)]
    return simulate(
        make_scheduler(arm, pool, scenario.seed), engines, requests, arm, traffic, trace, scenario.seed
    ), ranks


def arrivals(trace: Trace, config: TrafficConfig, rate: float, seed: int) -> list[Request]:
    """Requests at `rate` a second. Those with the same seed and times are alike, whoever schedules them."""
    rng = np_rng(seed, "arrivals")
    if config.arrivals == "replay":
        return trace.requests(replay(trace, rate))
    n = config.requests
    match config.arrivals:
        case "poisson":
            times = poisson(n, rate, rng)
        case "gamma":
            times = gamma(n, rate, config.cv, rng)
        case "on_off":
            times = on_off(n, rate, config.on, config.off, rng)
    order = np.arange(n) % len(trace) if trace.blocks else np_rng(seed, "lengths").integers(len(trace), size=n)
    return trace.requests(times, order)


def make_scheduler(config: SchedulerConfig, pool: Pool, seed: int = 0) -> Scheduler:
    """The scheduler of a recipe."""
    prefix = None if config.prefix is None else PrefixIndex(config.prefix.block, config.prefix.capacity)
    interval = Interval(limit=config.interval_limit or float("inf"), scale=config.interval_scale)
    match config.policy:
        case "random":
            return Immediate(pool, RandomRank(seed), prefix)
        case "round_robin":
            return Immediate(pool, RoundRobin(), prefix)
        case "least_requests":
            return Immediate(pool, LeastRequests(), prefix)
        case "power_of_two":
            return Immediate(pool, PowerOfTwo(seed), prefix)
        case "least_tokens":
            return Immediate(pool, LeastTokens(), prefix)
        case "pull":
            return Staggered(pool, interval=Interval(scale=0.0), ageing=0.0, prefix=prefix)
        case "sbs":
            return Staggered(pool, interval=interval, ageing=config.ageing, prefix=prefix)
        case "sbs_whole":
            return WholePrompts(pool, interval=interval, prefix=prefix, pressure=config.pressure, speed=config.speed)


def simulate(
    scheduler: Scheduler,
    engines: list[PrefillEngine],
    requests: list[Request],
    arm: Arm,
    traffic: TrafficConfig,
    trace: Trace,
    seed: int,
) -> Log:
    """Run requests through a scheduler with the arm's troubles."""
    trouble = arm.trouble
    draw = random.Random(seed)
    actual = None
    if trouble.estimate:
        actual = [request.prompt for request in requests]
        off = np_rng(seed, "estimates").uniform(-trouble.estimate, trouble.estimate, len(requests))
        for request, share in zip(requests, off.tolist(), strict=True):
            request.prompt = max(round(request.prompt * (1 + share)), 1)
    faults, last = [], len(engines) - 1
    if trouble.slow != 1.0:
        faults.append(Fault(0.0, last, "slow", slow=trouble.slow))
    if trouble.dead:
        faults.append(Fault(trouble.dead * requests[-1].arrival, last, "dead"))
    return Simulation(
        scheduler,
        engines,
        requests,
        actual=actual,
        cache=PrefixIndex(trace.block, CACHE) if traffic.cached and trace.blocks else None,
        stale=trouble.stale,
        faults=faults,
        noise=(lambda: 1.0 + trouble.noise * (2.0 * draw.random() - 1.0)) if trouble.noise else None,
    ).run()
