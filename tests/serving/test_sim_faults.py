"""The simulator when things go wrong: the dead, the late, the slow; nothing is lost."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulations import POLICIES, SCHEDULERS, SECOND, random_requests, run

from espalier.serving.config import PolicyName, PrefixConfig, SchedulerConfig
from espalier.serving.core.immediate import Immediate
from espalier.serving.core.policies.round_robin import RoundRobin
from espalier.serving.core.prefix import PrefixIndex
from espalier.serving.core.staggered import Staggered
from espalier.serving.core.state import Pool
from espalier.serving.core.types import Report, Request
from espalier.serving.model.lockstep import Pass, PrefillEngine
from espalier.serving.model.steptime import PrefillTime
from espalier.serving.sim.loop import NEVER, Fault, Simulation
from espalier.serving.sim.metrics import Times
from espalier.serving.sim.scenario import make_scheduler


@pytest.mark.parametrize("name", sorted(SCHEDULERS))
def test_nothing_is_lost_when_an_instance_dies_and_comes_back(name: str) -> None:
    requests = random_requests(300, 4.0, 5)
    faults = [Fault(20.0, 1, "dead", notice=1.5), Fault(50.0, 1, "back")]
    log = run(SCHEDULERS[name](Pool.idle(3, 2, 100)), requests, faults=faults)
    assert Times.of(log).ttft.size == 300
    assert not [begun for begun, instance, *_ in log.passes if instance == 1 and 20.0 < begun < 50.0]
    assert [begun for begun, instance, *_ in log.passes if instance == 1 and begun >= 50.0]


def test_what_an_instance_had_is_known_to_be_lost_when_it_is_back_before_its_death_was_noticed() -> None:
    """50 tokens come each second. Those of 2.0 die with the instance at 2.2, those of 3.0 and 4.0 are sent to the dead.
    At 4.2 all come back to the scheduler: a pass of the first two, and one of the third with what came at 5.0.
    """
    pool, requests = Pool.idle(1, 1, 100), [Request(k, float(k), 50) for k in range(20)]
    faults = [Fault(2.2, 0, "dead", notice=3.0), Fault(4.2, 0, "back")]
    log = run(Immediate(pool, RoundRobin()), requests, faults=faults)
    assert log.first[:5] == pytest.approx([0.5, 1.5, 5.2, 5.2, 6.2])
    assert max(log.first) < 21.0
    assert pool.instances[0].alive


def test_a_late_report_of_one_that_died_since_is_not_heard() -> None:
    """The pass that ends at 2.5 would be told of at 3.1, when its instance is dead, and known to be."""
    pool, heard = Pool.idle(1, 1, 100), []

    class Listening(Immediate):
        def on_report(self, instance: int, report: Report, now: float) -> None:
            heard.append(round(now, 3))
            super().on_report(instance, report, now)

    faults = [Fault(2.51, 0, "dead", notice=0.2), Fault(8.2, 0, "back")]
    run(Listening(pool, RoundRobin()), [Request(k, float(k), 50) for k in range(4)], faults=faults, stale=0.6)
    assert heard == [1.1, 2.1, 9.3], "reports of the passes that end at 0.5 and 1.5; and of the one at 8.2 to 8.7"
    assert not pool.instances[0].busy


@st.composite
def troubles(draw: st.DrawFn) -> dict[str, Any]:
    """Faults, late reports, noise, wrong estimates and prefix caches, as they may come together."""
    when = st.floats(0.0, 40.0).map(lambda time: round(time, 2))
    kinds, instances = st.sampled_from(["dead", "back", "slow"]), draw(st.integers(1, 3))
    fault = st.builds(
        Fault, when, st.integers(0, instances - 1), kinds, st.floats(0.5, 3.0), st.sampled_from([0.0, 0.3, 2.0, 9.0])
    )
    return {
        "instances": instances,
        "faults": draw(st.lists(fault, max_size=8)),
        "stale": draw(st.sampled_from([0.0, 0.05, 0.7])),
        "noise": draw(st.booleans()),
        "estimate": draw(st.booleans()),
        "cached": draw(st.booleans()),
    }


@pytest.mark.parametrize("policy", POLICIES)
@settings(deadline=None, max_examples=40)
@given(trouble=troubles(), seed=st.integers(0, 99), load=st.floats(0.3, 1.3))
def test_no_trouble_loses_or_doubles_a_request(
    policy: PolicyName, trouble: dict[str, Any], seed: int, load: float
) -> None:
    """All end once the dead are back: those lost once more, those held, those sent to the dead."""
    instances, rng = trouble["instances"], random.Random(seed)
    requests = random_requests(80, load * instances * 2 / 1.5, seed)
    for request in requests:
        request.blocks = tuple(range(request.prompt // 20)) if trouble["cached"] else ()
    actual = [max(round(one.prompt * rng.uniform(0.7, 1.3)), 1) for one in requests] if trouble["estimate"] else None
    faults = trouble["faults"] + [Fault(60.0, k, "back") for k in range(instances)]
    index = PrefixConfig(block=20) if trouble["cached"] else None
    scheduler = make_scheduler(
        SchedulerConfig(policy=policy, prefix=index, ageing=float(seed % 3)), Pool.idle(instances, 2, 100), seed
    )
    ended: list[int] = []

    class Counting(PrefillEngine):
        def finish(self) -> Pass:
            over = super().finish()
            ended.extend(request.id for request in over.done)
            return over

    log = Simulation(
        scheduler,
        [Counting(2, SECOND) for _ in range(instances)],
        requests,
        actual=actual,
        cache=PrefixIndex(20) if trouble["cached"] else None,
        stale=trouble["stale"],
        faults=faults,
        noise=(lambda: rng.uniform(0.8, 1.2)) if trouble["noise"] else None,
    ).run()
    assert sorted(ended) == list(range(80))
    assert scheduler.held == 0
    assert all(
        one.arrival <= placed <= begun < first < NEVER
        for one, placed, begun, first in zip(requests, log.placed, log.begun, log.first, strict=True)
    )
    assert not any(instance.busy or any(instance.backlog.values) for instance in scheduler.pool.instances)
    for number in range(instances):
        mine = sorted((begun, begun + seconds) for begun, instance, seconds, *_ in log.passes if instance == number)
        assert all(end <= begun + 1e-9 for (_, end), (begun, _) in pairwise(mine))


def test_late_reports_and_noise_lose_nothing() -> None:
    noise = iter([0.9, 1.1] * 10_000)
    log = run(Staggered(Pool.idle(2, 2, 100)), random_requests(300, 2.0, 5), stale=0.3, noise=lambda: next(noise))
    assert Times.of(log).ttft.size == 300


def test_work_reaches_an_engine_that_does_not_wait_just_before_its_pass_ends() -> None:
    """Reports come 0.5 s late, which the first tells. 300 tokens begin at 2.0: of the first pass of these the scheduler
    hears at 3.5, so the second ends at 4.0. What came at 3.6 goes out 3% of a pass before, to the free rank; and what
    came at 4.2 that much before 5.0, when the third ends.
    """
    sizes, times = [100, 300, 40, 40], [0.0, 2.0, 3.6, 4.2]
    requests = [Request(k, time, size) for k, (size, time) in enumerate(zip(sizes, times, strict=True))]
    log = run(Staggered(Pool.idle(1, 2, 100)), requests, stale=0.5)
    assert log.placed == pytest.approx([0.0, 2.0, 3.97, 4.97])
    assert log.begun == pytest.approx([0.0, 2.0, 4.0, 5.0])
    assert log.first == pytest.approx([1.0, 5.0, 5.0, 5.4])


@pytest.mark.parametrize("name", ["sbs", "whole"])
@pytest.mark.parametrize("stale", [0.01, 0.1, 0.5])
def test_late_reports_cost_little(name: str, stale: float) -> None:
    """Passes last up to 1.1 s; hearing of their end half a pass later costs less than a sixth of the waiting."""
    time, requests = PrefillTime(base=0.1, per_token=0.01, chunk=100), random_requests(2000, 14.0, 3, longest=300)
    prompt, late = (
        Times.of(run(SCHEDULERS[name](Pool.idle(4, 8, 100)), requests, time, stale=seconds)).ttft.mean()
        for seconds in (0.0, stale)
    )
    assert late < 1.17 * prompt


def test_a_slow_instance_takes_longer() -> None:
    log = run(Staggered(Pool.idle(1, 1, 100)), [Request(0, 0.0, 100)], faults=[Fault(0.0, 0, "slow", slow=1.5)])
    assert log.first == [1.5]
