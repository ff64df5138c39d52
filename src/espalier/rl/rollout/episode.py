"""One episode: an environment and the policy take turns until one of them ends it, or a limit is reached.

Errors of the environment, requests that the engine rejects and texts that the tokenizer cannot encode are recorded as
data: the row is marked FAILED with the message, and the run continues.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from espalier.core.errors import DataError, EngineError, EnvError
from espalier.core.messages import Message
from espalier.envs.api import Env, Episode, Step, Task
from espalier.envs.workers.deadline import DeadlineError, within
from espalier.rl.rollout.config import RolloutConfig
from espalier.rl.rollout.notices import Notices, failed
from espalier.rl.rollout.replay import Fork
from espalier.rl.rollout.session import Session
from espalier.rl.rollout.under_way import Playing
from espalier.rl.trajectory import Status, Trajectory

T = TypeVar("T")


async def play(
    env: Env,
    task: Task,
    session: Session,
    limits: RolloutConfig,
    notices: Notices | None = None,
    begin: Callable[[], Awaitable[None]] | None = None,
    playing: Playing | None = None,
    fork: Fork | None = None,
) -> Episode:
    """Run `task` to its end, from its beginning or from `fork`. Afterwards `session.row` has the tokens and the status,
    and the environment is closed.

    Texts that the tokenizer cannot encode are reported to `notices`. `begin` is awaited before the first token is
    sampled. `playing` is told what is done.
    """
    episode = Episode(task, [], turns=0)
    playing = playing or Playing(task)
    try:
        with playing.at("environment"):
            room = await _open(env, task, session, limits, episode, fork)
        if begin:
            with playing.at("round"):
                await begin()
        await _converse(env, session, limits, episode, room, playing)
    except (EnvError, EngineError) as error:
        session.row.status, session.row.error = Status.FAILED, str(error)
    except DataError as error:
        session.row.status, session.row.error = Status.FAILED, failed(task, error)
        if notices:
            notices.once(session.row.error)
    finally:
        with playing.at("environment"):
            await session.close()
            await _close(env, session.row, limits)
    episode.tokens = session.row.sampled
    session.row.info["crowded"] = session.crowded
    return episode


async def _close(env: Env, row: Trajectory, limits: RolloutConfig) -> None:
    """Close the environment. Where that fails, the episode stands, with a note."""
    try:
        await call(env, "close", env.close(), limits.env_seconds)
    except EnvError as error:
        row.error = f"{row.error}; {error}" if row.error else str(error)


async def _open(
    env: Env, task: Task, session: Session, limits: RolloutConfig, episode: Episode, fork: Fork | None
) -> bool:
    """The opening messages, and the turns before the fork; returns whether there is room for an answer."""
    episode.messages += await call(env, "reset", env.reset(task), limits.env_seconds)
    if fork is None:
        return session.open(episode.messages, env.tools())
    _check_same(env, episode.messages, fork.opening)
    for action, answer in fork.exchanges():
        step = await call(env, "step", env.step(action), limits.env_seconds)
        _check_same(env, step.messages, answer)
        episode.messages += [action, *answer]
        episode.turns += 1
        _account(episode, step)
    return session.go_on(env.tools())


def _check_same(env: Env, found: Sequence[Message], before: Sequence[Message]) -> None:
    if list(found) != list(before):
        raise EnvError(
            f"{env.name}: to fork a conversation, its environment must answer the same actions with the same messages, "
            f"and it answered {len(found)} others"
        )


async def _converse(
    env: Env, session: Session, limits: RolloutConfig, episode: Episode, room: bool, playing: Playing
) -> None:
    row = session.row
    row.status = Status.TRUNCATED
    while room:
        playing.turn += 1
        with playing.at("generate"):
            action, episode.finish = await session.act()
        episode.messages.append(action)
        episode.turns += 1
        with playing.at("environment"):
            step = await call(env, "step", env.step(action), limits.env_seconds)
        session.row.turns[-1].reward = _account(episode, step)
        if step.done:
            row.status = Status.DONE if episode.finish == "stop" else Status.TRUNCATED
            return
        if episode.turns >= limits.max_turns or session.budget <= 0 or episode.finish != "stop":
            break
        if room := session.observe(step.messages):
            episode.messages += step.messages
    episode.unfinished = True


def _account(episode: Episode, step: Step) -> float | None:
    """Add what the step gave to the episode's; returns its reward."""
    reward = None if step.reward is None else float(step.reward)  # also of NumPy's kinds
    if reward is not None:
        episode.env_reward = (episode.env_reward or 0.0) + reward
    for name, value in step.info.items():
        episode.info[name] = episode.info.get(name, 0.0) + float(value)
    return reward


async def call(env: Env, stage: str, work: Awaitable[T], seconds: float) -> T:
    """Await one call of the environment with its timeout. Any error in it becomes an EnvError."""
    try:
        return await within(seconds, work)
    except EnvError:
        raise
    except DeadlineError as error:
        raise EnvError(f"{env.name}: {stage} {error} (rollout.env_seconds)") from None
    except Exception as error:
        raise EnvError(f"{env.name}: {stage} raised {type(error).__name__}: {error}") from error
