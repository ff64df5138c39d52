"""The attempts under way, as whoever watches the run sees them."""

import asyncio

from scripted import TASK, ScriptedEngine, ScriptedEnv, session, tokenizer

from espalier.core.clock import VirtualClock
from espalier.core.messages import Message
from espalier.envs.api import Step, Task
from espalier.rl.rollout.config import RolloutConfig
from espalier.rl.rollout.episode import play
from espalier.rl.rollout.under_way import UnderWay


def test_the_slowest_come_first_and_those_that_ended_are_gone() -> None:
    clock = VirtualClock(100.0)
    under_way = UnderWay(clock=clock.now)
    with under_way.attempt(Task("a", "k0", {})) as first:
        clock.advance(5.0)
        with under_way.attempt(Task("b", "k1", {})) as second, under_way.attempt(Task("b", "k2", {})) as third:
            first.turn = 2
            with first.at("environment"), second.at("generate"), third.at("generate"):
                found = [(one.who, one.doing, one.since) for one in under_way.slowest(2)]
                assert found == [
                    ("a k0", "turn 2, waits for the environment", 100.0),
                    ("b k1", "turn 0, waits for the engine", 105.0),
                ]
                assert under_way.summary() == "wait for the engine (2), the environment (1)"
        assert under_way.slowest(9) == [], "none between two waits"
    assert under_way.summary() == ""


def test_an_episode_says_what_it_waits_for() -> None:
    seen: list[tuple[str, int]] = []

    def step(turn: int, action: Message) -> Step:
        seen.append((playing.doing, playing.turn))
        return Step((Message.user("again"),), done=turn == 2)

    class Watched(ScriptedEngine):
        async def generate(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            seen.append((playing.doing, playing.turn))
            return await super().generate(*args, **kwargs)

    engine = Watched([("a", "stop"), ("b", "stop")], tokenizer())
    with UnderWay().attempt(TASK) as playing:
        limits = RolloutConfig(max_turns=4)
        asyncio.run(play(ScriptedEnv(step), TASK, session(engine), limits, playing=playing))
    assert seen == [("generate", 1), ("environment", 1), ("generate", 2), ("environment", 2)]
    assert playing.doing == ""
