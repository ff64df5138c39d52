"""One of several answers: converts sampled tokens to pieces of text."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

from espalier.core.errors import EngineError
from espalier.core.messages import Message, ToolCall
from espalier.engine.api import Progress, Sampling, StreamingEngine
from espalier.engine.server.errors import ApiError
from espalier.engine.server.reading import Piece, Reading
from espalier.engine.server.stops import Stops

Note = Callable[[Progress], Any]
"""Converts a sampled token to its entry in the answer's log-probs."""


@dataclass(slots=True)
class Delta:
    """The new part of choice `index`. `finish` is OpenAI's finish reason, in the last delta."""

    index: int
    content: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: list[Any] = field(default_factory=list)
    finish: str | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """The common settings of a request's choices. `stops`: texts that end an answer. `top`: alternatives per token.

    `read` and `note` create a choice's reader and, if log-probs are requested, its writer of log-probs. With `whole`,
    content is sent only at the end (it may be a tool call); reasoning is not delayed. `calls`: largest number of tool
    calls.
    """

    read: Callable[[list[int]], Reading]
    stops: list[str]
    note: Callable[[], Note] | None = None
    top: int = 0
    whole: bool = False
    calls: int | None = None


class Choice:
    """Samples one answer and truncates it at the first stop text.

    Text is returned when it is final: not while it may be half a character or the beginning of a stop text.
    """

    def __init__(self, index: int, prompt: list[int], sampling: Sampling, wish: Wish) -> None:
        self.index, self.prompt, self.sampling, self.wish = index, prompt, sampling, wish
        self.count = 0

    async def deltas(self, engine: StreamingEngine, *, streamed: bool) -> AsyncGenerator[Delta, None]:
        """The answer in pieces, or in one if not `streamed`."""
        wish, ids, delta = self.wish, list[int](), Delta(self.index)
        reading, note = wish.read(self.prompt), wish.note() if wish.note else None
        text = _Text(wish.stops)
        news = engine.stream(self.prompt, self.sampling, top=wish.top)
        try:
            async for item in news:
                if item.finish == "abort":
                    raise ApiError("the engine stopped this request", status=503)
                ids.append(item.token)
                self.count = len(ids)
                if note:
                    delta.logprobs.append(note(item))
                if streamed or wish.stops:
                    text.take(reading.push(item.token))
                if item.finish or text.stopped:
                    message = reading.end(ids)
                    said = text.end(message, handed_out=streamed, content_too=streamed and not wish.whole)
                    delta.reasoning, delta.content = said.reasoning, said.content
                    delta.tool_calls = message.tool_calls[: wish.calls]
                    delta.finish = "tool_calls" if delta.tool_calls else "stop" if text.stopped else item.finish
                    yield delta
                    return
                if streamed and (said := text.hand_out(content=not wish.whole)) != Piece():
                    delta.reasoning, delta.content = said.reasoning, said.content
                    yield delta
                    delta = Delta(self.index)
        except EngineError as error:  # the request was checked before: this is no mistake of the caller's
            raise ApiError(str(error), status=503 if error.retryable else 500) from error
        finally:
            await news.aclose()


class _Text:
    """What an answer says up to the first stop text: taken in pieces, handed out in others."""

    def __init__(self, stops: list[str]) -> None:
        self._texts, self._stops = stops, Stops(stops)
        self._taken, self._ready = (list[str](), list[str]()), (list[str](), list[str]())
        self.stopped = False

    def take(self, piece: Piece) -> None:
        """The next piece of the reading."""
        reasoning, content = self._ready
        if piece.restart:
            self._stops = Stops(self._texts)
            self._taken[1].clear()
            content.clear()
        self._taken[0].append(piece.reasoning)
        self._taken[1].append(piece.content)
        reasoning.append(piece.reasoning)
        content.append(self._cut(piece.content))

    def hand_out(self, *, content: bool) -> Piece:
        """The new text since the last call; without `content`, only reasoning."""
        said = Piece("".join(self._ready[0]), "".join(self._ready[1]) if content else "")
        self._ready[0].clear()
        if content:
            self._ready[1].clear()
        return said

    def end(self, message: Message, *, handed_out: bool, content_too: bool) -> Piece:
        """The rest of `message`. handed_out: reasoning was sent; content_too: content was sent."""
        if not handed_out:
            self._forget(0)
        self._ready[0].append(_added("".join(self._taken[0]), message.reasoning))
        if not content_too:
            self._forget(1)
            self._stops = Stops(self._texts)
            self._ready[1].append(self._cut(message.content) + self._stops.flush())
        elif not self.stopped:
            self._ready[1].append(self._cut(_added("".join(self._taken[1]), message.content)) + self._stops.flush())
        return self.hand_out(content=True)

    def _cut(self, text: str) -> str:
        cut = self._stops.push(text)
        self.stopped = self.stopped or cut.stop is not None
        return cut.text

    def _forget(self, kind: int) -> None:
        self._taken[kind].clear()
        self._ready[kind].clear()


def _added(before: str, now: str) -> str:
    return now[len(before) :] if now.startswith(before) else ""
