"""The engine over vLLM's server, against exchanges recorded from the real one, and against servers that misbehave."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from aiohttp import web
from engine_models import decoder
from fake_vllm import PROMPT, Change, Fake, Said, conversation, served
from test_contract import scores

from espalier.core.errors import ConfigError, EngineError, EngineLostError
from espalier.core.net.http import HttpClient, RefusedError, UnreachableError
from espalier.core.sockets import free_port
from espalier.engine.api import Completion, Sampling
from espalier.engine.channels.disk import Adapters, Disk
from espalier.engine.http.answers import versions
from espalier.engine.http.dialect import Call
from espalier.engine.http.engine import HttpEngine
from espalier.engine.http.vllm import VllmDialect
from espalier.engine.launch import vllm as launch
from espalier.engine.pool.member import Limits, Member
from espalier.engine.pool.pool import Pool
from espalier.engine.probe import ProbeError
from espalier.engine.updates import AdapterUpdate, FileUpdate, Probe, TensorUpdate
from espalier.lm.checkpoint.files import load_model
from espalier.lm.config import LoraConfig
from espalier.lm.lora import inject, read_adapters

FILES = VllmDialect(updates=frozenset(("files",)))
FOLDERS = [Path("one"), Path("two")]
MODELS = [decoder(head_dim=32, seed=seed) for seed in range(3)]


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(main(), 60))  # type: ignore[arg-type]


def against(fake: Fake) -> Said:
    async def main() -> Said:
        async with served(fake.answer) as url:
            return await conversation(url, FOLDERS)

    said: Said = run(main)
    return said


@pytest.fixture(scope="module")
def said() -> Said:
    return against(Fake())


def test_scores_follow_the_published_weights(said: Said) -> None:
    for found, model in zip(said.scores, MODELS, strict=True):
        assert found == pytest.approx(scores(model, PROMPT), abs=1e-5)


def test_completions_are_aligned_and_of_the_published_weights(said: Said) -> None:
    for version in (1, 2):
        for name in ("sampled", "greedy", "stopped"):
            done: Completion = said.done[f"{name} {version}"]
            assert set(done.versions) == {version}
            expected = scores(MODELS[version], [*PROMPT, *done.tokens])[len(PROMPT) :]
            assert done.raw_logprobs == pytest.approx(expected, abs=1e-5)
            assert done.cached + done.prefilled == len(PROMPT)
        sampled, stopped = said.done[f"sampled {version}"], said.done[f"stopped {version}"]
        assert sampled.logprobs == sampled.raw_logprobs
        assert said.done[f"greedy {version}"].logprobs == [0.0] * 6
        assert (stopped.finish, stopped.tokens) == ("stop", sampled.tokens[: len(stopped.tokens)])


def test_spans_of_versions_become_a_version_for_each_token(said: Said) -> None:
    done: Completion = said.done["published"]
    assert len(done.versions) == len(done.tokens) == 100
    assert done.versions == sorted(done.versions)
    assert set(done.versions) == {2, 3}
    first = done.versions.index(3)
    expected = scores(MODELS[2], [*PROMPT, *done.tokens[:first]])[len(PROMPT) :]
    assert done.raw_logprobs[:first] == pytest.approx(expected, abs=1e-5)


def test_an_aborted_completion_keeps_its_tokens(said: Said) -> None:
    done: Completion = said.done["aborted"]
    assert done.finish == "abort"
    assert 0 < len(done.tokens) < 100


def test_counters_come_from_the_metrics(said: Said) -> None:
    sampled = sum(len(done.tokens) for done in said.done.values())
    assert said.stats.sampled_tokens == sampled + len(said.scores), "a score samples a token"
    assert said.stats.running == said.stats.waiting == 0


def test_weights_that_cannot_be_read_are_an_error_and_the_engine_resumes(said: Said) -> None:
    assert "No such file or directory" in said.refused


SPANS = [{"version": "default", "start": 0, "end": 2}, {"version": "8", "start": 2, "end": 3}]


@pytest.mark.parametrize(
    ("model", "spans", "expected"),
    [
        ("policy", SPANS, [0, 0, 8]),
        ("policy", None, [5, 5, 5]),
        ("policy", [], [5, 5, 5]),
        ("espalier-run-5", SPANS, [5, 5, 5]),  # an adapter; the label is that of the base weights
    ],
)
def test_versions(model: str, spans: Any, expected: list[int]) -> None:
    assert versions(Call(HttpClient(""), model, 5, 1.0), spans, 3) == expected


def first_choice(change: Callable[[dict[str, Any]], Any]) -> Change:
    """Change the first choice of every completion."""

    def apply(path: str, answer: Any) -> Any:
        if path.endswith("/generate") and answer["choices"][0]["logprobs"]:
            answer = json.loads(json.dumps(answer))
            change(answer["choices"][0])
        return answer

    return apply


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda choice: choice["logprobs"]["content"].pop(), "the server's log-probs are not those of its tokens"),
        (lambda choice: choice["token_ids"].pop(), "the server's log-probs are not those of its tokens"),
        (lambda choice: choice.pop("token_ids"), "not of the form expected: KeyError"),
        (lambda choice: choice.update(finish_reason="tired"), "not of the form expected: KeyError"),
        (lambda choice: choice.update(logprobs=None), "the server's log-probs are not those of its tokens"),
    ],
)
def test_an_answer_that_is_not_whole_is_refused(change: Any, message: str) -> None:
    """The control of the tests above: one log-prob dropped."""
    with pytest.raises(EngineError, match=message):
        against(Fake(first_choice(change)))


def test_the_probe_rejects_what_only_has_the_label_of_new_weights() -> None:
    """A reload that answers 200 and changes nothing, as vLLM's CPU build without the extension."""

    async def main() -> None:
        async with served(Fake().answer) as url:
            engine = await HttpEngine.join(url, FILES, max_rows=8, seconds=30)
            probe = Probe([PROMPT], [scores(MODELS[2], PROMPT)])
            with pytest.raises(ProbeError, match="does not serve the weights of version 1"):
                await engine.publish(FileUpdate(1, FOLDERS[0], probe))
            await engine.close()

    run(main)


async def joined(url: str, **options: Any) -> HttpEngine:
    return await HttpEngine.join(url, FILES, **{"max_rows": 8, "seconds": 30.0, **options})


@pytest.mark.parametrize(
    ("prompt", "sampling", "message"),
    [
        (PROMPT, Sampling(max_tokens=125), "need 129 positions, the server's model has 128"),
        ([48], Sampling(max_tokens=1), "outside the model's vocabulary of 48"),
        ([-1], Sampling(max_tokens=1), "outside the model's vocabulary"),
        ([], Sampling(max_tokens=1), "an empty prompt"),
        (PROMPT, Sampling(max_tokens=1, stop_sequences=((1, 2),)), "not at sequences"),
    ],
)
def test_what_the_server_would_cut_or_answer_wrongly_is_never_sent(
    prompt: list[int], sampling: Sampling, message: str
) -> None:
    async def main() -> None:
        fake = Fake()
        async with served(fake.answer) as url:
            engine = await joined(url, vocabulary=48)
            with pytest.raises(EngineError, match=message):
                await engine.generate(prompt, sampling)
            await engine.close()
        assert not any("generate" in asked for asked in fake.asked)

    run(main)


def test_a_server_that_accepts_and_never_answers_is_named_by_the_deadline() -> None:
    async def main() -> float:
        fake = Fake()

        async def hang(request: web.Request) -> web.Response:
            if request.path.endswith("/generate"):
                await asyncio.sleep(3600)
            return await fake.answer(request)

        async with served(hang) as url:
            limits = Limits(request=5.0, restarts=0)
            members = [Member("engine 0", lambda: joined(url, seconds=0.3), limits)]
            pool = Pool(members, capabilities=FILES.capabilities, max_len=128, max_rows=8, limits=limits)
            begun = time.monotonic()
            with pytest.raises(EngineError, match=r"generate did not answer within 0\.3 s"):
                await pool.generate(PROMPT, Sampling(max_tokens=2))
            await pool.close()
            return time.monotonic() - begun

    assert run(main) < 1.3


def test_a_server_that_is_not_there_is_named() -> None:
    async def main() -> None:
        with pytest.raises(EngineLostError, match=r"http://127\.0\.0\.1:9/v1/models: .*refused|Cannot connect"):
            await joined("http://127.0.0.1:9")

    run(main)


def test_a_request_that_is_cancelled_closes_its_connection() -> None:
    async def main() -> bool:
        fake, gone = Fake(), asyncio.Event()

        async def watch(request: web.Request) -> web.Response:
            if request.path.endswith("/generate"):
                try:
                    await asyncio.sleep(30)
                except asyncio.CancelledError:
                    gone.set()
                    raise
            return await fake.answer(request)

        async with served(watch) as url:
            engine = await joined(url)
            task = asyncio.create_task(engine.generate(PROMPT, Sampling(max_tokens=9, seed=3)))
            await asyncio.sleep(0.1)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            found = await asyncio.wait_for(gone.wait(), 5)
            await engine.close()
            return found

    assert run(main)


def test_errors_of_a_server_are_told_apart() -> None:
    async def main() -> None:
        calls: list[str] = []

        async def answer(request: web.Request) -> web.Response:
            calls.append(str(request.transport.get_extra_info("peername")) if request.transport else "")
            status = int(request.path.strip("/"))
            return web.Response(status=status, text='{"error": "why"}' if status != 299 else "no JSON")

        async with served(answer) as url:
            client = HttpClient(url, key="secret")
            with pytest.raises(RefusedError, match=r'/404 answered 404: \{"error": "why"\}'):
                await client.post("/404", {}, seconds=5)
            with pytest.raises(UnreachableError, match="/500 answered 500"):
                await client.post("/500", {}, seconds=5)
            assert await client.get("/200", seconds=5) == {"error": "why"}
            assert len(set(calls)) == 2, "a fresh connection after the server failed"
            await client.get("/200", seconds=5)
            assert len(set(calls)) == 2
            with pytest.raises(UnreachableError, match="did not answer with JSON: no JSON"):
                await client.get("/299", seconds=5)
            await client.close()

    run(main)


def test_full_weights_on_disk(tmp_path: Path) -> None:
    channel = Disk(MODELS[0], tmp_path)
    for version, model in enumerate(MODELS):
        update = channel.send(TensorUpdate(version, dict(model.named_parameters())))
        assert isinstance(update, FileUpdate)
        loaded = load_model(update.folder)
        assert all(p.equal(q) for p, q in zip(loaded.parameters(), model.parameters(), strict=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["version_1", "version_2"]


def test_full_weights_of_a_model_with_adapters_on_disk(tmp_path: Path) -> None:
    model = decoder()
    inject(model, LoraConfig(rank=2, alpha=4.0, targets=("q_proj", "down_proj")), seed=1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("lora_B"):
                parameter.normal_(generator=torch.Generator().manual_seed(2))
    before = scores(model, PROMPT)
    update = Disk(model, tmp_path).send(TensorUpdate(1, dict(model.named_parameters())))
    assert isinstance(update, FileUpdate)
    assert scores(load_model(update.folder), PROMPT) == pytest.approx(before, abs=1e-5)
    assert scores(model, PROMPT) == before, "the learner's weights are not touched"


def test_adapters_on_disk(tmp_path: Path) -> None:
    model = decoder()
    inject(model, LoraConfig(rank=2, alpha=4.0, targets=("q_proj", "down_proj")), seed=1)
    channel = Adapters(model, tmp_path)
    update = channel.send(TensorUpdate(3, dict(model.named_parameters())))
    assert isinstance(update, AdapterUpdate)
    own = dict(model.named_parameters())
    assert all(tensor.equal(own[name]) for name, tensor in read_adapters(model, update.folder).items())


def test_a_server_is_started_from_an_environment_that_is_there(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(ConfigError, match=r"engine\.vllm\.python: there is no .*nothing\. `make vllm` makes"):
            await launch.start([str(tmp_path / "nothing")], 1, {}, tmp_path / "log", seconds=1)

    run(main)


def test_a_server_that_ends_at_once_shows_what_it_said(tmp_path: Path) -> None:
    script = tmp_path / "server"
    script.write_text("#!/bin/sh\necho there is no such model\nexit 3\n")
    script.chmod(0o755)

    async def main() -> None:
        with pytest.raises(EngineLostError, match=r"ended with exit status 3:\nthere is no such model"):
            await launch.start([str(script)], free_port(), {}, tmp_path / "log", seconds=20)

    run(main)


def test_a_server_that_never_becomes_healthy_is_ended(tmp_path: Path) -> None:
    script = tmp_path / "server"
    script.write_text(f"#!/bin/sh\nsleep 60 & echo $! > {tmp_path}/child\nwait\n")
    script.chmod(0o755)

    async def main() -> None:
        with pytest.raises(EngineLostError, match=r"not healthy after 0\.5 s"):
            await launch.start([str(script)], free_port(), {"PATH": "/usr/bin:/bin"}, tmp_path / "log", seconds=0.5)

    run(main)
    child = int((tmp_path / "child").read_text())
    assert not Path(f"/proc/{child}").exists() or "zombie" in Path(f"/proc/{child}/status").read_text()


def test_the_command_of_a_server() -> None:
    words = launch.command(Path("python"), Path("model"), 8001, dtype="bfloat16", max_len=64, max_rows=4, lora_rank=8)
    text = " ".join(words)
    assert "--host 127.0.0.1 --port 8001" in text
    assert "--enable-lora --max-loras 2 --max-lora-rank 8" in text
    assert "--worker-extension-cls vllm_worker.WorkerExtension" in text
    env = launch.environment(lora=True, kv_gib=2, cores=[1])
    assert env["VLLM_CPU_OMP_THREADS_BIND"] == "1"
    assert env["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"
    assert [path.name for path in Path(env["PYTHONPATH"]).glob("*.py")] == ["__init__.py", "vllm_worker.py"]
