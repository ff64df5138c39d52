"""Groups that run while the learner trains, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import ScriptedEnv, ScriptedTasks

from espalier.core.clock import VirtualClock
from espalier.envs.api import Episode, Step, Task
from espalier.rl.loop.admission import Admission
from espalier.rl.loop.collect import Collected, Collector, StarvedError
from espalier.rl.loop.ledger import Indices, Ledger
from espalier.rl.loop.source import TaskSource
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.rollout.config import Stale
from espalier.rl.rollout.in_flight import InFlight
from espalier.rl.trajectory import Trajectory

TASKS = ScriptedTasks(lambda: ScriptedEnv(lambda turn, action: Step(reward=0.0)))
TRAIN = 1.0
"""Seconds of a training step."""


class Player:
    """Group `index` takes `seconds(index)`, half for each of its two tokens, and has two rows unless it fails."""

    def __init__(self, policy: Admission, seconds: Callable[[int], float], *, fails: frozenset[int] = frozenset()):
        self.policy, self.seconds, self.fails = policy, seconds, fails
        self.played: list[int] = []
        self.in_flight = InFlight()

    async def play(self, index: int, task: Task, members: int | None = None) -> ScoredGroup:
        self.played.append(index)
        rows = [Trajectory(task.env, task.key, index, member, reward=float(member)) for member in range(2)]
        for row in rows:
            row.observe([1])
        for _ in range(2):
            for row in rows:
                row.sample([2], [-0.5], [self.policy.version])
            async with self.in_flight.place():
                await asyncio.sleep(self.seconds(index) / 2)
        if index in self.fails:
            return ScoredGroup(index, task, errors=["it broke"], least=2)
        return ScoredGroup(index, task, rows, [Episode(task, []) for _ in rows], least=2)


class Trained:
    """A loop without weights: collects, trains for a second, and keeps what it collected."""

    def __init__(
        self,
        seconds: Callable[[int], float],
        *,
        groups: int = 2,
        lag: int = 1,
        steps: int = 6,
        stale: Stale = "mask",
        fails: frozenset[int] = frozenset(),
        fixed_lag: bool = False,
    ):
        self.clock, self.steps = VirtualClock(), steps
        self.admission = Admission(groups, lag, groups * steps)
        self.source = TaskSource(TASKS)  # type: ignore[arg-type]
        self.player = Player(self.admission, seconds, fails=fails)
        self.player.in_flight = InFlight(clock=self.clock.now)
        self.collector = self.collect_with(Ledger(), [], stale=stale, fixed_lag=fixed_lag)
        self.times: list[float] = []

    def collect_with(
        self, ledger: Ledger, waiting: Sequence[ScoredGroup], *, stale: Stale = "mask", fixed_lag: bool = False
    ) -> Collector:
        return Collector(
            self.player,
            self.source,
            self.admission,
            resample=False,
            max_rejected=4,
            stale=stale,
            fixed_lag=fixed_lag,
            in_flight=self.player.in_flight,
            ledger=ledger,
            waiting=waiting,
        )

    def run(self) -> list[Collected]:
        return self.clock.run(self._run())

    async def _run(self) -> list[Collected]:
        found = []
        for _ in range(self.steps):
            found.append(await self.collector.collect())
            await asyncio.sleep(TRAIN)
            self.admission.advance()
            self.times.append(self.clock.now())
        await self.collector.close()
        return found


def lags(found: Sequence[Collected]) -> list[int]:
    return [row.lag(version) for version, step in enumerate(found) for group in step.groups for row in group.rows]


def test_groups_run_while_the_learner_trains():
    trained = Trained(lambda index: 0.9)
    found = trained.run()
    assert trained.times == [pytest.approx(0.9 + TRAIN * step) for step in range(1, 7)], "only the first step waits"
    assert lags(found)[:4] == [0] * 4
    assert set(lags(found)[4:]) == {1}
    assert [group.index for step in found for group in step.groups] == list(range(12))


def test_without_lag_sampling_and_training_take_turns():
    trained = Trained(lambda index: 0.9, lag=0)
    assert set(lags(trained.run())) == {0}
    assert trained.times == [pytest.approx(1.9 * step) for step in range(1, 7)]


def test_no_group_is_started_that_no_step_needs():
    trained = Trained(lambda index: 0.1, lag=3)
    trained.run()
    assert trained.player.played == list(range(12))


def test_a_slow_group_does_not_hold_up_the_others_and_is_trained_as_soon_as_it_ends():
    found = Trained(lambda index: 4.5 if index == 1 else 0.5, lag=2, steps=8).run()
    order = [[group.index for group in step.groups] for step in found]
    late = next(step for step, indices in enumerate(order) if 1 in indices)
    assert order[0] == [0, 2], "the step is trained without it"
    assert order[late][0] == 1, "the oldest comes first"
    assert late > 2, "it is older than max_lag, and it is not lost"


def test_wait_trains_in_the_order_of_starting_and_bounds_the_lag():
    found = Trained(lambda index: 4.5 if index == 1 else 0.5, lag=2, steps=8, stale="wait").run()
    assert [group.index for step in found for group in step.groups] == list(range(16))
    assert max(lags(found)) <= 2


def test_drop_replaces_what_is_too_old_and_counts_it():
    trained = Trained(lambda index: 4.5 if index == 1 else 0.5, lag=1, steps=8, stale="drop")
    found = trained.run()
    assert max(lags(found)) <= 1
    assert sum(step.counts["stale"] for step in found) == 1
    assert sum(step.counts["stale_rows"] for step in found) == 2
    assert trained.collector.ledger.fate(1) == "stale"
    indices = [group.index for step in found for group in step.groups]
    assert len(indices) == 16
    assert 1 not in indices


def test_lag_in_flight_and_in_the_queue():
    found = Trained(lambda index: 0.1, lag=2, steps=6).run()
    assert [step.in_queue for step in found] == [0.0, 1.0, 1.0, 1.0, 1.0, 0.0], "two groups wait, one version old"
    late = Trained(lambda index: 4.5 if index == 1 else 0.5, lag=2, steps=8).run()
    assert [step.in_flight for step in late][:3] == [0.0, pytest.approx(1 / 3), pytest.approx(2 / 3)]


def test_fixed_lag_trains_tokens_as_old_as_allowed():
    trained = Trained(lambda index: 0.1, lag=3, steps=9, fixed_lag=True)
    found = trained.run()
    assert lags(found)[12:] == [3] * (len(lags(found)) - 12), "after the first steps, which have nothing older"
    assert [group.index for step in found for group in step.groups] == list(range(18))
    assert [step.in_queue for step in found][4:6] == [1.0, 1.0], "the others are 2, 1 and 0 versions old"


def test_waits_of_the_generating_side():
    """Groups of 1.5 s, two a step, at most four at a time.

    0 s: 0 to 3 start. 1.5 s: 0 and 1 are trained. 2.5 s: 4 and 5 start, 2 and 3 are trained. 3.5 s: 6 and 7 start.
    4 s: 4 and 5 are trained.
    """
    found = Trained(lambda index: 1.5, lag=1, steps=4).run()
    assert [step.usage.running for step in found] == [4.0, 0.0, pytest.approx((2 * 1.5 + 2 * 0.5) / 1.5), 2.0]
    assert [step.usage.blocked for step in found] == [1.5, 1.0, 1.0, 0.0]


def test_failed_groups_give_their_place_to_others_while_the_learner_trains():
    found = Trained(lambda index: 0.2, fails=frozenset({0, 3, 4})).run()
    assert [group.index for step in found for group in step.groups] == [1, 2, *range(5, 15)]
    assert sum(step.counts["failed"] for step in found) == 3


def test_an_error_while_the_learner_trains_is_raised_by_the_next_collect():
    with pytest.raises(StarvedError, match="5 groups failed"):
        Trained(lambda index: 0.2, fails=frozenset(range(4, 30))).run()


def test_a_bug_in_a_player_is_raised_and_not_hidden():
    trained = Trained(lambda index: 1 / (index - 5))
    with pytest.raises(ZeroDivisionError):
        trained.run()


def test_a_group_that_is_cancelled_from_inside_is_an_error_and_not_a_hang():
    trained = Trained(lambda index: 0.5)
    play = trained.player.play

    async def cancelled(index: int, task: Task, members: int | None = None) -> ScoredGroup:
        if index == 3:
            raise asyncio.CancelledError
        return await play(index, task, members)

    trained.player.play = cancelled  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="group 3 was cancelled from inside"):
        trained.run()


def test_a_limit_on_attempts_limits_the_groups_that_start():
    clock = VirtualClock()

    class Crowd(Player):
        async def play(self, index: int, task: Task, members: int | None = None) -> ScoredGroup:
            self.in_flight.announce(4)

            async def attempt() -> None:
                async with self.in_flight.place():
                    await asyncio.sleep(1.0)

            await asyncio.gather(*(attempt() for _ in range(4)))
            return await super().play(index, task, members)

    async def main() -> int:
        admission = Admission(8, 4)
        player = Crowd(admission, lambda index: 0.0)
        player.in_flight = InFlight(6, clock=clock.now)
        source = TaskSource(TASKS)  # type: ignore[arg-type]
        collector = Collector(player, source, admission, resample=False, max_rejected=1, in_flight=player.in_flight)
        collecting = asyncio.create_task(collector.collect())
        await asyncio.sleep(0.5)
        started = source.cursor
        await collecting
        await collector.close()
        return started

    assert clock.run(main()) == 2, "the second needs more places than are free, and no third begins"


def test_held_starts_nothing_and_lets_the_rest_go_on():
    trained = Trained(lambda index: 0.5, lag=2)

    async def main() -> None:
        await trained.collector.collect()
        trained.admission.advance()
        before = len(trained.player.played)
        with trained.collector.held():
            await asyncio.sleep(5.0)
            assert len(trained.player.played) == before
            assert not trained.collector.ledger.running
        await trained.collector.collect()
        await asyncio.sleep(0.0)
        assert len(trained.player.played) > before
        await trained.collector.close()

    trained.clock.run(main())


@settings(max_examples=60, deadline=None)
@given(
    seconds=st.lists(st.floats(0.0, 6.0), min_size=1, max_size=20),
    fails=st.frozensets(st.integers(0, 12), max_size=3),
    lag=st.integers(0, 4),
    groups=st.integers(1, 3),
    stale=st.sampled_from(["mask", "wait", "drop"]),
)
def test_every_group_is_trained_once_and_bounds_hold(
    seconds: list[float], fails: frozenset[int], lag: int, groups: int, stale: Stale
):
    trained = Trained(
        lambda index: seconds[index % len(seconds)], lag=lag, groups=groups, fails=fails, stale=stale, steps=7
    )
    found = trained.run()
    indices = [group.index for step in found for group in step.groups]
    assert len(set(indices)) == len(indices) == 7 * groups
    ledger = trained.collector.ledger.save()
    assert list(Indices(ledger["trained"])) == sorted(indices)
    ended = sorted(index for ranges in ledger.values() for index in Indices(ranges))
    assert ended == list(range(trained.source.cursor)), "none is lost"
    if stale != "mask":
        assert max(lags(found)) <= lag


@settings(max_examples=40, deadline=None)
@given(
    seconds=st.lists(st.floats(0.0, 4.0), min_size=1, max_size=20),
    lag=st.integers(1, 4),
    stops=st.lists(st.integers(1, 6), min_size=1, max_size=3, unique=True),
    stale=st.sampled_from(["mask", "wait"]),
)
def test_stopped_and_resumed_no_group_is_lost_or_trained_twice(
    seconds: list[float], lag: int, stops: list[int], stale: Stale
):
    trained = Trained(lambda index: seconds[index % len(seconds)], lag=lag, stale=stale, steps=7)

    async def main() -> list[list[int]]:
        order = []
        for step in range(7):
            if step in stops:
                saved, waiting = trained.collector.ledger.save(), trained.collector.waiting
                accepted = 2 * step + len(waiting)
                assert trained.admission.accepted == accepted
                await trained.collector.close()
                trained.admission = Admission(2, lag, 14, version=step, accepted=accepted)
                trained.player.policy = trained.admission
                trained.collector = trained.collect_with(Ledger(saved), waiting, stale=stale)
            found = await trained.collector.collect()
            order.append([group.index for group in found.groups])
            if stale == "wait":
                assert all(row.lag(step) <= lag for group in found.groups for row in group.rows)
            await asyncio.sleep(TRAIN)
            trained.admission.advance()
        await trained.collector.close()
        return order

    order = trained.clock.run(main())
    assert sorted(index for step in order for index in step) == list(range(14))


def test_a_resume_that_forgets_what_was_accepted_breaks_the_bound():
    """The control of the test above: with counters at zero, more groups start than the window holds."""
    trained = Trained(lambda index: 0.1, lag=1, steps=20)

    async def main() -> int:
        for _ in range(4):
            await trained.collector.collect()
            await asyncio.sleep(TRAIN)
            trained.admission.advance()
        await trained.collector.close()
        forgetful = Admission(2, 1, 40, version=4)
        trained.admission, before = forgetful, trained.source.cursor
        ledger = Ledger(trained.collector.ledger.save())
        trained.collector = trained.collect_with(ledger, trained.collector.waiting)
        await trained.collector.collect()
        await asyncio.sleep(TRAIN)
        await trained.collector.close()
        return trained.source.cursor - before

    assert trained.clock.run(main()) > 2 * 2, "more than one window at once"
