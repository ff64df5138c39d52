"""One request must never disturb another: random requests to `espalier serve`, beside some that run all the time.

A tiny model with random weights is served by a process of its own. 50 requests run without pause, with every kind of
sampling, streamed and whole; what each answered when it was alone is known. Beside them 2,000 random requests come in,
valid and not (`serve_requests.py`), some from clients that leave. Counted: neighbours whose tokens, log-probs and
finish reason differ from the solo run, answers 500 to 599, answers that are not JSON of OpenAI's shape, and streams
that end with neither `[DONE]` nor an error event. `--quick` has 300 random requests.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import torch

from common import Row, arguments, finish
from espalier.core.io import strict_json
from espalier.lm.build import build
from espalier.lm.config import ModelConfig, TokenizerConfig
from serve_requests import request

NEIGHBOURS, REQUESTS, QUICK_REQUESTS, AT_ONCE = 50, 2_000, 300, 16
TEXTS = ("hello world, the user asks and the assistant answers: é 👍 中文 12+34=46. ",) * 3
SAMPLINGS: tuple[dict[str, Any], ...] = (
    {},
    {"temperature": 0},
    {"temperature": 0.7},
    {"top_p": 0.9},
    {"top_k": 20, "temperature": 1.3},
    {"min_p": 0.02},
)


@dataclass
class Seen:
    """What came back. `wrong`: descriptions of answers that should not be."""

    statuses: Counter[int | str] = field(default_factory=Counter)
    neighbours: int = 0
    disturbed: int = 0
    wrong: list[str] = field(default_factory=list)
    slowest: float = 0.0


def main() -> int:
    """Run it."""
    args = arguments(__doc__ or "").parse_args()
    count = QUICK_REQUESTS if args.quick else REQUESTS
    with tempfile.TemporaryDirectory() as folder:
        make_model(Path(folder) / "fuzz")
        process, url = start(Path(folder) / "fuzz")
        try:
            seen = asyncio.run(fuzz(url, count))
            process.send_signal(signal.SIGTERM)
            ended = process.wait(30)
        finally:
            process.kill()
    answers = ", ".join(f"{number} times {status}" for status, number in seen.statuses.most_common())
    print(f"random requests: {answers}; the server ended with {ended}")
    for one in seen.wrong[:10]:
        print(one)
    answered = sum(seen.statuses.values())
    undisturbed = seen.neighbours - seen.disturbed
    rows = [
        Row(
            "neighbours undisturbed", undisturbed, seen.neighbours, "requests", undisturbed / seen.neighbours, must=1.0
        ),
        Row(
            "answered as it should be",
            count - len(seen.wrong),
            count,
            "requests",
            1 - len(seen.wrong) / count,
            must=1.0,
        ),
        Row("longest wait for /health", seen.slowest, None, "s", None),
    ]
    assert answered == count
    return finish("Serving: random requests beside running ones", rows, args, ("torch", "starlette", "uvicorn"))


def make_model(folder: Path) -> None:
    """A model whose answers are far from uniform and hold parts of characters."""
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "max_position_embeddings": 512}
    tokenizer = TokenizerConfig(kind="bpe", vocab_size=400)
    language = build(ModelConfig(renderer="glm", tokenizer=tokenizer, decoder=shape), seed=0, texts=TEXTS)
    with torch.no_grad():
        for parameter in language.decoder.parameters():
            if parameter.dim() > 1:
                parameter.mul_(6.0)
    language.save(folder)


def start(folder: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    """`espalier serve` in a process of its own, and its address."""
    command = [sys.executable, "-m", "espalier.cli.main", "serve", str(folder), "--port", "0", "--renderer", "glm"]
    process = subprocess.Popen(
        [*command, "--max-rows", "64", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if " on http://" in line:
            return process, line.split(" on ")[1].split()[0]
    raise RuntimeError(f"the server ended with {process.wait()}")


async def fuzz(url: str, count: int) -> Seen:
    """`count` random requests beside the neighbours."""
    seen, drawn = Seen(), random.Random(0)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        solo = [await ask(client, *neighbour(i)) for i in range(NEIGHBOURS)]
        enough = asyncio.Event()
        running = [asyncio.create_task(keep_asking(client, i, solo[i], seen, enough)) for i in range(NEIGHBOURS)]
        watching = asyncio.create_task(watch(client, seen))
        todo = iter([request(drawn) for _ in range(count)])
        await asyncio.gather(*(throw(client, todo, seen, random.Random(i)) for i in range(AT_ONCE)))
        watching.cancel()
        enough.set()
        await asyncio.gather(*running)
    return seen


def neighbour(index: int) -> tuple[str, dict[str, Any]]:
    """The path and the body of a request that runs all the time."""
    body = {"model": "fuzz", "max_tokens": 40 + 5 * (index % 20), "seed": index, **SAMPLINGS[index % len(SAMPLINGS)]}
    body |= {"stream": index % 2 == 1}
    if index % 4 < 2:
        return "/v1/completions", body | {"prompt": f"hello {index % 7}", "logprobs": 3}
    return "/v1/chat/completions", body | {
        "messages": [{"role": "user", "content": f"hi {index % 7}"}],
        "logprobs": True,
    }


async def keep_asking(
    client: httpx.AsyncClient, index: int, expected: list[Any], seen: Seen, enough: asyncio.Event
) -> None:
    """Ask again and again, and compare, until the random requests are done."""
    path, body = neighbour(index)
    while not enough.is_set():
        found = await ask(client, path, body)
        seen.neighbours += 1
        if not same(found, expected):
            seen.disturbed += 1
            seen.wrong.append(f"neighbour {index}: {str(found)[:200]} instead of {str(expected)[:200]}")


async def throw(client: httpx.AsyncClient, todo: Iterator[tuple[str, bytes]], seen: Seen, drawn: random.Random) -> None:
    """Send one random request after the other; one client in ten leaves early."""
    for path, body in todo:
        patience = drawn.choice((0.0, 0.01, 0.05)) if drawn.random() < 0.1 else None
        try:
            answer = await asyncio.wait_for(client.post(path, content=body), patience)
        except TimeoutError:
            seen.statuses["left"] += 1
            continue
        seen.statuses[answer.status_code] += 1
        if fault := judge(answer):
            seen.wrong.append(f"{fault}: {path} {body[:300]!r} -> {answer.status_code} {answer.text[:300]}")


def judge(answer: httpx.Response) -> str:
    """What is wrong with an answer; empty if nothing is."""
    try:
        if answer.status_code >= 500:
            return "a failure of the server"
        if answer.status_code != 200:
            error = strict_json.loads(answer.content)["error"]
            return "" if error["message"] and error["type"] and {"param", "code"} <= set(error) else "no OpenAI error"
        if not answer.headers["content-type"].startswith("text/event-stream"):
            return "" if strict_json.loads(answer.content)["choices"] else "no choices"
        *events, last = [event.removeprefix("data: ") for event in answer.text.split("\n\n") if event]
        parsed = [strict_json.loads(event) for event in (events if last == "[DONE]" else [*events, last])]
        if any("error" in event for event in parsed):
            return "a stream that was let in failed"
        return "" if last == "[DONE]" else "a stream without an end"
    except (ValueError, KeyError, TypeError) as error:
        return f"no answer of OpenAI's shape ({error!r})"


async def watch(client: httpx.AsyncClient, seen: Seen) -> None:
    """How long `/health` takes while all this goes on."""
    while True:
        began = time.perf_counter()
        await client.get("/health")
        seen.slowest = max(seen.slowest, time.perf_counter() - began)
        await asyncio.sleep(0.1)


async def ask(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> list[Any]:
    """The tokens and log-probs of an answer, and why it ended."""
    answer = await client.post(path, json=body)
    if answer.status_code != 200:
        return [answer.status_code, answer.text]
    if not body["stream"]:
        return told([answer.json()])
    events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    return told([json.loads(event) for event in events if event != "[DONE]"])


def told(parts: list[dict[str, Any]]) -> list[Any]:
    """(token, log-prob) of all tokens in the pieces of one answer, and the finish reason."""
    items: list[Any] = []
    for choice in (choice for part in parts for choice in part["choices"]):
        logprobs = choice["logprobs"]
        if "content" in logprobs:
            items += [(token["token"], token["logprob"]) for token in logprobs["content"]]
        else:
            items += zip(logprobs["tokens"], logprobs["token_logprobs"], strict=True)
    return [*items, parts[-1]["choices"][0]["finish_reason"]]


def same(found: list[Any], expected: list[Any]) -> bool:
    """Equal tokens, and log-probs to 1e-4."""
    if len(found) != len(expected) or found[-1] != expected[-1]:
        return False
    return all(a == c and abs(b - d) < 1e-4 for (a, b), (c, d) in zip(found[:-1], expected[:-1], strict=True))


if __name__ == "__main__":
    sys.exit(main())
