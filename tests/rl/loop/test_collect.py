import asyncio
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import ScriptedEnv, ScriptedTasks

from espalier.envs.api import Episode, Step, Task
from espalier.rl.loop.admission import Admission
from espalier.rl.loop.collect import Collector, StarvedError
from espalier.rl.loop.source import TaskSource, heldout
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.trajectory import Trajectory

TASKS = ScriptedTasks(lambda: ScriptedEnv(lambda turn, action: Step(reward=0.0)))


class Player:
    """Plays groups as `rewards(index)` says; None fails. Later groups may finish earlier."""

    def __init__(self, rewards: Callable[[int], list[float] | None], delay: Callable[[int], float] = lambda i: 0.0):
        self.rewards, self.delay = rewards, delay
        self.running = self.most = 0
        self.cancelled = 0

    async def play(self, index: int, task: Task, members: int | None = None) -> ScoredGroup:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.delay(index))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        values = self.rewards(index)
        if values is None:
            return ScoredGroup(index, task, errors=["it broke"], least=2)
        rows = [Trajectory(task.env, task.key, index, m, reward=value) for m, value in enumerate(values)]
        return ScoredGroup(index, task, rows, [Episode(task, []) for _ in rows])


def collector(player: Player, *, groups: int = 4, resample: bool = False, limit: int = 8) -> Collector:
    return Collector(player, TaskSource(TASKS), Admission(groups), resample=resample, max_rejected=limit)  # type: ignore[arg-type]


def test_a_step_is_the_next_groups_in_order_whatever_finished_first():
    player = Player(lambda i: [0.0, 1.0], delay=lambda i: 0.01 * (4 - i % 4))
    collect = collector(player)
    first = asyncio.run(collect.collect())
    assert [group.index for group in first.groups] == [0, 1, 2, 3]
    assert player.most == 4, "on-policy: no group beyond the step was started"


def test_uninformative_groups_are_replaced_and_counted():
    player = Player(lambda i: [1.0, 1.0] if i in (1, 2, 5) else [0.0, 1.0])
    collected = asyncio.run(collector(player, resample=True).collect())
    assert [group.index for group in collected.groups] == [0, 3, 4, 6]
    assert collected.counts["filtered"] == 3
    assert all(group.informative for group in collected.groups)


def test_resampling_gives_up_rather_than_going_on_forever():
    player = Player(lambda i: [1.0, 1.0])
    collected = asyncio.run(collector(player, resample=True, limit=6).collect())
    assert (len(collected.groups), collected.counts["filtered"]) == (4, 6)


def test_without_resampling_equal_rewards_are_kept():
    collected = asyncio.run(collector(Player(lambda i: [1.0, 1.0])).collect())
    assert [group.index for group in collected.groups] == [0, 1, 2, 3]


def test_failed_groups_are_replaced_and_then_an_error():
    collected = asyncio.run(collector(Player(lambda i: None if i < 3 else [0.0, 1.0])).collect())
    assert (collected.counts["failed"], len(collected.groups)) == (3, 4)
    with pytest.raises(StarvedError, match="9 groups failed while collecting one step; the last error: it broke"):
        asyncio.run(collector(Player(lambda i: None)).collect())


def test_close_cancels_what_runs():
    player = Player(lambda i: [0.0, 1.0], delay=lambda i: 0.0 if i < 3 else 30.0)

    async def stop() -> None:
        collect = collector(player)
        waiting = asyncio.create_task(collect.collect())
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await collect.close()

    asyncio.run(stop())
    assert (player.cancelled, player.running) == (1, 0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["good", "flat", "broken"]), min_size=1, max_size=30), st.integers(1, 4))
def test_every_group_ends_once(fates: list[str], groups: int):
    outcome = {"good": [0.0, 1.0], "flat": [1.0, 1.0], "broken": None}
    player = Player(lambda i: outcome[fates[i]] if i < len(fates) else [0.0, 1.0])
    source = TaskSource(TASKS)
    admission = Admission(groups)
    collect = Collector(player, source, admission, resample=True, max_rejected=100)  # type: ignore[arg-type]
    collected = asyncio.run(collect.collect())
    ended = len(collected.groups) + collected.counts["filtered"] + collected.counts["failed"]
    assert ended == source.cursor
    assert (admission.running, admission.accepted) == (0, groups)


def test_heldout_tasks_are_distinct_and_stop_where_there_are_no_more():
    class Few(ScriptedTasks):
        def task(self, split: str, index: int) -> Task:  # type: ignore[override]
            return Task("few", f"k{index % 3}", {}, "heldout")

    assert [task.key for task in heldout(Few(TASKS.make), 10)] == ["k0", "k1", "k2"]


@pytest.mark.parametrize("seed", range(5))
def test_what_is_replaced_does_not_depend_on_what_finishes_first(seed: int):
    random = Random(seed)
    delays = [0.01 * random.random() for _ in range(40)]

    def steps(delay: Callable[[int], float]) -> list[list[int]]:
        player = Player(lambda i: [1.0, 1.0] if i % 2 else [0.0, 1.0], delay)
        collect = collector(player, resample=True, limit=3)

        async def three() -> list[list[int]]:
            found = []
            for _ in range(3):
                found.append([group.index for group in (await collect.collect()).groups])
                collect._admission.advance()
            return found

        return asyncio.run(three())

    assert steps(lambda i: delays[i]) == steps(lambda i: 0.0)


def test_replacements_start_when_the_whole_round_is_over():
    player = Player(lambda i: [1.0, 1.0] if i == 0 else [0.0, 1.0], delay=lambda i: 0.03 if i == 3 else 0.0)
    order: list[int] = []
    play = player.play

    async def noted(index: int, task: Task, members: int | None = None) -> ScoredGroup:
        played = await play(index, task, members)
        order.append(index)
        return played

    player.play = noted  # type: ignore[method-assign]
    asyncio.run(collector(player, resample=True).collect())
    assert order == [0, 1, 2, 3, 4], "group 4 replaces group 0, and starts only after group 3 is done"
