"""The gateway over real sockets, in front of fake engines that speak the real protocol."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from sockets import served

from espalier.core.errors import ConfigError
from espalier.serving.config import SchedulerConfig
from espalier.serving.gateway.app import Gateway
from espalier.serving.gateway.config import GatewayConfig, TargetConfig
from espalier.serving.gateway.fake import FakeEngine, FakeSettings
from espalier.serving.model.steptime import PrefillTime

QUICK = PrefillTime(base=0.02, per_token=1e-4, chunk=100)
"""A full chunk takes 30 ms."""


class World:
    """A gateway, its engines and a client."""

    def __init__(
        self, url: str, admin: str, gateway: Gateway, engines: list[FakeEngine], runners: list[web.AppRunner]
    ) -> None:
        self.url, self.admin, self.gateway, self.engines, self.runners = url, admin, gateway, engines, runners
        self.session: aiohttp.ClientSession

    async def ask(self, words: int = 20, output: int = 3, **more: Any) -> tuple[int, bytes]:
        body = {"model": "fake", "prompt": "word " * words, "max_tokens": output, **more}
        async with self.session.post(f"{self.url}/v1/completions", json=body) as answer:
            return answer.status, await answer.read()

    async def page(self, path: str) -> str:
        async with self.session.get(self.url + path) as answer:
            return await answer.text()

    async def get(self, path: str) -> Any:
        async with self.session.get((self.admin if path.startswith("/admin") else self.url) + path) as answer:
            return await answer.json(), answer.status


def in_world(
    what: Callable[[World], Awaitable[None]], engines: int = 2, kind: str = "vllm", tpot: float = 0.005, **config: Any
) -> None:
    """Run `what` with a gateway in front of fake engines of two ranks."""

    async def whole() -> None:
        async with AsyncExitStack() as stack:
            fakes = [FakeEngine(FakeSettings(2, QUICK, tpot)) for _ in range(engines)]
            places = [await stack.enter_async_context(served(fake.app)) for fake in fakes]
            targets = tuple(TargetConfig(urls=(url,), ranks=2, kind=kind) for url, _ in places)
            gateway = Gateway(GatewayConfig(targets=targets, prefill=QUICK, bytes_per_token=5.0, **config))
            url, _ = await stack.enter_async_context(served(gateway.app))
            admin, _ = await stack.enter_async_context(served(gateway.admin))
            world = World(url, admin, gateway, fakes, [runner for _, runner in places])
            world.session = await stack.enter_async_context(aiohttp.ClientSession())
            await asyncio.wait_for(what(world), 60)

    asyncio.run(whole())


def text_of(stream: bytes) -> str:
    events = [line[6:] for line in stream.decode().split("\n\n") if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    return "".join(json.loads(event)["choices"][0]["text"] for event in events[:-1])


@pytest.mark.parametrize("kind", ["vllm", "sglang", "events"])
@pytest.mark.parametrize("policy", ["sbs", "sbs_whole", "least_tokens"])
def test_every_request_gets_its_own_answer(kind: str, policy: str) -> None:
    async def check(world: World) -> None:
        answers = await asyncio.gather(*(world.ask(10 + 7 * k % 90, 4, stream=k % 2 == 0) for k in range(60)))
        assert {status for status, _ in answers} == {200}
        texts = [
            text_of(body) if body.startswith(b"data") else json.loads(body)["choices"][0]["text"] for _, body in answers
        ]
        for text in texts:
            (number,) = {part.split(":")[0] for part in text.split()}
            assert text.split() == [f"{number}:{k}" for k in range(4)]
        assert sum(engine.served for engine in world.engines) == 60
        assert min(engine.served for engine in world.engines) > 5
        state, _ = await world.get("/admin/state")
        assert state["held"] == state["held_tokens"] == 0
        assert [sum(one["backlog"]) for one in state["instances"]] == [0, 0]

    in_world(check, kind=kind, scheduler=SchedulerConfig(policy=policy))


def test_a_stream_passes_byte_for_byte() -> None:
    async def check(world: World) -> None:
        status, through = await world.ask(30, 5, stream=True)
        body = {"model": "fake", "prompt": "word " * 30, "max_tokens": 5, "stream": True}
        async with world.session.post(f"{world.gateway.config.targets[0].urls[0]}/v1/completions", json=body) as answer:
            direct = await answer.read()
        assert status == 200
        name = world.engines[0].name.encode()
        first, second = f"fake-{world.engines[0].name}-0".encode(), f"fake-{world.engines[0].name}-1".encode()
        assert name in through
        created = re.compile(rb'"created": \d+')
        assert created.sub(b"", through) == created.sub(b"", direct.replace(second, first).replace(b"1:", b"0:"))

    in_world(check, engines=1)


def test_an_answer_says_where_it_was_made_and_how_long_it_was_held() -> None:
    async def check(world: World) -> None:
        body = {"model": "fake", "prompt": "word", "max_tokens": 1}
        url, headers = f"{world.url}/v1/completions", {"X-Request-Id": "mine"}
        async with world.session.post(url, json=body, headers=headers) as answer:
            assert answer.headers["X-Espalier-Place"] == "0:0"
            assert 0.0 <= float(answer.headers["X-Espalier-Wait"]) < 0.5
            assert answer.headers["X-Request-Id"] == "mine"

    in_world(check)


def test_the_other_endpoints() -> None:
    async def check(world: World) -> None:
        assert (await world.get("/health"))[1] == 200
        assert (await world.get("/ready"))[0] == {"ready": 2}
        assert (await world.get("/v1/models"))[0]["data"][0]["id"] == "fake"
        await world.ask(stream=True)
        await world.ask()
        page = await world.page("/metrics")
        assert "espalier_ttft_seconds_count 1.0" in page, "an answer that is no stream has no first token"
        assert 'espalier_requests_total{outcome="done"} 2.0' in page
        chat = {"model": "fake", "messages": [{"role": "user", "content": "a b c"}], "max_tokens": 2}
        async with world.session.post(f"{world.url}/v1/chat/completions", json=chat) as answer:
            assert (await answer.json())["usage"]["prompt_tokens"] == 3

    in_world(check)


@pytest.mark.parametrize("body", [b"{", b"[1]", b'"text"'])
def test_a_bad_body_is_refused(body: bytes) -> None:
    async def check(world: World) -> None:
        async with world.session.post(f"{world.url}/v1/completions", data=body) as answer:
            assert answer.status == 400
            assert (await answer.json())["error"]["type"] == "invalid_request_error"

    in_world(check)


def test_a_full_buffer_answers_429_with_when_to_come_back() -> None:
    async def check(world: World) -> None:
        answers = await asyncio.gather(*(world.ask(300, 1) for _ in range(40)))
        assert {status for status, _ in answers} == {200, 429}
        for number in (0, 1):
            world.gateway.dispatcher.doubt(number, True)
        held = [asyncio.create_task(world.ask()) for _ in range(5)]
        await asyncio.sleep(0.1)
        async with world.session.post(f"{world.url}/v1/completions", json={"prompt": "x", "max_tokens": 1}) as answer:
            assert answer.status == 429
            assert 1 <= int(answer.headers["Retry-After"]) <= 60
        world.gateway.dispatcher.doubt(0, False)
        assert {status for status, _ in await asyncio.gather(*held)} == {200}

    in_world(check, buffer_requests=5, scheduler=SchedulerConfig(policy="sbs"))


def test_a_client_that_leaves_frees_its_engine_and_its_place() -> None:
    async def check(world: World) -> None:
        async def leave(after: float) -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(world.ask(50, 400, stream=True), after)

        await asyncio.gather(*(leave(0.01 + 0.01 * k) for k in range(20)))
        await asyncio.sleep(0.5)
        assert world.gateway.dispatcher.tickets == {}
        assert world.gateway.dispatcher.scheduler.held == 0
        assert sum(engine.left for engine in world.engines) >= 15
        assert sum(engine.served for engine in world.engines) == 0
        assert (await world.ask())[0] == 200

    in_world(check)


def test_an_engine_that_dies_loses_no_request_that_had_no_byte() -> None:
    async def check(world: World) -> None:
        waiting = [asyncio.create_task(world.ask(90, 2)) for _ in range(30)]
        await asyncio.sleep(0.05)
        await world.runners[1].cleanup()
        answers = await asyncio.gather(*waiting)
        answers += await asyncio.gather(*(world.ask() for _ in range(10)))
        assert {status for status, _ in answers} == {200}
        while (await world.get("/ready"))[0] != {"ready": 1}:  # by failures in a row, or by the watchdog
            await world.ask()
            await asyncio.sleep(0.1)

    in_world(check)


def test_an_engine_that_is_given_up_and_back_at_once_loses_no_request() -> None:
    async def check(world: World) -> None:
        waiting = [asyncio.create_task(world.ask(90, 2)) for _ in range(30)]
        await asyncio.sleep(0.05)
        for number in (0, 1):
            world.gateway.dispatcher.failed(number, "by order", final=True)
            world.gateway.dispatcher.healthy(number)
        assert {status for status, _ in await asyncio.gather(*waiting)} == {200}

    in_world(check)


def test_no_engine_at_all() -> None:
    async def check(world: World) -> None:
        for runner in world.runners:
            await runner.cleanup()
        status, body = await world.ask()
        assert status == 502
        assert "cannot connect" in json.loads(body)["error"]["message"]
        assert (await world.get("/ready"))[1] == 503
        async with world.session.post(f"{world.url}/v1/completions", json={"prompt": "x"}) as answer:
            assert answer.status == 503
            assert 1 <= int(answer.headers["Retry-After"]) <= 60

    in_world(check, deadline_seconds=2.0)


def test_a_drained_instance_gets_nothing_until_it_is_back() -> None:
    async def check(world: World) -> None:
        async with world.session.post(f"{world.admin}/admin/drain/0") as answer:
            state = await answer.json()
        assert state["drained"]
        assert state["alive"]
        await asyncio.gather(*(world.ask() for _ in range(10)))
        assert world.engines[0].served == 0
        async with world.session.post(f"{world.admin}/admin/undrain/0") as answer:
            assert not (await answer.json())["drained"]
        await asyncio.gather(*(world.ask() for _ in range(10)))
        assert world.engines[0].served > 0
        async with world.session.post(f"{world.admin}/admin/drain/7") as answer:
            assert answer.status == 404
        for number in (0, 1):
            await (await world.session.post(f"{world.admin}/admin/drain/{number}")).read()
        status, body = await world.ask()
        assert status == 503
        assert b"all instances are drained" in body

    in_world(check)


def test_usage_corrects_the_estimate() -> None:
    async def check(world: World) -> None:
        world.gateway.estimate.bytes_per_token = 2.0
        for _ in range(40):
            await world.ask(5, 1)
        assert world.gateway.estimate.bytes_per_token == pytest.approx(5.0, rel=0.2)

    in_world(check)


def test_a_target_must_name_its_ranks() -> None:
    with pytest.raises(ConfigError, match="urls: 2 addresses for 3 ranks"):
        TargetConfig.of(urls=["http://a", "http://b"], ranks=3, kind="vllm")
    with pytest.raises(ConfigError, match="cannot select a rank"):
        TargetConfig.of(urls=["http://a"], ranks=3)


@pytest.mark.parametrize(
    ("urls", "match"),
    [
        ([["127.0.0.1:9"]], "must begin with http"),
        ([["http://a/v1/"]], "leave out /v1"),
        ([["http://a"], ["http://a/"]], "named twice"),
        ([], "at least 1"),
    ],
)
def test_addresses_that_cannot_be_meant(urls: list[list[str]], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        GatewayConfig.of(targets=[{"urls": one} for one in urls])
