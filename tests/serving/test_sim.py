"""The simulator: hand-computed passes, conservation, theory where there is one, scenarios of recipes."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulations import POLICIES, SCHEDULERS, SECOND, random_requests, run

from espalier.core.data import DataRoot
from espalier.core.errors import ConfigError
from espalier.serving.config import CompareConfig
from espalier.serving.core.immediate import Immediate
from espalier.serving.core.policies.round_robin import RoundRobin
from espalier.serving.core.prefix import PrefixIndex
from espalier.serving.core.staggered import Staggered
from espalier.serving.core.state import Pool
from espalier.serving.core.types import Request
from espalier.serving.model.steptime import PrefillTime
from espalier.serving.sim.metrics import Times, engine_figures
from espalier.serving.sim.scenario import Scenario, find_trace, run_scenario
from espalier.serving.traces.arrivals import poisson
from espalier.serving.traces.trace import Trace


def test_a_pass_lasts_as_long_as_its_slowest_rank_and_prompts_are_cut_into_chunks() -> None:
    """150 and 40 tokens come at 0: a pass of 100 and 40, 1.0 s. Then 50 left and 30 more on rank 0: 0.8 s."""
    scheduler = Immediate(Pool.idle(1, 2, 100), RoundRobin())
    log = run(scheduler, [Request(0, 0.0, 150), Request(1, 0.0, 40), Request(2, 0.2, 30)])
    assert log.begun == [0.0, 0.0, 1.0]
    assert log.first == pytest.approx([1.8, 1.0, 1.8])
    assert [(largest, tokens) for *_, largest, tokens in log.passes] == [(100, 140), (80, 80)]


def test_what_comes_during_a_pass_is_held_and_then_shares_the_next() -> None:
    """A pass of 100 tokens ends at 1.0; the two requests held meanwhile share the next, 0.4 s for the longer."""
    log = run(Staggered(Pool.idle(1, 2, 100)), [Request(0, 0.0, 100), Request(1, 0.5, 10), Request(2, 0.6, 40)])
    assert log.placed == [0.0, 1.0, 1.0]
    assert log.first == pytest.approx([1.0, 1.4, 1.4])


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from(sorted(SCHEDULERS)), st.integers(1, 3), st.integers(1, 4), st.integers(0, 999), st.floats(0.2, 3.0)
)
def test_every_request_ends_once_and_all_tokens_are_computed(
    name: str, instances: int, ranks: int, seed: int, rate: float
) -> None:
    requests = random_requests(60, rate * instances * ranks, seed)
    log = run(SCHEDULERS[name](Pool.idle(instances, ranks, 100)), requests)
    times = Times.of(log)
    assert times.ttft.size == 60
    assert sum(tokens for *_, tokens in log.passes) == sum(request.prompt for request in requests)
    for request, placed, begun, first in zip(requests, log.placed, log.begun, log.first, strict=True):
        assert request.arrival <= placed <= begun < first
        assert first - begun >= request.prompt * SECOND.per_token * 0.999
    np.testing.assert_allclose(times.held + times.queued + times.computed, times.ttft)


@pytest.mark.parametrize("name", sorted(SCHEDULERS))
def test_the_same_seed_gives_the_same_run(name: str) -> None:
    logs = [run(SCHEDULERS[name](Pool.idle(2, 3, 100)), random_requests(200, 3.0, 7)) for _ in range(2)]
    assert logs[0].first == logs[1].first
    assert logs[0].passes == logs[1].passes


EVERY_POLICY = """
import hashlib, json
from typing import get_args
from espalier.core.data import DataRoot
from espalier.serving.config import CompareConfig, PolicyName
from espalier.serving.figures import figures
from espalier.serving.sim.scenario import Scenario, run_scenario
from espalier.serving.traces.trace import Row, Trace

rows = [Row(900 + 517 * k % 3000, 1 + k % 50, 0.1 * k, tuple(range(k % 4)), k % 3) for k in range(300)]
arms = {name: {"policy": name, "prefix": {}, "trouble": {"dead": 0.4, "noise": 0.1, "stale": 0.05, "estimate": 0.2}}
        for name in get_args(PolicyName)}
traffic = {"t": {"trace": "t", "requests": 300, "cached": True}}
config = CompareConfig.of(pools=["2x4"], traffic=traffic, arms=arms, decode={"ranks": 5}, targets={"tpot": 0.1})
for arm in arms:
    log, _ = run_scenario(config, Scenario("2x4", "t", 0.7, arm, 5), Trace.of_rows("t", rows))
    told = [log.placed, log.begun, log.first, log.where, log.passes, figures(config, log, "2x4", timeline=True)]
    print(arm, hashlib.sha256(json.dumps(told).encode()).hexdigest())
"""


def test_the_same_seed_gives_the_same_run_in_every_process() -> None:
    """Also where sets and dictionaries of text come in another order."""

    def told(hash_seed: str) -> list[str]:
        env = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run([sys.executable, "-c", EVERY_POLICY], env=env, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    first, second = told("1"), told("2")
    assert first == second
    assert len({line.split()[1] for line in first}) == len(POLICIES)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_one_server_waits_as_queueing_theory_says(load: float) -> None:
    """M/D/1: one rank, every prompt a chunk, so mean wait = rho / (2 (1 - rho)) service times."""
    rng = np.random.default_rng(3)
    waits = []
    for _ in range(6):
        times = poisson(40_000, load, rng)
        requests = [Request(k, time, 100) for k, time in enumerate(times.tolist())]
        log = run(Immediate(Pool.idle(1, 1, 100), RoundRobin()), requests)
        waits.append(float(Times.of(log).queued.mean()))
    assert np.mean(waits) == pytest.approx(load / (2 * (1 - load)), rel=0.02)


def test_holding_beats_immediate_dispatch_where_the_paper_says_so() -> None:
    requests = random_requests(4000, 16.0, 1, longest=60)
    means = {}
    for name in ("least tokens", "sbs", "whole"):
        log = run(SCHEDULERS[name](Pool.idle(4, 8, 100)), requests, PrefillTime(base=0.1, per_token=0.01, chunk=100))
        means[name] = Times.of(log).ttft.mean()
    assert means["sbs"] < 0.85 * means["least tokens"]
    assert means["whole"] < 1.02 * means["sbs"]


def test_cached_prefixes_are_not_computed_again() -> None:
    requests = [Request(0, 0.0, 60, blocks=(1, 2)), Request(1, 5.0, 60, blocks=(1, 2))]
    log = run(Staggered(Pool.idle(1, 1, 100), prefix=PrefixIndex(20)), requests, cache=PrefixIndex(20))
    assert [first - one.arrival for first, one in zip(log.first, requests, strict=True)] == pytest.approx([0.6, 0.2])


def test_attention_over_a_long_context_takes_its_time() -> None:
    """100 tokens after 0, then 50 after 100: 100 * 50 and 50 * 125 token pairs."""
    time = PrefillTime(base=0.0, per_token=0.0, per_attended=1.0, chunk=100)
    log = run(Staggered(Pool.idle(1, 1, 100)), [Request(0, 0.0, 150)], time)
    assert [seconds for _, _, seconds, *_ in log.passes] == [5000.0, 6250.0]


def test_figures_of_passes() -> None:
    """Passes of (100, 0) and (50, 50) tokens: 200 of 2 * 150 possible, twice and once the mean."""
    log = run(Staggered(Pool.idle(1, 2, 100)), [Request(0, 0.0, 100), Request(1, 5.0, 50), Request(2, 5.0, 50)])
    figures = engine_figures(log, 2)
    assert figures == pytest.approx({"passes": 2, "step": 0.75, "utilisation": 200 / 300, "imbalance": 1.5})


def test_a_scenario_from_a_recipe() -> None:
    config = CompareConfig.of(
        pools=["2x4"],
        traffic={"mine": {"trace": "mine", "requests": 300}},
        arms={"base": {"policy": "least_tokens"}, "off": {"policy": "sbs", "trouble": {"estimate": 0.3, "dead": 0.5}}},
        baselines=["base"],
    )
    trace = Trace("mine", np.full(10, 1000), np.full(10, 5))
    for arm in config.arms:
        log, ranks = run_scenario(config, Scenario("2x4", "mine", 0.6, arm, 0), trace)
        assert ranks == 4
        assert Times.of(log).ttft.size == 300


def test_lengths_of_no_trace() -> None:
    fields = {"requests": 400, "lengths": {"prompt": 3000, "output": 100, "cv": 0.5}}
    for name in ("constant", "lognormal"):
        config = CompareConfig.of(pools=["2x4"], traffic={"mine": {"trace": name, **fields}})
        trace = find_trace(config.traffic["mine"], DataRoot(None))
        log, _ = run_scenario(config, Scenario("2x4", "mine", 0.6, "sbs", 0), trace)
        sizes = np.array([(one.prompt, one.output) for one in log.requests])
        if name == "constant":
            assert (sizes == [3000, 100]).all()
        else:
            assert sizes.mean(0) == pytest.approx([3000, 100], rel=0.1)
            assert sizes.std(0) / sizes.mean(0) == pytest.approx([0.5, 0.5], rel=0.25)
            assert abs(np.corrcoef(sizes.T)[0, 1]) < 0.2
        assert Times.of(log).ttft.size == 400
    with pytest.raises(ConfigError, match=r"lengths: those of 'azure_conv.csv' are in the file"):
        CompareConfig.of(traffic={"mine": {"lengths": {"prompt": 10}}})


def test_true_lengths_count_where_the_scheduler_only_guessed() -> None:
    requests = [Request(k, 0.5 * k, 10 + k) for k in range(8)]
    log = run(Staggered(Pool.idle(1, 1, 100)), requests, actual=[50 + k for k in range(8)])
    assert Times.of(log).prompt.tolist() == [50 + k for k in range(8)]


def test_arms_are_measured_against_the_usual_two_or_the_first() -> None:
    arms = {"mine": {"policy": "sbs"}, "other": {"policy": "pull"}}
    assert CompareConfig.of(arms=arms).baselines == ("mine",)
    assert CompareConfig.of(arms=arms | {"least_tokens": {"policy": "least_tokens"}}).baselines == ("least_tokens",)
    assert CompareConfig().baselines == ("least_requests", "least_tokens")
    with pytest.raises(ConfigError, match="name at least one arm"):
        CompareConfig.of(arms=arms, baselines=[])
