"""What the metrics of training say: of each rule a history in which it fires, and one in which it must not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rl_runs import SMALL, config

from espalier.core.tracking.findings import Finding
from espalier.core.tracking.metrics import History, Point
from espalier.rl.config import SFTConfig, TrainConfig
from espalier.rl.doctor.examine import RULES, examine
from espalier.rl.report import training_report

STEPS = 40
Series = float | Callable[[int], float]

HEALTHY: dict[str, Series] = {
    "reward/total": lambda step: 0.2 + 0.01 * step + 0.02 * (step % 2),
    "reward/component/exact": 0.3,
    "reward/component/brief": 0.1,
    "reward/zero_std_frac": 0.4,
    "len/mean": 20.0,
    "len/truncated": 0.1,
    "len/crowded": 0.0,
    "entropy": 0.6,
    "group/filtered": 0.0,
    "group/failed": 0.0,
    "group/repaired": 0.0,
    "grad_skipped": 0.0,
    "lag/max": 2.0,
    "lag/masked": 0.05,
    "mismatch/0/abs": 2e-7,
    "engine/lost": 0.0,
    "engine/repeated": 0.0,
    "env/calculator/calls": 2.0,
    "env/calculator/call_errors": 0.1,
    "time/step": 10.0,
    "time/wait_data": 3.0,
    "time/wait_policy": 2.0,
    "time/engine": 5.0,
}
EVALUATED = {0: 0.30, 20: 0.45, 40: 0.60}
"""Accuracies by step, each with an interval of 0.04 to both sides."""


def history(changes: Mapping[str, Series | None], evaluated: Mapping[int, float], steps: int = STEPS) -> History:
    series = {name: value for name, value in {**HEALTHY, **changes}.items() if value is not None}
    found: History = {
        name: [Point(step, value(step) if callable(value) else value, float(step)) for step in range(1, steps + 1)]
        for name, value in series.items()
    }
    for name, half in (("eval/avg", 0.0), ("eval/avg_lo", -0.04), ("eval/avg_hi", 0.04)):
        found[name] = [Point(step, value + half, float(step)) for step, value in evaluated.items()]
    return found


def settings(**changes: Any) -> TrainConfig:
    """Asynchronous, of 8 groups of 8 attempts, in fp32."""
    rollout = {"groups_per_step": 8, "samples_per_group": 8, "max_tokens": 16, "max_lag": 2}
    return config(**{**changes, "rollout": rollout | changes.get("rollout", {})})


def found(
    *,
    changes: Mapping[str, Series | None] | None = None,
    evaluated: Mapping[int, float] = EVALUATED,
    steps: int = STEPS,
    **sections: Any,
) -> list[Finding]:
    return examine(settings(**sections), history(changes or {}, evaluated, steps))


FLAT = {0: 0.30, 20: 0.31, 40: 0.32}
KEEP = {"rollout": {"after_publish": "keep"}}
RECOMPUTE = {"rollout": {"after_publish": "recompute"}}
BF16 = {"engine": {"precision": "bf16", "max_len": 32}}

FIRES: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "dominant_component",
        {"changes": {"reward/component/exact": -0.9, "reward/component/brief": 0.1}},
        "the component exact is 90% of the reward",
        "exact -0.9, brief 0.1",
    ),
    (
        "length_drift",
        {"changes": {"len/mean": lambda step: 10.0 if step <= 20 else 21.0}, "evaluated": FLAT},
        "answers became longer",
        "mean length 10 at first and 21 tokens lately; held-out accuracy 30.0% and 32.0%",
    ),
    (
        "length_drift",
        {"changes": {"len/mean": lambda step: 21.0 if step <= 20 else 10.0}, "evaluated": FLAT},
        "answers became shorter",
        "mean length 21",
    ),
    ("equal_rewards", {"changes": {"reward/zero_std_frac": 0.75}}, "all rewards are equal", "75% of the groups"),
    (
        "equal_rewards",  # 8 groups trained, of which 40% are equal, and 8 replaced: 11.2 of 16
        {"changes": {"group/filtered": 8.1}, "algorithm": {"name": "dapo"}},
        "all rewards are equal",
        "70% of the groups",
    ),
    (
        "entropy_collapse",
        {"changes": {"entropy": lambda step: 0.8 if step < 10 else 0.04}},
        "the entropy of the policy has collapsed",
        "0.04 nats a token over the last 20 steps, below 0.05; 0.8 at first",
    ),
    (
        "no_progress",  # 13 steps at either end; the same standard deviation of 0.1 in both
        {"changes": {"reward/total": lambda step: 0.5 + (0.1 if step % 2 else -0.1)}, "evaluated": FLAT},
        "the reward does not rise",
        "held-out accuracy 30.0% and 32.0%",
    ),
    (
        "no_progress",
        {"changes": {"reward/total": lambda step: 0.9 - 0.01 * step}, "evaluated": FLAT},
        "the reward fell",
        "mean 0.83 in the first 13 steps and 0.56 in the last",
    ),
    (
        "truncated",
        {"changes": {"len/truncated": 0.6, "len/crowded": 0.25}},
        "most answers are cut off",
        "60% of the answers of the last 20 steps; 25% lacked room in the engine (engine.max_len=32)",
    ),
    ("masked", {"changes": {"lag/masked": 0.35}}, "35% of the sampled tokens are too old", "rollout.max_lag=2"),
    (
        "lag_bound",
        {"changes": {"lag/max": lambda step: 5.0 if step % 4 else 2.0}},
        "rows are older than rollout.max_lag allows",
        "in 15 of the last 20 steps, up to 5 with rollout.max_lag=2; 5% of the tokens were masked",
    ),
    (
        "lag_bound",
        {"changes": {"lag/max": lambda step: 3.0 if step == 39 else 2.0}, "rollout": {"stale": "wait"}},
        "rows are older",
        "in 1 of the last 20 steps, up to 3",
    ),
    ("mismatch", {"changes": {"mismatch/0/abs": 2e-5}, **KEEP}, "compute different log-probs", "at least 2e-05"),
    (
        "mismatch",  # the mean of nineteen values of 0 and one of 3e-4 is 1.5e-5
        {"changes": {"mismatch/0/abs": lambda step: 3e-4 if step == 30 else 0.0}, **RECOMPUTE},
        "compute different log-probs",
        "mean difference at lag 0: 1.5e-05 in the last 20 steps",
    ),
    (
        "mismatch",
        {"changes": {"mismatch/0/abs": lambda step: 1e-3 if step <= 20 else 4e-3}, **BF16},
        "the difference between engine and learner grows",
        "0.001 at first, 0.004 lately",
    ),
    (
        "waits",
        {"changes": {"time/wait_data": 6.0}, "rollout": {"max_in_flight": 64}},
        "the environments are the slowest part",
        "the learner waited 60% for groups, admission waited 20% for new weights, and the engine was busy 50%",
    ),
    ("waits", {"changes": {"time/wait_data": 6.0, "time/engine": 6.0}}, "the engine is the slowest part", "busy 60%"),
    ("waits", {"changes": {"time/wait_data": 6.0, "time/wait_policy": 6.0}}, "slow groups fill the window", "60%"),
    ("waits", {"changes": {"time/wait_policy": 6.0}}, "the learner is the slowest part", "waited 30% for groups"),
    (
        "failed_attempts",  # 40 steps of 64 rows: 2560; 8 attempts repeated in each step, 320: 320 of 2880
        {"changes": {"group/repaired": 8.0}},
        "many attempts fail",
        "11% in training (0 whole groups failed), 0% in the evaluations",
    ),
    (
        "failed_attempts",  # one group of 8 fails in each step
        {"changes": {"group/failed": 1.0}},
        "many attempts fail",
        "11% in training (40 whole groups failed)",
    ),
    ("failed_attempts", {"changes": {"eval/failed": 0.2}}, "many attempts fail", "20% in the evaluations"),
    (
        "failing_tools",
        {"changes": {"env/calculator/call_errors": 0.5}},
        "many calls of tools fail",
        "calculator: 25% of the calls of the last 20 steps",
    ),
    ("lost_engines", {"changes": {"engine/lost": lambda step: step == 7}}, "engines were lost", "1 times; 0 requests"),
    (
        "lost_engines",
        {"changes": {"engine/repeated": lambda step: 3.0 * (step < 3)}},
        "engines were lost",
        "0 times; 6 requests began again",
    ),
    (
        "skipped_gradients",
        {"changes": {"grad_skipped": lambda step: 2.0 * (step in (3, 30))}},
        "optimizer steps were skipped",
        "4 in 2 steps",
    ),
]


@pytest.mark.parametrize(("rule", "case", "what", "evidence"), FIRES, ids=[f"{c[0]}: {c[3]}" for c in FIRES])
def test_the_rule_fires_alone_with_its_evidence(rule: str, case: dict[str, Any], what: str, evidence: str) -> None:
    (one,) = found(**case)
    assert one.rule == rule
    assert what in one.what
    assert evidence in one.evidence
    assert one.advice


QUIET: list[tuple[str, dict[str, Any]]] = [
    ("the healthy run", {}),
    ("a run of four steps", {"steps": 4, "evaluated": {0: 0.3}, "changes": {"reward/zero_std_frac": 1.0}}),
    ("one component of several, and not more than 80%", {"changes": {"reward/component/exact": 0.4}}),
    ("one component alone", {"changes": {"reward/component/brief": None}}),
    ("longer answers that are better", {"changes": {"len/mean": lambda step: 10.0 if step <= 20 else 30.0}}),
    (
        "answers twice as long",
        {
            "changes": {"len/mean": lambda step: 10.0 if step <= 20 else 20.0},
            "evaluated": FLAT,
        },
    ),
    ("equal rewards without groups", {"changes": {"reward/zero_std_frac": 0.9}, "algorithm": {"name": "reinforce"}}),
    ("equal rewards in 70%", {"changes": {"reward/zero_std_frac": 0.7}}),
    ("low entropy where the task is solved", {"changes": {"entropy": 0.01}, "evaluated": {0: 0.5, 40: 0.95}}),
    (
        "no progress where the task is solved",
        {"changes": {"reward/total": 0.97}, "evaluated": {0: 0.95, 40: 0.96}},
    ),
    ("a flat reward where accuracy rose", {"changes": {"reward/total": 0.5}}),
    ("a flat reward in few steps", {"changes": {"reward/total": 0.5}, "evaluated": FLAT, "steps": 19}),
    ("a flat reward of the control", {"changes": {"reward/total": 0.5}, "evaluated": FLAT, "shuffle_rewards": True}),
    ("half of the answers cut", {"changes": {"len/truncated": 0.5}}),
    ("30% masked", {"changes": {"lag/masked": 0.3}}),
    ("rows above the bound in half of the steps", {"changes": {"lag/max": lambda step: 5.0 if step % 2 else 2.0}}),
    ("the mismatch of fp32", {"changes": {"mismatch/0/abs": 9e-6}}),
    (
        "a mismatch where some answers straddled a publish",
        {"changes": {"mismatch/0/abs": lambda step: 1e-3 if step % 2 else 2e-7}},
    ),
    ("the mismatch of bf16", {"changes": {"mismatch/0/abs": 5e-3}, **BF16}),
    ("waits of half the time", {"changes": {"time/wait_data": 5.0, "time/wait_policy": 5.0}}),
    ("a synchronous run", {"changes": {"time/wait_data": None, "time/generate": 9.0}, "rollout": {"max_lag": 2}}),
    ("5% of the attempts fail", {"changes": {"group/repaired": 3.0}}),
    ("a tool that is never called", {"changes": {"env/calculator/calls": 0.0, "env/calculator/call_errors": 0.0}}),
]


@pytest.mark.parametrize("case", [case for _, case in QUIET], ids=[name for name, _ in QUIET])
def test_no_rule_fires(case: dict[str, Any]) -> None:
    assert found(**case) == []


def test_every_rule_has_a_history_in_which_it_fires() -> None:
    names = {"equal_rewards", *(rule.__name__ for rule in RULES), "skipped_gradients"}
    assert {rule for rule, *_ in FIRES} == names


def test_supervised_training_has_its_own_rules() -> None:
    sft = SFTConfig.model_validate({key: SMALL[key] for key in ("tasks", "model")})
    (one,) = examine(sft, history({"grad_skipped": 1.0, "reward/zero_std_frac": 1.0}, FLAT))
    assert one.rule == "skipped_gradients"


Numbers = st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=30)


@given(st.dictionaries(st.sampled_from(sorted(HEALTHY)), Numbers))
def test_no_history_breaks_a_rule(series: dict[str, Sequence[float]]) -> None:
    logged = {name: [Point(i, value, 0.0) for i, value in enumerate(some)] for name, some in series.items()}
    for one in examine(settings(), logged):
        assert one.what
        assert one.evidence


def test_findings_stand_in_the_report() -> None:
    one = Finding("truncated", "most answers are cut off", "60% of them", "raise rollout.max_tokens")
    titles = [block.title for block in training_report(config(), {}, findings=[one])]
    assert "Findings" in titles
    assert "Findings" not in [block.title for block in training_report(config(), {})]
