"""A server that answers as vLLM did: exchanges recorded from the real one, and what it would do wrongly on purpose.

`python tests/engine/fake_vllm.py` records them anew, with the environment that `make vllm` makes.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, web
from engine_models import decoder

from espalier.core.errors import EngineError
from espalier.core.sockets import free_port
from espalier.engine.api import PauseMode, Sampling
from espalier.engine.http.engine import HttpEngine
from espalier.engine.http.vllm import VllmDialect
from espalier.engine.launch import vllm as launch
from espalier.engine.updates import FileUpdate
from espalier.lm.checkpoint.files import save_model

FILE = Path(__file__).with_name("vllm_exchanges.json")
PROMPT = [5, 6, 7, 8]
Change = Callable[[str, Any], Any]
"""What a fake does to the answer at a path."""


def key(method: str, path: str, body: Any) -> str:
    """Equal requests have equal keys, whatever they call themselves and wherever the weights lie."""
    if isinstance(body, dict):
        body = {name: value for name, value in body.items() if name != "request_id"}
        for name in ("kwargs", "lora_path"):
            body.pop(name, None)
        if "cache_salt" in body:
            body["cache_salt"] = body["cache_salt"].rpartition("-")[2]
    return f"{method} {path} {json.dumps(body, sort_keys=True)}"


class Fake:
    """Answers equal requests with the recorded answers in turn, and with the last of them from then on."""

    def __init__(self, change: Change = lambda path, answer: answer) -> None:
        recorded = json.loads(FILE.read_text())
        self.version = recorded["vllm"]
        self.change = change
        self.asked: list[str] = []
        self._answers: dict[str, list[tuple[int, Any]]] = defaultdict(list)
        for one in recorded["exchanges"]:
            self._answers[one["key"]].append((one["status"], one["answer"]))

    async def answer(self, request: web.Request) -> web.Response:
        text = await request.text()
        asked = key(request.method, request.path_qs, json.loads(text) if text else None)
        self.asked.append(asked)
        found = self._answers.get(asked)
        if not found:
            return web.json_response({"error": {"message": f"not recorded: {asked}"}}, status=404)
        status, answer = found.pop(0) if len(found) > 1 else found[0]
        answer = self.change(request.path, answer)
        return web.Response(status=status, text=answer if isinstance(answer, str) else json.dumps(answer))


@asynccontextmanager
async def served(handler: Callable[[web.Request], Any]) -> AsyncIterator[str]:
    """An HTTP server on loopback that answers everything by `handler`: its address."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Recorder:
    """Passes requests on to a server, and keeps what was said."""

    def __init__(self, url: str, session: ClientSession) -> None:
        self.url, self.session = url, session
        self.exchanges: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.Response:
        text = await request.text()
        body = json.loads(text) if text else None
        async with self.session.request(request.method, self.url + request.path_qs, json=body) as reply:
            content, status = await reply.text(), reply.status
        try:
            answer: Any = json.loads(content)
        except ValueError:
            answer = content
        if isinstance(answer, str):
            answer = "\n".join(
                line for line in answer.splitlines() if line.startswith("vllm:") and "_bucket" not in line
            )
        asked = key(request.method, request.path_qs, body)
        self.exchanges.append({"key": asked, "status": status, "answer": answer})
        return web.Response(status=status, text=content, content_type="application/json" if body else None)


@dataclass
class Said:
    """What an engine got in a conversation: scores of `PROMPT` and completions of it, by what was asked."""

    scores: list[list[float]] = field(default_factory=list)
    done: dict[str, Any] = field(default_factory=dict)
    stats: Any = None
    refused: str = ""


async def conversation(url: str, folders: Sequence[Path]) -> Said:
    """What is recorded: the calls of an engine, in order."""
    engine = await HttpEngine.join(url, VllmDialect(updates=frozenset(("files",))), max_rows=8, seconds=60)
    said = Said([await engine.score(PROMPT)])

    async def publish(version: int, folder: Path, mode: PauseMode = "keep") -> None:
        await engine.publish(FileUpdate(version, folder), mode)

    for version, folder in enumerate(folders, 1):
        await publish(version, folder)
        said.scores.append(await engine.score(PROMPT))
        asked = {"sampled": Sampling(max_tokens=9, seed=4), "greedy": Sampling(max_tokens=6, temperature=0.0)}
        for name, sampling in asked.items():
            said.done[f"{name} {version}"] = await engine.generate(PROMPT, sampling)
        stop = (said.done[f"sampled {version}"].tokens[4],)
        said.done[f"stopped {version}"] = await engine.generate(PROMPT, Sampling(max_tokens=9, seed=4, stop=stop))
    for name, then in (
        ("published", lambda: publish(len(folders) + 1, folders[0])),
        ("aborted", lambda: publish(len(folders) + 2, folders[0], "abort")),
    ):
        running = asyncio.create_task(engine.generate(PROMPT, Sampling(max_tokens=100, seed=1)))
        await asyncio.sleep(0.1)
        await then()
        said.done[name] = await running
    said.stats = await engine.stats()
    try:
        await publish(9, Path("/nowhere"))
    except EngineError as error:
        said.refused = str(error)
    await engine.close()
    return said


async def record() -> None:
    """Write the file."""
    python = Path(__file__).parents[2] / ".venv-vllm" / "bin" / "python"
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for seed in range(3):
            save_model(decoder(head_dim=32, seed=seed), place / f"model{seed}")
        port = free_port()
        words = launch.command(
            python, place / "model0", port, dtype="float32", max_len=128, max_rows=8, more=["--enforce-eager"]
        )
        env = launch.environment(lora=False, kv_gib=1, cores=[0])
        server = await launch.start(words, port, env, place / "log.txt", seconds=300)
        try:
            async with ClientSession() as session:
                recorder = Recorder(server.url, session)
                async with served(recorder.answer) as url:
                    await conversation(url, [place / "model1", place / "model2"])
                async with session.get(server.url + "/version") as reply:
                    version = (await reply.json())["version"]
        finally:
            server.end()
    content = {"vllm": version, "exchanges": recorder.exchanges}
    FILE.write_text(json.dumps(content, indent=1) + "\n")
    print(f"{len(recorder.exchanges)} exchanges with vLLM {version}: {FILE}")


if __name__ == "__main__":
    asyncio.run(record())
