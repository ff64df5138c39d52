"""A conversation with a model: the messages so far, and answers that arrive in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from espalier.core.errors import EngineError
from espalier.core.messages import Message, Role
from espalier.core.seed import derive
from espalier.engine.api import Sampling
from espalier.engine.local import LocalEngine
from espalier.engine.server.reading import ChatReading, Piece, opened
from espalier.lm.chat import Renderer
from espalier.lm.tokens import Tokenizer


@dataclass(slots=True)
class Conversation:
    """`sampling` has the settings of every answer. Its seed names the noise; each answer has its own noise."""

    engine: LocalEngine
    tokenizer: Tokenizer
    renderer: Renderer
    sampling: Sampling
    messages: list[Message] = field(default_factory=list)
    cut: bool = field(default=False, init=False)
    """Whether the last answer was truncated at `sampling.max_tokens` or at the engine's longest sequence."""

    def system(self, text: str) -> None:
        """Set the system message; an empty text removes it. Other messages are kept."""
        said = [message for message in self.messages if message.role != Role.SYSTEM]
        self.messages = [*([Message.system(text)] if text else []), *said]

    def reset(self) -> None:
        """Clear the conversation; the system message is kept."""
        self.messages = [message for message in self.messages if message.role == Role.SYSTEM]

    async def say(self, text: str) -> AsyncIterator[Piece]:
        """The answer to `text`, in pieces of text that are final.

        If the caller stops before the end, the answer and its question are removed. Raises EngineError if the engine
        has no room for it.
        """
        messages = [*self.messages, Message.user(text)]
        prompt = self.renderer.opening(messages)
        room = self.engine.max_len - len(prompt)
        if room < 1:
            raise EngineError(
                f"the conversation has {len(prompt)} tokens, the engine's limit is {self.engine.max_len}: "
                "/reset starts a new conversation"
            )
        reading = ChatReading(self.tokenizer, self.renderer, (), opened=opened(self.tokenizer, prompt))
        sampling = replace(
            self.sampling,
            max_tokens=min(self.sampling.max_tokens, room),
            stop=self.renderer.stop,
            seed=derive(self.sampling.seed, len(messages)),
        )
        ids: list[int] = []
        async with aclosing(self.engine.stream(prompt, sampling)) as sampled:
            async for news in sampled:
                if news.token >= 0:
                    ids.append(news.token)
                    yield reading.push(news.token)
                self.cut = news.finish == "length"
        self.messages = [*messages, reading.end(ids)]
