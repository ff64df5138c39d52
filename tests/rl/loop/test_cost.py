"""What training spends, by hand, and over a resume."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from rl_runs import config, finish, start

from espalier.rl.loop.record.cost import Cost


def test_costs_add_up_in_figures_after_the_others() -> None:
    figures = {"accuracy_before": 0.5}
    cost = Cost(figures)
    assert cost.metrics == {"cost/generated_tokens": 0.0, "cost/forwarded_tokens": 0.0, "cost/cpu_seconds": 0.0}
    cost.begin()
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass
    cost.add({"tokens/forwarded": 100.0}, {"engine/tokens": 20.0, "engine/prefill_tokens": 5.0})
    cost.begin()
    cost.add({"tokens/forwarded": 7.0})
    resumed = Cost(dict(figures))
    resumed.begin()
    resumed.add({}, {"engine/tokens": 1.0, "engine/prefill_tokens": 0.0})
    assert (figures["generated_tokens"], figures["forwarded_tokens"]) == (20.0, 132.0)
    assert 0.02 <= figures["cpu_seconds"] < 0.1
    assert list(figures) == ["accuracy_before", "generated_tokens", "forwarded_tokens", "cpu_seconds"]
    assert (resumed.metrics["cost/generated_tokens"], resumed.metrics["cost/forwarded_tokens"]) == (21.0, 133.0)


def test_a_run_counts_dropped_rollouts_and_no_evaluations(tmp_path: Path) -> None:
    # Dynamic sampling drops groups whose rewards are equal, which the engine has sampled all the same.
    given = config(algorithm={"name": "dapo"}, steps=2)
    run = start(tmp_path, given)
    figures = finish(run, given)
    history = run.metrics.history()
    total = {name: sum(point.value for point in history[name]) for name in history if not name.startswith("cost/")}
    assert total["group/filtered"] > 0
    trained = sum(point.value for point in history["len/mean"]) * 64
    assert figures["generated_tokens"] == total["engine/tokens"] > trained
    forwarded = total["tokens/forwarded"] + total["engine/tokens"] + total["engine/prefill_tokens"]
    assert figures["forwarded_tokens"] == pytest.approx(forwarded)
    assert history["cost/generated_tokens"][-1].value == figures["generated_tokens"]
    assert [point.step for point in history["eval/avg"]] == [60, 62]
    assert {60, 62} <= {point.step for point in history["cost/cpu_seconds"]}
