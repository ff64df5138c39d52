"""What fails in the engine fails alone."""

from __future__ import annotations

import asyncio
import math

import pytest
import torch
from engine_models import VOCABULARY, engine

from espalier.core.errors import ConfigError, EngineError
from espalier.engine.api import Sampling
from espalier.engine.batching import memory
from espalier.engine.batching.memory import Sizes, fit, position_bytes
from espalier.engine.local import LocalEngine
from espalier.lm.config import DecoderConfig
from espalier.lm.decoder import Decoder

PROMPTS = [[1, 2, 3], [4, 5], [6, 7, 8, 9]]
EXTREMES = [
    {"temperature": 5e-324},
    {"temperature": 1.7e308},
    {"top_p": 5e-324},
    {"top_k": 2**63},
    {"top_k": 10**400, "temperature": 1e-40},
    {"min_p": 1.0},
    {"seed": -(10**30)},
    {"stop": tuple(range(2**40, 2**40 + 50))},
]


def together(local: LocalEngine, extra: list[Sampling]) -> list[list[int]]:
    """The tokens of three ordinary requests beside `extra` ones."""

    async def main() -> list[list[int]]:
        ordinary = [local.generate(prompt, Sampling(20, seed=i)) for i, prompt in enumerate(PROMPTS)]
        others = [local.generate([3, 2, 1], sampling) for sampling in extra]
        found = await asyncio.gather(*ordinary, *others, return_exceptions=True)
        assert not any(isinstance(one, BaseException) for one in found[:3])
        return [one.tokens for one in found[:3] if not isinstance(one, BaseException)]

    return asyncio.run(main())


@pytest.mark.parametrize("extreme", EXTREMES, ids=str)
def test_settings_at_the_ends_of_their_types_leave_neighbours_alone(model: Decoder, extreme: dict[str, object]) -> None:
    alone = together(engine(model), [])
    beside = together(engine(model), [Sampling(**{"max_tokens": 20, **extreme})])  # type: ignore[arg-type]
    assert beside == alone


def test_a_row_whose_logits_are_nan_fails_alone(model: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = together(engine(model), [])
    local = engine(model)
    forward = local._stepper.runner.forward

    def poisoned(tokens: torch.Tensor, positions: torch.Tensor, attend: object) -> torch.Tensor:
        hidden = forward(tokens, positions, attend)  # type: ignore[arg-type]
        return torch.where((tokens == 40)[:, None], math.nan, hidden)

    async def main() -> list[object]:
        ordinary = [local.generate(prompt, Sampling(20, seed=i)) for i, prompt in enumerate(PROMPTS)]
        bad = local.generate([1, 40], Sampling(20))

        async def streamed() -> list[object]:
            return [item async for item in local.stream([2, 40], Sampling(20), top=2)]

        return await asyncio.gather(*ordinary, bad, streamed(), return_exceptions=True)

    monkeypatch.setattr(local._stepper.runner, "forward", poisoned)
    *fine, bad, streamed = asyncio.run(main())
    expected = [tokens for tokens in alone if 40 not in tokens]
    assert [one.tokens for one in fine if not isinstance(one, BaseException)] == expected  # type: ignore[attr-defined]
    for failed in (bad, streamed):
        assert isinstance(failed, EngineError)
        assert "position 2 are not finite" in str(failed)
    monkeypatch.undo()
    assert together(local, []) == alone, "nothing of the failed rows may be reused"


def test_a_step_that_fails_ends_its_requests_and_no_others(model: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    local = engine(model, max_rows=2)
    forward, calls = local._stepper.runner.forward, 0

    def failing(*inputs: object) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise RuntimeError("no memory")
        return forward(*inputs)  # type: ignore[arg-type]

    monkeypatch.setattr(local._stepper.runner, "forward", failing)

    async def main() -> list[object]:
        calls = (local.generate(prompt, Sampling(9, seed=i)) for i, prompt in enumerate([*PROMPTS, [9, 9]]))
        return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 20)

    found = asyncio.run(main())
    assert [isinstance(one, EngineError) for one in found] == [True, True, False, False]
    assert "no memory" in str(found[0])
    assert asyncio.run(local.stats()).running == 0
    assert [len(tokens) for tokens in together(local, [])] == [20, 20, 20]


def test_a_step_that_always_fails_ends_everybody(model: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    local = engine(model, max_rows=2)
    monkeypatch.setattr(local._stepper.scheduler, "admit", lambda *_: 1 / 0)

    async def main() -> list[object]:
        calls = (local.generate(prompt, Sampling(9)) for prompt in PROMPTS)
        return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 20)

    assert all(isinstance(one, EngineError) and one.retryable for one in asyncio.run(main()))


def test_a_stream_that_cannot_be_told_fails_alone(model: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    local = engine(model)
    report = local._stepper.report

    def failing(sequence: object) -> None:
        if sequence.top == 7:  # type: ignore[attr-defined]
            raise ValueError("no text")
        report(sequence)  # type: ignore[arg-type]

    monkeypatch.setattr(local._stepper, "report", failing)

    async def stream(top: int) -> list[int]:
        return [item.token async for item in local.stream([1, 2, 3], Sampling(20, seed=1), top=top)]

    async def main() -> list[object]:
        calls = asyncio.gather(stream(0), stream(7), stream(2), return_exceptions=True)
        return await asyncio.wait_for(calls, 20)

    one, failed, other = asyncio.run(main())
    assert isinstance(failed, EngineError)
    assert "no text" in str(failed)
    assert one == other
    assert len(one) == 20  # type: ignore[arg-type]
    assert asyncio.run(local.stats()).running == 0


def test_wrong_ids_are_named(model: Decoder) -> None:
    for wrong in (-1, VOCABULARY, 2**70):
        with pytest.raises(EngineError, match=f"token id {wrong} is outside"):
            engine(model).check([1, wrong, 2], Sampling(1))


SHAPE = DecoderConfig(
    family="qwen3",
    vocab_size=100,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=32,
    max_position_embeddings=1000,
)
EACH = (2 * 3 * 2 * 32 + 64) * 4 + 8 * 4 * (1 + 1) + 16
"""Keys and values of 3 layers, 2 heads, 32 wide, and the hidden state, in fp32; tables of 4 heads; what is written."""


def test_the_bytes_of_a_position_by_hand() -> None:
    assert position_bytes(SHAPE, torch.float32) == EACH


@pytest.mark.parametrize(
    ("rows_of_1000", "given", "expected"),
    [
        (1000, {}, Sizes(128, 1000, 32)),
        (10, {}, Sizes(5, 1000, 1)),
        (10, {"max_rows": 16}, Sizes(16, 384, 4)),
        (10, {"max_len": 100}, Sizes(49, 100, 12)),
        (10, {"max_rows": 7, "retain_rows": 3}, Sizes(7, 800, 3)),
        (10, {"max_rows": 2, "max_len": 50, "retain_rows": 0}, Sizes(2, 50, 0)),
    ],
)
def test_sizes_follow_the_model_and_the_memory(rows_of_1000: int, given: dict[str, int], expected: Sizes) -> None:
    """Half of the memory is taken, rounded to chunks of 32 positions."""
    assert fit(SHAPE, torch.float32, rows_of_1000 * 1600 * EACH, **given) == expected


def test_what_does_not_fit_is_said_with_what_to_lower() -> None:
    with pytest.raises(ConfigError, match=r"200 rows and 50 retained ones of 1000 positions need .* lower max_rows"):
        fit(SHAPE, torch.float32, 10 * 1000 * EACH, max_rows=200, max_len=1000)
    with pytest.raises(ConfigError, match="the model has 1000 positions"):
        fit(SHAPE, torch.float32, 2**40, max_len=1001)
    with pytest.raises(ConfigError, match="lower max_rows"):
        fit(SHAPE, torch.float32, 0)


def test_an_engine_that_does_not_fit_is_refused_before_anything_is_taken(
    model: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="1000000000 rows"):
        LocalEngine(model, max_rows=10**9, max_len=128)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 10_000)
    with pytest.raises(ConfigError, match=r"0\.00 GiB are free"):
        engine(model)
    with pytest.raises(ConfigError, match="max_rows"):
        LocalEngine(model, max_rows=0, max_len=128)
