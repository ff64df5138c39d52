"""Checks before training whether prompts and answers fit into the engine."""

from __future__ import annotations

import asyncio
from statistics import median

from espalier.core.errors import ConfigError, DataError, EnvError
from espalier.envs.api import Task, TaskSet
from espalier.lm.chat import Renderer
from espalier.rl.rollout.episode import call

LOOKED_AT = 8
"""Number of tasks of each split whose prompts are measured."""


async def prompt_lengths(tasks: TaskSet, renderer: Renderer, *, seconds: float) -> list[int]:
    """Tokens in the prompts of the first tasks of both splits. Tasks that cannot be opened are skipped.

    seconds: timeout of each call of an environment.
    """

    async def measured(task: Task) -> int | None:
        env = tasks.env(task)
        try:
            messages = await call(env, "reset", env.reset(task), seconds)
            await call(env, "close", env.close(), seconds)
            return len(renderer.opening(messages, env.tools()))
        except (EnvError, DataError):
            return None

    looked_at = [tasks.task(split, index) for split in ("train", "heldout") for index in range(LOOKED_AT)]
    found = await asyncio.gather(*map(measured, looked_at))
    return [length for length in found if length is not None]


def check_room(lengths: list[int], *, max_tokens: int, max_len: int) -> str | None:
    """A message if some of the prompts (tokens each) leave less than `max_tokens` of the engine's `max_len`.

    Raises ConfigError if most of them do.
    """
    if not lengths or max(lengths) + max_tokens <= max_len:
        return None
    need = max(lengths) + max_tokens
    if median(lengths) + max_tokens > max_len:
        raise ConfigError(
            f"engine.max_len={max_len} has no room for prompts of {min(lengths)} to {max(lengths)} tokens and "
            f"rollout.max_tokens={max_tokens}: set engine.max_len to {need} or more, or rollout.max_tokens lower"
        )
    short = sum(length + max_tokens > max_len for length in lengths)
    return (
        f"warning: {short} of {len(lengths)} prompts looked at leave less than rollout.max_tokens={max_tokens} of "
        f"engine.max_len={max_len}; their answers are cut short. engine.max_len={need} would hold them"
    )
