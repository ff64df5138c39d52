"""The engine over SGLang's server, against a fake of its protocol, and against servers that misbehave.

The Engine contract suite runs on the same fake (`test_contract.py`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from embedded_server import Change
from engine_models import decoder
from fake_sglang import FakeSglang
from fake_vllm import served
from test_contract import scores

from espalier.core.errors import ConfigError, EngineError, EngineLostError
from espalier.engine.api import Completion, Engine, Sampling
from espalier.engine.build import build_engine
from espalier.engine.channels.api import Channel
from espalier.engine.config import EngineConfig
from espalier.engine.http.engine import HttpEngine
from espalier.engine.http.sglang import SglangDialect
from espalier.engine.probe import ProbeError
from espalier.engine.updates import FileUpdate, Probe, TensorUpdate
from espalier.lm.checkpoint.files import save_model
from espalier.lm.config import LoraConfig
from espalier.lm.decoder import Decoder
from espalier.lm.lora import inject

PROMPT = [5, 6, 7, 8]
OLD, NEW = decoder(seed=0), decoder(seed=1)
LONG = Sampling(max_tokens=100, seed=1)


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(main(), 60))  # type: ignore[arg-type]


@asynccontextmanager
async def joined(fake: FakeSglang, **options: Any) -> AsyncIterator[HttpEngine]:
    """An engine on the fake."""
    async with served(fake.answer) as url:
        dialect = SglangDialect(updates=frozenset(("files",)))
        engine = await HttpEngine.join(url, dialect, **{"max_rows": 8, "seconds": 30.0, **options})
        try:
            yield engine
        finally:
            await engine.close()


async def under_way(fake: FakeSglang, count: int) -> None:
    while len(fake.tasks) < count or (await fake.base.stats()).running < count:
        await asyncio.sleep(0)


def update(model: Decoder, version: int, folder: Path) -> FileUpdate:
    save_model(model, folder)
    return FileUpdate(version, folder, Probe([PROMPT], [scores(model, PROMPT)]))


def about(change: Callable[[dict[str, Any]], Any]) -> Change:
    """Change what every answer says of its tokens."""

    def apply(path: str, answer: Any) -> Any:
        if path == "/generate":
            change(answer["meta_info"])
        return answer

    return apply


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda said: said["output_token_logprobs"].pop(), "answered 3 tokens and 2 log-probs"),
        (lambda said: said.pop("output_token_logprobs"), "answered 3 tokens and 0 log-probs"),
        (lambda said: said.update(completion_tokens=2), "answered 2 tokens and 3 log-probs"),
        (lambda said: said.update(finish_reason={"type": "tired"}), "not of the form expected: KeyError"),
        (lambda said: said.pop("finish_reason"), "not of the form expected: KeyError"),
        (lambda said: said.update(output_token_logprobs=[[None, 1, None]] * 3), "not of the form expected: TypeError"),
    ],
)
def test_an_answer_that_is_not_whole_is_refused(change: Any, message: str) -> None:
    async def main() -> None:
        async with joined(FakeSglang(OLD, about(change))) as engine:
            with pytest.raises(EngineError, match=message):
                await engine.generate(PROMPT, Sampling(max_tokens=3, seed=1))

    run(main)


@pytest.mark.parametrize(
    ("fake", "error", "message"),
    [
        (FakeSglang(OLD, loads=False), ProbeError, "does not serve the weights of version 1"),
        (FakeSglang(OLD, about(lambda said: said.get("input_token_logprobs", [0]).pop())), EngineError, "not those of"),
        (FakeSglang(OLD, lambda path, said: said | {"success": False}), EngineError, "did not load the weights of ver"),
    ],
)
def test_a_load_that_did_not_happen_is_found_out(
    fake: FakeSglang, error: type[Exception], message: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with joined(fake) as engine:
            with pytest.raises(error, match=message):
                await engine.publish(update(NEW, 1, tmp_path))
            await engine.generate(PROMPT, Sampling(max_tokens=1))  # it was resumed

    run(main)


def test_without_versions_of_tokens_a_completion_has_that_of_its_request(tmp_path: Path) -> None:
    async def main() -> tuple[Completion, Completion]:
        fake = FakeSglang(OLD, spans=False)
        async with joined(fake) as engine:
            running = asyncio.create_task(engine.generate(PROMPT, LONG))
            await under_way(fake, 1)
            await engine.publish(update(NEW, 1, tmp_path))
            return await running, await engine.generate(PROMPT, Sampling(max_tokens=3))

    first, then = run(main)
    assert (set(first.versions), set(then.versions)) == ({0}, {1})


def test_requests_in_a_pause_begin_with_the_weights_that_are_loaded_in_it(tmp_path: Path) -> None:
    """Otherwise they would find the cache of the weights before."""

    async def main() -> tuple[FakeSglang, Completion]:
        fake = FakeSglang(OLD)
        async with joined(fake) as engine:
            await engine.generate(PROMPT, Sampling(max_tokens=2))
            await engine.pause("keep")
            waiting = asyncio.create_task(engine.generate(PROMPT, Sampling(max_tokens=2)))
            await asyncio.sleep(0.05)
            await engine.load(update(NEW, 1, tmp_path))
            await engine.resume()
            return fake, await waiting

    fake, done = run(main)
    salts = [body["extra_key"].rpartition("-")[2] for path, body in fake.asked if path == "/generate"]
    assert salts == ["v0", "v1"]
    assert set(done.versions) == {1}
    assert done.raw_logprobs == pytest.approx(scores(NEW, [*PROMPT, *done.tokens])[len(PROMPT) :], abs=1e-5)


def test_a_pause_that_fails_holds_up_nothing() -> None:
    async def main() -> None:
        fake = FakeSglang(OLD)
        async with joined(fake) as engine:
            fake.pause = None  # type: ignore[assignment, method-assign]
            with pytest.raises(EngineError, match="there is no /pause_generation"):
                await engine.pause("keep")
            await engine.generate(PROMPT, Sampling(max_tokens=1))

    run(main)


def test_a_request_in_a_pause_is_told_when_the_engine_is_given_up() -> None:
    """It would wait for a resume that never comes, and not begin again elsewhere."""

    async def main() -> None:
        async with joined(FakeSglang(OLD)) as engine:
            await engine.pause("keep")
            waiting = asyncio.create_task(engine.generate(PROMPT, Sampling(max_tokens=1)))
            await asyncio.sleep(0)
            engine.kill()
            with pytest.raises(EngineLostError, match="was closed before it began a request"):
                await asyncio.wait_for(waiting, 5)

    run(main)


def test_a_request_that_is_cancelled_is_aborted_alone() -> None:
    """The name of the second one begins those of the last two."""

    async def main() -> tuple[list[Any], int]:
        fake = FakeSglang(OLD)
        async with joined(fake) as engine:
            tasks = [asyncio.create_task(engine.generate(PROMPT, LONG)) for _ in range(12)]
            await under_way(fake, 8)
            tasks[1].cancel()
            return await asyncio.gather(*tasks, return_exceptions=True), (await fake.base.stats()).sampled_tokens

    found, sampled = run(main)
    assert isinstance(found.pop(1), asyncio.CancelledError)
    assert 1100 <= sampled < 1150, "the server went on with it"
    assert [done.finish for done in found] == ["length"] * 11


def test_a_request_that_was_aborted_before_it_began_has_no_tokens() -> None:
    async def main() -> list[Completion]:
        fake = FakeSglang(OLD)
        async with joined(fake) as engine:
            tasks = [asyncio.create_task(engine.generate(PROMPT, LONG)) for _ in range(9)]
            await under_way(fake, 8)
            while len(fake.tasks) < 9:
                await asyncio.sleep(0)
            await engine.pause("abort")
            await engine.resume()
            return await asyncio.gather(*tasks)

    found = run(main)
    assert {done.finish for done in found} == {"abort"}
    assert found[-1].tokens == []
    assert all(done.tokens for done in found[:-1])


@pytest.mark.parametrize(
    ("sampling", "logprobs", "raw"),
    [
        (Sampling(max_tokens=3, temperature=0.0), [0.0] * 3, True),
        (Sampling(max_tokens=3, top_k=5), [math.nan] * 3, True),
        (Sampling(max_tokens=3, temperature=0.7), [math.nan] * 3, False),
    ],
)
def test_log_probs_that_the_answer_does_not_tell_are_nan(sampling: Sampling, logprobs: list[float], raw: bool) -> None:
    async def main() -> Completion:
        async with joined(FakeSglang(OLD)) as engine:
            done: Completion = await engine.generate(PROMPT, sampling)
            return done

    done = run(main)
    assert done.logprobs == pytest.approx(logprobs, nan_ok=True)
    assert [math.isnan(logprob) for logprob in done.raw_logprobs] == [not raw] * 3


def lora(seed: int) -> Decoder:
    """The old model with adapters of its own."""
    model = decoder(seed=0)
    inject(model, LoraConfig(rank=2, alpha=4.0, targets=("q_proj", "down_proj")), seed=1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("lora_B"):
                parameter.normal_(generator=torch.Generator().manual_seed(seed))
    return model


async def give(engine: Engine, channel: Channel, model: Decoder, version: int) -> None:
    tensors = {name: parameter.detach() for name, parameter in model.named_parameters()}
    await engine.publish(channel.send(TensorUpdate(version, tensors, Probe([PROMPT], [scores(model, PROMPT)]))))


def test_adapters_are_loaded_under_new_names_and_unloaded_after_their_last_request() -> None:
    models = [lora(seed) for seed in range(5)]

    async def main() -> tuple[Completion, list[set[str]]]:
        fake, loaded = FakeSglang(models[0]), []
        async with served(fake.answer) as url:
            config = EngineConfig.of(kind="sglang", max_len=128, sglang={"urls": [url], "adapters": True})
            engine, channel = build_engine(models[0], config)
            await give(engine, channel, models[1], 1)
            running = asyncio.create_task(engine.generate(PROMPT, LONG))
            while not fake.tasks:
                await asyncio.sleep(0)
            for version in (2, 3):  # frozen in both, the request keeps the adapter of version 1
                await give(engine, channel, models[version], version)
                loaded.append({name.rpartition("-")[2] for name in fake.adapters})
            done = await running
            await give(engine, channel, models[4], 4)
            loaded.append({name.rpartition("-")[2] for name in fake.adapters})
            await engine.close()
            channel.close()
        return done, loaded

    done, loaded = run(main)
    assert loaded == [{"1", "2"}, {"1", "2", "3"}, {"3", "4"}]
    assert (done.finish, set(done.versions)) == ("length", {1})
    expected = scores(models[1], [*PROMPT, *done.tokens])[len(PROMPT) :]
    assert done.raw_logprobs == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_the_key_of_a_server_comes_from_the_environment(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = EngineConfig.of(kind=kind, **{kind: {"urls": ["http://127.0.0.1:9"], "key_env": "SERVERS_KEY"}})
    assert "secret" not in config.model_dump_json()
    for value, message in (
        (None, f"engine.{kind}.key_env: the environment variable SERVERS_KEY is not set"),
        ("two words", f"engine.{kind}.key_env: the key in SERVERS_KEY must consist of visible ASCII"),
    ):
        monkeypatch.delenv("SERVERS_KEY", raising=False)
        if value:
            monkeypatch.setenv("SERVERS_KEY", value)
        with pytest.raises(ConfigError, match=message):
            build_engine(OLD, config)


def test_the_key_is_sent_with_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVERS_KEY", "secret")

    async def main() -> FakeSglang:
        fake = FakeSglang(OLD)
        async with served(fake.answer) as url:
            config = EngineConfig.of(kind="sglang", max_len=128, sglang={"urls": [url], "key_env": "SERVERS_KEY"})
            engine, channel = build_engine(OLD, config)
            await give(engine, channel, NEW, 1)
            await engine.generate(PROMPT, Sampling(max_tokens=1))
            await engine.close()
            channel.close()
        return fake

    fake = run(main)
    assert len(fake.asked) > 5
    assert fake.keys == {"Bearer secret"}
