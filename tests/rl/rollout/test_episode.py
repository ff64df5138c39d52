import asyncio

import pytest
from scripted import TASK, ScriptedEngine, ScriptedEnv, session, tokenizer

from espalier.core.messages import Message
from espalier.envs.api import Episode, Step
from espalier.rl.rollout.config import RolloutConfig
from espalier.rl.rollout.episode import play
from espalier.rl.rollout.session import Session
from espalier.rl.trajectory import Status


def answer_twice(turn: int, action: Message) -> Step:
    """Says `more` to the first answer, ends with the second; 0.25 for each."""
    return Step((Message.user("more"),), reward=0.25, done=turn == 2, info={"steps": 1.0})


def run(env: ScriptedEnv, talk: Session, **limits: object) -> Episode:
    return asyncio.run(play(env, TASK, talk, RolloutConfig.model_validate({"max_turns": 4, **limits})))


def test_a_conversation_is_one_row_with_what_was_sampled_marked():
    engine = ScriptedEngine([("one", "stop"), ("two", "stop")], tokenizer())
    talk, env = session(engine), ScriptedEnv(answer_twice)
    episode = run(env, talk)
    row = talk.row
    text = "".join(engine.tokenizer.pieces(row.tokens))
    assert text == "q?<|assistant|>one<|end|><|user|>more<|assistant|>two<|end|>"
    said = [engine.tokenizer.decode(row.tokens[t.start : t.end]) for t in row.turns if t.role == "assistant"]
    assert said == ["one<|end|>", "two<|end|>"]
    assert row.sampled == 8 == episode.tokens
    assert [t.reward for t in row.turns] == [None, 0.25, None, 0.25]
    assert (row.status, episode.env_reward, episode.turns, episode.info) == (Status.DONE, 0.5, 2, {"steps": 2.0})
    assert [m.content for m in episode.messages] == ["q?", "one", "more", "two"]
    row.check()


def test_the_second_turn_is_asked_with_exactly_the_tokens_so_far():
    engine = ScriptedEngine([("one", "stop"), ("two", "stop")], tokenizer())
    talk = session(engine)
    run(ScriptedEnv(answer_twice), talk)
    (first, _, name), (second, sampling, again) = engine.asked
    assert second[: len(first) + 4] == first + talk.row.tokens[len(first) : len(first) + 4]
    assert (name, again) == ("s", "s"), "one engine session carries the conversation"
    assert sampling.max_tokens == 96, "the budget is the conversation's"
    assert engine.released == ["s"]


def test_an_aborted_turn_goes_on_and_keeps_both_versions():
    engine = ScriptedEngine([("on", "abort"), ("e", "stop")], tokenizer(), version=5)
    talk = session(engine)
    episode = run(ScriptedEnv(lambda turn, action: Step(reward=1.0)), talk)
    assert episode.messages[-1].content == "one"
    assert [v for v in talk.row.versions if v >= 0] == [5, 5, 6, 6]
    assert (talk.row.status, episode.turns, talk.row.lag(6)) == (Status.DONE, 1, 1)


@pytest.mark.parametrize(
    ("limits", "budget"),
    [({"max_turns": 1}, 100), ({}, 4)],
    ids=["turns", "tokens"],
)
def test_limits_truncate(limits: dict[str, int], budget: int):
    engine = ScriptedEngine([("one", "stop"), ("two", "stop")], tokenizer())
    talk = session(engine, max_tokens=budget)
    episode = run(ScriptedEnv(answer_twice), talk, **limits)
    assert (talk.row.status, episode.turns, talk.row.sampled) == (Status.TRUNCATED, 1, 4)
    assert talk.row.turns[-1].role == "assistant", "no observation that nobody answers"


def test_an_answer_cut_by_the_token_limit_is_judged_and_truncated():
    engine = ScriptedEngine([("a long answer", "stop")], tokenizer())
    talk = session(engine, max_tokens=6)
    episode = run(ScriptedEnv(lambda turn, action: Step(reward=float(action.content == "a long"))), talk)
    assert (episode.finish, episode.env_reward, talk.row.status) == ("length", 1.0, Status.TRUNCATED)


def test_the_engine_is_asked_for_no_more_than_it_has_room_for():
    engine = ScriptedEngine([("one", "stop"), ("two", "stop")], tokenizer(), max_len=20)
    talk = session(engine)
    episode = run(ScriptedEnv(answer_twice), talk)
    assert [20 - len(prompt) for prompt, _, _ in engine.asked] == [s.max_tokens for _, s, _ in engine.asked]
    assert (talk.row.status, episode.turns, episode.unfinished) == (Status.DONE, 2, False)
    assert talk.row.info["crowded"], "the conversation had less than its budget"


@pytest.mark.parametrize(("max_len", "turns"), [(3, 0), (13, 1)])
def test_without_room_for_another_token_the_conversation_ends(max_len: int, turns: int):
    engine = ScriptedEngine([("one", "stop"), ("two", "stop")], tokenizer(), max_len=max_len)
    talk = session(engine)
    episode = run(ScriptedEnv(answer_twice), talk)
    row = talk.row
    assert (row.status, row.error, episode.turns, episode.unfinished) == (Status.TRUNCATED, None, turns, True)
    assert (row.info["crowded"], row.sampled) == (True, 4 * turns)
    assert row.turns[-1].role == ("assistant" if turns else "prompt"), "no observation that nobody answers"


@pytest.mark.parametrize("stage", ["reset", "step"])
@pytest.mark.parametrize("how", ["raises", "hangs"])
def test_trouble_in_the_environment_is_data(stage: str, how: str):
    engine = ScriptedEngine([("one", "stop")], tokenizer())
    talk, env = session(engine), ScriptedEnv(answer_twice, broken=f"{stage} {how}")
    run(env, talk, env_seconds=0.05)
    expected = "raised KeyError: 'boom'" if how == "raises" else "took longer than 0.05 s (rollout.env_seconds)"
    assert talk.row.status == Status.FAILED
    assert talk.row.error == f"scripted: {stage} {expected}"
    assert (env.closed, engine.released) == (1, ["s"]), "nothing leaks"


def test_a_failed_clean_up_leaves_the_episode_valid():
    engine = ScriptedEngine([("one", "stop")], tokenizer())
    talk = session(engine)
    run(ScriptedEnv(lambda turn, action: Step(reward=1.0), broken="close raises"), talk)
    assert talk.row.status == Status.DONE
    assert talk.row.error == "scripted: close raised KeyError: 'boom'"


def test_a_cancelled_episode_frees_its_session_and_environment():
    engine = ScriptedEngine([("one", "stop")], tokenizer())
    talk, env = session(engine), ScriptedEnv(answer_twice, broken="step hangs")

    async def cancelled() -> None:
        task = asyncio.create_task(play(env, TASK, talk, RolloutConfig()))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert (env.closed, engine.released) == (1, ["s"])
