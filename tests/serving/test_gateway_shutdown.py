"""A signal to a gateway that is busy: no client is left without a word."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic

from aiohttp import web
from stage import Stage, on_stage, silent, until

from espalier.serving.gateway.ticket import close

EVENT = b'data: {"choices": []}\n\n'


def test_a_signal_ends_every_phase_with_a_word(tmp_path: Path) -> None:
    """The gateway as a process, and an engine whose streams never end, and whose whole answers never begin."""

    async def play(stage: Stage) -> None:
        async def endless(request: web.Request) -> web.StreamResponse:
            if not (await request.json())["stream"]:
                return await silent(request)
            answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await answer.prepare(request)
            while True:
                await answer.write(EVENT)
                await asyncio.sleep(0.001)

        url = await stage.engine(endless)
        file = tmp_path / "gateway.yaml"
        file.write_text(f"targets: [{{urls: [{url}]}}]\nscheduler: {{policy: sbs}}\n")
        command = [sys.executable, "-m", "espalier", "serving", "gateway", str(file), "port=0", "grace_seconds=0.5"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert process.stdout is not None
            line = await asyncio.to_thread(process.stdout.readline)
            stage.url = line.rsplit(" ", 1)[1].strip()
            asked = [asyncio.create_task(stage.ask(5, model="fake", stream=i % 2 == 0)) for i in range(8)]
            await asyncio.sleep(1.5)
            process.send_signal(signal.SIGTERM)
            begun = monotonic()
            for i, (status, body) in enumerate(await asyncio.gather(*asked)):
                assert status == (200 if i % 2 == 0 else 503)
                assert b"the gateway is shutting down" in body
            assert await asyncio.to_thread(process.wait, 5) == 0
            assert monotonic() - begun < 4.0
        finally:
            process.kill()
            process.wait()

    on_stage(play)


def test_what_is_held_at_shutdown_is_told() -> None:
    async def play(stage: Stage) -> None:
        gateway = await stage.front(await stage.engine(silent), grace_seconds=0.1)
        gateway.dispatcher.drain(0, out=True)
        gateway.dispatcher.drained.clear()  # it stays paused: what comes is held
        asked = asyncio.create_task(stage.ask())
        await until(lambda: bool(gateway.dispatcher.tickets))
        await close(gateway.dispatcher.tickets, 0.1)
        status, body = await asked
        assert status == 503
        assert b"the gateway is shutting down" in body
        assert b'espalier_requests_total{outcome="refused"} 1.0' in gateway.measures.page()

    on_stage(play)
