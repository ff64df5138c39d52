"""What bounds a server: its queue, slices of large requests, ports, keys, and clients that have gone."""

from __future__ import annotations

import asyncio
import json
import time

import httpx
import pytest
from serving_models import NAME, service

from espalier.core.io.strict_json import BODY_PARTS
from espalier.engine.server import app
from espalier.engine.server.app import BODY_BYTES, build_app
from espalier.engine.server.choice import Delta
from espalier.engine.server.errors import ApiError
from espalier.engine.server.gate import MOST_READY, Gate, Outbox
from espalier.engine.server.service import Service


def client(served: Service, **options: object) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=build_app(served, **options))  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60)


def test_the_gate_counts_open_choices() -> None:
    gate = Gate(rows=4, queue=2)
    first = gate.enter(5)
    second = gate.enter(1)
    with pytest.raises(ApiError, match="2 choices wait for a free row") as refused:
        gate.enter(1)
    assert refused.value.status == 429
    assert refused.value.headers == {"Retry-After": "2"}
    first.done(3.0)
    gate.enter(1)
    first.leave()
    second.leave()
    first.leave()
    gate.check()
    assert sum(ticket.choices for ticket in gate.tickets) == 1


def test_a_closed_gate_lets_nobody_in_and_ends_what_is_open() -> None:
    async def run() -> None:
        gate = Gate(rows=4, queue=2)
        ticket = gate.enter(1)
        await gate.close(0.1)
        with pytest.raises(ApiError, match="shutting down") as refused:
            gate.check()
        assert refused.value.status == 503
        with pytest.raises(ApiError, match="shutting down"):
            await ticket.outbox.get()

    asyncio.run(run())


def test_an_outbox_waits_for_its_reader() -> None:
    async def run() -> None:
        outbox = Outbox()
        for i in range(MOST_READY):
            await outbox.put(Delta(i))
        late = asyncio.create_task(outbox.put(Delta(MOST_READY)))
        await asyncio.sleep(0)
        assert not late.done()
        assert [(await outbox.get()).index for _ in range(MOST_READY + 1)] == list(range(MOST_READY + 1))
        await late

    asyncio.run(run())


def test_beyond_the_queue_requests_are_told_when_to_come_back() -> None:
    served = service(queue=4, max_rows=2)

    async def run() -> list[httpx.Response]:
        async with client(served) as http:
            body = {"model": NAME, "prompt": "hi", "max_tokens": 30, "n": 2}
            return await asyncio.gather(*(http.post("/v1/completions", json=body) for _ in range(12)))

    answers = asyncio.run(run())
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 12 - 3
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert {answer.json()["error"]["code"] for answer in refused} == {"rate_limit_exceeded"}
    assert {answer.status_code for answer in answers if answer not in refused} == {200}


def test_a_large_request_is_made_in_slices_and_lets_others_in_between() -> None:
    served = service(queue=2000, max_rows=4)

    async def run() -> tuple[list[str], int]:
        order, most = [], 0
        async with client(served) as http:

            async def ask(name: str, **body: object) -> None:
                answer = await http.post("/v1/completions", json={"model": NAME, "prompt": "hi", **body})
                assert answer.status_code == 200
                order.append(name)

            large = asyncio.create_task(ask("large", n=100, max_tokens=8))
            while not served.engine._stepper.running:
                await asyncio.sleep(0)
            small = asyncio.create_task(ask("small", max_tokens=8))
            while not large.done():
                stepper = served.engine._stepper
                most = max(most, len(stepper.scheduler.waiting) + len(stepper.running))
                await asyncio.sleep(0)
            await asyncio.gather(large, small)
        return order, most

    order, most = asyncio.run(run())
    assert order == ["small", "large"]
    assert most <= 4 + 1 + 4


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": ["x"] * 9, "n": 128}, "n"),
        ({"prompt": "x", "n": 128, "max_tokens": 900, "logprobs": 20}, "logprobs"),
    ],
)
def test_answers_of_one_request_are_bounded(body: dict[str, object], param: str) -> None:
    async def run() -> httpx.Response:
        async with client(service()) as http:
            return await http.post("/v1/completions", json={"model": NAME, **body})

    answer = asyncio.run(run())
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("streamed", [False, True])
def test_one_choice_that_fails_frees_the_others(streamed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    served = service()
    names = type(served.names)
    calls = 0

    def failing(self: object, token: int) -> tuple[str, bytes]:
        nonlocal calls
        calls += 1
        if calls == 20:
            raise ValueError("no such token")
        return "x", b"x"

    monkeypatch.setattr(names, "__call__", failing)

    async def run() -> httpx.Response:
        async with client(served) as http:
            body = {"model": NAME, "prompt": "hi", "n": 6, "max_tokens": 200, "logprobs": 0, "stream": streamed}
            return await http.post("/v1/completions", json=body)

    answer = asyncio.run(run())
    assert (answer.status_code == 500) != streamed
    assert "the server failed: ValueError" in answer.text
    assert not served.engine._stepper.running
    assert not served.gate.tickets


@pytest.mark.parametrize("field", ["prompt", "messages"])
def test_texts_that_cannot_fit_are_not_encoded(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    served = service()
    monkeypatch.setattr(served.tokenizer, "encode", lambda text: 1 / 0)
    monkeypatch.setattr(served.tokenizer, "encode_markup", lambda text: 1 / 0)
    text = "a" * (1024 * served.tokenizer.longest + 1)
    body = {"prompt": text} if field == "prompt" else {"messages": [{"role": "user", "content": text}]}
    path = "/v1/completions" if field == "prompt" else "/v1/chat/completions"

    async def run() -> httpx.Response:
        async with client(served) as http:
            return await http.post(path, json={"model": NAME, **body})

    error = asyncio.run(run()).json()["error"]
    assert (error["param"], error["code"]) == (field, "context_length_exceeded")


def test_bodies_are_bounded() -> None:
    async def run() -> list[httpx.Response]:
        async with client(service()) as http:
            sizes = (BODY_BYTES, BODY_BYTES + 1)
            return [await http.post("/v1/completions", content=b" " * size) for size in sizes]

    fits, large = asyncio.run(run())
    assert fits.status_code == 400
    assert (large.status_code, large.json()["error"]["type"]) == (413, "invalid_request_error")


def test_keys_are_wanted_everywhere_but_for_health() -> None:
    async def run() -> list[int]:
        async with client(service(), keys=["one", "two"]) as http:
            headers = [
                {},
                {"Authorization": "Bearer on"},
                {"Authorization": "Basic one"},
                {"Authorization": "bearer two"},
            ]
            found = [(await http.get("/v1/models", headers=header)).status_code for header in headers]
            return [*found, (await http.get("/health")).status_code]

    assert asyncio.run(run()) == [401, 401, 401, 200, 200]


def test_a_body_that_takes_long_to_read_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    served = service()
    encode = served.tokenizer.encode
    monkeypatch.setattr(served.tokenizer, "encode", lambda text: (time.sleep(0.5), encode(text))[1])

    async def run() -> float:
        async with client(served) as http:
            slow = asyncio.create_task(http.post("/v1/completions", json={"model": NAME, "prompt": "x"}))
            await asyncio.sleep(0.1)
            began = time.monotonic()
            await http.get("/health")
            waited = time.monotonic() - began
            assert (await slow).status_code == 200
            return waited

    assert asyncio.run(run()) < 0.3


@pytest.mark.parametrize("field", ["messages", "tools", "stop"])
@pytest.mark.parametrize("value", [1, {}])
def test_a_body_of_many_parts_is_refused_at_the_first_fault(field: str, value: object) -> None:
    async def run() -> httpx.Response:
        async with client(service()) as http:
            good = {"model": NAME, "messages": [{"role": "user", "content": "x"}]}
            return await http.post("/v1/chat/completions", json=good | {field: [value] * 2 * BODY_PARTS})

    began = time.process_time()
    answer = asyncio.run(run())
    assert answer.status_code == 400
    fault = field if value == 1 else f"more than {BODY_PARTS:,} texts, keys, lists and objects"
    assert fault in answer.json()["error"]["message"]
    assert time.process_time() - began < 1.5


@pytest.mark.parametrize("name", ["arguments", "reasoning", "tools"])
def test_no_text_of_a_chat_that_cannot_fit_is_encoded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    served, text = service(), "a " * 100_000
    monkeypatch.setattr(type(served.renderer), "opening", lambda *_: pytest.fail("encoded"))
    call = {"function": {"name": "f", "arguments": json.dumps({"a": text})}}
    turns = {"arguments": {"tool_calls": [call]}, "reasoning": {"reasoning_content": text}}
    tools = [{"type": "function", "function": {"name": "f", "description": text}}] if name == "tools" else []

    async def run() -> httpx.Response:
        async with client(served) as http:
            messages = [{"role": "user", "content": "x"}, {"role": "assistant", **turns.get(name, {})}]
            body = {"model": NAME, "messages": messages, "tools": tools}
            return await http.post("/v1/chat/completions", json=body)

    error = asyncio.run(run()).json()["error"]
    assert error["code"] == "context_length_exceeded"


def test_a_client_that_takes_nothing_of_its_stream_loses_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "SLOWEST", 0.1)
    served = service()
    body = json.dumps({"model": NAME, "prompt": "x", "stream": True, "n": 8, "max_tokens": 200}).encode()
    scope = {"type": "http", "method": "POST", "path": "/v1/completions", "headers": [], "query_string": b""}
    asked = [{"type": "http.request", "body": body}]

    async def receive() -> object:
        if not asked:
            await asyncio.Event().wait()
        return asked.pop()

    async def send(message: object) -> None:
        await asyncio.Event().wait()

    asyncio.run(asyncio.wait_for(build_app(served)(scope, receive, send), 20))  # type: ignore[arg-type]
    assert not served.gate.tickets
