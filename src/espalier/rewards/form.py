"""Form: thinking where it belongs, what must be said said once, and an end of its own."""

from __future__ import annotations

from typing import Literal

from espalier.core.messages import Message, Role
from espalier.envs.api import Episode
from espalier.rewards.component import ComponentConfig


class FormatConfig(ComponentConfig):
    """1 where the last answer keeps the form in every respect asked for."""

    kind: Literal["format"] = "format"
    """The reward."""
    thinking: Literal["any", "required", "forbidden"] = "any"
    """Whether a thinking block, neither empty nor unfinished, stands before the answer."""
    once: tuple[str, ...] = ()
    """Texts that must occur exactly once in the visible answer, such as `####`."""
    ended: bool = True
    """The answer ended by itself, not at a limit."""


def form(config: FormatConfig, episode: Episode) -> float:
    """1.0 or 0.0."""
    empty = Message.assistant("")
    last = next((m for m in reversed(episode.messages) if m.role == Role.ASSISTANT), empty)
    thought = bool(last.reasoning.strip())
    kept = [
        config.thinking == "any" or thought == (config.thinking == "required"),
        all(last.content.count(text) == 1 for text in config.once),
        not config.ended or episode.finish == "stop",
        bool(last.content.strip()),
    ]
    return float(all(kept))
