"""OpenAI's own client through the gateway: to the fake engine, and to a real `espalier serve` with a tiny model."""

from __future__ import annotations

import argparse
import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import uvicorn
from aiohttp import web
from sockets import served

from espalier.cli.commands.serve import add_serve, resolved
from espalier.engine.server.app import build_app
from espalier.engine.server.load import load_service
from espalier.lm.build import build
from espalier.lm.config import ModelConfig, TokenizerConfig
from espalier.serving.gateway.app import Gateway
from espalier.serving.gateway.config import GatewayConfig
from espalier.serving.gateway.fake import FakeEngine, FakeSettings
from espalier.serving.model.steptime import PrefillTime

QUICK = PrefillTime(base=0.001, per_token=1e-5, chunk=1000)
KEYS = {"api_keys": ["key-of-clients", "another"], "engine_key": "key-of-engines"}
HELLO = [{"role": "user", "content": "12+34="}]
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}


@contextmanager
def in_a_thread(app: web.Application) -> Iterator[str]:
    """The address of an application that runs on a loop of its own."""
    loop, found, over = asyncio.new_event_loop(), [], asyncio.Event()
    ready = threading.Event()

    async def run() -> None:
        async with served(app) as (url, _):
            found.append(url)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    yield found[0]
    loop.call_soon_threadsafe(over.set)
    thread.join(10)
    assert not thread.is_alive()


@contextmanager
def real_server(folder: Path) -> Iterator[str]:
    """`espalier serve` with a model of random weights."""
    tokenizer = TokenizerConfig(kind="char", alphabet="0123456789+-*/=()[] abcdefghijklmnopqrstuvwxyz")
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    build(ModelConfig(tokenizer=tokenizer, decoder=shape), seed=0).save(folder / "tiny")
    parser = argparse.ArgumentParser()
    add_serve(parser)
    options = [str(folder / "tiny"), "--renderer", "plain", "--max-len", "256", "--max-rows", "16"]
    app = build_app(load_service(resolved(parser.parse_args(options))))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@contextmanager
def fake_server(folder: Path) -> Iterator[str]:
    with in_a_thread(FakeEngine(FakeSettings(1, QUICK, tpot=0.001)).app) as url:
        yield url


@pytest.fixture(scope="module", params=["fake", "tiny"])
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The model's name, and the address of a gateway in front of its server."""
    server = {"fake": fake_server, "tiny": real_server}[request.param]
    with server(tmp_path_factory.mktemp("models")) as url:
        gateway = Gateway(GatewayConfig.of(targets=[{"urls": [url]}], prefill=QUICK, body_bytes=100_000))
        with in_a_thread(gateway.app) as address:
            yield request.param, address


@pytest.fixture
def client(front: tuple[str, str]) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{front[1]}/v1", api_key="none", max_retries=0, timeout=30)


@pytest.fixture
def model(front: tuple[str, str]) -> str:
    return front[0]


def test_models(client: openai.OpenAI, model: str) -> None:
    assert [one.id for one in client.models.list()] == [model]
    assert client.models.retrieve(model).id == model
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("some/other")
    assert "'some/other' does not exist" in caught.value.message
    assert caught.value.code == "model_not_found"


def test_completions_of_every_kind(client: openai.OpenAI, model: str) -> None:
    create = client.completions.create
    for prompt in ("12+34=", ["12+34="], [1, 2, 3]):
        answer = create(model=model, prompt=prompt, max_tokens=5, seed=1)
        assert answer.choices[0].finish_reason in ("stop", "length")
        assert answer.usage is not None
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    whole = create(model=model, prompt="12+34=", max_tokens=9, temperature=0.0).choices[0].text
    parts = list(create(model=model, prompt="12+34=", max_tokens=9, temperature=0.0, stream=True))
    streamed = "".join(part.choices[0].text for part in parts if part.choices)
    assert [one.split(":")[-1] for one in streamed.split()] == [one.split(":")[-1] for one in whole.split()]
    assert {part.model for part in parts} == {model}


def test_chats_of_every_kind(client: openai.OpenAI, model: str) -> None:
    create = client.chat.completions.create
    answer = create(model=model, messages=HELLO, max_tokens=5, temperature=0.0)
    assert answer.choices[0].message.role == "assistant"
    said = answer.choices[0].message.model_copy(update={"content": "46"}).model_dump(exclude_none=True)
    again = [*HELLO, said, {"role": "user", "content": [{"type": "text", "text": "and 5+6="}]}]
    assert create(model=model, messages=again, max_completion_tokens=5).choices[0].finish_reason
    options: dict[str, Any] = {"temperature": 0.5, "top_p": 0.9, "seed": 3, "stop": ["zzz"], "user": "me"}
    parts = list(create(model=model, messages=HELLO, max_tokens=5, stream=True, **options))
    assert parts[0].choices[0].delta.role == "assistant"
    assert [choice.finish_reason for part in parts for choice in part.choices][-1] in ("stop", "length")
    raw = client.chat.completions.with_raw_response.create(model=model, messages=HELLO, max_tokens=2)
    assert raw.headers["X-Espalier-Place"] == "0:0"
    assert raw.parse().choices


def test_helpers_of_the_client(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.stream(model=model, messages=HELLO, max_tokens=4) as stream:
        kinds = {event.type for event in stream}
        assert stream.current_completion_snapshot.choices[0].message.role == "assistant"
    assert kinds >= {"chunk", "content.delta"}
    with client.completions.with_streaming_response.create(model=model, prompt="1", max_tokens=2, stream=True) as raw:
        assert list(raw.iter_lines())[-2] == "data: [DONE]"
    with pytest.raises(openai.APIStatusError) as listed:
        client.chat.completions.list()
    assert (listed.value.status_code, listed.value.code) == (405, "method_not_allowed")
    for missing in (client.chat.completions.retrieve, client.chat.completions.delete):
        with pytest.raises(openai.NotFoundError):
            missing("some-id")


def test_a_stream_may_be_left(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.create(model=model, messages=HELLO, max_tokens=100, stream=True) as stream:
        next(iter(stream))
    assert client.completions.create(model=model, prompt="1", max_tokens=1).choices


def test_tools_and_logprobs_of_a_real_engine(client: openai.OpenAI, model: str) -> None:
    if model == "fake":
        pytest.skip("it has no model behind it")
    options: dict[str, Any] = {"tools": [TOOL], "tool_choice": "auto", "logprobs": True, "top_logprobs": 2}
    answer = client.chat.completions.create(model=model, messages=HELLO, max_tokens=4, n=2, **options)
    assert len(answer.choices) == 2
    assert answer.choices[0].logprobs is not None


def test_errors_are_those_of_openais_client(client: openai.OpenAI, model: str) -> None:
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="another", messages=HELLO)
    with pytest.raises(openai.BadRequestError):
        client.completions.create(model=model, prompt="1", max_tokens=-1)
    with pytest.raises(openai.NotFoundError) as missing:
        client.embeddings.create(model=model, input="1")
    assert missing.value.body == {
        "message": "there is nothing at /v1/embeddings",
        "type": "invalid_request_error",
        "param": None,
        "code": "not_found",
    }
    with pytest.raises(openai.APIStatusError) as large:
        client.completions.create(model=model, prompt="1" * 200_000)
    assert large.value.status_code == 413
    assert large.value.body["code"] == "body_too_large"  # type: ignore[index]


def test_the_asynchronous_client(front: tuple[str, str]) -> None:
    async def ask() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{front[1]}/v1", api_key="none", max_retries=0) as client:
            stream = await client.completions.create(model=front[0], prompt="1+1=", max_tokens=4, stream=True)
            return [part.choices[0].text async for part in stream if part.choices]

    assert len(asyncio.run(ask())) >= 1


def test_keys_of_clients_and_of_engines() -> None:
    """The gateway checks its own keys and shows the engine another; without one of its own the engine sees none."""
    seen: list[tuple[str, str | None]] = []

    @web.middleware
    async def note(request: web.Request, handler: Any) -> web.StreamResponse:
        seen.append((request.path, request.headers.get("Authorization")))
        return await handler(request)

    for keys, shown in ((KEYS, "Bearer key-of-engines"), ({"api_keys": KEYS["api_keys"]}, None)):
        fake = FakeEngine(FakeSettings(1, QUICK))
        fake.app.middlewares.append(note)
        with in_a_thread(fake.app) as url:
            gateway = Gateway(GatewayConfig.of(targets=[{"urls": [url], "kind": "events"}], prefill=QUICK, **keys))
            assert "key-of" not in repr(gateway.config)
            with in_a_thread(gateway.app) as address:
                for key in KEYS["api_keys"]:
                    client = openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0)
                    assert client.models.list().data
                    assert client.completions.create(model="fake", prompt="1", max_tokens=1).choices
                for key in (
                    "Bearer wrong",
                    "Bearer key-of-engines",
                    "Bearer key-of-client",
                    "key-of-clients",
                    b"Bearer \xe9",
                    "",
                ):
                    answer = httpx.get(f"{address}/v1/models", headers={"Authorization": key})
                    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
                assert httpx.get(f"{address}/health").status_code == 200
                time.sleep(0.6)  # until its health was asked for
        assert {"/health", "/v1/models", "/v1/completions", "/engine/events"} <= {path for path, _ in seen}
        assert {key for _, key in seen} == {shown}
        seen.clear()
