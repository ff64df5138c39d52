"""The gateway over real sockets: what it adds, whether it loses anything, and whether it does what the simulator says.

Gateway and engines are processes of their own, started with the command line. `latency`: time to first byte through the
gateway less the time it says it held the request, against the same engine asked directly, in turn. `soak`: 10,000
requests of which one in ten clients leaves early, while one of four engines is killed. `agree`: the same arrivals of
Azure lengths in the simulator and over sockets.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import aiohttp
import numpy as np

from common import Row, arguments, finish
from espalier.core.data import DataRoot
from espalier.serving.config import CompareConfig, TrafficConfig
from espalier.serving.core.types import Request
from espalier.serving.sim.metrics import Times
from espalier.serving.sim.scenario import Scenario, arrivals, find_trace, run_scenario

PORT, ADMIN = 18_400, 18_399
PARTS = ("latency", "soak", "agree")
LATENCY_MS = {100: 3.0, 200: 6.0}
POINTS = 5.0
INSTANCES, RANKS, LOAD = 4, 8, 0.7


@dataclass
class Answer:
    """Seconds to the first byte and seconds held, None where there was none. text: of the stream. id: as echoed."""

    status: int = 0
    first: float = 0.0
    held: float = 0.0
    text: list[str] = field(default_factory=list)
    id: str = ""
    whole: bool = False
    left: bool = False
    error: str = ""


@contextmanager
def started(*words: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server of the command line, once it answers /health."""
    command = [sys.executable, "-m", "espalier", "serving", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        asyncio.run(_healthy(port))
        yield process
    finally:
        process.kill()
        process.wait()


async def _healthy(port: int) -> None:
    async with aiohttp.ClientSession() as session:
        for _ in range(200):
            try:
                async with session.get(f"http://127.0.0.1:{port}/health") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
    raise TimeoutError(f"nobody answers on port {port}")


@contextmanager
def world(engines: int, policy: str, kind: str, *, ranks: int, **times: float) -> Iterator[list[Any]]:
    """A gateway on PORT in front of fake engines on the ports after it; yields the engines' processes."""
    ports = [PORT + 1 + k for k in range(engines)]
    words = [f"{name}={value}" for name, value in times.items()]
    settings = {
        "port": PORT,
        "admin_port": ADMIN,
        "prefill_only": True,  # as in the simulator; the fake engines' decoding takes no time from their prefill
        "bytes_per_token": 5.0,
        "scheduler": {"policy": policy},
        "prefill": times,
        "targets": [{"urls": [f"http://127.0.0.1:{port}"], "ranks": ranks, "kind": kind} for port in ports],
    }
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "gateway.yaml").write_text(json.dumps(settings))
        command = ("fake-engine", *words, "--ranks", str(ranks))
        fakes = [stack.enter_context(started(*command, "--port", str(port), port=port)) for port in ports]
        stack.enter_context(started("gateway", str(folder / "gateway.yaml"), port=PORT))
        yield fakes


async def send(port: int, requests: Sequence[Request], leave: dict[int, float] | None = None) -> list[Answer]:
    """Open loop: each request at its time. leave: by number, seconds after which the client goes."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        begun, tasks = perf_counter(), []
        for request in requests:
            await asyncio.sleep(max(request.arrival - (perf_counter() - begun), 0.0))
            tasks.append(asyncio.create_task(_patient(session, port, request, (leave or {}).get(request.id))))
        return list(await asyncio.gather(*tasks))


async def _patient(session: aiohttp.ClientSession, port: int, request: Request, leave: float | None) -> Answer:
    answer = Answer()
    try:
        async with asyncio.timeout(leave):
            await _ask(session, port, request, answer)
    except TimeoutError:
        answer.left = True
    except (aiohttp.ClientError, OSError) as error:
        answer.error = f"{type(error).__name__} {error}"
    return answer


async def _ask(session: aiohttp.ClientSession, port: int, request: Request, answer: Answer) -> None:
    body = {"model": "fake", "prompt": "word " * request.prompt, "max_tokens": request.output, "stream": True}
    url, headers = f"http://127.0.0.1:{port}/v1/completions", {"X-Request-Id": f"r{request.id}"}
    begun = perf_counter()
    async with session.post(url, json=body, headers=headers) as got:
        answer.status, answer.id = got.status, got.headers.get("X-Request-Id", "")
        answer.held = float(got.headers.get("X-Espalier-Wait", 0.0))
        async for line in got.content:
            answer.first = answer.first or perf_counter() - begun
            if line.startswith(b"data: [DONE]"):
                answer.whole = True
            elif line.startswith(b"data: "):
                event = json.loads(line[6:])
                if "error" in event:
                    answer.error = event["error"]["message"]
                    return
                answer.text.append(event["id"] + " " + event["choices"][0]["text"].strip())


def latency(quick: bool) -> list[Row]:
    """Added milliseconds at the median; 10 to 90% over repeats."""
    rows, seconds, repeats = [], 5 if quick else 10, 3 if quick else 7
    for policy in ("least_tokens", "sbs_whole"):
        with world(1, policy, "vllm", ranks=8, base=0.001, per_token=0.0):
            for rate, most in LATENCY_MS.items():
                asyncio.run(send(PORT, _steady(rate, 2)))
                added = []
                for _ in range(repeats):
                    direct = [one.first for one in asyncio.run(send(PORT + 1, _steady(rate, seconds)))]
                    through = [one.first - one.held for one in asyncio.run(send(PORT, _steady(rate, seconds)))]
                    added.append(1000 * float(np.median(through) - np.median(direct)))
                ms = float(np.median(added))
                low, high = np.percentile(added, [10, 90])
                note = f"10-90% of {repeats} repeats: {low:.2f} to {high:.2f} ms"
                rows.append(Row(f"added at {rate}/s, {policy}", ms, most, "ms", most / ms, must=1.0, note=note))
    return rows


def _steady(rate: float, seconds: float) -> list[Request]:
    times = np.cumsum(np.random.default_rng(0).exponential(1 / rate, round(rate * seconds)))
    return [Request(k, float(time), 200, output=2) for k, time in enumerate(times)]


def soak(requests: int) -> list[Row]:
    """Nothing lost, nothing twice: every client that stays gets its own whole stream, or an error that says so."""
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.exponential(1 / 150, requests))
    sizes, outputs = rng.integers(20, 600, requests).tolist(), rng.integers(1, 12, requests).tolist()
    asked = [Request(k, float(times[k]), sizes[k], output=outputs[k]) for k in range(requests)]
    leaving = {k: float(rng.uniform(0.01, 0.6)) for k in range(requests) if rng.random() < 0.1}
    with world(4, "sbs_whole", "vllm", ranks=8) as engines:

        async def run() -> tuple[list[Answer], dict[str, Any]]:
            killing = asyncio.get_running_loop().call_later(float(times[requests // 2]), engines[1].kill)
            answers = await send(PORT, asked, leaving)
            killing.cancel()
            await asyncio.sleep(1.0)
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{ADMIN}/admin/state") as got:
                return answers, await got.json()

        answers, state = asyncio.run(run())
    fates: Counter[str] = Counter()
    seen: set[str] = set()
    for request, answer in zip(asked, answers, strict=True):
        fates[_fate(request, answer, seen)] += 1
    alive = [one["alive"] for one in state["instances"]]
    kept = state["held"] + state["held_tokens"] + sum(sum(one["backlog"]) for one in state["instances"])
    note = ", ".join(f"{name} {number}" for name, number in sorted(fates.items())) + f"; instances alive {alive}"
    lost = sum(number for name, number in fates.items() if name not in ("whole", "left", "cut short"))
    return [
        Row("soak: lost or mixed up", lost, 0, "requests", float(lost == 0), must=1.0, note=note),
        Row("soak: answered twice", fates["twice"], 0, "requests", float(fates["twice"] == 0), must=1.0),
        Row("soak: cut short when the engine died", fates["cut short"], None, "requests", None),
        Row("soak: left in the gateway's books", kept, 0, "tokens", float(kept == 0), must=1.0),
    ]


def _fate(request: Request, answer: Answer, seen: set[str]) -> str:
    names = {event.rsplit(" ", 1)[0] for event in answer.text}
    if names & seen or len(names) > 1:
        return "twice"
    seen |= names
    if answer.left:
        return "left"
    if answer.whole:
        number = answer.text[0].rsplit("-", 1)[1].split(" ")[0]
        wanted = [f"{number}:{k}" for k in range(request.output)]
        own = [event.rsplit(" ", 1)[1] for event in answer.text] == wanted and answer.id == f"r{request.id}"
        return "whole" if own else "mixed up"
    if answer.error and answer.text:
        return "cut short"
    return f"lost ({answer.status} {answer.error})"


def agree(requests: int) -> list[Row]:
    """Mean seconds to the first token, and the gain over least tokens in points, simulated and over sockets."""
    arms = ("least_tokens", "sbs", "sbs_whole")
    traffic = TrafficConfig(trace="azure_conv.csv", requests=requests)
    settings = {"arms": {name: {"policy": name} for name in arms}, "baselines": [arms[0]]}
    pool = f"{INSTANCES}x{RANKS}"
    config = CompareConfig.of(pools=[pool], loads=[LOAD], traffic={"azure": traffic}, **settings)
    trace = find_trace(traffic, DataRoot.find())
    rate = LOAD * INSTANCES * RANKS * config.prefill.tokens_per_second / float(trace.prompt.mean())
    asked = arrivals(trace, traffic, rate, 0)
    for request in asked:
        request.output = 1
    said: dict[str, float] = {}
    for name in arms:
        log, _ = run_scenario(config, Scenario(pool, "azure", LOAD, name, 0), trace)
        said[name] = Times.of(log).summary()["ttft_mean"]
    rows = []
    for kind in ("events", "vllm"):
        found: dict[str, float] = {}
        for name in arms:
            with world(INSTANCES, name, kind, ranks=RANKS):
                answers = asyncio.run(send(PORT, asked))
            found[name] = float(np.mean([one.first for one in answers]))
            rows.append(Row(f"{name}, {kind}: mean, simulated beside", found[name], said[name], "s", None))
        for name in arms[1:]:
            ours, theirs = (100 * (1 - times[name] / times[arms[0]]) for times in (found, said))
            off = abs(ours - theirs)
            note = f"off by {off:.1f} points; {POINTS:g} allowed"
            rows.append(Row(f"{name}, {kind}: gain", ours, theirs, "%", POINTS / max(off, 0.01), must=1.0, note=note))
        order = sorted(arms, key=found.__getitem__) == sorted(arms, key=said.__getitem__)
        rows.append(Row(f"{kind}: same order as simulated", float(order), 1.0, "", float(order), must=1.0))
    return rows


def main() -> int:
    """Run the parts asked for, print the table."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part; may be repeated")
    args = parser.parse_args()
    rows: list[Row] = []
    for part in args.only or PARTS:
        match part:
            case "latency":
                rows += latency(args.quick)
            case "soak":
                rows += soak(1_000 if args.quick else 10_000)
            case "agree":
                rows += agree(1_000 if args.quick else 6_000)
    return finish("Gateway; beside it, targets and the simulator", rows, args, ("aiohttp", "numpy"))


if __name__ == "__main__":
    sys.exit(main())
