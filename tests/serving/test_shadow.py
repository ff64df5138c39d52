"""What immediate dispatch would have given, and the valve that hears of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from espalier.serving.config import SchedulerConfig
from espalier.serving.core.safety import Valve
from espalier.serving.core.state import Pool
from espalier.serving.core.types import Report, Request
from espalier.serving.gateway.shadow import Shadow
from espalier.serving.model.steptime import PrefillTime
from espalier.serving.sim.scenario import make_scheduler

TIME = PrefillTime(base=1.0, per_token=0.01, chunk=100)
"""A full chunk takes two seconds."""


class Noted(Valve):
    """A valve that keeps what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[int, float, float]] = []

    def note(self, actual: float, expected: float) -> None:
        self.heard.append((len(self.heard), actual, expected))


def shadow_of(valve: Valve, instances: int = 1, ranks: int = 1) -> Shadow:
    sizes = [ranks] * instances
    scheduler = make_scheduler(SchedulerConfig(policy="least_tokens"), Pool.of(sizes, TIME.chunk))
    return Shadow(scheduler, sizes, TIME, valve)


def pairs(valve: Noted) -> list[tuple[float, float]]:
    return [(pytest.approx(actual), pytest.approx(expected)) for _, actual, expected in valve.heard]


def test_three_requests_by_hand() -> None:
    """50 tokens take 1.5 s. 150 that come at 0.5 wait until then, and take 2.0 and 1.5 more: 4.5 s. 10 come at 1, run
    beside the last 50 of those from 3.5 to 5.1 and so make the 150 end at 5.1.
    """
    valve = Noted()
    shadow = shadow_of(valve)
    first, second, third = Request(0, 0.0, 50), Request(1, 0.5, 150), Request(2, 1.0, 10)
    for request in (first, second, third):
        shadow.arrived(request, request.arrival)
    shadow.answered(first, 1.0)
    assert valve.heard == []
    shadow.answered(second, 4.5)
    assert pairs(valve) == [(1.0, 1.5)]
    shadow.answered(third, 7.0)
    assert pairs(valve) == [(1.0, 1.5), (4.0, 4.6), (6.0, 4.1)]
    assert shadow._came == shadow._actual == shadow._expected == {}


def test_durations_follow_what_is_measured() -> None:
    valve = Noted()
    shadow = shadow_of(valve)
    for _ in range(200):
        shadow.measured(0, Report(0, (0,), (0,), (0,), False, duration=3.0, largest=50))
    request = Request(0, 0.0, 50)
    shadow.arrived(request, 0.0)
    shadow.answered(request, 3.5)
    assert valve.heard[0][2] == pytest.approx(3.0, rel=1e-3)


def test_who_leaves_and_what_dies_is_not_compared() -> None:
    valve = Noted()
    shadow = shadow_of(valve, instances=2)
    requests = [Request(k, 0.0, 50) for k in range(3)]
    for request in requests[:2]:
        shadow.arrived(request, 0.0)
    dead = next(k for k, engine in enumerate(shadow.engines) if engine.working and requests[1] in engine.working.done)
    shadow.lost(dead, 0.5)
    shadow.forget(requests[0], 0.5)
    shadow.arrived(requests[2], 0.5)
    for request in requests[1:]:
        shadow.answered(request, 9.0)
    assert pairs(valve) == [(9.0, 2.5)], "first left, second was lost; third waits for the pass of the first"
    shadow.lost(1 - dead, 10.0)
    shadow.arrived(Request(3, 10.0, 50), 10.0)
    shadow.back(dead, 12.0)
    shadow.answered(Request(3, 10.0, 50), 14.0)
    assert valve.heard[-1][1:] == (pytest.approx(4.0), pytest.approx(3.5))
    assert shadow._came == shadow._actual == shadow._expected == {}


@pytest.mark.parametrize(("factor", "opens"), [(0.8, False), (1.0, False), (1.2, True)])
def test_the_valve_opens_where_holding_costs_and_only_there(factor: float, opens: bool) -> None:
    """Real waits are those of a second shadow, which are immediate dispatch itself, times a factor."""
    told, valve = Noted(), Valve()
    truth, shadow = shadow_of(told, 4, 8), shadow_of(valve, 4, 8)
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.exponential(0.03, 4000))
    requests = [Request(k, float(times[k]), int(rng.integers(5, 100))) for k in range(4000)]
    for request in requests:
        truth.arrived(request, request.arrival)
        shadow.arrived(request, request.arrival)
    truth._advance(1e6)
    for request in requests:
        wait = factor * truth._expected[request.id]
        shadow.answered(replace(request, arrival=1e6 - wait), 1e6)
    assert (valve.opened > 0) is opens
