"""The scheduler core: hand-computed placements, invariants over random traffic, the virtual state."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espalier.serving.core.ahead import PassTime
from espalier.serving.core.allocation import water_fill
from espalier.serving.core.immediate import Immediate
from espalier.serving.core.interval import Interval
from espalier.serving.core.policies.least_requests import LeastRequests
from espalier.serving.core.policies.least_tokens import LeastTokens
from espalier.serving.core.policies.power_of_two import PowerOfTwo
from espalier.serving.core.policies.random_rank import RandomRank
from espalier.serving.core.policies.round_robin import RoundRobin
from espalier.serving.core.prefix import PrefixIndex
from espalier.serving.core.safety import Guarded, Valve
from espalier.serving.core.staggered import Staggered
from espalier.serving.core.state import Pool
from espalier.serving.core.types import Reason, Report, Request
from espalier.serving.core.whole import WholePrompts


def test_pass_times_are_a_line_in_the_tokens() -> None:
    """1 s and 1/100 s a token; one size alone tells its own duration only."""
    time = PassTime()
    assert time.seconds(100) == 0.0
    time.hear(100, 2.0)
    assert time.seconds(500) == pytest.approx(2.0)
    time.hear(300, 4.0)
    assert [time.seconds(tokens) for tokens in (0, 200, 500)] == pytest.approx([1.0, 3.0, 6.0])
    assert time.error == pytest.approx(0.02 * 2.0)


def prompts(*tokens: int, arrival: float = 0.0) -> list[Request]:
    return [Request(k, arrival, one) for k, one in enumerate(tokens)]


def report(seen: int, *backlog: int, duration: float | None = 1.0) -> Report:
    ranks = len(backlog)
    return Report(seen, backlog, [0] * ranks, [0] * ranks, any(backlog), duration)


def test_water_fill_by_hand() -> None:
    """Loads 0, 40, 100 of 100: 50 goes to rank 0, 40 to 1, then both hold 80; 90 goes to 0, and 10 and 10 to 1."""
    placed, left = water_fill(prompts(50, 40, 30, 90, 10, 10), [0, 40, 100], 100)
    assert [(request.id, rank) for request, rank, _ in placed] == [(0, 0), (1, 1), (2, 0), (3, 0), (4, 1), (5, 1)]
    assert left == []
    assert water_fill(prompts(5), [100, 120], 100)[0] == []


def test_a_prompt_is_cut_only_where_that_is_allowed() -> None:
    """Room 30 takes a prompt of 50 when it may be cut; a prompt beyond a chunk is cut anyway."""
    assert len(water_fill(prompts(50), [70], 100)[0]) == 1
    placed, left = water_fill(prompts(50, 130, 30), [70, 90], 100, split=False)
    assert [(request.id, rank) for request, rank, _ in placed] == [(1, 0)]
    assert [one.id for one in left] == [0, 2]


def test_a_cached_prefix_draws_a_request_unless_its_rank_is_full() -> None:
    ((_, rank, cost),), _ = water_fill(prompts(80), [20, 0], 100, {0: {0: 64}})
    assert (rank, cost) == (0, 16)
    ((_, rank, cost),), _ = water_fill(prompts(80), [100, 0], 100, {0: {0: 64}})
    assert (rank, cost) == (1, 80)


@given(
    st.lists(st.integers(1, 9000), max_size=40), st.lists(st.integers(0, 5000), min_size=1, max_size=8), st.booleans()
)
def test_water_fill_keeps_every_request_and_the_capacity(sizes: list[int], backlog: list[int], split: bool) -> None:
    requests = prompts(*sizes)
    placed, left = water_fill(requests, backlog, 4096, split=split)
    assert sorted([request.id for request, _, _ in placed] + [one.id for one in left]) == list(range(len(sizes)))
    load = list(backlog)
    for _, rank, cost in placed:
        assert load[rank] == min(load)
        assert load[rank] < 4096
        load[rank] += cost
        assert split or load[rank] <= 4096 or cost > 4096
    if left and split:
        assert min(load) >= 4096


def test_the_interval_is_the_mean_pass_over_the_instances() -> None:
    interval = Interval(weight=0.5, limit=0.3)
    assert interval.seconds(4) == 0.0
    interval.hear(0.8)
    assert interval.seconds(4) == pytest.approx(0.2)
    interval.hear(0.4)
    assert interval.seconds(4) == pytest.approx(0.15)
    assert interval.seconds(1) == 0.3


def test_a_report_keeps_the_decisions_that_it_cannot_have_seen() -> None:
    pool = Pool.idle(1, 2, 100)
    one = pool.instances[0]
    one.send(0, 10)
    one.send(1, 20)
    one.hear(report(1, 3, 0), 1.0)
    assert one.backlog.values == [3, 20]
    assert one.busy
    one.hear(report(2, 0, 0), 2.0)
    assert (one.backlog.values, one.busy, one.free_since) == ([0, 0], False, 2.0)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=30), st.integers(0, 40))
def test_the_least_place_is_least_and_takes_turns(sends: list[tuple[int, int]], turn: int) -> None:
    pool = Pool.idle(2, 3, 100)
    for place, cost in sends:
        pool.instances[place % 2].send(place // 2, cost)
    instance, rank = pool.least_backlog(turn)
    assert pool.instances[instance].backlog.values[rank] == min(min(one.backlog.values) for one in pool.instances)
    if not sends:
        assert (instance, rank) == (turn % 2, turn // 2 % 3)


def test_round_robin_visits_every_rank_once_a_round() -> None:
    pool, policy = Pool.idle(3, 4, 100), RoundRobin()
    places = [policy.choose(pool, Request(0, 0, 1), {}) for _ in range(12)]
    assert len(set(places)) == 12
    assert [instance for instance, _ in places[:3]] == [0, 1, 2]


@pytest.mark.parametrize("policy", [RandomRank(1), RoundRobin(), LeastRequests(), LeastTokens(), PowerOfTwo(1)])
def test_a_dead_instance_gets_nothing(policy: object) -> None:
    scheduler = Immediate(Pool.idle(3, 2, 100), policy)
    scheduler.on_lost(1, 0.0)
    for request in prompts(*[5] * 30):
        scheduler.on_arrival(request, 0.0)
    decisions, _ = scheduler.poll(0.0)
    assert {one.instance for one in decisions} == {0, 2}
    assert scheduler.poll(0.0) == ([], None)


def test_least_tokens_counts_a_cached_prefix() -> None:
    """Ranks hold 50 and 20 tokens; of 50 tokens 40 lie cached on the first, which is then 10 against 20."""
    scheduler = Immediate(Pool.idle(1, 2, 100), LeastTokens(), PrefixIndex(block=10))
    requests = [Request(0, 0.0, 50, blocks=(1, 2, 3, 4)), Request(1, 0.0, 20), Request(2, 0.0, 50, blocks=(1, 2, 3, 4))]
    for request in requests:
        scheduler.on_arrival(request, 0.0)
    first, second, third = scheduler.poll(0.0)[0]
    assert first.rank != second.rank
    assert (third.rank, third.cost) == (first.rank, 10)


def test_prefixes_are_forgotten_by_age_and_with_their_instance() -> None:
    index = PrefixIndex(block=10, capacity=3)
    index.add(Request(0, 0, 25, blocks=(1, 2)), 0, 0)
    assert index.hits(Request(1, 0, 40, blocks=(1, 2, 7))) == {(0, 0): 20}
    assert index.hits(Request(1, 0, 15, blocks=(1, 2))) == {(0, 0): 14}
    index.add(Request(2, 0, 20, blocks=(5, 6)), 0, 0)
    assert index.hits(Request(1, 0, 40, blocks=(1, 2))) == {(0, 0): 10}
    index.forget(0)
    assert index.hits(Request(1, 0, 40, blocks=(5, 6))) == {}


def test_batches_start_an_interval_apart() -> None:
    """Two instances, passes of 1 s: one batch at once, the next half a second later, none to the busy."""
    pool = Pool.idle(2, 1, 100)
    scheduler = Staggered(pool, ageing=0)
    scheduler.interval.hear(1.0)
    scheduler.on_arrival(Request(0, 0.0, 50), 0.0)
    (first,), wake = scheduler.poll(0.0)
    assert (first.reason, wake) == (Reason.ALL_IDLE, None)
    scheduler.on_arrival(Request(1, 0.1, 50), 0.1)
    assert scheduler.poll(0.1) == ([], 0.5)
    assert scheduler.poll(0.1) == ([], 0.5)
    (second,), _ = scheduler.poll(0.5)
    assert second.reason == Reason.STAGGERED
    assert second.instance != first.instance
    scheduler.on_arrival(Request(2, 0.6, 50), 0.6)
    assert scheduler.poll(0.6) == ([], None)
    scheduler.on_report(first.instance, report(1, 0), 1.0)
    (third,), _ = scheduler.poll(1.0)
    assert third.instance == first.instance


def test_an_instance_that_goes_on_is_refilled_at_once() -> None:
    pool = Pool.idle(1, 2, 100)
    scheduler = Staggered(pool, ageing=0)
    scheduler.on_arrival(Request(0, 0.0, 150), 0.0)
    scheduler.poll(0.0)
    for k in (1, 2):
        scheduler.on_arrival(Request(k, 0.2, 80), 0.2)
    assert scheduler.poll(0.2) == ([], None)
    scheduler.on_report(0, report(1, 50, 0), 1.0)
    decisions, _ = scheduler.poll(1.0)
    assert [(one.request.id, one.rank, one.reason) for one in decisions] == [(1, 1, "refill"), (2, 0, "refill")]


def test_a_refill_takes_a_turn() -> None:
    """Two instances, passes of 1 s: after a refill at 1 s the idle one waits until 1.5 s."""
    scheduler = Staggered(Pool.idle(2, 1, 100))
    scheduler.on_arrival(Request(0, 0.0, 150), 0.0)
    scheduler.poll(0.0)
    scheduler.on_report(0, report(1, 50), 1.0)
    for k in (1, 2):
        scheduler.on_arrival(Request(k, 1.0, 80), 1.0)
    (refill,), wake = scheduler.poll(1.0)
    assert (refill.request.id, refill.instance, refill.reason, wake) == (1, 0, "refill", 1.5)
    (turn,), _ = scheduler.poll(1.5)
    assert (turn.request.id, turn.instance, turn.reason) == (2, 1, "staggered")


def test_requests_left_over_go_by_arrival_and_new_ones_by_length() -> None:
    """Longest first for those left over starves: they must come in the order they were left in."""
    scheduler = Staggered(Pool.idle(1, 1, 100), ageing=0)
    for request in prompts(100, 20, 60):
        scheduler.on_arrival(request, 0.0)
    assert [one.request.id for one in scheduler.poll(0.0)[0]] == [0]
    scheduler.on_arrival(Request(3, 0.5, 90), 0.5)
    order = []
    for k in range(1, 4):
        scheduler.on_report(0, report(k, 0), float(k))
        order += [one.request.id for one in scheduler.poll(float(k))[0]]
    assert order == [2, 1, 3]


def test_a_request_that_has_aged_is_placed_without_room() -> None:
    scheduler = Staggered(Pool.idle(1, 1, 100), ageing=2.0)
    scheduler.interval.hear(1.0)
    for request in prompts(100, 100):
        scheduler.on_arrival(request, 0.0)
    scheduler.poll(0.0)
    scheduler.on_report(0, report(1, 100), 2.5)
    decisions, _ = scheduler.poll(2.5)
    assert [(one.request.id, one.reason) for one in decisions] == [(1, "aged")]


def test_what_is_cancelled_or_lost_is_not_placed_twice() -> None:
    pool = Pool.idle(2, 1, 100)
    scheduler = Staggered(pool)
    requests = prompts(10, 20)
    for request in requests:
        scheduler.on_arrival(request, 0.0)
    scheduler.on_cancel(requests[1], 0.0)
    assert [one.request.id for one in scheduler.poll(0.0)[0]] == [0]
    for number in range(2):
        scheduler.on_lost(number, 1.0)
    scheduler.on_arrival(requests[0], 1.0)
    assert scheduler.poll(1.0) == ([], None)
    assert scheduler.held == 1
    scheduler.on_back(1, 2.0)
    (back,), _ = scheduler.poll(2.0)
    assert back.instance == 1


def test_whole_prompts_wait_for_room_until_pressure_rises() -> None:
    pool = Pool.idle(1, 1, 100)
    scheduler = WholePrompts(pool, pressure=1.5, speed=1e9)
    for request in prompts(60, 50):
        scheduler.on_arrival(request, 0.0)
    assert [one.request.id for one in scheduler.poll(0.0)[0]] == [0]
    scheduler.on_arrival(Request(2, 0.1, 101), 0.1)
    scheduler.on_report(0, report(1, 0), 1.0)
    assert [one.request.id for one in scheduler.poll(1.0)[0]] == [1, 2]


def test_a_paused_instance_keeps_its_work_and_gets_none() -> None:
    pool = Pool.idle(2, 1, 100)
    scheduler = Staggered(pool)
    scheduler.on_arrival(Request(0, 0.0, 50), 0.0)
    (first,), _ = scheduler.poll(0.0)
    scheduler.on_pause(first.instance, 0.0)
    paused = pool.instances[first.instance]
    assert (paused.alive, paused.busy, paused.backlog.values) == (True, True, [50])
    for number in range(1, 4):
        scheduler.on_arrival(Request(number, 0.1, 50), 0.1)
    others, _ = scheduler.poll(0.1)
    assert {decision.instance for decision in others} == {1 - first.instance}
    scheduler.on_pause(first.instance, 0.2, False)
    assert scheduler.poll(0.2)[0] == [], "it is still at its first pass"
    scheduler.on_report(first.instance, report(1, 0), 1.0)
    assert {decision.instance for decision in scheduler.poll(5.0)[0]} == {first.instance}


def test_a_decision_that_never_arrived_needs_no_report() -> None:
    pool = Pool.idle(1, 2, 100)
    scheduler = Staggered(pool)
    for number in range(2):
        scheduler.on_arrival(Request(number, 0.0, 30 + number), 0.0)
    decisions, _ = scheduler.poll(0.0)
    instance = pool.instances[0]
    scheduler.on_missed(0, 1, 0.1)
    scheduler.on_missed(0, 7, 0.1)
    assert sum(instance.backlog.values) == 30, "the longest was the first"
    assert instance.busy
    scheduler.on_missed(0, 2, 0.2)
    assert (instance.backlog.values, instance.score.values, instance.busy) == ([0, 0], [0, 0], False)
    assert len(decisions) == 2


def test_what_is_lost_is_not_heard() -> None:
    pool = Pool.idle(1, 1, 100)
    scheduler = Staggered(pool)
    scheduler.on_lost(0, 1.0)
    scheduler.on_report(0, Report(0, (50,), (1,), (0,), True, duration=1.0, largest=10), 1.1)
    scheduler.on_back(0, 2.0)
    assert (pool.instances[0].busy, pool.instances[0].backlog.values) == (False, [0])
    assert scheduler.interval.duration == 0.0


@pytest.mark.parametrize("kind", [Staggered, WholePrompts])
def test_priority_goes_before_what_was_left_over(kind: type[Staggered]) -> None:
    scheduler = kind(Pool.idle(1, 1, 100))
    for number in range(3):
        scheduler.on_arrival(Request(number, 0.0, 100), 0.0)
    assert [decision.request.id for decision in scheduler.poll(0.0)[0]] == [0]
    scheduler.on_arrival(Request(9, 0.5, 100, priority=1), 0.5)
    order = []
    for turn in range(1, 4):
        scheduler.on_report(0, report(turn, 0), float(turn))
        order += [decision.request.id for decision in scheduler.poll(10.0 * turn)[0]]
    assert order == [9, 1, 2]


def test_a_valve_that_closes_leaves_no_refill_behind() -> None:
    pool = Pool.idle(1, 1, 100)
    valve = Valve()
    scheduler = Guarded(Staggered(pool), valve)
    valve.open = True
    scheduler.on_arrival(Request(0, 0.0, 250), 0.0)
    assert [decision.reason for decision in scheduler.poll(0.0)[0]] == [Reason.FALLBACK]
    scheduler.on_report(0, Report(1, (150,), (0,), (1,), True, duration=1.0, largest=100), 1.0)
    scheduler.poll(1.0)
    valve.open = False
    scheduler.on_arrival(Request(1, 1.5, 10), 1.5)
    assert scheduler.poll(1.5)[0] == [], "the instance is in the middle of a pass"
