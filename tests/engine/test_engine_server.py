"""A real uvicorn server on a loopback port, asked by the official client."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import threading
import time
from collections.abc import Iterator

import httpx
import openai
import pytest
import uvicorn

from espalier.cli.commands.serve import add_serve, resolved
from espalier.engine.server.app import build_app
from espalier.engine.server.load import load_service
from espalier.engine.server.service import Service
from espalier.engine.server.stops import Cut, Stops
from espalier.lm.build import LanguageModel, build
from espalier.lm.config import ModelConfig, TokenizerConfig

HELLO = [{"role": "user", "content": "12+34="}]
TOOL = {
    "type": "function",
    "function": {
        "name": "calculate",
        "description": "Evaluate.",
        "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
    },
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A tiny model with random weights, saved and loaded by way of the command line's options."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = TokenizerConfig(kind="char", alphabet="0123456789+-*/=()[] abcdefghijklmnopqrstuvwxyzé")
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    language: LanguageModel = build(ModelConfig(tokenizer=tokenizer, decoder=shape), seed=0)
    language.save(folder)
    parser = argparse.ArgumentParser()
    add_serve(parser)
    options = [str(folder), "--renderer", "plain", "--max-len", "256", "--max-rows", "16"]
    return load_service(resolved(parser.parse_args(options)))


@pytest.fixture(scope="module")
def url(service: Service) -> Iterator[str]:
    server = uvicorn.Server(
        uvicorn.Config(build_app(service), port=0, log_level="warning", timeout_graceful_shutdown=2)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive(), "the server did not shut down"


@pytest.fixture(scope="module")
def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=30)


def test_models_and_health(client: openai.OpenAI, url: str) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").owned_by == "espalier"
    assert httpx.get(f"{url}/health").json() == {"status": "ok", "running": 0, "waiting": 0}


def test_chat_counts_and_repeats_with_a_seed(client: openai.OpenAI, service: Service) -> None:
    answers = [client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=20, seed=5) for _ in range(2)]
    one, other = (answer.choices[0] for answer in answers)
    assert one.message.content == other.message.content
    assert one.message.role == "assistant"
    assert one.finish_reason in ("stop", "length")
    usage = answers[0].usage
    assert usage is not None
    assert usage.prompt_tokens == len(service.renderer.opening([_message("12+34=")]))
    assert 0 < usage.completion_tokens <= 20
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def _message(text: str) -> object:
    from espalier.core.messages import Message

    return Message.user(text)


def test_n_choices_differ_and_the_first_is_the_single_one(client: openai.OpenAI) -> None:
    many = client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=20, seed=1, n=4)
    alone = client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=20, seed=1)
    texts = [choice.message.content for choice in many.choices]
    assert [choice.index for choice in many.choices] == [0, 1, 2, 3]
    assert len(set(texts)) > 1
    assert texts[0] == alone.choices[0].message.content


def test_a_stream_joins_to_the_whole_answer(client: openai.OpenAI) -> None:
    options = {"model": "tiny", "messages": HELLO, "max_completion_tokens": 40, "seed": 2, "n": 2}
    whole = client.chat.completions.create(**options)
    chunks = list(client.chat.completions.create(**options, stream=True, stream_options={"include_usage": True}))
    for choice in whole.choices:
        parts = [c.choices[0] for c in chunks if c.choices and c.choices[0].index == choice.index]
        assert "".join(part.delta.content or "" for part in parts) == choice.message.content
        assert parts[0].delta.role == "assistant"
        assert [part.finish_reason for part in parts][-1] == choice.finish_reason
        assert all(part.finish_reason is None for part in parts[:-1])
        assert len(parts) > 5
    assert chunks[-1].usage == whole.usage
    assert not chunks[-1].choices
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_logprobs_and_their_alternatives(client: openai.OpenAI) -> None:
    options = {"model": "tiny", "messages": HELLO, "max_tokens": 10, "seed": 3, "logprobs": True, "top_logprobs": 3}
    choice = client.chat.completions.create(**options).choices[0]
    assert choice.logprobs is not None
    content = choice.logprobs.content
    assert content is not None
    assert len(content) <= 10
    for token in content:
        assert len(token.top_logprobs) == 3
        best = [rival.logprob for rival in token.top_logprobs]
        assert best == sorted(best, reverse=True)
        assert token.logprob <= best[0] + 1e-5
        assert math.exp(best[0]) <= 1
        assert bytes(token.bytes or []).decode() == token.token
    streamed = client.chat.completions.create(**options, stream=True)
    again = [t for c in streamed for t in (c.choices[0].logprobs.content if c.choices[0].logprobs else None) or []]
    assert [token.token for token in again] == [token.token for token in content]
    assert [token.logprob for token in again] == pytest.approx([token.logprob for token in content], abs=1e-5)


@pytest.mark.parametrize("streamed", [False, True])
def test_stop_texts_end_the_answer_and_are_left_out(client: openai.OpenAI, streamed: bool) -> None:
    free = client.completions.create(model="tiny", prompt="1+1=", max_tokens=60, seed=9).choices[0].text
    stop = free[10:13]
    options = {"model": "tiny", "prompt": "1+1=", "max_tokens": 60, "seed": 9, "stop": [stop, "never in it"]}
    if streamed:
        parts = [chunk.choices[0] for chunk in client.completions.create(**options, stream=True)]
        text, reason = "".join(part.text for part in parts), parts[-1].finish_reason
    else:
        choice = client.completions.create(**options).choices[0]
        text, reason = choice.text, choice.finish_reason
    assert text == free[: free.index(stop)]
    assert reason == "stop"


def test_completions_take_texts_ids_and_several(client: openai.OpenAI, service: Service) -> None:
    ids = service.tokenizer.encode("1+1=")
    options = {"model": "tiny", "max_tokens": 5, "seed": 4}
    by_text = client.completions.create(prompt="1+1=", **options)
    by_ids = client.completions.create(prompt=ids, **options)
    assert by_text.choices[0].text == by_ids.choices[0].text
    both = client.completions.create(prompt=["1+1=", "2*3="], n=2, logprobs=2, **options)
    assert [choice.index for choice in both.choices] == [0, 1, 2, 3]
    assert both.choices[0].text == by_text.choices[0].text
    assert both.usage is not None
    assert both.usage.prompt_tokens == 8
    logprobs = both.choices[1].logprobs
    assert logprobs is not None
    assert logprobs.text_offset is not None
    assert logprobs.text_offset[0] == 0
    assert len(logprobs.token_logprobs or []) == len(logprobs.tokens or []) == len(logprobs.top_logprobs or [])


def test_greedy_ignores_the_seed(client: openai.OpenAI) -> None:
    texts = {
        client.completions.create(model="tiny", prompt="7", max_tokens=12, temperature=0, seed=s).choices[0].text
        for s in range(3)
    }
    assert len(texts) == 1


def test_tools_reach_the_renderer_and_calls_come_back(client: openai.OpenAI, service: Service) -> None:
    """A random model calls nothing, so the sampled ids are replaced by those of a call."""
    from espalier.core.messages import Message, ToolCall, ToolSpec
    from espalier.engine.batching.sequence import Progress

    tool = ToolSpec("calculate", "", TOOL["function"]["parameters"])  # type: ignore[index, arg-type]
    ids = service.renderer.answer(
        Message.assistant("a ", "", (ToolCall("calculate", {"expression": "12+34"}),)), (tool,)
    )
    asked: list[list[int]] = []

    async def stream(prompt: list[int], sampling: object, *, top: int = 0) -> object:
        asked.append(prompt)
        for i, token in enumerate(ids):
            yield Progress(token, -1.0, [], "stop" if i == len(ids) - 1 else None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.engine, "stream", stream)
        choice = client.chat.completions.create(model="tiny", messages=HELLO, tools=[TOOL]).choices[0]
        chunks = [
            c.choices[0]
            for c in client.chat.completions.create(model="tiny", messages=HELLO, tools=[TOOL], stream=True)
        ]
        refused = client.chat.completions.create(
            model="tiny", messages=HELLO, tools=[TOOL], tool_choice="none"
        ).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "a "
    calls = choice.message.tool_calls
    assert calls is not None
    assert (calls[0].function.name, json.loads(calls[0].function.arguments)) == ("calculate", {"expression": "12+34"})
    assert calls[0].id.startswith("call_")
    deltas = [call for chunk in chunks for call in chunk.delta.tool_calls or []]
    assert json.loads(deltas[0].function.arguments) == {"expression": "12+34"}
    assert chunks[-1].finish_reason == "tool_calls"
    assert "".join(chunk.delta.content or "" for chunk in chunks) == "a "
    assert refused.message.tool_calls is None
    history = [
        *HELLO,
        {"role": "assistant", "content": "a ", "tool_calls": [calls[0].model_dump()]},
        {"role": "tool", "tool_call_id": calls[0].id, "content": "46"},
    ]
    answer = client.chat.completions.create(model="tiny", messages=history, tools=[TOOL], max_tokens=3)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > len(asked[0]) + len(ids) - 1


@pytest.mark.parametrize(
    ("options", "status", "param", "code"),
    [
        ({"model": "other"}, 404, "model", "model_not_found"),
        ({"temperature": -1}, 400, "temperature", None),
        ({"extra_body": {"tempratur": 1}}, 400, "tempratur", None),
        ({"presence_penalty": 0.5}, 400, "presence_penalty", None),
        ({"max_tokens": 300}, 400, "messages", "context_length_exceeded"),
        ({"messages": []}, 400, "messages", None),
        ({"messages": [{"role": "user", "content": "ß"}]}, 400, None, None),
    ],
)
def test_errors_have_openais_shape(
    client: openai.OpenAI, options: dict[str, object], status: int, param: str | None, code: str | None
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(**{"model": "tiny", "messages": HELLO, **options})  # type: ignore[call-overload]
    assert caught.value.status_code == status
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["message"]
    assert (caught.value.param, caught.value.code) == (param, code)
    assert caught.value.type == "invalid_request_error"


def test_unknown_routes_and_broken_json_are_told_so(url: str) -> None:
    missing = httpx.get(f"{url}/v1/nothing")
    assert (missing.status_code, missing.json()["error"]["type"]) == (404, "invalid_request_error")
    broken = httpx.post(f"{url}/v1/completions", content=b"{")
    assert (broken.status_code, broken.json()["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_client_that_leaves_frees_its_rows(url: str, service: Service, streamed: bool) -> None:
    body = {"model": "tiny", "prompt": "1", "max_tokens": 250, "n": 8, "stream": streamed, "stop": "never in it"}
    before = service.engine._stepper.stats.sampled_tokens

    def tokens() -> int:
        return service.engine._stepper.stats.sampled_tokens - before

    with pytest.MonkeyPatch.context() as patch:
        step = service.engine._stepper.step
        patch.setattr(service.engine._stepper, "step", lambda **k: (time.sleep(0.01), step(**k))[1])

        async def leave() -> None:
            async with httpx.AsyncClient() as http:
                task = asyncio.create_task(http.post(f"{url}/v1/completions", json=body, timeout=30))
                while tokens() < 20:
                    await asyncio.sleep(0.01)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        asyncio.run(leave())
        deadline = time.monotonic() + 10
        while httpx.get(f"{url}/health").json()["running"] and time.monotonic() < deadline:
            time.sleep(0.01)
    assert httpx.get(f"{url}/health").json() == {"status": "ok", "running": 0, "waiting": 0}
    assert tokens() < 8 * 200, "the request ran on without its client"


def test_text_that_may_yet_change_is_held_back() -> None:
    assert Stops(["END OF"]).push("abc END") == Cut("abc ")
    assert Stops(["END", "xyz"]).push("abc EN") == Cut("abc ")
    assert Stops([]).push("abc") == Cut("abc")
    assert Stops(["three", "two"]).push("one two three") == Cut("one ", "two", " three")
    assert Stops(["two"]).push("one") == Cut("one")
