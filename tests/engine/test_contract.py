"""What every engine keeps to, whatever it runs in: the same suite for each kind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from engine_models import VOCABULARY, engine, reference
from engine_models import decoder as tiny
from fake_sglang import FakeSglang
from fake_transfer import FakeTransfer, Gloo
from fake_vllm import served

from espalier.core.errors import EngineError
from espalier.engine.api import Completion, Engine, EngineStats, Sampling
from espalier.engine.build import build_engine, pool
from espalier.engine.channels.api import Channel, Direct
from espalier.engine.channels.transfer import Transfer
from espalier.engine.config import EngineConfig
from espalier.engine.http.engine import HttpEngine
from espalier.engine.http.vllm import VllmDialect
from espalier.engine.updates import Probe, TensorUpdate
from espalier.lm.decoder import Decoder

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
VLLM = ROOT / ".venv-vllm" / "bin" / "python"
PROMPT = [5, 6, 7, 8]
LONG = Sampling(max_tokens=100, seed=1)


def decoder(seed: int = 0) -> Decoder:
    """Heads as wide as vLLM's kernels need."""
    return tiny(head_dim=32, seed=seed)


@dataclass
class Bench:
    """An engine of one kind, the channel to it, and an event loop that outlives a test.

    inner: what samples behind it, where its own counters only see what is finished.
    """

    kind: str
    engine: Engine
    channel: Channel
    inner: Engine
    runner: asyncio.Runner
    version: int = 0

    def run(self, main: Callable[[], Awaitable[T]]) -> T:
        return self.runner.run(asyncio.wait_for(main(), 120))  # type: ignore[arg-type]

    async def counters(self) -> EngineStats:
        return await self.inner.stats()

    async def publish(self, model: Decoder, *, mode: Any = "keep") -> int:
        """The weights of `model`, as a version of their own, with a probe."""
        self.version += 1
        tensors = {name: parameter.detach() for name, parameter in model.named_parameters()}
        update = TensorUpdate(self.version, tensors, Probe([PROMPT], [scores(model, PROMPT)]))
        await self.engine.publish(self.channel.send(update), mode)
        return self.version


def scores(model: Decoder, tokens: list[int]) -> list[float]:
    """Log-probs of the tokens by a plain forward pass."""
    rows = reference(model, tokens)
    return [0.0, *(float(rows[i][token]) for i, token in enumerate(tokens[1:]))]


async def made(kind: str, stack: AsyncExitStack) -> tuple[Engine, Channel, Engine]:
    """The engine, the channel to it, and what samples behind it. What it needs ends with the stack."""
    if kind == "local":
        local = engine(decoder(), weights="copy")
        return local, Direct(), local
    if kind == "transfer":
        return await transferring(stack)
    own: dict[str, Any] = {"count": 2} if kind == "process" else {"vllm": {"python": str(VLLM)}}
    inner: Engine | None = None
    if kind == "sglang":
        fake = FakeSglang(decoder())
        own = {"sglang": {"urls": [await stack.enter_async_context(served(fake.answer))]}}
        inner = fake.base
    found, channel = build_engine(decoder(), EngineConfig.of(kind=kind, max_rows=8, max_len=128, **own))
    return found, channel, inner or found


async def transferring(stack: AsyncExitStack) -> tuple[Engine, Channel, Engine]:
    """vLLM's transfer of weights, on a fake with a group of gloo."""
    url = await stack.enter_async_context(served(FakeTransfer(decoder()).answer))
    dialect = VllmDialect(updates=frozenset(("transfer",)))
    join = partial(HttpEngine.join, url, dialect, max_rows=8, seconds=60.0, vocabulary=VOCABULARY)
    found = pool([join], dialect.capabilities, EngineConfig.of(max_rows=8, max_len=128), print)
    return found, Transfer(decoder(), Gloo), found


KINDS = ["local", "process", "sglang", "transfer", pytest.param("vllm", marks=pytest.mark.vllm)]


@pytest.fixture(scope="module", params=KINDS)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        found, channel, inner = runner.run(made(request.param, stack))
        yield Bench(request.param, found, channel, inner, runner)
        runner.run(found.close())
        channel.close()
        runner.run(stack.aclose())


def check(model: Decoder, prompt: list[int], done: Completion, sampling: Sampling) -> None:
    """The lists are aligned, and the log-probs are those of the model."""
    n = len(done.tokens)
    assert n == len(done.logprobs) == len(done.raw_logprobs) == len(done.versions)
    assert n <= sampling.max_tokens
    assert done.cached + done.prefilled == len(prompt)
    expected = scores(model, [*prompt, *done.tokens])[len(prompt) :]
    assert done.raw_logprobs == pytest.approx(expected, abs=1e-4)


def test_completions_are_aligned_and_of_the_published_weights(bench: Bench) -> None:
    model = decoder(seed=1)

    async def main() -> list[Completion]:
        await bench.publish(model)
        return await asyncio.gather(
            *(bench.engine.generate(PROMPT, Sampling(max_tokens=9, seed=seed)) for seed in range(6))
        )

    for done in bench.run(main):
        check(model, PROMPT, done, Sampling(max_tokens=9))
        assert set(done.versions) == {bench.version}
        assert done.finish == "length"
    assert bench.engine.version == bench.version


def test_equal_seeds_give_equal_tokens(bench: Bench) -> None:
    async def main() -> list[Completion]:
        await bench.publish(decoder(seed=1))
        sampling = Sampling(max_tokens=12, seed=5)
        return [await bench.engine.generate(PROMPT, sampling) for _ in range(2)]

    one, other = bench.run(main)
    assert one.tokens == other.tokens
    if bench.engine.capabilities.seeded:
        wanted = asyncio.run(engine(decoder(seed=1)).generate(PROMPT, Sampling(max_tokens=12, seed=5)))
        assert one.tokens == wanted.tokens


def test_stop_tokens_end_a_completion_and_are_kept(bench: Bench) -> None:
    async def main() -> tuple[Completion, Completion]:
        await bench.publish(decoder(seed=1))
        free = await bench.engine.generate(PROMPT, Sampling(max_tokens=12, temperature=0.0))
        stop = (free.tokens[3],)
        return free, await bench.engine.generate(PROMPT, Sampling(max_tokens=12, temperature=0.0, stop=stop))

    free, stopped = bench.run(main)
    assert stopped.finish == "stop"
    assert stopped.tokens == free.tokens[: free.tokens.index(free.tokens[3]) + 1]


def test_score_equals_the_log_probs_of_generate(bench: Bench) -> None:
    async def main() -> tuple[Completion, list[float]]:
        await bench.publish(decoder(seed=2))
        done = await bench.engine.generate(PROMPT, Sampling(max_tokens=8, seed=3))
        return done, await bench.engine.score([*PROMPT, *done.tokens])

    done, scored = bench.run(main)
    assert scored[0] == 0.0
    assert scored[len(PROMPT) :] == pytest.approx(done.raw_logprobs, abs=1e-4)


async def started(bench: Bench) -> asyncio.Task[Completion]:
    """A long completion that has sampled some tokens."""
    before = (await bench.counters()).sampled_tokens
    task = asyncio.create_task(bench.engine.generate(PROMPT, LONG))
    while (await bench.counters()).sampled_tokens < before + 5:
        await asyncio.sleep(0)
    return task


def test_a_publish_in_flight_keeps_the_tokens_and_tags_the_others(bench: Bench) -> None:
    old, new = decoder(seed=1), decoder(seed=2)

    async def main() -> tuple[int, Completion]:
        await bench.publish(old)
        running = await started(bench)
        version = await bench.publish(new)
        return version, await running

    version, done = bench.run(main)
    assert len(done.tokens) == LONG.max_tokens
    assert done.versions == sorted(done.versions)
    first = done.versions.index(version) if version in done.versions else len(done.tokens)
    assert first > 0
    expected = scores(old, [*PROMPT, *done.tokens[:first]])[len(PROMPT) :]
    assert done.raw_logprobs[:first] == pytest.approx(expected, abs=1e-4)


def test_abort_returns_what_was_sampled(bench: Bench) -> None:
    async def main() -> Completion:
        await bench.publish(decoder(seed=1))
        running = await started(bench)
        await bench.engine.pause("abort")
        await bench.engine.resume()
        return await running

    done = bench.run(main)
    assert done.finish == "abort"
    assert 0 < len(done.tokens) < LONG.max_tokens


def test_finish_waits_for_what_runs(bench: Bench) -> None:
    async def main() -> tuple[int, Completion]:
        await bench.publish(decoder(seed=1))
        running = await started(bench)
        await bench.engine.pause("finish")
        left = (await bench.engine.stats()).running
        await bench.engine.resume()
        return left, await running

    left, done = bench.run(main)
    assert (left, done.finish, len(done.tokens)) == (0, "length", LONG.max_tokens)


def test_a_request_while_paused_waits(bench: Bench) -> None:
    async def main() -> tuple[bool, Completion]:
        await bench.publish(decoder(seed=1))
        await bench.engine.pause("keep")
        task = asyncio.create_task(bench.engine.generate(PROMPT, Sampling(max_tokens=2)))
        await asyncio.sleep(0.05)
        early = task.done()
        await bench.engine.resume()
        return early, await task

    early, done = bench.run(main)
    assert not early
    assert len(done.tokens) == 2


def test_cancelling_frees_the_row(bench: Bench) -> None:
    async def main() -> None:
        await bench.publish(decoder(seed=1))
        running = await started(bench)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        while (await bench.counters()).running:
            await asyncio.sleep(0.01)

    bench.run(main)


@pytest.mark.parametrize(
    ("prompt", "sampling", "message"),
    [
        (PROMPT, Sampling(max_tokens=125), "129|128"),
        ([VOCABULARY], Sampling(max_tokens=1), "vocabulary"),
        ([], Sampling(max_tokens=1), "prompt"),
    ],
)
def test_a_request_that_cannot_be_served_is_refused(
    bench: Bench, prompt: list[int], sampling: Sampling, message: str
) -> None:
    async def main() -> None:
        with pytest.raises(EngineError, match=message):
            await bench.engine.generate(prompt, sampling)

    bench.run(main)


def test_a_conversation_can_be_released(bench: Bench) -> None:
    async def main() -> None:
        done = await bench.engine.generate(PROMPT, Sampling(max_tokens=3, seed=1), session="s")
        turn = [*PROMPT, *done.tokens, 9]
        again = await bench.engine.generate(turn, Sampling(max_tokens=3, seed=1), session="s")
        assert again.cached + again.prefilled == len(turn)
        await bench.engine.release("s")

    bench.run(main)


def test_stats_count_and_are_a_heartbeat(bench: Bench) -> None:
    async def main() -> tuple[int, int]:
        before = (await bench.engine.stats()).sampled_tokens
        await bench.engine.generate(PROMPT, Sampling(max_tokens=7, seed=2))
        return before, (await bench.engine.stats()).sampled_tokens

    before, after = bench.run(main)
    assert after - before == 7
