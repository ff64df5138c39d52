"""What the gateway does where engines or clients misbehave."""

from __future__ import annotations

import asyncio
import gzip
import json
from time import monotonic
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from sockets import served
from stage import QUICK, Stage, error_of, events, on_stage, silent, until

from espalier.serving.gateway.fake import FakeEngine, FakeSettings
from espalier.serving.gateway.tokens import Prompt


def test_an_answer_that_comes_whole_does_not_hold_up_its_engine() -> None:
    """Its first byte comes after all its tokens, and says nothing of prefill."""

    async def play(stage: Stage) -> None:
        gateway = await stage.front(await stage.engine())
        slow = asyncio.create_task(stage.ask(max_tokens=100))
        await asyncio.sleep(0.1)
        begun = monotonic()
        assert (await stage.ask(stream=True))[0] == 200
        assert monotonic() - begun < 1.5 < 100 * 0.02
        assert (await slow)[0] == 200
        assert gateway.dispatcher.interval.duration < 0.1

    on_stage(play)


def test_a_long_answer_is_not_asked_for_twice() -> None:
    async def play(stage: Stage) -> None:
        asked = 0

        async def slow(request: web.Request) -> web.Response:
            nonlocal asked
            asked += 1
            await asyncio.sleep(0.6)
            return web.json_response({})

        await stage.front(await stage.engine(slow), await stage.engine(slow), first_byte_seconds=0.2)
        assert [(await stage.ask())[0] for _ in range(3)] == [200] * 3
        assert asked == 3
        assert (await stage.ask(stream=True))[0] == 502
        assert asked == 5

    on_stage(play)


def test_an_answer_that_never_comes_is_given_up() -> None:
    async def play(stage: Stage) -> None:
        await stage.front(await stage.engine(silent), answer_seconds=0.5)
        status, body = await stage.ask()
        assert status == 504
        assert b"no whole answer within 0.5 s" in body
        assert stage.alive() == [True]

    on_stage(play)


def test_clients_cookies_are_their_own() -> None:
    async def play(stage: Stage) -> None:
        seen = []

        async def remember(request: web.Request) -> web.Response:
            seen.append(request.headers.get("Cookie"))
            response = web.json_response({})
            response.set_cookie("sid", "alice")
            return response

        url = await stage.engine(remember)
        await stage.front(url.replace("127.0.0.1", "localhost"))  # jars ignore addresses
        for _ in range(2):
            async with aiohttp.ClientSession() as client, client.post(f"{stage.url}/v1/completions", json={}) as answer:
                assert answer.cookies["sid"].value == "alice"
        assert seen == [None, None]

    on_stage(play)


def test_refused_requests_say_nothing_of_how_fast_an_engine_is() -> None:
    async def play(stage: Stage) -> None:
        async def refuse(request: web.Request) -> web.Response:
            return web.json_response({"error": {"message": "too long"}}, status=400)

        gateway = await stage.front(await stage.engine(refuse))
        for _ in range(5):
            assert (await stage.ask(stream=True))[0] == 400
        assert gateway.dispatcher.interval.duration == 0.0

    on_stage(play)


def test_a_busy_engine_is_not_to_blame_and_another_may_do() -> None:
    async def play(stage: Stage) -> None:
        async def busy(request: web.Request) -> web.Response:
            return web.json_response({"error": "busy"}, status=429, headers={"Retry-After": "7"})

        gateway = await stage.front(await stage.engine(busy), await stage.engine(), policy="round_robin")
        assert {(await stage.ask())[0] for _ in range(8)} == {200}
        assert not any(breaker.open for breaker in gateway.dispatcher.breakers)
        await stage.front(await stage.engine(busy))
        async with stage.session.post(f"{stage.url}/v1/completions", json={"prompt": "x"}) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "7"), "its own words where there is no other"

    on_stage(play)


@pytest.mark.parametrize(
    "parts",
    [
        (b'data: {"err', b'or": {"message": "boom"}}\n\n'),
        (b": ping\n\n", b'event: error\ndata: {"error": "boom"}\n\n'),
        (b'data: {"object": "error", "message": "boom"}\r\n\r\n',),
        (b": ping\n\n",),
    ],
)
def test_a_stream_that_begins_with_an_error_or_ends_unbegun_is_tried_elsewhere(parts: tuple[bytes, ...]) -> None:
    async def play(stage: Stage) -> None:
        async def bad(request: web.Request) -> web.StreamResponse:
            return await events(request, *parts)

        await stage.front(await stage.engine(bad), await stage.engine(), policy="round_robin")
        for _ in range(4):
            status, body = await stage.ask(stream=True)
            assert status == 200
            assert body.endswith(b"[DONE]\n\n")

    on_stage(play)


def test_comments_before_the_first_event_pass_too() -> None:
    async def play(stage: Stage) -> None:
        async def ping(request: web.Request) -> web.StreamResponse:
            return await events(request, b": ping\n\n", b'data: {"a": 1}\n\n', b"data: [DONE]\n\n")

        await stage.front(await stage.engine(ping))
        assert await stage.ask(stream=True) == (200, b': ping\n\ndata: {"a": 1}\n\ndata: [DONE]\n\n')

    on_stage(play)


def test_streams_that_break_off_count_against_their_engine() -> None:
    async def play(stage: Stage) -> None:
        async def broken(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await response.write(b'data: {"a": 1}\n\n')
            await asyncio.sleep(0.05)
            assert request.transport is not None
            request.transport.abort()
            return response

        gateway = await stage.front(await stage.engine(broken), retry_seconds=60.0)
        for _ in range(3):
            status, body = await stage.ask(stream=True)
            assert status == 200
            assert error_of(body) == "the engine failed: its answer broke off"
        await until(lambda: gateway.dispatcher.breakers[0].open)
        assert stage.alive() == [False]

    on_stage(play)


def test_an_engine_that_fails_is_left_alone_and_comes_back() -> None:
    async def play(stage: Stage) -> None:
        bad = True

        async def moody(request: web.Request) -> web.Response:
            if "slow" in await request.text():
                await asyncio.sleep(0.5)
            return web.json_response({}, status=500 if bad and "slow" not in await request.text() else 200)

        gateway = await stage.front(await stage.engine(moody), policy="least_tokens", retry_seconds=0.3)
        slow = asyncio.create_task(stage.ask(prompt="slow"))
        await asyncio.sleep(0.1)
        assert [(await stage.ask())[0] for _ in range(3)] == [502] * 3
        assert stage.alive() == [False]
        bad = False
        assert (await slow)[0] == 200, "what it was at work on goes on"
        await until(lambda: stage.alive() == [True])
        assert not gateway.dispatcher.breakers[0].open
        assert (await stage.ask())[0] == 200

    on_stage(play)


@pytest.mark.parametrize("streamed", [True, False])
def test_what_a_hung_engine_has_is_tried_elsewhere(streamed: bool) -> None:
    async def play(stage: Stage) -> None:
        urls = await stage.engine(silent, silent), await stage.engine()
        await stage.front(*urls, silence_seconds=0.3, retry_seconds=0.3)
        begun = monotonic()
        assert (await stage.ask(stream=streamed))[0] == 200
        assert monotonic() - begun < 10.0
        assert stage.alive() == [False, True]

    on_stage(play)


def test_an_engine_that_owes_answers_and_says_it_is_well_gets_nothing_more() -> None:
    async def play(stage: Stage) -> None:
        asked = 0

        async def hung(request: web.Request) -> web.Response:
            nonlocal asked
            asked += 1
            return await silent(request)

        urls = await stage.engine(hung), await stage.engine()
        gateway = await stage.front(*urls, silence_seconds=0.2)
        stuck = asyncio.create_task(stage.ask(stream=True))
        await until(lambda: gateway.dispatcher.doubted == {0})
        assert [(await stage.ask())[0] for _ in range(10)] == [200] * 10
        assert asked == 1
        stuck.cancel()
        await until(lambda: gateway.dispatcher.doubted == set())

    on_stage(play)


def test_an_idle_engine_that_dies_is_missed_without_a_request() -> None:
    async def play(stage: Stage) -> None:
        fake = FakeEngine(FakeSettings(2, QUICK))
        context = served(fake.app)
        url, _ = await context.__aenter__()
        await stage.front(url, await stage.engine(), retry_seconds=0.3)
        await asyncio.sleep(0.5)
        assert stage.alive() == [True, True]
        await context.__aexit__(None, None, None)
        await until(lambda: stage.alive() == [False, True])

    on_stage(play)


def test_a_client_that_leaves_before_the_first_token_stops_its_engine() -> None:
    """Many servers send headers before the first token."""

    async def play(stage: Stage) -> None:
        said = []

        async def headers_first(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            try:
                await asyncio.sleep(20)
            except asyncio.CancelledError:
                said.append("stopped")
                raise
            return response

        gateway = await stage.front(await stage.engine(headers_first))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stage.ask(stream=True), 0.3)
        await until(lambda: said == ["stopped"])
        assert gateway.dispatcher.tickets == {}
        assert 'espalier_requests_total{outcome="left"} 1.0' in gateway.measures.page().decode()

    on_stage(play)


def test_a_request_that_never_reached_an_engine_that_tells_does_not_block_it() -> None:
    async def play(stage: Stage) -> None:
        gateway = await stage.front(await stage.engine(), kind="events", deadline_seconds=3.0)
        await until(lambda: gateway.dispatcher.telling == {0})
        ticket = gateway.dispatcher.submit(Prompt(20, 0))
        await ticket.placed
        gateway.dispatcher.release(ticket)
        assert [(await stage.ask())[0] for _ in range(3)] == [200] * 3
        instance = gateway.dispatcher.pool.instances[0]
        assert (list(instance.unseen), instance.backlog.values, instance.busy) == ([], [0, 0], False)

    on_stage(play)


def test_an_engine_that_tells_may_start_anew() -> None:
    async def play(stage: Stage) -> None:
        first = served(FakeEngine(FakeSettings(2, QUICK)).app)
        url, _ = await first.__aenter__()
        gateway = await stage.front(url, kind="events", deadline_seconds=4.0, retry_seconds=0.3)
        assert [(await stage.ask())[0] for _ in range(3)] == [200] * 3
        await first.__aexit__(None, None, None)
        await until(lambda: stage.alive() == [False])
        runner = web.AppRunner(FakeEngine(FakeSettings(2, QUICK)).app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", int(url.rsplit(":", 1)[1]), reuse_address=True).start()
        await until(lambda: stage.alive() == [True])
        assert [(await stage.ask())[0] for _ in range(3)] == [200] * 3
        await runner.cleanup()
        assert gateway.dispatcher.pool.instances[0].sent == 6

    on_stage(play)


@pytest.mark.parametrize(
    "told",
    [
        b'data: {"new": 1}\n\n',
        b"data: 7\n\n",
        b'data: {"seen": 1, "backlog": [0, 0, 0], "waiting": [0, 0], "running": [0, 0], "busy": false}\n\n',
        b'data: {"seen": 1, "backlog": [0, "0"], "waiting": [0, 0], "running": [0, 0], "busy": false}\n\n',
        b'data: {"seen": -1, "backlog": [0, 0], "waiting": [0, 0], "running": [0, 0], "busy": false}\n\n',
    ],
)
def test_reports_that_make_no_sense_are_not_believed(told: bytes) -> None:
    """The engine's state is inferred instead, and it is listened to again."""

    async def play(stage: Stage) -> None:
        listened = 0

        async def nonsense(request: web.Request) -> web.StreamResponse:
            nonlocal listened
            listened += 1
            return await events(request, told, pause=0.2)

        async def first_token(request: web.Request) -> web.StreamResponse:
            return await events(request, b'data: {"a": 1}\n\n')

        url = await stage.engine(first_token, **{"/engine/events": nonsense})
        gateway = await stage.front(url, kind="events")
        assert [(await stage.ask(stream=True))[0] for _ in range(3)] == [200] * 3
        await until(lambda: listened >= 2)
        assert gateway.dispatcher.telling == set()
        assert gateway.dispatcher.pool.instances[0].backlog.values == [0, 0]

    on_stage(play)


def test_bodies_and_headers_keep_their_sense() -> None:
    async def play(stage: Stage) -> None:
        seen: list[Any] = []

        async def look(request: web.Request) -> web.Response:
            names = ("Accept-Encoding", "Content-Encoding", "X-Secret", "X-Data-Parallel-Rank", "User-Agent")
            seen.append([request.headers.get(name) for name in names] + [request.headers.getall("X-Many")])
            response = web.json_response({"text": "a" * 3000, "said": await request.json()})
            response.headers.add("X-Two", "1")
            response.headers.add("X-Two", "2")
            response.enable_compression()
            return response

        await stage.front(await stage.engine(look))
        headers = [("X-Many", "1"), ("X-Many", "2"), ("Connection", "x-secret"), ("X-Secret", "s")]
        headers += [("X-Data-Parallel-Rank", "9"), ("Content-Encoding", "gzip"), ("Content-Type", "application/json")]
        body = gzip.compress(json.dumps({"prompt": "x" * 500}).encode())
        plain = aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=["User-Agent"])
        async with plain as client, client.post(f"{stage.url}/v1/completions", data=body, headers=headers) as answer:
            assert answer.headers.getall("X-Two") == ["1", "2"]
            assert json.loads(await answer.read())["said"] == {"prompt": "x" * 500}
        assert seen == [["identity", None, None, "0", None, ["1", "2"]]]

    on_stage(play)


def test_a_stream_that_is_packed_in_spite_of_all_passes_as_it_is() -> None:
    async def play(stage: Stage) -> None:
        packed = gzip.compress(b'data: {"a": 1}\n\ndata: [DONE]\n\n')

        async def pack(request: web.Request) -> web.Response:
            headers = {"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}
            return web.Response(body=packed, headers=headers)

        await stage.front(await stage.engine(pack))
        assert await stage.ask(stream=True) == (200, gzip.decompress(packed))

    on_stage(play)


def test_redirects_and_the_list_of_models_pass_as_they_are() -> None:
    async def play(stage: Stage) -> None:
        async def redirect(request: web.Request) -> web.Response:
            raise web.HTTPTemporaryRedirect("http://127.0.0.1:9/x")

        async def models(request: web.Request) -> web.Response:
            known = request.headers.get("Authorization") == "Bearer k"
            return web.json_response({"data": []}, status=200 if known else 401)

        await stage.front(await stage.engine(redirect, **{"/v1/models": models}))
        async with stage.session.post(f"{stage.url}/v1/completions", json={}, allow_redirects=False) as answer:
            assert answer.status == 307
        for headers, status in (({}, 401), ({"Authorization": "Bearer k"}, 200)):
            async with stage.session.get(f"{stage.url}/v1/models", headers=headers) as answer:
                assert answer.status == status

    on_stage(play)


def test_bodies_that_are_no_requests() -> None:
    async def play(stage: Stage) -> None:
        gateway = await stage.front(await stage.engine())
        for body in (b'{"prompt":' + b"[" * 50_000 + b"]" * 50_000 + b"}", b"{", b"\xff"):
            async with stage.session.post(f"{stage.url}/v1/completions", data=body) as answer:
                assert answer.status == 400
        async with stage.session.post(
            f"{stage.url}/v1/completions", json={}, headers={"X-Espalier-Deadline": "-1"}
        ) as answer:
            assert answer.status == 400
        assert 'espalier_requests_total{outcome="bad"} 4.0' in gateway.measures.page().decode()
        assert gateway.dispatcher.tickets == {}

    on_stage(play)


def test_a_client_may_wait_for_less_than_the_gateway_allows() -> None:
    async def play(stage: Stage) -> None:
        gateway = await stage.front(await stage.engine())
        gateway.dispatcher.doubt(0, True)
        begun = monotonic()
        async with stage.session.post(
            f"{stage.url}/v1/completions", json={"prompt": "x"}, headers={"X-Espalier-Deadline": "0.2"}
        ) as answer:
            assert answer.status == 503
            assert b"within 0.2 s" in await answer.read()
        assert monotonic() - begun < 2.0
        assert gateway.dispatcher.held_tokens == 0

    on_stage(play)


def test_an_instance_that_was_drained_while_at_work_is_still_at_work() -> None:
    async def play(stage: Stage) -> None:
        gateway = await stage.front(await stage.engine())
        ticket = gateway.dispatcher.submit(Prompt(190, 0))
        await ticket.placed
        gateway.dispatcher.drain(0, True)
        gateway.dispatcher.drain(0, False)
        instance = gateway.dispatcher.pool.instances[0]
        assert instance.busy
        assert max(instance.backlog.values) >= 90
        later = gateway.dispatcher.submit(Prompt(20, 0))
        assert not later.placed.done(), "a busy engine gets nothing"
        for one in (ticket, later):
            gateway.dispatcher.release(one)

    on_stage(play)
