"""From sampled tokens to what clients read: pieces that join to the whole, at a cost that is linear."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving_models import NAME, service

from espalier.core.messages import Message
from espalier.engine.api import Sampling
from espalier.engine.batching.sequence import Progress
from espalier.engine.server.app import build_app
from espalier.engine.server.choice import Choice, Wish
from espalier.engine.server.reading import ChatReading, TextReading, opened
from espalier.engine.server.stops import Stops

SERVICE = service()
TOKENIZER, RENDERER = SERVICE.tokenizer, SERVICE.renderer
TOOL = {"type": "function", "function": {"name": "calc", "parameters": {"type": "object", "properties": {"x": {}}}}}
BITS = [
    "a",
    "b ",
    " ",
    "\n",
    "é",
    "👍",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "END",
    "E",
    "\u0301",
    "�",
]


class Script:
    """An engine that says the same, whatever it is asked."""

    def __init__(self, ids: list[int], finish: str = "stop") -> None:
        self.ids, self.finish = ids, finish

    async def stream(self, prompt: list[int], sampling: Sampling, *, top: int = 0) -> AsyncIterator[Progress]:
        for i, token in enumerate(self.ids):
            rivals = [(token, -0.5), (TOKENIZER.id("a"), -1.5)][:top]
            yield Progress(token, -0.5, rivals, self.finish if i == len(self.ids) - 1 else None)  # type: ignore[arg-type]


def ask(path: str, ids: list[int], finish: str = "stop", **body: Any) -> Any:
    """The answer of the server to `body` when the model says `ids`: an object, or a list of events."""

    async def main() -> Any:
        transport = httpx.ASGITransport(app=build_app(SERVICE))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            answer = await client.post(path, json={"model": NAME, "max_tokens": 200, **body})
        assert answer.status_code == 200, answer.text
        if not body.get("stream"):
            return json.loads(answer.text, parse_constant=_refuse)
        *events, last = [event.removeprefix("data: ") for event in answer.text.split("\n\n") if event]
        assert last == "[DONE]"
        return [json.loads(event, parse_constant=_refuse) for event in events]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SERVICE.engine, "stream", Script(ids, finish).stream)
        return asyncio.run(main())


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def chat(ids: list[int], finish: str = "stop", **body: Any) -> Any:
    return ask("/v1/chat/completions", ids, finish, messages=[{"role": "user", "content": "hi"}], **body)


def said(markup: str) -> list[int]:
    return [*TOKENIZER.encode_markup(markup), TOKENIZER.id("<|user|>")]


def slow_cut(text: str, stops: list[str]) -> tuple[str, str | None]:
    for end in range(1, len(text) + 1):
        if done := [stop for stop in stops if text[:end].endswith(stop)]:
            stop = max(done, key=len)
            return text[: end - len(stop)], stop
    return text, None


@given(st.lists(st.text("ab", min_size=1, max_size=5), max_size=3), st.lists(st.text("abc", max_size=4), max_size=8))
def test_stop_texts_cut_where_the_slow_rule_cuts(stops: list[str], pieces: list[str]) -> None:
    looking, text, stop = Stops(stops), "", None
    for piece in pieces:
        cut = looking.push(piece)
        text, stop = text + cut.text, cut.stop
        if stop:
            break
    assert (text + ("" if stop else looking.flush()), stop) == slow_cut("".join(pieces), stops)


def pieces_of(wish: Wish, ids: list[int], *, streamed: bool, finish: str = "length") -> Message:
    """What the deltas of a choice join to."""

    async def main() -> Message:
        choice = Choice(0, TOKENIZER.encode("hi"), Sampling(200), wish)
        deltas = [delta async for delta in choice.deltas(Script(ids, finish), streamed=streamed)]  # type: ignore[arg-type]
        assert streamed or len(deltas) == 1
        content, reasoning = ("".join(getattr(delta, name) for delta in deltas) for name in ("content", "reasoning"))
        return Message.assistant(content, reasoning, deltas[-1].tool_calls)

    return asyncio.run(main())


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from(BITS), min_size=1, max_size=12).map("".join), st.sampled_from([[], ["END"], ["a", "b "]])
)
def test_a_streamed_completion_joins_to_the_whole_one(text: str, stops: list[str]) -> None:
    wish = Wish(read=lambda prompt: TextReading(TOKENIZER), stops=stops)
    ids = TOKENIZER.encode_markup(text)
    whole, joined = (pieces_of(wish, ids, streamed=streamed) for streamed in (False, True))
    assert joined == whole
    assert whole.content == slow_cut(TOKENIZER.decode(ids), stops)[0]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(BITS), min_size=1, max_size=12).map("".join), st.booleans(), st.booleans())
def test_a_streamed_turn_joins_to_the_whole_one(text: str, inside: bool, tools: bool) -> None:
    """But for a thinking block that is closed and was not opened: its text has been handed out by then."""
    offered = (SEARCH,) if tools else ()
    wish = Wish(read=lambda prompt: ChatReading(TOKENIZER, RENDERER, offered, opened=inside), stops=[], whole=tools)
    ids = said(text)
    whole, joined = (pieces_of(wish, ids, streamed=streamed) for streamed in (False, True))
    before_close, closed, _ = TOKENIZER.decode(ids).partition("</think>")
    if closed and not inside and "<think>" not in before_close:
        assert joined.content.endswith(whole.content)
        assert joined.reasoning == whole.reasoning or tools
    else:
        assert joined == whole
    if not tools:
        assert not whole.tool_calls


def _tool() -> Any:
    from espalier.core.messages import ToolSpec

    return ToolSpec("calc", "", TOOL["function"]["parameters"])  # type: ignore[index, arg-type]


SEARCH = _tool()


def test_the_cost_of_a_stream_is_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens decoded and parsed for each token sampled, in text, junk and markup."""
    work = 0
    decode, parse = TOKENIZER.decode, RENDERER.parse

    def counting(function: Any) -> Any:
        def counted(ids: Any, *rest: Any, **named: Any) -> Any:
            nonlocal work
            work += len(ids)
            return function(ids, *rest, **named)

        return counted

    monkeypatch.setattr(TOKENIZER, "decode", counting(decode))
    monkeypatch.setattr(RENDERER, "parse", counting(parse))
    lead, junk = TOKENIZER.encode("👍")[0], TOKENIZER.encode("中")[-1]
    for ids in ([TOKENIZER.id("a")] * 4000, [lead] * 4000, [junk] * 4000, TOKENIZER.encode(" 👍<é") * 800):
        for stops in ([], ["a" * 5000 + "b"]):
            wish = Wish(read=lambda prompt: ChatReading(TOKENIZER, RENDERER, (), opened=False), stops=stops)
            work = 0
            pieces_of(wish, ids, streamed=True)
            assert work < 60 * len(ids)


def test_token_bytes_and_offsets_are_those_of_the_text() -> None:
    text = "hi 👍🏽 é中x"
    ids = TOKENIZER.encode(text)
    assert len(ids) > len(text.split())
    choice = chat(ids, "length", logprobs=True, top_logprobs=2)["choices"][0]
    entries = choice["logprobs"]["content"]
    assert bytes(byte for entry in entries for byte in entry["bytes"]).decode() == text == choice["message"]["content"]
    parts = [entry for entry in entries if len(entry["bytes"]) == 1 and entry["bytes"][0] >= 128]
    assert parts
    assert all(entry["token"] == f"\\x{entry['bytes'][0]:02x}" for entry in parts)
    assert all(entry["top_logprobs"][0]["bytes"] == entry["bytes"] for entry in entries)

    legacy = ask("/v1/completions", ids, "length", prompt="x", logprobs=2)["choices"][0]
    logprobs, raw = legacy["logprobs"], b""
    for name, begin, entry in zip(logprobs["tokens"], logprobs["text_offset"], entries, strict=True):
        assert begin == len(raw.decode(errors="ignore"))
        own = bytes(entry["bytes"])
        assert name == (own.decode() if entry["token"][0] != "\\" else "bytes:" + entry["token"])
        raw += own
    assert legacy["text"] == text
    events = ask("/v1/completions", ids, "length", prompt="x", logprobs=2, stream=True)
    streamed = [event["choices"][0]["logprobs"] for event in events]
    for column, values in logprobs.items():
        assert [value for one in streamed for value in one[column]] == values


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("extra", [{}, {"tools": [TOOL], "tool_choice": "none"}, {"tools": []}])
def test_without_tools_a_call_is_text(streamed: bool, extra: dict[str, Any]) -> None:
    markup = "<tool_call>calc\n<arg_key>x</arg_key>\n<arg_value>1</arg_value>\n</tool_call>"
    answer = chat(said(markup), stream=streamed, **extra)
    if streamed:
        deltas = [event["choices"][0]["delta"] for event in answer]
        assert "".join(delta.get("content", "") for delta in deltas) == markup
        assert not any("tool_calls" in delta for delta in deltas)
        assert answer[-1]["choices"][0]["finish_reason"] == "stop"
    else:
        choice = answer["choices"][0]
        assert (choice["message"]["content"], choice["finish_reason"]) == (markup, "stop")
        assert "tool_calls" not in choice["message"]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "arguments",
    [
        '{"x": "\\ud800"}',
        '{"x": NaN}',
        '{"x": -Infinity}',
        '{"x": 1e999}',
        '{"x": ' + "[" * 300 + "]" * 300 + "}",
        "[1]",
    ],
)
def test_a_call_that_cannot_be_json_is_text(streamed: bool, arguments: str) -> None:
    markup = f'<tool_call>{{"name":"calc","arguments":{arguments}}}</tool_call>'
    answer = chat(said(markup), stream=streamed, tools=[TOOL])
    choice = answer[-1]["choices"][0] if streamed else answer["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert choice["delta" if streamed else "message"]["content"] == markup


def test_values_that_are_no_json_are_text_arguments() -> None:
    markup = "<tool_call>calc\n<arg_key>x</arg_key>\n<arg_value>NaN</arg_value>\n</tool_call>"
    call = chat(said(markup), tools=[TOOL])["choices"][0]["message"]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == {"x": "NaN"}


def test_one_call_at_a_time_if_asked_so() -> None:
    one = '<tool_call>{"name":"calc","arguments":{"x":1}}</tool_call>'
    for parallel, count in ((True, 2), (None, 2), (False, 1)):
        message = chat(said(one + one), tools=[TOOL], parallel_tool_calls=parallel)["choices"][0]["message"]
        assert len(message["tool_calls"]) == count


def test_thinking_that_the_prompt_opens_streams_as_reasoning() -> None:
    assert opened(TOKENIZER, TOKENIZER.encode_markup("<|assistant|>\n<think>\n"))
    assert not opened(TOKENIZER, TOKENIZER.encode_markup("<|assistant|>\n<think></think>"))
    assert not opened(TOKENIZER, TOKENIZER.encode_markup("<think><|assistant|>"))
    wish = Wish(read=lambda prompt: ChatReading(TOKENIZER, RENDERER, (), opened=True), stops=["because"])
    for streamed in (False, True):
        assert pieces_of(wish, said("because</think> so"), streamed=streamed) == Message.assistant("so", "because")
        assert pieces_of(wish, said("because"), streamed=streamed) == Message.assistant("", "because")


def test_a_reading_that_fails_ends_its_own_stream_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChatReading, "push", lambda *_: 1 / 0)

    async def main() -> list[str]:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=build_app(SERVICE)), base_url="http://t"
        ) as client:
            body = {"model": NAME, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3, "n": 3}
            bad = client.post("/v1/chat/completions", json=body | {"stream": True})
            good = client.post("/v1/completions", json={"model": NAME, "prompt": "hi", "stream": True})
            return [answer.text for answer in await asyncio.gather(bad, good)]

    bad, good = asyncio.run(main())
    assert json.loads(bad.split("data: ")[-1])["error"]["type"] == "server_error"
    assert good.endswith("data: [DONE]\n\n")
    assert not SERVICE.engine._stepper.running
    assert not SERVICE.gate.tickets
