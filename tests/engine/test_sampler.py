from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from espalier.core.errors import EngineError
from espalier.engine.api import Sampling
from espalier.engine.batching.noise import stream, uniforms
from espalier.engine.batching.sampler import Sampler, check

LOGITS = torch.tensor([2.0, 1.5, 1.4, 0.3, 0.0, -0.5, -1.0, -3.0])


def expected(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """The exact distribution, the slow way: transformers' order, one entry at a time."""
    probs = (logits.double() / sampling.temperature).softmax(-1).tolist()
    ranked = sorted(range(len(probs)), key=lambda i: -probs[i])
    if sampling.top_k:
        ranked = ranked[: sampling.top_k]
    total, mass, kept = sum(probs[i] for i in ranked), 0.0, []
    for i in ranked:
        if mass < sampling.top_p and probs[i] >= sampling.min_p * probs[ranked[0]]:
            kept.append(i)
        mass += probs[i] / total
    result = torch.zeros(len(probs), dtype=torch.float64)
    for i in kept:
        result[i] = probs[i] / sum(probs[j] for j in kept)
    return result


def draw(logits: torch.Tensor, sampling: Sampling, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """`count` draws at positions 0, 1, ... of one request's noise stream."""
    sampler = Sampler(1)
    sampler.set(0, sampling)
    drawn = sampler.draw(logits.expand(count, -1).contiguous(), np.zeros(count, dtype=np.int64), np.arange(count))
    return drawn.tokens, drawn.logprobs, drawn.raw


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.6},
        {"temperature": 1.7},
        {"top_k": 3},
        {"top_p": 0.7},
        {"min_p": 0.15},
        {"temperature": 1.3, "top_k": 6, "top_p": 0.9, "min_p": 0.05},
    ],
)
def test_frequencies_pass_a_chi_square_test(options: dict[str, float]) -> None:
    sampling, count = Sampling(max_tokens=1, seed=11, **options), 40_000
    tokens, logprobs, raw = draw(LOGITS, sampling, count)
    exact = expected(LOGITS, sampling)
    seen = torch.bincount(tokens, minlength=len(LOGITS)).double()
    possible = exact > 0
    assert seen[~possible].sum() == 0, "a truncated token was sampled"
    statistic = float(((seen - count * exact)[possible] ** 2 / (count * exact[possible])).sum())
    freedom = int(possible.sum()) - 1
    # Wilson-Hilferty: the cube root of chi-square over its degrees of freedom is close to normal; 4 sigma.
    deviation = ((statistic / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / math.sqrt(2 / (9 * freedom))
    assert deviation < 4
    torch.testing.assert_close(logprobs.double(), exact.log()[tokens], atol=1e-5, rtol=0)
    torch.testing.assert_close(raw, LOGITS.log_softmax(-1)[tokens], atol=1e-5, rtol=0)


@given(
    seed=st.integers(0, 2**64),
    temperature=st.floats(0.3, 3.0),
    top_k=st.integers(0, 50),
    top_p=st.floats(0.05, 1.0),
    min_p=st.floats(0.0, 0.5),
    vocabulary=st.sampled_from([5, 40, 3000]),
)
def test_truncation_equals_the_slow_rule(
    seed: int, temperature: float, top_k: int, top_p: float, min_p: float, vocabulary: int
) -> None:
    logits = torch.randn(vocabulary, generator=torch.Generator().manual_seed(seed % 1000)) * 3
    sampling = Sampling(1, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, seed=seed)
    tokens, logprobs, _ = draw(logits, sampling, 3)
    exact = expected(logits, sampling)[tokens]
    near_a_cut = exact == 0
    torch.testing.assert_close(logprobs.double()[~near_a_cut], exact[~near_a_cut].log(), atol=2e-3, rtol=0)
    assert near_a_cut.sum() == 0 or _nearly_cut(logits, sampling)


def _nearly_cut(logits: torch.Tensor, sampling: Sampling) -> bool:
    """Whether fp32 may decide a cut otherwise than fp64: a cumulative or relative probability is at the threshold."""
    probs = (logits.double() / sampling.temperature).softmax(-1).sort(descending=True).values
    kept = probs[: sampling.top_k or None]
    mass = (kept / kept.sum()).cumsum(-1)
    gaps = torch.cat([(mass - sampling.top_p).abs(), (kept / kept[0] - sampling.min_p).abs()])
    return bool(gaps.min() < 1e-5)


def test_truncation_is_that_of_transformers() -> None:
    from transformers import (
        LogitsProcessorList,
        MinPLogitsWarper,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    logits = torch.randn(6, 200, generator=torch.Generator().manual_seed(0)) * 2
    chain = LogitsProcessorList(
        [TemperatureLogitsWarper(0.8), TopKLogitsWarper(50), TopPLogitsWarper(0.85), MinPLogitsWarper(0.02)]
    )
    theirs = chain(torch.zeros(6, 1, dtype=torch.long), logits.clone()).softmax(-1)
    sampling = Sampling(1, temperature=0.8, top_k=50, top_p=0.85, min_p=0.02)
    for row in range(6):
        torch.testing.assert_close(expected(logits[row], sampling).float(), theirs[row], atol=1e-6, rtol=0)


def test_greedy_takes_the_best_and_is_certain_of_it() -> None:
    tokens, logprobs, raw = draw(LOGITS, Sampling(1, temperature=0.0, top_p=0.5), 2)
    assert tokens.tolist() == [0, 0]
    assert logprobs.tolist() == [0.0, 0.0]
    assert raw.tolist() == pytest.approx([LOGITS.log_softmax(-1)[0].item()] * 2)


def test_rows_with_other_settings_change_nothing() -> None:
    kinds = [
        Sampling(1, seed=3),
        Sampling(1, temperature=0.0),
        Sampling(1, temperature=0.5, seed=4),
        Sampling(1, top_k=4, seed=5),
        Sampling(1, top_p=0.8, temperature=2.0, seed=6),
    ]
    logits = torch.randn(len(kinds), 500, generator=torch.Generator().manual_seed(1))
    rows, positions = np.arange(len(kinds)), np.arange(len(kinds)) * 3
    together, alone = Sampler(len(kinds)), Sampler(1)
    for row, sampling in enumerate(kinds):
        together.set(row, sampling)
    mixed = together.draw(logits, rows, positions)
    for row, sampling in enumerate(kinds):
        alone.set(0, sampling)
        single = alone.draw(logits[row : row + 1], rows[:1], positions[row : row + 1])
        assert single.tokens[0] == mixed.tokens[row]
        assert single.logprobs[0] == pytest.approx(float(mixed.logprobs[row]), abs=1e-6)


def test_noise_is_uniform_and_independent_of_the_batch() -> None:
    keys = np.array([stream(seed) for seed in range(300)], dtype=np.uint64)
    grid = np.stack([uniforms(keys, np.full(300, position)) for position in range(300)])
    counts = np.histogram(grid, bins=20, range=(0.0, 1.0))[0]
    assert abs(counts / grid.size - 0.05).max() < 0.003
    assert abs(np.corrcoef(grid[:-1].ravel(), grid[1:].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(grid[:, :-1].ravel(), grid[:, 1:].ravel())[0, 1]) < 0.02
    assert uniforms(keys[7:8], np.array([5]))[0] == grid[5, 7]
    assert len(np.unique(grid)) == grid.size


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tokens": 0},
        {"temperature": -1.0},
        {"temperature": math.nan},
        {"top_p": 0.0},
        {"min_p": 2.0},
        {"stop_sequences": ((),)},
        {"stop": (2**63,)},
        {"stop_sequences": ((3, -1),)},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(EngineError, match=next(iter(wrong))):
        check(Sampling(**{"max_tokens": 4, **wrong}))


@pytest.mark.parametrize(
    "extreme",
    [
        {"temperature": 5e-324},
        {"temperature": 1e-40},
        {"temperature": 1e-6},
        {"temperature": 1e300},
        {"temperature": 1.7e308},
        {"top_p": 5e-324},
        {"top_p": 1e-40, "temperature": 0.7},
        {"top_p": 1 - 1e-16},
        {"top_k": 2**63},
        {"top_k": 10**400},
        {"top_k": 2**31},
        {"min_p": 5e-324},
        {"min_p": 1.0},
        {"min_p": 1.0, "top_p": 5e-324, "top_k": 2**64, "temperature": 1e300},
        {"seed": -(2**70)},
        {"seed": 10**400},
    ],
)
def test_the_ends_of_every_setting_give_a_token_and_a_log_prob(extreme: dict[str, float]) -> None:
    for logits in (LOGITS, LOGITS * 1e30, torch.zeros(8)):
        tokens, logprobs, raw = draw(logits, Sampling(1, **extreme), 50)
        assert ((tokens >= 0) & (tokens < len(LOGITS))).all()
        assert torch.isfinite(logprobs).all()
        assert torch.isfinite(raw).all()


def test_cold_and_narrow_rows_take_the_best() -> None:
    for sampling in (Sampling(1, temperature=1e-40), Sampling(1, temperature=9e-6), Sampling(1, top_p=5e-324)):
        assert set(draw(LOGITS, sampling, 50)[0].tolist()) == {0}


def test_a_row_of_nan_gets_a_log_prob_that_tells_and_leaves_its_neighbour_alone() -> None:
    logits = torch.stack([LOGITS, torch.full_like(LOGITS, math.nan), LOGITS])
    for options in ({}, {"temperature": 0.5}, {"top_p": 0.5}, {"temperature": 0.0}):
        sampler = Sampler(3)
        for row in range(3):
            sampler.set(row, Sampling(1, seed=row, **options))
        drawn = sampler.draw(logits, np.arange(3), np.zeros(3, dtype=np.int64))
        assert torch.isfinite(drawn.raw).tolist() == [True, False, True]
