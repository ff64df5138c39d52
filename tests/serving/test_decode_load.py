"""Where engines decode what they prefill, what they decode counts as their load."""

from __future__ import annotations

from collections import Counter
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espalier.serving.config import SchedulerConfig
from espalier.serving.core.scheduler import Scheduler
from espalier.serving.core.state import Pool
from espalier.serving.core.types import Decision, Report, Request
from espalier.serving.sim.scenario import make_scheduler

HOLDING = ("sbs", "sbs_whole", "pull")


def make(policy: str, ranks: list[int], decodes: bool = True) -> Scheduler:
    return make_scheduler(SchedulerConfig(policy=policy), Pool.of(ranks, 4096, decodes))


def burst(scheduler: Scheduler, number: int, tokens: int = 5) -> list[Decision]:
    """Requests that come one after the other at the same moment, and passes of 0.1 s that end in turn."""
    placed: list[Decision] = []
    for k in range(number):
        scheduler.on_arrival(Request(k, 0.0, tokens), 0.0)
        placed += scheduler.poll(0.0)[0]
    for step in range(1, 100):
        now = step / 10
        for instance, one in enumerate(scheduler.pool.instances):
            idle = [0] * one.ranks
            scheduler.on_report(instance, Report(one.sent, idle, idle, idle, False, 0.1, tokens), now)
            placed += scheduler.poll(now)[0]
    assert len(placed) == number
    return placed


@pytest.mark.parametrize("policy", HOLDING)
@pytest.mark.parametrize("ranks", [[1, 1], [8, 8], [4, 4, 4], [8, 16]])
def test_a_burst_into_an_idle_pool_is_spread(policy: str, ranks: list[int]) -> None:
    """Instances of so many ranks get as large a share of a burst, one request more or less for each that came alone."""
    sent = Counter(one.instance for one in burst(make(policy, ranks), 48))
    for instance, number in enumerate(ranks):
        assert sent[instance] == pytest.approx(48 * number / sum(ranks), abs=len(ranks) + 2)


@pytest.mark.parametrize("policy", HOLDING)
def test_engines_that_only_prefill_are_filled_one_after_the_other(policy: str) -> None:
    sent = Counter(one.instance for one in burst(make(policy, [8, 8], decodes=False), 30))
    assert sorted(sent.values()) == [1, 29]


@pytest.mark.parametrize("policy", HOLDING)
def test_requests_that_come_one_by_one_are_spread_over_instances_and_ranks(policy: str) -> None:
    """Each is prefilled before the next comes, and decoded for long: the backlogs are all empty."""
    scheduler, places = make(policy, [4, 4]), []
    for k in range(16):
        scheduler.on_arrival(Request(k, float(k), 100), float(k))
        (decision,), _ = scheduler.poll(float(k))
        places.append((decision.instance, decision.rank))
        scheduler.on_report(decision.instance, Report(k + 1, [0] * 4, [0] * 4, [0] * 4, False, 0.1, 100), k + 0.5)
    assert set(Counter(places).values()) == {2}
    assert len(set(places[:8])) == 8


@pytest.mark.parametrize("policy", HOLDING)
def test_what_is_decoded_takes_no_room_from_a_prompt_that_fills_a_chunk(policy: str) -> None:
    """Every rank decodes; a prompt of a whole chunk goes out as soon as an instance is free."""
    scheduler = make(policy, [2, 2])
    for instance in range(2):
        scheduler.pool.open(instance, [0, 0, 1])
    scheduler.on_arrival(Request(0, 0.0, 4096), 0.0)
    (decision,), _ = scheduler.poll(0.0)
    assert (decision.instance, decision.rank) == (0, 1)


def test_the_share_by_hand() -> None:
    """10 and 20 are open and 30 held: 30 each would be even, and a quarter of 15 more is let pass. The first takes
    23.75, rounded up; the second, which lacks 13.75, takes its half of what is held.
    """
    pool = Pool.of([2, 2], 100, decodes=True)
    pool.open(0, [0] * 10)
    pool.open(1, [1] * 20)
    assert [pool.share(k, 30) for k in range(2)] == [24, 15]
    assert pool.share(1, 2) == 1, "an instance that is ahead takes its part, so that it does not idle"
    pool.pause(0, True)
    assert pool.share(1, 30) == 35
    assert [pool.order(k) for k in range(2)] == [[1, 0], [0, 1]]
    for _ in range(20):
        pool.close(1, 1)
    pool.open(1, [0])
    assert pool.order(1) == [1, 0]
    assert Pool.of([2, 2], 100).share(0, 30) == 30


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=5), st.lists(st.integers(0, 4), max_size=60), st.integers(1, 99)
)
def test_shares_place_everything(ranks: list[int], placed: list[int], held: int) -> None:
    """Every instance takes one at least, and all together take all that is held."""
    pool = Pool.of(ranks, 100, decodes=True)
    for instance in placed:
        pool.open(instance % len(ranks), [0])
    shares = [pool.share(k, held) for k in range(len(ranks))]
    assert min(shares) >= 1
    assert sum(shares) >= held


@given(st.lists(st.integers(1, 6000), min_size=1, max_size=60), st.sampled_from(HOLDING))
def test_every_request_of_a_burst_is_placed_once(sizes: list[int], policy: str) -> None:
    scheduler, numbers = make(policy, [2, 2]), count()
    for size in sizes:
        scheduler.on_arrival(Request(next(numbers), 0.0, size), 0.0)
    placed: list[int] = []
    for step in range(400):
        decisions, _ = scheduler.poll(step / 10)
        placed += [one.request.id for one in decisions]
        for instance, one in enumerate(scheduler.pool.instances):
            scheduler.on_report(instance, Report(one.sent, [0, 0], [0, 0], [0, 0], False, 0.1, 1), step / 10 + 0.05)
        if not scheduler.held:
            break
    assert sorted(placed) == list(range(len(sizes)))
    assert sum(sum(one.open) for one in scheduler.pool.instances) == len(sizes)
    for one in scheduler.pool.instances:
        assert min(one.open) >= 0
