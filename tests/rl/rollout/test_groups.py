import asyncio
import math
from collections.abc import Callable, Sequence

import pytest
from scripted import TASK, ScriptedEnv, ScriptedTasks, talker, tokenizer

from espalier.core.errors import EnvError
from espalier.core.messages import Message
from espalier.engine.local import LocalEngine
from espalier.envs.api import Episode, Step
from espalier.lm.chat.plain import PlainRenderer
from espalier.lm.decoder import Decoder
from espalier.rewards.config import ENV_REWARD
from espalier.rewards.environment import EnvRewardConfig
from espalier.rewards.penalties.penalties import PenaltiesConfig
from espalier.rewards.rubric import Rubric
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.rollout.attempts import Attempts
from espalier.rl.rollout.config import RolloutConfig
from espalier.rl.rollout.groups import GroupPlayer
from espalier.rl.trajectory import Status

TOKENS = tokenizer()


@pytest.fixture(scope="module")
def model() -> Decoder:
    return talker()


def play(
    model: Decoder, make: Callable[[], ScriptedEnv], *, seed: int = 0, group: int = 7, **settings: object
) -> tuple[ScoredGroup, LocalEngine]:
    config = RolloutConfig.model_validate({"samples_per_group": 4, "max_tokens": 12, **settings})
    engine = LocalEngine(model, max_rows=8, max_len=64)
    player = GroupPlayer(
        Attempts(engine, PlainRenderer(TOKENS), ScriptedTasks(make), Rubric(ENV_REWARD), config, seed=seed)
    )
    return asyncio.run(player.play(group, TASK)), engine


def length(turn: int, action: Message) -> Step:
    """Pays for letters."""
    return Step(reward=float(sum(c.isalpha() for c in action.content)))


def test_members_share_the_prompt_and_differ_in_noise(model: Decoder):
    played, engine = play(model, lambda: ScriptedEnv(length))
    assert [row.member for row in played.rows] == [0, 1, 2, 3]
    assert len({tuple(row.tokens) for row in played.rows}) == 4
    assert {row.group for row in played.rows} == {7}
    assert [row.reward for row in played.rows] == [episode.env_reward for episode in played.episodes]
    prompt = played.rows[0].turns[0].end
    stats = asyncio.run(engine.stats())
    assert stats.prefilled_tokens <= prompt, "the prompt of a group is computed once"


def test_equal_seeds_give_equal_groups_whatever_else_runs(model: Decoder):
    first, _ = play(model, lambda: ScriptedEnv(length))
    again, _ = play(model, lambda: ScriptedEnv(length), samples_per_group=2)
    other, _ = play(model, lambda: ScriptedEnv(length), seed=1)
    assert [row.tokens for row in first.rows[:2]] == [row.tokens for row in again.rows]
    assert [row.tokens for row in first.rows] != [row.tokens for row in other.rows]


def test_a_failed_attempt_is_played_again_under_new_noise(model: Decoder):
    made: list[ScriptedEnv] = []

    def make() -> ScriptedEnv:
        made.append(ScriptedEnv(length, broken="step raises" if len(made) == 1 else ""))
        return made[-1]

    played, _ = play(model, make, samples_per_group=3)
    plain, _ = play(model, lambda: ScriptedEnv(length), samples_per_group=3)
    assert (len(played.rows), played.repaired, len(played.errors)) == (3, 1, 1)
    assert played.usable
    same = [a.tokens == b.tokens for a, b in zip(played.rows, plain.rows, strict=True)]
    assert same.count(False) == 1, "only the repaired member has other noise"
    assert all(env.closed for env in made)


def test_what_cannot_be_repaired_is_left_out(model: Decoder):
    played, _ = play(model, lambda: ScriptedEnv(length, broken="reset raises"), repairs=2, samples_per_group=2)
    assert (played.rows, played.repaired, len(played.errors), played.usable) == ([], 4, 6, False)


def test_a_lone_survivor_is_not_a_group(model: Decoder):
    count = iter(range(9))
    played, _ = play(
        model, lambda: ScriptedEnv(length, broken="step raises" if next(count) else ""), repairs=0, samples_per_group=3
    )
    assert (len(played.rows), played.usable) == (1, False)


def test_a_single_attempt_that_was_repaired_is_used(model: Decoder):
    made: list[ScriptedEnv] = []

    def make() -> ScriptedEnv:
        made.append(ScriptedEnv(length, broken="" if made else "step raises"))
        return made[-1]

    played, _ = play(model, make, samples_per_group=1)
    assert (len(played.rows), len(played.errors), played.usable) == (1, 1, True)


def test_a_lone_survivor_is_used_where_nothing_is_compared(model: Decoder):
    count = iter(range(9))
    config = RolloutConfig(samples_per_group=3, max_tokens=12, repairs=0)
    tasks = ScriptedTasks(lambda: ScriptedEnv(length, broken="step raises" if next(count) else ""))
    engine = LocalEngine(model, max_rows=8, max_len=64)
    player = GroupPlayer(Attempts(engine, PlainRenderer(TOKENS), tasks, Rubric(ENV_REWARD), config, seed=0), least=1)
    played = asyncio.run(player.play(0, TASK))
    assert (len(played.rows), played.usable) == (1, True)
    assert played.wasted > 0


@pytest.mark.parametrize("max_len", range(4, 30, 5))
def test_a_conversation_that_fills_the_engine_is_truncated_and_scored(model: Decoder, max_len: int):
    def go_on(turn: int, action: Message) -> Step:
        return Step((Message.user("say more"),), done=False)

    config = RolloutConfig(samples_per_group=4, max_tokens=30, max_turns=9)
    engine = LocalEngine(model, max_rows=8, max_len=max_len)
    tasks = ScriptedTasks(lambda: ScriptedEnv(go_on))
    played = asyncio.run(
        GroupPlayer(Attempts(engine, PlainRenderer(TOKENS), tasks, Rubric(ENV_REWARD), config, seed=0)).play(0, TASK)
    )
    assert (len(played.rows), played.errors) == (4, [])
    assert {row.status for row in played.rows} == {Status.TRUNCATED}
    assert all(row.reward == 0.0 and len(row.tokens) <= max_len for row in played.rows)
    assert all(row.info["crowded"] for row in played.rows)


def test_a_group_says_whether_it_can_teach(model: Decoder):
    even, _ = play(model, lambda: ScriptedEnv(lambda turn, action: Step(reward=0.5)))
    uneven, _ = play(model, lambda: ScriptedEnv(length))
    assert (even.informative, uneven.informative) == (False, True)


def test_a_reward_that_cannot_judge_fails_the_attempt(model: Decoder):
    class Refusing(Rubric):
        async def judge(self, episode: Episode) -> dict[str, float]:
            raise EnvError("no verdict")

    config = RolloutConfig(samples_per_group=2, max_tokens=4, repairs=0)
    engine = LocalEngine(model, max_rows=8, max_len=64)
    player = GroupPlayer(
        Attempts(
            engine,
            PlainRenderer(TOKENS),
            ScriptedTasks(lambda: ScriptedEnv(length)),
            Refusing(ENV_REWARD),
            config,
            seed=0,
        )
    )
    played = asyncio.run(player.play(0, TASK))
    assert played.errors == ["no verdict", "no verdict"]


def test_a_group_is_scored_together_once_all_have_finished(model: Decoder):
    asked: list[int] = []

    class Ranked(Rubric):
        async def compare(self, episodes: Sequence[Episode]) -> list[dict[str, float]]:
            asked.append(len(episodes))
            if len(episodes) < 4:
                raise EnvError("too few to rank")
            return [{"env": float(place)} for place, _ in enumerate(episodes)]

    config = RolloutConfig(samples_per_group=4, max_tokens=4, repairs=0)
    engine = LocalEngine(model, max_rows=8, max_len=64)
    tasks = ScriptedTasks(lambda: ScriptedEnv(length))
    player = GroupPlayer(Attempts(engine, PlainRenderer(TOKENS), tasks, Ranked(ENV_REWARD), config, seed=0))
    played = asyncio.run(player.play(0, TASK))
    assert [row.reward for row in played.rows] == [0.0, 1.0, 2.0, 3.0]
    assert [row.info["verdict"] for row in played.rows] == [0.0, 1.0, 2.0, 3.0]
    failed = asyncio.run(player.play(1, TASK, members=2))
    assert (failed.rows, failed.errors, asked) == ([], ["too few to rank"], [4, 2])
    assert failed.wasted > 0


def test_rewards_of_turns_carry_the_weight_of_the_rubric(model: Decoder):
    def twice(turn: int, action: Message) -> Step:
        return Step((Message.user("more"),), reward=float(turn), done=turn == 2)

    config = RolloutConfig(samples_per_group=1, max_turns=2, max_tokens=20)
    engine = LocalEngine(model, max_rows=8, max_len=128)
    rubric = Rubric([EnvRewardConfig(weight=0.5)])
    tasks = ScriptedTasks(lambda: ScriptedEnv(twice))
    player = GroupPlayer(Attempts(engine, PlainRenderer(TOKENS), tasks, rubric, config, seed=0))
    (row,) = asyncio.run(player.play(0, TASK)).rows
    paid = [turn.reward for turn in row.turns if turn.reward is not None]
    assert paid == [0.5, 1.0][: len(paid)]
    assert row.reward == math.fsum(paid)


def test_a_penalised_attempt_has_the_penalty_as_its_reward_and_keeps_its_verdict(model: Decoder):
    config = RolloutConfig(samples_per_group=16, max_tokens=12)
    tasks, engine = ScriptedTasks(lambda: ScriptedEnv(length)), LocalEngine(model, max_rows=8, max_len=64)
    rubric = Rubric([EnvRewardConfig(), PenaltiesConfig()])
    player = GroupPlayer(Attempts(engine, PlainRenderer(TOKENS), tasks, rubric, config, seed=0))
    played = asyncio.run(player.play(0, TASK))
    cut = {row.member: episode.finish == "length" for row, episode in zip(played.rows, played.episodes, strict=True)}
    assert set(cut.values()) == {True, False}
    for row, episode in zip(played.rows, played.episodes, strict=True):
        letters = episode.env_reward
        assert row.reward == (-1.0 if cut[row.member] else letters)
        assert row.rewards == (
            {"env": 0.0, "penalties": -1.0} if cut[row.member] else {"env": letters, "penalties": 0.0}
        )
        assert row.info["verdict"] == letters


def test_turns_of_one_conversation_prefill_only_what_is_new(model: Decoder):
    def twice(turn: int, action: Message) -> Step:
        return Step((Message.user("more"),), reward=1.0, done=turn == 2)

    played, engine = play(model, lambda: ScriptedEnv(twice), samples_per_group=1, max_turns=2, max_tokens=40)
    row = played.rows[0]
    stats = asyncio.run(engine.stats())
    context = sum(turn.end - turn.start for turn in row.turns if turn.role != "assistant")
    turns = sum(turn.role == "assistant" for turn in row.turns)
    assert stats.prefilled_tokens <= context + turns, "what was sampled or read before is not computed again"
    assert row.status in (Status.DONE, Status.TRUNCATED)


def failing(count: int, broken: set[int]) -> Callable[[], ScriptedEnv]:
    """Environments of which some break, in the order in which they are made."""
    numbers = iter(range(count))
    return lambda: ScriptedEnv(length, broken="step raises" if next(numbers) in broken else "")


def padded(model: Decoder, broken: set[int], *, pad: bool) -> ScoredGroup:
    config = RolloutConfig.model_validate({"samples_per_group": 4, "max_tokens": 12, "repairs": 0})
    engine, tasks = LocalEngine(model, max_rows=8, max_len=64), ScriptedTasks(failing(4, broken))
    player = GroupPlayer(Attempts(engine, PlainRenderer(TOKENS), tasks, Rubric(ENV_REWARD), config, seed=0), pad=pad)
    return asyncio.run(player.play(7, TASK))


def test_a_group_with_failed_attempts_stays_smaller_unless_asked(model: Decoder):
    assert [row.member for row in padded(model, {1}, pad=False).rows] == [0, 2, 3]
    full = padded(model, {1}, pad=True)
    assert [row.member for row in full.rows] == [0, 2, 3, 1]
    assert full.rows[3].tokens == full.rows[0].tokens
    assert full.rows[3].info["repeats"] == 0
    assert "repeats" not in full.rows[0].info
    assert len(full.episodes) == 4


def test_a_group_is_filled_only_where_more_than_half_is_left(model: Decoder):
    half = padded(model, {1, 2}, pad=True)
    assert (len(half.rows), half.usable) == (2, False)
    assert padded(model, {1, 2}, pad=False).usable
