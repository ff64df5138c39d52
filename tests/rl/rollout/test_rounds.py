"""Attempts begin to sample in rounds, whatever their environments and judges take."""

import asyncio
from collections.abc import Sequence

import pytest
from scripted import TASK, ScriptedEngine, ScriptedEnv, ScriptedTasks, tokenizer

from espalier.core.errors import EnvError
from espalier.engine.api import Completion, Sampling
from espalier.envs.api import Episode, Step
from espalier.lm.chat.plain import PlainRenderer
from espalier.rewards.config import ENV_REWARD
from espalier.rewards.rubric import Rubric
from espalier.rl.rollout.attempts import Attempts
from espalier.rl.rollout.config import RolloutConfig
from espalier.rl.rollout.groups import GroupPlayer
from espalier.rl.rollout.rounds import Rounds


@pytest.mark.parametrize("delays", [(0.0, 0.01, 0.02), (0.02, 0.01, 0.0), (0.01, 0.0, 0.02)])
def test_failed_attempts_are_repaired_once_all_others_are_judged(delays: tuple[float, ...]):
    events: list[str] = []

    class Engine(ScriptedEngine):
        async def generate(self, prompt: Sequence[int], sampling: Sampling, *, session: str = "") -> Completion:
            events.append("sampled")
            return await super().generate(prompt, sampling, session=session)

    class Slow(Rubric):
        async def judge(self, episode: Episode) -> dict[str, float]:
            count = events.count("asked")
            events.append("asked")
            await asyncio.sleep(delays[count % 3])
            events.append("judged")
            if count in (0, 1, 3):
                raise EnvError("no verdict")
            return {"env": 1.0}

    config = RolloutConfig(samples_per_group=3, max_tokens=4, repairs=2)
    tasks = ScriptedTasks(lambda: ScriptedEnv(lambda turn, action: Step()))
    engine = Engine([("a", "stop")] * 9, tokenizer())
    player = GroupPlayer(
        Attempts(engine, PlainRenderer(engine.tokenizer), tasks, Slow(ENV_REWARD), config, rounds=True, seed=0)
    )
    played = asyncio.run(player.play(0, TASK))
    assert (len(played.rows), played.repaired) == (3, 3)
    assert [event for event in events if event != "asked"] == [
        *(3 * ["sampled"] + 3 * ["judged"]),
        *(2 * ["sampled"] + 2 * ["judged"]),
        *("sampled", "judged"),
    ]


@pytest.mark.parametrize("last", [0, 1, 2])
def test_a_round_begins_in_the_order_of_its_keys_whoever_comes_last(last: int):
    async def scene() -> list[int]:
        rounds, began = Rounds(), list[int]()

        async def attempt(name: int) -> None:
            await asyncio.sleep(0.01 * (name == last))
            await rounds.begin((name,))
            began.append(name)
            rounds.leave()

        rounds.enter(3)
        await asyncio.gather(*map(attempt, range(3)))
        return began

    assert asyncio.run(scene()) == [0, 1, 2]


def test_slow_resets_hold_the_round_and_cancelled_attempts_do_not():
    async def scene() -> list[str]:
        rounds, began = Rounds(), list[str]()

        async def attempt(name: int, delay: float) -> None:
            try:
                await asyncio.sleep(delay)
                await rounds.begin((name,))
                began.append(f"{name}")
            finally:
                rounds.leave()

        rounds.enter(4)
        attempts = [asyncio.create_task(attempt(i, delay)) for i, delay in enumerate([0.03, 0.0, 60.0, 0.01])]
        await asyncio.sleep(0.005)
        attempts[1].cancel()
        await asyncio.sleep(0.05)
        began.append("cancel")
        attempts[2].cancel()
        await asyncio.gather(*attempts, return_exceptions=True)
        rounds.enter(1)
        await asyncio.wait_for(attempt(9, 0.0), 1.0)
        return began

    assert asyncio.run(scene()) == ["cancel", "0", "3", "9"]
