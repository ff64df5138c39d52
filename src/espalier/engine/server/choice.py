"""One answer of several: sampled tokens on one side, pieces of text on the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from espalier.core.messages import Message, ToolCall
from espalier.engine.api import Sampling
from espalier.engine.local import LocalEngine
from espalier.engine.sequence import Progress
from espalier.engine.server.errors import ApiError
from espalier.lm.detokenizer import REPLACEMENT

Read = Callable[[Sequence[int]], Message]
"""Sampled ids to what they say; complete or not."""


@dataclass(slots=True)
class Delta:
    """What is new in choice `index`. `finish` is OpenAI's reason, in the last delta."""

    index: int
    content: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tokens: list[Progress] = field(default_factory=list)
    finish: str | None = None


class Choice:
    """Samples one answer and cuts it at the first stop text.

    Text is handed out once it is final: not while it may be half a character or the beginning of a stop text. With
    `whole`, content waits for the end (it may turn out to be a tool call); reasoning does not.
    """

    def __init__(
        self, index: int, prompt: list[int], sampling: Sampling, read: Read, stops: list[str], *, top: int, whole: bool
    ) -> None:
        self.index, self.prompt, self.sampling, self.top = index, prompt, sampling, top
        self.count = 0
        self._read, self._stops, self._whole = read, stops, whole
        self._content = self._reasoning = ""

    async def deltas(self, engine: LocalEngine, *, streamed: bool) -> AsyncIterator[Delta]:
        """The answer in pieces, or in one if not `streamed`."""
        ids: list[int] = []
        news = engine.stream(self.prompt, self.sampling, top=self.top)
        pending = Delta(self.index)
        try:
            async for item in news:
                if item.finish == "abort":
                    raise ApiError("the engine stopped this request", status=503)
                ids.append(item.token)
                pending.tokens.append(item)
                self.count = len(ids)
                if not (streamed or self._stops or item.finish):
                    continue
                self._advance(pending, self._read(ids), item.finish)
                if pending.finish or (streamed and (pending.content or pending.reasoning)):
                    yield pending
                    if pending.finish:
                        return
                    pending = Delta(self.index)
        finally:
            await news.aclose()

    def _advance(self, delta: Delta, message: Message, finish: str | None) -> None:
        """Put into `delta` what `message` adds to what was handed out, and why it ended if it did."""
        content, cut = _cut(message.content, self._stops)
        ended = cut or finish is not None
        if ended:
            delta.tool_calls = () if cut else message.tool_calls
            delta.finish = "stop" if cut else "tool_calls" if message.tool_calls else finish
        elif self._whole:
            content = self._content
        else:
            content = _final(content, self._stops)
        reasoning = message.reasoning if ended else message.reasoning.rstrip(REPLACEMENT)
        delta.content += _added(self._content, content)
        delta.reasoning += _added(self._reasoning, reasoning)
        self._content = max(self._content, content, key=len)
        self._reasoning = max(self._reasoning, reasoning, key=len)


def _cut(text: str, stops: list[str]) -> tuple[str, bool]:
    """`text` before the first stop text in it, and whether there is one."""
    places = [place for place in (text.find(stop) for stop in stops) if place >= 0]
    return (text[: min(places)], True) if places else (text, False)


def _final(text: str, stops: list[str]) -> str:
    """`text` without an end that more tokens may change: half a character, the beginning of a stop text."""
    text = text.rstrip(REPLACEMENT)
    held = max((k for stop in stops for k in range(1, len(stop)) if text.endswith(stop[:k])), default=0)
    return text[: len(text) - held]


def _added(before: str, now: str) -> str:
    return now[len(before) :] if now.startswith(before) else ""
