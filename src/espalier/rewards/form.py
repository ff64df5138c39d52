"""Form: thinking where it belongs, what must be said said once, and an end of its own."""

from __future__ import annotations

from typing import ClassVar, Literal

from espalier.core.messages import Message, Role
from espalier.envs.api import Episode
from espalier.rewards.component import ComponentConfig
from espalier.rewards.domains.marked import boxed, tagged


class FormatConfig(ComponentConfig):
    """1 where the last answer keeps the form in every respect asked for."""

    later: ClassVar[frozenset[str]] = ComponentConfig.later | {"tags", "box"}

    kind: Literal["format"] = "format"
    """The reward."""
    thinking: Literal["any", "required", "forbidden"] = "any"
    """Whether a thinking block, neither empty nor unfinished, stands before the answer."""
    once: tuple[str, ...] = ()
    """Texts that must occur exactly once in the visible answer, such as `####`."""
    ended: bool = True
    """The answer ended by itself, not at a limit."""
    tags: bool = False
    """The answer is `<think>..</think><answer>..</answer>` and nothing else, each once and not empty: the form of
    GLM-4.1V-Thinking (2507.01006). The first part may be missing, since most chat formats take thinking out;
    `thinking: required` asks for it."""
    box: Literal["any", "required", "forbidden"] = "any"
    r"""Whether the answer has a box, `\boxed{}` or `<|begin_of_box|>..<|end_of_box|>`: a whole one that is not empty,
    or not even the beginning of one. Forbid it in tasks that no verifier judges (GLM-4.1V-Thinking)."""


def form(config: FormatConfig, episode: Episode) -> float:
    """1.0 or 0.0."""
    empty = Message.assistant("")
    last = next((m for m in reversed(episode.messages) if m.role == Role.ASSISTANT), empty)
    parts = tagged(last.content) if config.tags else ("", last.content)
    thought = bool(last.reasoning.strip() or (parts and parts[0]))
    kept = [
        config.thinking == "any" or thought == (config.thinking == "required"),
        all(last.content.count(text) == 1 for text in config.once),
        not config.ended or episode.finish == "stop",
        bool(last.content.strip()),
        parts is not None,
        config.box != "required" or bool(boxed(last.content)),
        config.box != "forbidden" or boxed(last.content) is None,
    ]
    return float(all(kept))
