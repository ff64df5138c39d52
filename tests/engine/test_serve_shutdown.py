"""A signal to a real server that is busy: it is heard at once, and no client is left without a word."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from pathlib import Path

import httpx
import pytest
from serving_models import NAME, language, served

BODY = {"model": NAME, "prompt": "x", "max_tokens": 900, "n": 40}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shutdown") / "model"
    language().save(path)
    return path


@pytest.mark.parametrize("grace", [0, 1])
def test_a_signal_is_heard_with_streams_open_and_a_queue(folder: Path, grace: int) -> None:
    with served(folder, "--grace", str(grace), ESPALIER_API_KEY="k") as (process, url):

        async def main() -> list[httpx.Response]:
            async with httpx.AsyncClient(base_url=url, timeout=60, headers={"Authorization": "Bearer k"}) as http:
                bodies = [BODY | {"stream": i % 2 == 0} for i in range(10)]
                asked = [asyncio.create_task(http.post("/v1/completions", json=body)) for body in bodies]
                while (await http.get("/health")).json()["running"] < 8:
                    await asyncio.sleep(0.05)
                sent = time.monotonic()
                process.send_signal(signal.SIGTERM)
                answers = await asyncio.gather(*asked)
                assert time.monotonic() - sent < grace + 4
                return answers

        for i, answer in enumerate(asyncio.run(main())):
            last = answer.text.rstrip().rpartition("data: ")[2]
            assert answer.status_code == (200 if i % 2 == 0 else 503)
            assert "shutting down" in json.loads(last)["error"]["message"]
        assert process.wait(10) == -signal.SIGTERM


def test_what_ends_within_the_grace_is_answered(folder: Path) -> None:
    with served(folder, "--grace", "20") as (process, url):

        async def main() -> httpx.Response:
            async with httpx.AsyncClient(base_url=url, timeout=60) as http:
                asked = asyncio.create_task(http.post("/v1/completions", json=BODY | {"n": 2, "stream": True}))
                while not (await http.get("/health")).json()["running"]:
                    await asyncio.sleep(0.01)
                process.send_signal(signal.SIGTERM)
                return await asked

        assert asyncio.run(main()).text.endswith("data: [DONE]\n\n")
        assert process.wait(10) == -signal.SIGTERM
