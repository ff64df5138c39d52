from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from espalier.engine.api import Sampling
from espalier.engine.batching.scheduler import HEAD_START, Scheduler, chunks
from espalier.engine.batching.sequence import Sequence


def request() -> Sequence:
    return Sequence(np.array([1]), Sampling(max_tokens=1))


def test_first_come_first_served() -> None:
    scheduler, requests, started = Scheduler(), [request() for _ in range(5)], []
    for sequence in requests:
        scheduler.add(sequence)
    scheduler.admit(3, lambda sequence: started.append(sequence) is None)
    assert started == requests[:3]
    assert scheduler.waiting == requests[3:]


def test_one_that_must_wait_keeps_its_place_and_its_row() -> None:
    scheduler, requests = Scheduler(), [request() for _ in range(4)]
    for sequence in requests:
        scheduler.add(sequence)
    started: list[Sequence] = []
    scheduler.admit(2, lambda sequence: sequence is not requests[0] and started.append(sequence) is None)
    assert started == [requests[1]], "the row of the blocked request went to a later one"
    assert scheduler.waiting == [requests[0], *requests[2:]]


def test_a_conversation_goes_first_but_overtakes_nobody_who_waited_longer() -> None:
    scheduler = Scheduler()
    old, young, turn = request(), request(), request()
    scheduler.add(old)
    for _ in range(HEAD_START + 1):
        scheduler.admit(0, lambda _: True)
    scheduler.add(young)
    scheduler.add(turn, continues=True)
    assert scheduler.waiting == [old, turn, young]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=80))
def test_nobody_waits_for_ever(arrivals: list[tuple[bool, int]]) -> None:
    """With one row free a round, a request starts before everything that came more than HEAD_START rounds later."""
    scheduler, came, starts = Scheduler(), {}, {}
    rounds = 0

    def start(sequence: Sequence) -> bool:
        starts[sequence] = rounds
        return True

    for continues, gap in arrivals:
        sequence = request()
        came[sequence] = rounds
        scheduler.add(sequence, continues=continues)
        for _ in range(gap):
            rounds += 1
            scheduler.admit(1, start)
    while scheduler.waiting:
        rounds += 1
        scheduler.admit(1, start)
    assert starts.keys() == came.keys()
    for one in came:
        for other in came:
            if came[other] > came[one] + HEAD_START:
                assert starts[one] < starts[other]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.integers(0, 120), st.randoms())
def test_chunks_spend_the_budget_oldest_first(behind: list[int], budget: int, random: object) -> None:
    order = list(range(len(behind)))
    random.shuffle(order)  # type: ignore[attr-defined]
    counts = chunks(np.array(behind), order, budget)
    extra = counts - 1
    assert (counts >= 1).all()
    assert (counts <= behind).all()
    assert extra.sum() == min(budget, sum(behind) - len(behind))
    unfinished = [place for place, row in enumerate(order) if counts[row] < behind[row]]
    if unfinished:
        assert all(extra[row] == 0 for row in order[unfinished[0] + 1 :]), "a younger row got budget first"
