"""Decode placement and its simulation: hand-computed choices, and what each rule is for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espalier.cli.main import main
from espalier.core.errors import ConfigError
from espalier.serving.config import DecodeStageConfig
from espalier.serving.core.decode import DecodeName, DecodePlacement, Ranks
from espalier.serving.core.types import Request
from espalier.serving.model.steptime import DecodeTime
from espalier.serving.sim.decode import DecodeSimulation
from espalier.serving.sim.loop import NEVER, Log
from espalier.serving.sim.stage import decode_stage

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


def test_a_cache_does_not_overflow_as_its_requests_grow() -> None:
    """Two of 10 + 30 tokens do not both fit into 60, though 10 + 40 do when the second comes: it waits."""
    seen = []

    class Watching(DecodePlacement):
        def place(self, requests: Sequence[Request], ranks: Ranks) -> tuple[list[tuple[Request, int]], list[Request]]:
            seen.append(ranks.kv[0])
            return super().place(requests, ranks)

    simulation = DecodeSimulation(1, DecodeTime(base=1.0, per_request=0, per_kv=0), Watching("lex", TIME), 60)
    result = simulation.open([Request(0, 0.0, 10, 30), Request(1, 0.0, 10, 30)], [0.0, 5.0])
    assert result.finished == {0: 30.0, 1: 60.0}
    assert max(seen) <= 60


def test_those_who_wait_go_in_order_and_a_long_line_is_not_searched_again_and_again() -> None:
    simulation = DecodeSimulation(1, DecodeTime(base=1.0, per_request=0, per_kv=0), DecodePlacement("lex", TIME), 20)
    requests = [Request(k, 0.0, 10, 10) for k in range(100)]
    result = simulation.open(requests, [0.001 * k for k in range(100)])
    assert [result.finished[k] for k in range(100)] == [10.0 * (k + 1) for k in range(100)]


def first_tokens(outputs: list[int], at: list[float], prompts: list[int]) -> Log:
    requests = [Request(k, 0.0, *size) for k, size in enumerate(zip(prompts, outputs, strict=True))]
    log = Log(requests)
    log.first = at
    return log


def test_the_way_to_the_last_token_by_hand() -> None:
    """Request 0 has its first token at 10 and comes over at 10 + 1 + 0.1 * 20 = 13; two steps of 1 s give the other two
    tokens, so 5 s for two. Request 1 has no more than its first. Request 2 never had one.
    """
    config = DecodeStageConfig.of(
        ranks=2,
        time={"base": 1.0, "per_request": 0.0, "per_kv": 0.0},
        transfer={"latency": 1.0, "seconds_per_token": 0.1},
    )
    answers = decode_stage(first_tokens([3, 1, 9], [10.0, 4.0, NEVER], [20, 500, 20]), config)
    assert answers.whole.tolist() == [15.0, 4.0]
    assert answers.tpot[0] == 2.5
    assert np.isnan(answers.tpot[1])
    assert answers.throughput == 4 / 15
    assert answers.summary()["tpot_mean"] == 2.5
    assert decode_stage(first_tokens([3], [NEVER], [5]), config).whole.size == 0
    with pytest.raises(ConfigError, match=r"decode.capacity: 50 tokens are less than the 508 of one request"):
        decode_stage(first_tokens([3, 9], [1.0, 1.0], [20, 500]), DecodeStageConfig(capacity=50))


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(NAMES),
    st.lists(st.tuples(st.integers(1, 300), st.integers(0, 40), st.floats(0.1, 30.0)), min_size=1, max_size=60),
    st.integers(1, 5),
    st.integers(341, 900),
)
def test_every_transfer_arrives_and_every_answer_ends(
    name: DecodeName, sizes: list[tuple[int, int, float]], ranks: int, capacity: int
) -> None:
    prompts, outputs, first = (list(column) for column in zip(*sizes, strict=True))
    log = first_tokens(outputs, first, prompts)
    config = DecodeStageConfig.of(ranks=ranks, placement=name, capacity=capacity, transfer={"latency": 0.5})
    answers = decode_stage(log, config)
    transfer, base = config.transfer, config.time.base
    for prompt, output, begun, whole, tpot in zip(prompts, outputs, first, answers.whole, answers.tpot, strict=True):
        further = max(output - 1, 0)
        least = transfer.seconds(prompt) + further * base if further else 0.0
        assert whole - begun >= least - 1e-9
        assert further == 0 or tpot * further == pytest.approx(whole - begun)
    tokens = answers.throughput * (max(answers.whole) - 0.0)
    assert tokens == pytest.approx(sum(outputs), abs=1e-6)


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(1, 40)), min_size=1, max_size=40), st.integers(341, 700))
def test_caches_are_empty_at_the_end_and_never_too_full(sizes: list[tuple[int, int]], capacity: int) -> None:
    most = []

    class Watching(DecodeTime):
        def seconds(self, requests: int, kv: int) -> float:
            most.append(kv)
            return 1.0

    simulation = DecodeSimulation(3, Watching(), DecodePlacement("cost", TIME), capacity)
    result = simulation.open([Request(k, 0.0, *size) for k, size in enumerate(sizes)], [0.0] * len(sizes))
    assert result.tokens == sum(output for _, output in sizes)
    assert sorted(result.finished) == list(range(len(sizes)))
    assert max(most) <= capacity
    assert simulation.ranks == Ranks([0] * 3, [0] * 3, capacity)


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


def test_a_comparison_does_not_run_out_of_short_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step makes a token of each of the 40 requests that are always there, so tokens/s times seconds is 40."""
    monkeypatch.chdir(tmp_path)
    traffic = {"short": {"trace": "constant", "lengths": {"prompt": 10, "output": 2}}}
    recipe = {"job": "serving.decode", "name": "d", "ranks": 4, "traffic": traffic, "at_once": [40], "steps": 60}
    Path("r.yaml").write_text(json.dumps({**recipe, "seeds": 1, "placements": ["round_robin", "cost"]}))
    assert main(["run", "r.yaml"]) == 0
    (report,) = tmp_path.glob("runs/d/*/report.json")
    (table,) = (block for block in json.loads(report.read_text()) if block["kind"] == "table")
    for *_, throughput, milliseconds, _ in table["rows"]:
        assert throughput * milliseconds / 1000 == pytest.approx(40)
