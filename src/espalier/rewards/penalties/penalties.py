"""T1's penalties (2501.11651): -1 in the place of the whole reward for a loop, a cut-off or a garbled response."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, PositiveInt

from espalier.core.messages import Role
from espalier.envs.api import Episode
from espalier.rewards.component import ComponentConfig
from espalier.rewards.penalties.garbled import garbled, has_foreign, scripts
from espalier.rewards.penalties.loops import has_loop

WINDOW = 200_000
"""Characters of each text, from its end, that are looked at."""


class PenaltiesConfig(ComponentConfig):
    """Where the value is 0, the whole reward is -1, whatever the other components give (see `veto`)."""

    verifies: ClassVar[bool] = False

    kind: Literal["penalties"] = "penalties"
    """Selects this component."""
    weight: float = Field(default=0.0, allow_inf_nan=False)
    """Weight of the value, which is 1 without a penalty and 0 with one."""
    veto: float | None = Field(default=-1.0, le=0.0)
    """The whole reward of a penalised response; null for no veto, only `weight` times the value. It should be below
    whatever the other components can sum to."""
    repeated: bool = True
    """Penalise loops."""
    n: PositiveInt = 8
    """Length in words of what is repeated in a loop (ours)."""
    times: PositiveInt = 4
    """Times that these words may occur (ours)."""
    within: PositiveInt = 1000
    """Words on end in which they are counted, so that long thinking may use a phrase again (ours)."""
    truncated: bool = True
    """Penalise responses that a limit of tokens cut off."""
    garbled: bool = True
    """Penalise responses with replacement or control characters, or with runs of random letters or punctuation."""
    mixed: bool = False
    """Penalise letters of a script that is neither in the task's messages nor Latin or Greek. Not for translation."""


def penalties(config: PenaltiesConfig, episode: Episode) -> float:
    """0.0 where a penalty applies, else 1.0. Each text of the policy counts on its own, thinking as well. What garbles
    the task's own messages is no penalty.
    """
    if config.truncated and episode.finish == "length":
        return 0.0
    policy = (message for message in episode.messages if message.role == Role.ASSISTANT)
    texts = [text[-WINDOW:] for message in policy for text in (message.reasoning, message.content)]
    if config.repeated and any(has_loop(text, config.n, config.times, config.within) for text in texts):
        return 0.0
    if config.garbled or config.mixed:
        given = "\n".join(message.content[-WINDOW:] for message in episode.messages if message.role != Role.ASSISTANT)
        said = "\n".join(texts)
        if config.garbled and garbled(said) - garbled(given):
            return 0.0
        if config.mixed and has_foreign(said, scripts(given)):
            return 0.0
    return 1.0
