"""The engine as its callers see it: order, cancelling, pausing, weights, errors, streams."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
import torch
from engine_models import VOCABULARY, assert_equal_but_for_ties, complete, decoder, engine, reference
from hypothesis import given, settings
from hypothesis import strategies as st

from espalier.core.errors import EngineError
from espalier.engine.api import Completion, Engine, PauseMode, Sampling
from espalier.engine.forward.fused import FusedRunner
from espalier.engine.forward.packed import PackedRunner
from espalier.engine.local import LocalEngine
from espalier.engine.updates import TensorUpdate
from espalier.lm.decoder import Decoder

PROMPT = [5, 6, 7, 8]


def run(main: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), 60))  # type: ignore[arg-type]


def update(model: Decoder, version: int) -> TensorUpdate:
    return TensorUpdate(version, dict(model.named_parameters()))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


def test_it_is_an_engine(model: Decoder) -> None:
    local: Engine = engine(model)
    assert local.version == 0


REQUESTS = [
    ([int(t) for t in np.random.default_rng(i % 7).integers(0, VOCABULARY, 3 + 9 * (i % 4))], settings_)
    for i, settings_ in enumerate(
        [Sampling(max_tokens=4 + i, seed=i) for i in range(10)]
        + [Sampling(max_tokens=9, temperature=0.5, seed=i) for i in range(3)]
        + [Sampling(max_tokens=9, top_k=5, top_p=0.9, seed=i) for i in range(3)]
        + [Sampling(max_tokens=9, temperature=0.0)] * 2
        + [Sampling(max_tokens=30, seed=i, stop=(3, 9), stop_sequences=((4, 5),)) for i in range(3)]
    )
]


@pytest.fixture(scope="module")
def alone() -> list[Completion]:
    """Each request by itself, in a fresh engine."""
    return [complete(engine(decoder(), max_rows=1), [prompt], [sampling])[0] for prompt, sampling in REQUESTS]


@settings(max_examples=25, deadline=None)
@given(
    order=st.permutations(range(len(REQUESTS))),
    rows=st.integers(1, 24),
    prefill=st.sampled_from([1, 3, 16, 512]),
    retain=st.sampled_from([0, 3]),
    gaps=st.lists(st.integers(0, 3), min_size=len(REQUESTS), max_size=len(REQUESTS)),
)
def test_scheduling_never_changes_tokens(
    alone: list[Completion], order: list[int], rows: int, prefill: int, retain: int, gaps: list[int]
) -> None:
    """Arrival order and time, rows, chunk size and cache: the same tokens, and log-probs to rounding."""
    model = decoder()

    async def main() -> dict[int, Completion]:
        local = engine(model, max_rows=rows, prefill_tokens=prefill, retain_rows=retain)
        tasks = {}
        for place in order:
            prompt, sampling = REQUESTS[place]
            tasks[place] = asyncio.create_task(local.generate(prompt, sampling))
            for _ in range(gaps[place]):
                await asyncio.sleep(0)
        return {place: await task for place, task in tasks.items()}

    for place, completion in asyncio.run(main()).items():
        prompt, sampling = REQUESTS[place]
        if sampling.temperature == 0.0:
            assert_equal_but_for_ties(model, prompt, alone[place].tokens, completion.tokens)
        else:
            assert completion.tokens == alone[place].tokens
        assert completion.logprobs == pytest.approx(alone[place].logprobs, abs=1e-4)
        assert completion.finish == alone[place].finish


def test_equal_calls_give_equal_bits(model: Decoder) -> None:
    prompts, samplings = zip(*REQUESTS, strict=True)
    one, other = (complete(engine(model), prompts, samplings) for _ in range(2))
    assert [(c.tokens, c.logprobs, c.raw_logprobs) for c in one] == [
        (c.tokens, c.logprobs, c.raw_logprobs) for c in other
    ]


def test_samples_of_the_engine_follow_the_model(model: Decoder) -> None:
    """Chi-square over the first token of 2,000 requests."""
    count = 2000
    completions = complete(engine(model, max_rows=64), [PROMPT] * count, [Sampling(1, seed=i) for i in range(count)])
    exact = reference(model, PROMPT)[-1].exp() * count
    seen = torch.bincount(torch.tensor([c.tokens[0] for c in completions]), minlength=VOCABULARY)
    often = exact >= 5
    pairs = [(seen[often], exact[often]), (seen[~often].sum()[None], exact[~often].sum()[None])]
    statistic = sum(float(((s - e) ** 2 / e).sum()) for s, e in pairs)
    freedom = int(often.sum())
    assert statistic < freedom + 5 * (2 * freedom) ** 0.5


def test_stop_ids_and_sequences_end_a_completion(model: Decoder) -> None:
    free = complete(engine(model), [PROMPT], [Sampling(max_tokens=30, seed=4)])[0]
    assert free.finish == "length"
    fifth = free.tokens[4]
    first = free.tokens.index(fifth)
    by_id = complete(engine(model), [PROMPT], [Sampling(max_tokens=30, seed=4, stop=(fifth,))])[0]
    assert (by_id.tokens, by_id.finish) == (free.tokens[: first + 1], "stop")
    ending = tuple(free.tokens[8:11])
    by_sequence = complete(engine(model), [PROMPT], [Sampling(max_tokens=30, seed=4, stop_sequences=(ending,))])[0]
    assert by_sequence.finish == "stop"
    assert tuple(by_sequence.tokens[-3:]) == ending
    assert by_sequence.tokens == free.tokens[: len(by_sequence.tokens)]


def test_a_stop_sequence_does_not_reach_into_the_prompt(model: Decoder) -> None:
    free = complete(engine(model), [PROMPT], [Sampling(max_tokens=6, seed=4)])[0]
    across = (PROMPT[-1], free.tokens[0])
    held = complete(engine(model), [PROMPT], [Sampling(max_tokens=6, seed=4, stop_sequences=(across,))])[0]
    assert held.tokens == free.tokens


def test_a_cancelled_request_frees_its_row(model: Decoder) -> None:
    async def main() -> None:
        local = engine(model, max_rows=1)
        running = asyncio.create_task(local.generate(PROMPT, Sampling(max_tokens=100)))
        waiting = asyncio.create_task(local.generate([1, 2], Sampling(max_tokens=3)))
        doomed = asyncio.create_task(local.generate([3, 4], Sampling(max_tokens=3)))
        await until(lambda: local._stepper.stats.sampled_tokens > 3)
        running.cancel()
        doomed.cancel()
        assert len((await waiting).tokens) == 3
        for task in (running, doomed):
            with pytest.raises(asyncio.CancelledError):
                await task
        stats = await local.stats()
        assert (stats.running, stats.waiting) == (0, 0)

    run(main)


def test_a_cancelled_leader_leaves_its_siblings(model: Decoder) -> None:
    async def main() -> None:
        local = engine(model, prefill_tokens=2)
        prompt = list(range(40))
        leader = asyncio.create_task(local.generate(prompt, Sampling(max_tokens=5, seed=0)))
        sibling = asyncio.create_task(local.generate(prompt, Sampling(max_tokens=5, seed=1)))
        await until(lambda: local._stepper.stats.steps >= 2)
        leader.cancel()
        completion = await sibling
        assert completion.cached + completion.prefilled == 40
        assert completion.tokens == (await engine(model).generate(prompt, Sampling(max_tokens=5, seed=1))).tokens

    run(main)


def test_pause_abort_returns_what_was_sampled(model: Decoder) -> None:
    async def main() -> None:
        local = engine(model, max_rows=2)
        tasks = [asyncio.create_task(local.generate([i], Sampling(max_tokens=50, seed=i))) for i in range(3)]
        await until(lambda: local._stepper.stats.sampled_tokens >= 10)
        await local.pause("abort")
        one, two = await asyncio.gather(*tasks[:2])
        assert one.finish == two.finish == "abort"
        assert 0 < len(one.tokens) < 50
        assert not tasks[2].done()
        await local.resume()
        assert (await tasks[2]).finish == "length"

    run(main)


@pytest.mark.parametrize("mode", ["finish", "keep"])
def test_pause_finish_waits_and_keep_freezes(model: Decoder, mode: PauseMode) -> None:
    async def main() -> None:
        local = engine(model, max_rows=1)
        first = asyncio.create_task(local.generate(PROMPT, Sampling(max_tokens=40, seed=1)))
        second = asyncio.create_task(local.generate(PROMPT, Sampling(max_tokens=4, seed=2)))
        await until(lambda: local._stepper.stats.sampled_tokens >= 10)
        await local.pause(mode)
        await asyncio.sleep(0)
        assert first.done() == (mode == "finish")
        steps = (await local.stats()).steps
        await asyncio.sleep(0.02)
        assert (await local.stats()).steps == steps
        await local.resume()
        alone = [
            await engine(model).generate(PROMPT, Sampling(max_tokens=count, seed=seed))
            for count, seed in ((40, 1), (4, 2))
        ]
        assert [(await first).tokens, (await second).tokens] == [completion.tokens for completion in alone]

    run(main)


def test_sleep_frees_the_derived_weights_until_the_next_load(model: Decoder) -> None:
    async def main() -> None:
        local = engine(model)
        before = await local.generate(PROMPT, Sampling(max_tokens=8, seed=1))
        runner = local._stepper.runner
        assert isinstance(runner, PackedRunner | FusedRunner)
        derived = runner._packed if isinstance(runner, PackedRunner) else runner.layers
        assert derived
        await local.sleep()
        assert not derived
        with pytest.raises(EngineError, match="call load before the next request"):
            await local.generate(PROMPT, Sampling(max_tokens=8, seed=1))
        await local.load(update(model, 3))
        after = await local.generate(PROMPT, Sampling(max_tokens=8, seed=1))
        assert (after.tokens, after.raw_logprobs) == (before.tokens, before.raw_logprobs)

    run(main)


def test_an_engine_with_requests_does_not_sleep(model: Decoder) -> None:
    async def main() -> None:
        local = engine(model)
        task = asyncio.create_task(local.generate(PROMPT, Sampling(max_tokens=40, seed=1)))
        await until(lambda: local._stepper.stats.sampled_tokens == 12)
        await local.sleep()
        assert len((await task).tokens) == 40
        assert len((await local.generate(PROMPT, Sampling(max_tokens=4, seed=1))).tokens) == 4

    run(main)


def test_versions_are_per_token(model: Decoder) -> None:
    async def main() -> None:
        local = engine(model)
        task = asyncio.create_task(local.generate(PROMPT, Sampling(max_tokens=40, seed=1)))
        await until(lambda: local._stepper.stats.sampled_tokens == 12)
        await local.pause("keep")
        await local.load(update(model, 7))
        await local.resume()
        assert (await task).versions == [0] * 12 + [7] * 28
        assert local.version == (await local.stats()).version == 7

    run(main)


def test_alias_shares_the_learners_weights_and_derives_anew_on_load() -> None:
    async def main() -> None:
        model = decoder()
        local, kept = engine(model, weights="alias"), engine(model, weights="copy")
        before = await local.generate(PROMPT, Sampling(max_tokens=9, seed=1))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.full_like(parameter, 0.05))
        assert (await kept.generate(PROMPT, Sampling(max_tokens=9, seed=1))).raw_logprobs == before.raw_logprobs
        for local_ in (local, kept):
            await local_.load(update(model, 1))
            after = await local_.generate(PROMPT, Sampling(max_tokens=9, seed=1))
            exact = reference(model, PROMPT + after.tokens)[3:-1].gather(1, torch.tensor(after.tokens)[:, None])
            assert after.raw_logprobs == pytest.approx(exact[:, 0].tolist(), abs=1e-4)
            assert after.raw_logprobs != before.raw_logprobs
        assert local.model is model
        assert kept.model.head_weight.data_ptr() != model.head_weight.data_ptr()

    run(main)


def test_alias_takes_over_other_tensors_without_a_copy() -> None:
    async def main() -> None:
        local, other = engine(decoder()), decoder(seed=9)
        await local.load(update(other, 2))
        assert local.model.head_weight.data_ptr() == other.head_weight.data_ptr()
        assert await local.score(PROMPT) == pytest.approx(await engine(other).score(PROMPT))

    run(main)


def test_a_wrong_update_changes_nothing(model: Decoder) -> None:
    async def main() -> None:
        local = engine(model)
        tensors = dict(decoder(seed=3).named_parameters())
        name, tensor = next(iter(tensors.items()))
        before = await local.score(PROMPT)
        for wrong, message in (
            ({k: v for k, v in tensors.items() if k != name}, "missing"),
            ({**tensors, "lm_head.extra": tensor}, "unknown lm_head.extra"),
            ({**tensors, name: tensor[:2]}, "shape"),
        ):
            with pytest.raises(EngineError, match=message):
                await local.load(TensorUpdate(5, wrong))
        assert local.version == 0
        assert await local.score(PROMPT) == before

    run(main)


def test_score_equals_the_logprobs_of_generate(model: Decoder) -> None:
    async def main() -> None:
        local = engine(model, prefill_tokens=40)
        completions = await asyncio.gather(*(local.generate([i, 2], Sampling(max_tokens=20, seed=i)) for i in range(5)))
        scores = await asyncio.gather(*(local.score([i, 2, *c.tokens]) for i, c in enumerate(completions)))
        for completion, score in zip(completions, scores, strict=True):
            assert len(score) == 22
            assert score[0] == 0.0
            assert score[2:] == pytest.approx(completion.raw_logprobs, abs=1e-4)
        assert await local.score([3]) == [0.0]

    run(main)


def test_a_stream_is_the_completion_piece_by_piece(model: Decoder) -> None:
    async def main() -> None:
        local = engine(model)
        whole = await local.generate(PROMPT, Sampling(max_tokens=12, seed=2))
        news = [item async for item in local.stream(PROMPT, Sampling(max_tokens=12, seed=2), top=3)]
        assert [item.token for item in news] == whole.tokens
        assert [item.raw_logprob for item in news] == pytest.approx(whole.raw_logprobs, abs=1e-5)
        assert [item.finish for item in news] == [None] * 11 + ["length"]
        exact = reference(model, PROMPT + whole.tokens)[3:-1].topk(3)
        assert [[token for token, _ in item.top] for item in news] == exact.indices.tolist()
        assert news[5].top[2][1] == pytest.approx(exact.values[5, 2].item(), abs=1e-4)

    run(main)


def test_streams_that_end_while_others_start_lose_nothing(model: Decoder) -> None:
    """With the prompt cached, a request of one token starts and ends between two forward passes."""

    async def main() -> None:
        local = engine(model, max_rows=3, retain_rows=0)
        samplings = [Sampling(max_tokens=1 + i % 3, seed=i) for i in range(24)]
        whole = await asyncio.gather(*(local.generate(PROMPT, sampling) for sampling in samplings))

        async def collect(sampling: Sampling) -> list[int]:
            return [item.token async for item in local.stream(PROMPT, sampling, top=1)]

        assert await asyncio.gather(*map(collect, samplings)) == [completion.tokens for completion in whole]

    run(main)


def test_leaving_a_stream_frees_its_row(model: Decoder) -> None:
    async def main() -> None:
        local = engine(model, max_rows=1)
        stream = local.stream(PROMPT, Sampling(max_tokens=100))
        await anext(stream)
        assert (await local.stats()).running == 1
        await stream.aclose()
        assert (await local.stats()).running == 0
        streams = [local.stream([i], Sampling(max_tokens=100)) for i in range(2)]
        for item in [await anext(streams[0])]:
            assert item.finish is None
        await local.pause("abort")
        assert [item.finish async for item in streams[0]][-1] == "abort"

    run(main)


def test_an_error_in_a_step_reaches_every_caller_and_the_engine_recovers(
    model: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        local = engine(model, max_rows=2)
        tasks = [asyncio.create_task(local.generate([i, 1], Sampling(max_tokens=40))) for i in range(4)]
        stream = local.stream(PROMPT, Sampling(max_tokens=40))
        tasks.append(asyncio.create_task(anext(stream)))  # type: ignore[arg-type]
        await until(lambda: local._stepper.stats.sampled_tokens > 4)
        with monkeypatch.context() as broken:
            broken.setattr(local._stepper.runner, "logits", lambda hidden: 1 / 0)
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(result, EngineError)
                assert "ZeroDivisionError" in str(result)
                assert result.retryable
        assert len((await local.generate(PROMPT, Sampling(max_tokens=4))).tokens) == 4

    run(main)


@pytest.mark.parametrize(
    ("prompt", "sampling", "message"),
    [
        ([1] * 100, Sampling(max_tokens=29), "raise engine.max_len"),
        ([], Sampling(max_tokens=1), "empty"),
        ([1, VOCABULARY], Sampling(max_tokens=1), "vocabulary"),
        ([1], Sampling(max_tokens=0), "max_tokens"),
    ],
)
def test_impossible_requests_are_refused(model: Decoder, prompt: list[int], sampling: Sampling, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        complete(engine(model), [prompt], [sampling])


def test_a_request_may_fill_its_row_to_the_last_position(model: Decoder) -> None:
    local = engine(model, max_rows=2, retain_rows=1)
    completions = complete(local, [[1] * 100, [2]] * 3, [Sampling(max_tokens=28), Sampling(max_tokens=127)] * 3)
    assert [len(completion.tokens) for completion in completions] == [28, 127] * 3


def test_engines_live_across_event_loops(model: Decoder) -> None:
    local: LocalEngine = engine(model)
    one, other = (complete(local, [PROMPT], [Sampling(max_tokens=5)])[0] for _ in range(2))
    assert one.tokens == other.tokens
    assert other.cached == len(PROMPT)


def test_an_engine_that_rounds_its_weights_is_close_to_the_policy_and_not_the_same() -> None:
    model = decoder()
    rounded = engine(model, weights="copy", quantize="int8")

    async def main() -> list[float]:
        await rounded.publish(update(model, 1))
        return await rounded.score(PROMPT)

    exact = [0.0, *(float(reference(model, PROMPT)[i][token]) for i, token in enumerate(PROMPT[1:]))]
    differences = np.abs(np.array(asyncio.run(main())) - exact)
    assert 1e-4 < differences.max() < 0.5
    for name, weight in rounded.model.named_parameters():
        if weight.ndim == 2:
            scale = dict(model.named_parameters())[name].abs().amax(1, keepdim=True) / 127
            steps = weight / scale
            assert (steps - steps.round()).abs().max() < 1e-3, "multiples of a scale for each row"
            assert steps.abs().max() < 127.5
