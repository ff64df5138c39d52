"""The renderer protocol: converts conversations to ids, without ever encoding sampled tokens again.

Invariant: `opening(...) + sampled + following(..., sampled[-1]) + sampled + ...` is the sequence, and every sampled
token, the stop token included, is in it exactly once, as sampled.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

from espalier.core.errors import DataError
from espalier.core.messages import Message, Role, ToolSpec


class Renderer(Protocol):
    """A chat format. Text of messages is taken literally: the name of a control token in it is only text.

    `stop` are the tokens that end an assistant turn. The sampled stop token belongs to the turn, and is trained.
    """

    stop: tuple[int, ...]

    @abstractmethod
    def opening(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> list[int]:
        """Ids of a conversation, up to and including what opens the assistant's turn."""

    @abstractmethod
    def following(self, messages: Sequence[Message], last: int | None = None) -> list[int]:
        """Ids to append after a sampled turn: its end, the new messages, the next assistant opening.

        `last` is the last sampled token. If it already ends the turn, the end is not repeated. If the turn was
        truncated, or ended by a stop token that does not fit, the right one is added. Without `last`, the right stop
        token is assumed.
        """

    @abstractmethod
    def parse(self, ids: Sequence[int], tools: Sequence[ToolSpec] = ()) -> Message:
        """The assistant message in sampled ids. Never raises: text that cannot be parsed stays in `content`.

        `tools` decide the types of arguments (and, for `PlainRenderer`, whether there are calls at all).
        """

    @abstractmethod
    def answer(self, message: Message, tools: Sequence[ToolSpec] = (), then: Role | None = None) -> list[int]:
        """The ids that a model samples for `message`, stop token included; `then` is the role of the next message."""

    def check_tools(self, tools: Sequence[ToolSpec]) -> None:
        """Raises DataError if the format cannot show `tools`, calls and results (`PlainRenderer` lists no tools)."""
        del tools

    def demonstration(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> list[tuple[list[int], bool]]:
        """Spans of a whole conversation, as a rollout would produce them; True marks the spans that the assistant
        samples.

        Raises DataError if the conversation does not end with the assistant, or has two assistant messages in a row.
        """
        spoken = [i for i, message in enumerate(messages) if message.role == Role.ASSISTANT]
        if not spoken or spoken[-1] != len(messages) - 1:
            raise DataError(
                f"a demonstration of {len(messages)} messages must end with the assistant's: add its answer"
            )
        spans = [(self.opening(messages[: spoken[0]], tools), False)]
        for start, end in pairwise(spoken):
            between = messages[start + 1 : end]
            if not between:
                raise DataError(f"messages {start} and {end} are both the assistant's: join them into one")
            said = self.answer(messages[start], tools, between[0].role)
            spans += [(said, True), (self.following(between, said[-1]), False)]
        return [*spans, (self.answer(messages[-1], tools), True)]


def unrepeated(ids: list[int], last: int | None, stop: Sequence[int]) -> list[int]:
    """`ids` without their first id if the sampled turn already ends with it."""
    said = ids[0] in stop if last is None else ids[0] == last
    return ids[1:] if said else ids


def turn(ids: Sequence[int], stop: Sequence[int]) -> list[int]:
    """The ids before the first stop token."""
    end = next((i for i, token in enumerate(ids) if token in stop), len(ids))
    return list(ids[:end])
