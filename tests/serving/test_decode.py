"""Decode placement and its simulation: hand-computed choices, and what each rule is for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espalier.serving.core.decode import DecodeName, DecodePlacement, Ranks
from espalier.serving.core.types import Request
from espalier.serving.model.steptime import DecodeTime
from espalier.serving.sim.decode import DecodeSimulation

TIME = DecodeTime(base=1.0, per_request=1.0, per_kv=0.01)
NAMES: list[DecodeName] = ["round_robin", "lex", "iqr_lex", "iqr_lex_literal", "cost"]


def one(name: DecodeName, requests: list[int], kv: list[int], prompt: int = 10, capacity: int = 10_000) -> int:
    placement = DecodePlacement(name, TIME)
    ((_, rank),), _ = placement.place([Request(0, 0.0, prompt, 1)], Ranks(requests, kv, capacity))
    return rank


def test_each_rule_by_hand() -> None:
    """Rank 1 has fewest requests and far the fullest cache: `lex` takes it, the outlier rules and `cost` do not."""
    requests, kv = [5, 4, 5, 6, 5], [100, 900, 110, 90, 105]
    assert one("lex", requests.copy(), kv.copy()) == 1
    assert one("iqr_lex_literal", requests.copy(), kv.copy()) == 0
    assert one("iqr_lex", requests.copy(), kv.copy()) == 0
    assert one("cost", requests.copy(), kv.copy()) == 0


def test_the_literal_rule_takes_healthy_ranks_out_and_the_floored_one_does_not() -> None:
    """Loads of 100 but one of 101: the interquartile range is 0, so rank 4 is an outlier by the letter."""
    requests, kv = [5, 5, 5, 5, 4], [100, 100, 100, 100, 101]
    assert one("iqr_lex_literal", requests.copy(), kv.copy()) == 0
    assert one("iqr_lex", requests.copy(), kv.copy()) == 4


def test_fewer_than_four_ranks_have_no_outliers() -> None:
    assert one("iqr_lex_literal", [5, 4, 5], [100, 900, 100]) == 1


def test_a_rank_above_the_watermark_is_a_last_resort() -> None:
    assert one("lex", [0, 5], [950, 100], prompt=20, capacity=1000) == 1
    assert one("lex", [0, 5], [950, 990], prompt=20, capacity=1000) == 0


@given(st.sampled_from(NAMES), st.lists(st.tuples(st.integers(1, 400), st.integers(1, 50)), max_size=30))
def test_no_cache_overflows_and_no_request_is_lost(name: DecodeName, sizes: list[tuple[int, int]]) -> None:
    requests = [Request(k, 0.0, *size) for k, size in enumerate(sizes)]
    ranks = Ranks([0] * 4, [0] * 4, 1000)
    placed, left = DecodePlacement(name, TIME).place(requests, ranks)
    assert sorted([request.id for request, _ in placed] + [request.id for request in left]) == list(range(len(sizes)))
    assert max(ranks.kv) <= 1000
    assert sum(ranks.requests) == len(placed)


def test_steps_by_hand() -> None:
    """Two requests of 3 and 1 tokens on two ranks: steps of 1 + 1 + 0.01 * most cached tokens, 100, 101, 102."""
    simulation = DecodeSimulation(2, TIME, DecodePlacement("lex", TIME))
    result = simulation.open([Request(0, 0.0, 100, 3), Request(1, 0.0, 50, 1)], [10.0, 10.0])
    assert result.tokens == 4
    assert result.seconds == pytest.approx(3.0 + 3.01 + 3.02)
    assert result.finished == pytest.approx({1: 13.0, 0: 19.03})
    assert simulation.ranks == Ranks([0, 0], [0, 0], simulation.ranks.capacity)


def test_a_closed_loop_keeps_its_number_and_counts_all_tokens() -> None:
    simulation = DecodeSimulation(4, TIME, DecodePlacement("cost", TIME))
    result = simulation.closed([Request(k, 0.0, 10 + k % 7, 1 + k % 5) for k in range(500)], 12, steps=50, warm=10)
    assert result.tokens == 12 * 50
    assert sum(simulation.ranks.requests) <= 12


def test_levelling_pays() -> None:
    requests = [Request(k, 0.0, 2000 if k % 4 == 0 else 50, 20 + 13 * k % 37) for k in range(4000)]
    speed = {}
    for name in ("round_robin", "cost"):
        simulation = DecodeSimulation(8, DecodeTime(), DecodePlacement(name, DecodeTime()))
        speed[name] = simulation.closed(requests, 200, 300, 100).throughput
    assert speed["cost"] > 1.03 * speed["round_robin"]
