"""What is computed and what is reused, counted to the token."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import torch
from engine_models import VOCABULARY, complete, decoder, engine, reference

from espalier.engine.api import Completion, Sampling
from espalier.engine.local import LocalEngine
from espalier.engine.updates import TensorUpdate
from espalier.lm.decoder import Decoder

PROMPT = list(range(1, 25))


def stats(local: LocalEngine) -> tuple[int, int]:
    counted = asyncio.run(local.stats())
    assert counted.prompt_tokens == counted.prefilled_tokens + counted.cached_tokens
    return counted.prefilled_tokens, counted.cached_tokens


def assert_logprobs(model: Decoder, prompt: list[int], completion: Completion) -> None:
    logp = reference(model, [*prompt, *completion.tokens])[len(prompt) - 1 : -1]
    exact = logp.gather(1, torch.tensor(completion.tokens)[:, None])[:, 0]
    assert completion.raw_logprobs == pytest.approx(exact.tolist(), abs=1e-4)


@pytest.mark.parametrize("rows", [1, 3, 8, 32])
@pytest.mark.parametrize("prefill", [5, 2048])
@pytest.mark.parametrize("retain", [0, 4])
def test_the_prompt_is_computed_once_a_group(model: Decoder, rows: int, prefill: int, retain: int) -> None:
    local = engine(model, max_rows=rows, prefill_tokens=prefill, retain_rows=retain)
    groups = [[1, 2, 3, *range(g, g + 12)] for g in (10, 20, 30)]
    random = np.random.default_rng(0)
    asked = [prompt for prompt in groups for _ in range(8)]
    samplings = [Sampling(max_tokens=int(random.integers(1, 12)), seed=i) for i in range(len(asked))]
    completions = complete(local, asked, samplings)
    for start in range(0, 24, 8):
        assert sum(completion.prefilled for completion in completions[start : start + 8]) <= len(asked[start])
        assert sum(completion.prefilled > 0 for completion in completions[start : start + 8]) == 1
    assert stats(local)[0] <= sum(map(len, groups))
    for prompt, completion in zip(asked, completions, strict=True):
        assert completion.cached + completion.prefilled == len(prompt)
        assert_logprobs(model, prompt, completion)


def test_a_group_alone_computes_exactly_its_prompt(model: Decoder) -> None:
    local = engine(model, max_rows=3)
    completions = complete(local, [PROMPT] * 8, [Sampling(max_tokens=5 + i, seed=i) for i in range(8)])
    assert stats(local) == (len(PROMPT), 7 * len(PROMPT))
    assert [completion.prefilled for completion in completions] == [len(PROMPT)] + [0] * 7


@pytest.mark.parametrize("busy", [False, True])
def test_the_next_turn_computes_only_its_new_tokens(model: Decoder, busy: bool) -> None:
    async def main() -> None:
        local = engine(model, max_rows=2, retain_rows=2)
        first = await local.generate(PROMPT, Sampling(max_tokens=10, seed=1), session="talk")
        if busy:
            others = [[40, i, i + 1, 5] for i in range(20)]
            await asyncio.gather(*(local.generate(other, Sampling(max_tokens=9)) for other in others))
        held, turn = PROMPT + first.tokens, [7, 8, 9]
        second = await local.generate(held + turn, Sampling(max_tokens=4, seed=2), session="talk")
        assert (second.cached, second.prefilled) == (len(held) - 1, 1 + len(turn)), "the last sampled token has no KV"
        assert_logprobs(model, held + turn, second)
        await local.release("talk")

    asyncio.run(main())


def test_a_fork_computes_nothing(model: Decoder) -> None:
    async def main() -> None:
        local = engine(model)
        trunk = await local.generate(PROMPT, Sampling(max_tokens=30, seed=1))
        row = PROMPT + trunk.tokens
        for at in (1, 10, len(PROMPT), len(PROMPT) + 7, len(row) - 1):
            before = (await local.stats()).prefilled_tokens
            branch = await local.generate(row[:at], Sampling(max_tokens=6, seed=at))
            assert (branch.cached, branch.prefilled) == (at, 0)
            assert (await local.stats()).prefilled_tokens == before
            assert_logprobs(model, row[:at], branch)

    asyncio.run(main())


def test_a_fork_of_a_running_row_computes_nothing(model: Decoder) -> None:
    async def main() -> None:
        local = engine(model)
        trunk = asyncio.create_task(local.generate(PROMPT, Sampling(max_tokens=60, seed=1)))
        while (await local.stats()).sampled_tokens < 5:
            await asyncio.sleep(0)
        branch = await local.generate(PROMPT[:20], Sampling(max_tokens=6, seed=3))
        assert (branch.cached, branch.prefilled) == (20, 0)
        assert_logprobs(model, PROMPT[:20], branch)
        assert_logprobs(model, PROMPT, await trunk)

    asyncio.run(main())


def test_the_cache_never_crosses_versions() -> None:
    async def main() -> None:
        model, other = decoder(seed=0), decoder(seed=5)
        local = engine(model)
        await local.generate(PROMPT, Sampling(max_tokens=8), session="talk")
        await local.load(TensorUpdate(1, dict(other.named_parameters())))
        again = await local.generate(PROMPT, Sampling(max_tokens=8), session="talk")
        assert (again.cached, again.prefilled) == (0, len(PROMPT))
        assert again.versions == [1] * 8
        assert_logprobs(other, PROMPT, again)

    asyncio.run(main())


def test_a_released_session_is_evicted_before_a_kept_one(model: Decoder) -> None:
    async def main() -> None:
        local = engine(model, max_rows=1, retain_rows=1)
        kept, released = [1] * 20, [2] * 20
        await local.generate(kept, Sampling(max_tokens=4), session="kept")
        await local.generate(released, Sampling(max_tokens=4), session="released")
        await local.release("released")
        for i in range(4):
            await local.generate([30 + i] * 10, Sampling(max_tokens=4))
        assert (await local.generate(kept, Sampling(max_tokens=2))).cached == len(kept)
        assert (await local.generate(released, Sampling(max_tokens=2))).cached < len(released)

    asyncio.run(main())


def test_vocabulary_is_what_the_prompts_assume() -> None:
    assert max(PROMPT) < VOCABULARY
