"""Nobody waits for ever: engines that freeze, vanish or end too early, and clients that take nothing."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from time import monotonic

import aiohttp
import pytest
from aiohttp import web
from stage import Stage, error_of, events, on_stage, silent, until, well

EVENT, END = b'data: {"choices": []}\n\n', b"data: [DONE]\n\n"


def outcomes(stage: Stage) -> dict[str, int]:
    page = stage.gateway.measures.page().decode()
    found = re.findall(r'^espalier_requests_total{outcome="(\w+)"} (\S+)$', page, re.M)
    return {name: int(float(count)) for name, count in found}


@asynccontextmanager
async def engine_process() -> AsyncIterator[tuple[str, subprocess.Popen[str]]]:
    words = ["-m", "espalier", "serving", "fake-engine", "base=0.01", "per_token=1e-5", "--ranks=2", "--port=0"]
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        yield line.rsplit(" ", 1)[1].strip(), process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


def test_the_streams_of_a_frozen_engine_are_cut() -> None:
    """Thirty streams over two engines, one of which is stopped: its streams end in time, the others run on."""

    async def play(stage: Stage) -> None:
        async with engine_process() as (first, _), engine_process() as (second, frozen):
            await stage.front(first, second, stream_silence=1.0)
            words = {"stream": True, "max_tokens": 150, "model": "fake"}
            streams = [asyncio.create_task(stage.ask(5, **words)) for _ in range(30)]
            await until(lambda: all(one.answered for one in stage.gateway.dispatcher.tickets.values()))
            await asyncio.sleep(0.3)
            there = sum(one.instance == 1 for one in stage.gateway.dispatcher.tickets.values())
            assert 12 <= there <= 18, "half of a burst goes to each"
            frozen.send_signal(signal.SIGSTOP)
            begun = monotonic()
            done, _ = await asyncio.wait(streams, timeout=2.2)
            assert len(done) == there
            assert monotonic() - begun < 2.5
            for one in done:
                assert "stopped responding" in error_of(one.result()[1])
            others = await asyncio.gather(*(one for one in streams if one not in done))
            assert all(body.endswith(END) for _, body in others)
            assert outcomes(stage) == {"cut": there, "done": 30 - there}
            assert stage.gateway.dispatcher.tickets == {}

    on_stage(play)


def test_a_lost_engine_is_not_waited_for_as_long_as_a_slow_one() -> None:
    """`stream_silence` is for engines that are well; the streams of one that the watchdog lost end before."""

    async def play(stage: Stage) -> None:
        ill = False

        async def health(request: web.Request) -> web.StreamResponse:
            return await (silent if ill else well)(request)

        async def frozen(request: web.Request) -> web.StreamResponse:
            await events(request, EVENT, pause=60.0)
            raise AssertionError

        times = {"silence_seconds": 0.3, "retry_seconds": 0.3, "stream_silence": 30.0}
        await stage.front(await stage.engine(frozen, health), **times)
        stream = asyncio.create_task(stage.ask(stream=True))
        await asyncio.sleep(0.5)
        ill, begun = True, monotonic()
        assert "stopped responding" in error_of((await stream)[1])
        assert monotonic() - begun < 10.0
        assert stage.alive() == [False]

    on_stage(play)


def test_a_stream_that_is_slow_and_never_silent_is_not_cut() -> None:
    async def play(stage: Stage) -> None:
        async def slow(request: web.Request) -> web.StreamResponse:
            return await events(request, *[EVENT] * 6, END, pause=0.3)

        await stage.front(await stage.engine(slow), stream_silence=0.6)
        assert await stage.ask(stream=True) == (200, EVENT * 6 + END)

    on_stage(play)


def test_an_answer_that_comes_whole_may_not_stop_in_the_middle_either() -> None:
    async def play(stage: Stage) -> None:
        async def half(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            await response.prepare(request)
            await response.write(b'{"choices": [')
            await asyncio.sleep(60)
            return response

        await stage.front(await stage.engine(half), stream_silence=0.5)
        begun = monotonic()
        with pytest.raises(aiohttp.ClientError):
            await stage.ask()
        assert monotonic() - begun < 5.0
        assert outcomes(stage) == {"cut": 1}

    on_stage(play)


@pytest.mark.parametrize("streamed", [True, False])
def test_a_host_that_accepts_and_never_answers_hangs_nobody(streamed: bool) -> None:
    """It sends no FIN and no byte, not even of its health; another engine answers."""

    async def play(stage: Stage) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=64) as mute:
            url = f"http://127.0.0.1:{mute.getsockname()[1]}"
            await stage.front(url, await stage.engine(), silence_seconds=0.3, retry_seconds=0.3, policy="round_robin")
            begun = monotonic()
            answers = await asyncio.gather(*(stage.ask(stream=streamed) for _ in range(6)))
            assert monotonic() - begun < 10.0
            assert {status for status, _ in answers} == {200}
            assert stage.alive() == [False, True]

    on_stage(play)


def test_a_connection_that_is_not_made_in_time_is_no_slow_answer() -> None:
    """A host behind a dead link takes no connection and refuses none: another engine answers, as for any failure."""

    async def play(stage: Stage) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as stack:
            for _ in range(3):  # what the kernel accepts by itself; the next packets are dropped
                one = stack.enter_context(socket.socket())
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            await stage.front(f"http://127.0.0.1:{full.getsockname()[1]}", await stage.engine(), policy="round_robin")
            begun = monotonic()
            answers = await asyncio.gather(stage.ask(), stage.ask())
            assert [status for status, _ in answers] == [200, 200]
            assert monotonic() - begun < 8.0

    on_stage(play)


def test_an_engine_that_tells_and_then_vanishes_is_heard_again() -> None:
    """Its line of reports stays open without a word while the host is gone and back: it is not relied upon."""

    async def play(stage: Stage) -> None:
        gone, listened = False, 0
        report = {"seen": 0, "backlog": [0, 0], "waiting": [0, 0], "running": [0, 0], "busy": False}

        async def tell(request: web.Request) -> web.StreamResponse:
            nonlocal listened
            listened += 1
            return await events(request, b"data: " + json.dumps(report).encode() + b"\n\n", pause=60.0)

        async def health(request: web.Request) -> web.StreamResponse:
            return await (silent if gone else well)(request)

        async def answer(request: web.Request) -> web.StreamResponse:
            return await events(request, EVENT, END)

        times = {"retry_seconds": 0.2, "silence_seconds": 0.3, "deadline_seconds": 5.0}
        gateway = await stage.front(
            await stage.engine(answer, health, **{"/engine/events": tell}), kind="events", **times
        )
        await until(lambda: gateway.dispatcher.telling == {0})
        gone = True
        await until(lambda: stage.alive() == [False])
        gone = False
        await until(lambda: stage.alive() == [True])
        await until(lambda: listened == 2)
        assert [(await stage.ask(stream=True))[0] for _ in range(3)] == [200] * 3, "nor is one that tells of no pass"

    on_stage(play)


@pytest.mark.parametrize(
    ("sent", "got"),
    [
        ((EVENT, b'data: {"half": '), EVENT),
        ((EVENT,), EVENT),
        ((EVENT, b": still here\n\n"), EVENT + b": still here\n\n"),
        ((EVENT.replace(b"\n", b"\r\n"), b"data: [DONE"), EVENT.replace(b"\n", b"\r\n")),
        ((EVENT, b'data: {"text": "data: [DONE]"}\n\n'), EVENT + b'data: {"text": "data: [DONE]"}\n\n'),
    ],
)
def test_a_stream_that_ends_too_early_ends_with_an_error(sent: tuple[bytes, ...], got: bytes) -> None:
    async def play(stage: Stage) -> None:
        async def short(request: web.Request) -> web.StreamResponse:
            return await events(request, *sent)

        await stage.front(await stage.engine(short))
        status, body = await stage.ask(stream=True)
        assert status == 200
        assert body.startswith(got + b"data: ")
        assert json.loads(body.removeprefix(got)[6:])["error"]["message"].endswith("ended without [DONE]")
        assert outcomes(stage) == {"cut": 1}

    on_stage(play)


@pytest.mark.parametrize(
    "sent",
    [
        (EVENT, END),
        (EVENT, b"data: [DONE]"),
        (EVENT + b"data:[DONE]\n", b"\n"),
        (EVENT.replace(b"\n", b"\r\n"), b"data: [DONE]\r\n\r\n"),
        (EVENT.replace(b"\n", b"\r"), b"data: [DONE]\r\r"),
        (EVENT[:9], EVENT[9:-1], b"\n" + END[:5], END[5:]),
        (b"data: " + b"x" * 200_000, b"\n\n", END),
    ],
)
def test_a_stream_that_ends_well_passes_as_it_is(sent: tuple[bytes, ...]) -> None:
    async def play(stage: Stage) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            return await events(request, EVENT, *sent)

        await stage.front(await stage.engine(answer))
        assert await stage.ask(stream=True) == (200, EVENT + b"".join(sent))
        assert outcomes(stage) == {"done": 1}

    on_stage(play)


def test_an_error_event_of_the_engine_is_its_end() -> None:
    """It passes as it is, without another; the stream is not counted as done, whether or not `[DONE]` follows."""

    async def play(stage: Stage) -> None:
        error = b'data: {"error": {"message": "out of memory"}}\n\n'

        async def fail(request: web.Request) -> web.StreamResponse:
            return await events(request, EVENT, error, *[END] * (request.query_string == "more"))

        await stage.front(await stage.engine(fail))
        for query, end in (("", b""), ("?more", END)):
            url = f"{stage.url}/v1/completions{query}"
            async with stage.session.post(url, json={"prompt": "x", "stream": True}) as answer:
                assert await answer.read() == EVENT + error + end
        assert outcomes(stage) == {"cut": 2}

    on_stage(play)


def test_a_client_that_closes_after_done_has_not_left() -> None:
    async def play(stage: Stage) -> None:
        async def lingering(request: web.Request) -> web.StreamResponse:
            return await events(request, EVENT, END, pause=1.0)

        await stage.front(await stage.engine(lingering))
        for last in (END, EVENT):
            async with aiohttp.ClientSession() as client:
                answer = await client.post(f"{stage.url}/v1/completions", json={"prompt": "x", "stream": True})
                async for line in answer.content:
                    if line.strip() == last.strip():
                        break
                answer.close()
        await until(lambda: not stage.gateway.dispatcher.tickets)
        assert outcomes(stage) == {"done": 1, "left": 1}

    on_stage(play)


@pytest.mark.parametrize("status", [400, 404, 422, 429])
def test_what_an_engine_refuses_is_not_done(status: int) -> None:
    async def play(stage: Stage) -> None:
        async def refuse(request: web.Request) -> web.Response:
            return web.json_response({"error": {"message": "no"}}, status=status)

        await stage.front(await stage.engine(refuse))
        assert (await stage.ask())[0] == status
        assert outcomes(stage) == {"rejected": 1}

    on_stage(play)


def test_a_client_that_takes_nothing_does_not_keep_its_engine() -> None:
    async def play(stage: Stage) -> None:
        stopped = []

        async def flood(request: web.Request) -> web.StreamResponse:
            try:
                return await events(request, *[b"data: " + b"x" * 50_000 + b"\n\n"] * 10_000, END, pause=0.0)
            except (ConnectionError, asyncio.CancelledError):
                stopped.append(True)
                raise

        await stage.front(await stage.engine(flood), stream_silence=0.5)
        host, port = stage.url.removeprefix("http://").split(":")
        _reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        body = b'{"prompt": "x", "stream": true}'
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await until(lambda: stopped == [True])
        assert outcomes(stage) == {"left": 1}
        writer.close()

    on_stage(play)
