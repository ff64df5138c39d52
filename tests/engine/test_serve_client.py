"""The official client over its whole surface for completions and chat, against a real `espalier serve`."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel
from serving_models import NAME, language, served

HELLO: list[Any] = [{"role": "user", "content": "hi"}]
CHAT: dict[str, Any] = {"model": NAME, "messages": HELLO, "max_tokens": 12, "seed": 1}
TEXT: dict[str, Any] = {"model": NAME, "prompt": "hello", "max_tokens": 12, "seed": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "model"
    language().save(path)
    return path


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with served(folder, "--api-key", "first", "--api-key", "second") as (process, address):
        yield address
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM


@pytest.fixture(scope="module")
def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="second", max_retries=0, timeout=30)


def ending(client: openai.OpenAI, **options: Any) -> dict[str, Any]:
    """The chat, with a stop text that ends its answer: the client's parse helpers take no answer that was cut off."""
    content = client.chat.completions.create(**CHAT, **options).choices[0].message.content
    assert content
    return CHAT | options | {"stop": content[2:4]}


def test_answers_come_back_as_history(client: openai.OpenAI) -> None:
    options = ending(client)
    said = client.chat.completions.create(**options).choices[0].message
    with client.chat.completions.stream(**options) as stream:
        streamed = stream.get_final_completion().choices[0].message
    assert streamed.content == said.content
    parsed = client.chat.completions.parse(**options).choices[0].message
    assert parsed.content == said.content
    for message in (said, streamed, parsed):
        for dumped in (message.model_dump(), message.model_dump(exclude_none=True), message.to_dict()):
            again = client.chat.completions.create(**CHAT | {"messages": [*HELLO, dumped, *HELLO]})
            assert again.choices[0].finish_reason in ("stop", "length")


def test_sync_async_streamed_and_raw_agree(client: openai.OpenAI, url: str) -> None:
    expected = client.chat.completions.create(**CHAT).choices[0].message.content
    chunks = list(client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == expected
    assert chunks[-1].usage is not None
    raw = client.chat.completions.with_raw_response.create(**CHAT)
    assert raw.parse().choices[0].message.content == expected
    assert raw.headers["content-type"] == "application/json"
    with client.chat.completions.with_streaming_response.create(**CHAT) as response:
        assert json.loads(response.read())["choices"][0]["message"]["content"] == expected

    async def asked() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="first", max_retries=0) as other:
            whole = await other.chat.completions.create(**CHAT)
            stream = await other.chat.completions.create(**CHAT, stream=True)
            joined = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
            text = (await other.completions.create(**TEXT)).choices[0].text
            parts = await other.completions.create(**TEXT, stream=True)
            names = [model.id async for model in other.models.list()]
            pieces = "".join([chunk.choices[0].text async for chunk in parts])
            return [whole.choices[0].message.content or "", joined, text, pieces, *names]

    whole, joined, text, parts, name = asyncio.run(asked())
    assert whole == joined == expected
    assert text == parts == client.completions.create(**TEXT).choices[0].text
    assert name == NAME


@pytest.mark.parametrize(
    "neutral",
    [
        {"frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "n": 1, "user": "me"},
        {"frequency_penalty": None, "logit_bias": None, "n": None, "seed": None, "stop": None, "stream": None},
        {"temperature": None, "top_p": None, "max_completion_tokens": None, "logprobs": None, "top_logprobs": None},
        {"stream_options": None, "tools": None, "tool_choice": None, "response_format": None, "metadata": None},
        {"store": True, "metadata": {"a": "b"}, "service_tier": "auto", "safety_identifier": "x"},
        {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "modalities": ["text"], "verbosity": "medium"},
        {"response_format": {"type": "text"}, "parallel_tool_calls": True, "tool_choice": "auto", "tools": []},
        {"audio": None, "prediction": None, "reasoning_effort": None, "web_search_options": None},
        {"functions": [], "function_call": "none", "logit_bias": {"5": 0}, "logprobs": False, "top_logprobs": 0},
        {"extra_body": {"top_k": None, "min_p": None, "unheard_of": None}},
        {"extra_body": {"top_k": -1, "min_p": 0}},
    ],
)
def test_neutral_fields_change_nothing(client: openai.OpenAI, neutral: dict[str, Any]) -> None:
    seeded = "seed" not in neutral
    plain = client.chat.completions.create(**CHAT).choices[0].message.content
    found = client.chat.completions.create(**{**CHAT, **neutral}).choices[0].message.content
    assert not seeded or found == plain


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("frequency_penalty", 0.5),
        ("logit_bias", {"5": 1}),
        ("response_format", {"type": "json_object"}),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function", "function": {"name": "f"}}),
        ("functions", [{"name": "f"}]),
        ("function_call", {"name": "f"}),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("modalities", ["text", "audio"]),
        ("prediction", {"type": "content", "content": "x"}),
        ("reasoning_effort", "high"),
        ("verbosity", "low"),
        ("web_search_options", {"a": 1}),
        ("top_logprobs", 3),
        ("n", 129),
        ("n", 0),
        ("temperature", -0.1),
        ("top_p", 0),
        ("stop", ["x"] * 65),
        ("max_tokens", 0),
        ("seed", "x"),
        ("stream_options", {"include_obfuscation": True}),
    ],
)
def test_what_is_not_supported_is_refused_by_name(client: openai.OpenAI, field: str, value: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**{**CHAT, field: value})
    assert str(caught.value.param).split(".")[0] == field
    assert field in caught.value.message
    assert caught.value.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("content", "param"),
    [
        ({"role": "robot", "content": "x"}, "messages.0.role"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, "messages.0.content.0.type"),
        ({"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}, "messages.0.function_call"),
        ({"role": "user", "content": "x", "weight": 1}, "messages.0.weight"),
    ],
)
def test_faults_in_messages_are_found(client: openai.OpenAI, content: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**CHAT | {"messages": [content]})
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ('{"x": "\\ud800"}', "half a character"),
        ('{"x": NaN}', "NaN"),
        ('{"x": 1e999}', "too large"),
        ('{"x": ' + "9" * 5000 + "}", "4300 digits"),
        ('{"x": ' + "[" * 500 + "]" * 500 + "}", "levels deep"),
        ("[1]", "JSON object"),
        ("{", "not JSON"),
    ],
)
def test_faults_in_arguments_are_named(client: openai.OpenAI, arguments: str, why: str) -> None:
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    history = [*HELLO, {"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "content": "1"}]
    with pytest.raises(openai.BadRequestError, match=why) as caught:
        client.chat.completions.create(**CHAT | {"messages": history})
    assert caught.value.param == "messages.1.tool_calls.0.function.arguments"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"model": "glm", "prompt": "\\ud800"}', "prompt: .*half a character"),
        (b'{"model": "glm", "prompt": "x", "top_p": NaN}', "NaN"),
        (b'{"model": "glm", "prompt": "x", "temperature": 1e999}', "temperature: a number is too large"),
        (b"[" * 50_000, "levels deep"),
        (b"[" * 100_000, "more than 65,536 texts, keys, lists and objects"),
        (b"\xff", "UTF-8"),
        (b"", "line 1"),
        (b"[]", "body"),
        (b'{"model": "glm", "prompt": [99999999999999999999999]}', "outside the model's vocabulary"),
        (b'{"model": "glm", "prompt": [1, "a"]}', "a prompt is a text or"),
        (b'{"model": "glm", "prompt": ""}', "empty prompt"),
        (b'{"model": "glm", "prompt": ["x", "y"], "n": 128, "logprobs": 20, "max_tokens": 500}', "log-probs may come"),
    ],
)
def test_bodies_that_cannot_be_answered_say_why(url: str, body: bytes, why: str) -> None:
    answer = httpx.post(f"{url}/v1/completions", content=body, headers={"Authorization": "Bearer first"})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert re.search(why, error["message"]), error["message"]


def test_completions_and_their_old_fields(client: openai.OpenAI) -> None:
    many = client.completions.create(
        **TEXT | {"prompt": ["hello", "hi"], "n": 2}, best_of=2, echo=False, suffix=None, logprobs=2
    )
    assert [choice.index for choice in many.choices] == [0, 1, 2, 3]
    assert many.choices[0].text == client.completions.create(**TEXT).choices[0].text
    cut = client.completions.create(**TEXT, stop=many.choices[0].text[3:5] or None).choices[0]
    assert cut.text == many.choices[0].text[:3]
    for field, value in (("echo", True), ("suffix", "x"), ("best_of", 3), ("logprobs", 21)):
        with pytest.raises(openai.BadRequestError) as caught:
            client.completions.create(**{**TEXT, field: value})
        assert caught.value.param == field


class Answer(BaseModel):
    """For the client's parse helper."""

    x: int


def test_tools_and_the_parse_helpers(client: openai.OpenAI) -> None:
    tool = openai.pydantic_function_tool(Answer)
    options = ending(client, tools=[tool])
    assert client.chat.completions.parse(**options).choices[0].finish_reason == "stop"
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.parse(**CHAT, response_format=Answer)
    assert caught.value.param == "response_format"
    with client.chat.completions.stream(**options) as stream:
        assert list(stream)


def test_logprobs_cover_the_answer(client: openai.OpenAI) -> None:
    choice = client.chat.completions.create(**CHAT, logprobs=True, top_logprobs=20).choices[0]
    assert choice.logprobs is not None
    own = b"".join(bytes(entry.bytes or []) for entry in choice.logprobs.content or [])
    assert choice.message.content is not None
    assert choice.message.content.strip("\ufffd").encode() in own.decode(errors="replace").encode() or not own


def test_errors_are_the_clients_own_classes(client: openai.OpenAI, url: str) -> None:
    assert client.models.retrieve(NAME).id == NAME
    with pytest.raises(openai.NotFoundError) as missing:
        client.models.retrieve("other/model")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(**CHAT | {"model": "other"})
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model=NAME, input="x")
    with pytest.raises(openai.AuthenticationError) as locked:
        client.with_options(api_key="third").models.list()
    assert locked.value.code == "invalid_api_key"
    long = client.with_options(timeout=60)
    with pytest.raises(openai.APIStatusError) as large:
        long.completions.create(**TEXT | {"prompt": "x" * (9 * 2**20)})
    assert large.value.status_code == 413


def test_every_refusal_has_openais_shape(url: str) -> None:
    key = {"Authorization": "Bearer first"}
    for method, path, headers, status in (
        ("GET", "/v1/completions", key, 405),
        ("DELETE", "/v1/models/glm", key, 405),
        ("GET", "/nothing", key, 404),
        ("GET", "/v1/models/", key, 404),
        ("GET", "/v1/models/%ff", key, 404),
        ("GET", "/v1/models", {}, 401),
        ("GET", "/nothing", {}, 401),
        ("GET", "/v1/models", {"Authorization": "first"}, 401),
        ("GET", "/v1/models", {"Authorization": "Bearer \u00e9".encode()}, 401),
    ):
        answer = httpx.request(method, url + path, headers=headers, follow_redirects=True)
        assert answer.status_code == status, (method, path)
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        assert (status == 405) == ("allow" in answer.headers)
    assert httpx.get(f"{url}/health").status_code == 200
