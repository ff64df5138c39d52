"""Training on the leaves of tree searches."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rl_runs import SMALL, config, finish, start, stopped_at, trace

from espalier.core.data import DataRoot
from espalier.core.errors import ConfigError
from espalier.core.run.run import Run
from espalier.rl.config import TrainConfig
from espalier.rl.eval_config import EvalConfig

TREE: dict[str, Any] = {"chains": 4, "forks": 1, "branches": 2, "markers": []}
REWARDS = [{"kind": "plugin", "function": "odd_answers:odd"}]
ALGORITHM = {"name": "grpo", "advantage": "group_mean"}


@pytest.fixture(autouse=True)
def _reward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reward that half of the answers earn."""
    (tmp_path / "odd_answers.py").write_text("def odd(episode):\n    return float(len(episode.response) % 2)\n")
    monkeypatch.chdir(tmp_path)


def searched(**changes: Any) -> TrainConfig:
    rollout = {**SMALL["rollout"], "groups_per_step": 2, "tree": TREE}
    return config(**{"rollout": rollout, "algorithm": ALGORITHM, "rewards": REWARDS, **changes})


def logged(run: Run, name: str) -> list[float]:
    return [point.value for point in run.metrics.history()[name]]


def test_a_run_trains_on_leaves_and_logs_what_the_searches_found(tmp_path: Path):
    settings = searched()
    run = start(tmp_path, settings)
    assert set(finish(run, settings)) >= {"accuracy_before", "accuracy_after"}
    leaves = logged(run, "tree/leaves")
    assert len(leaves) == settings.steps
    assert all(4.0 <= found <= 12.0 for found in leaves)
    assert max(leaves) > 8.0, "more than are trained"
    assert all(0.0 <= right <= 1.0 for right in logged(run, "tree/right_chains"))
    assert max(logged(run, "grad_norm")) > 0.0
    assert max(logged(run, "mismatch/0/abs")) < 1e-5, "the shared tokens are trained with the log-probs they had"


def test_a_stopped_run_of_searches_goes_on_to_the_last_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = searched()
    whole = start(tmp_path / "whole", settings)
    finish(whole, settings)
    parts = start(tmp_path / "parts", settings)
    stopped_at(62, parts, settings, monkeypatch)
    finish(Run.reopen(parts.path, data=DataRoot(None)), settings)
    assert trace(parts.path) == trace(whole.path)


def test_searches_run_while_the_learner_trains(tmp_path: Path):
    settings = searched(rollout={**searched().rollout.model_dump(), "max_lag": 1, "max_in_flight": 16})
    run = start(tmp_path, settings)
    finish(run, settings)
    assert max(logged(run, "lag/tokens")) > 0.0
    assert len(logged(run, "tree/leaves")) == settings.steps


def test_with_shuffled_rewards_credit_follows_the_shuffled_ones(tmp_path: Path):
    plain, shuffled = searched(steps=1), searched(steps=1, shuffle_rewards=True)
    runs = [start(tmp_path / name, settings) for name, settings in (("a", plain), ("b", shuffled))]
    for run, settings in zip(runs, (plain, shuffled), strict=True):
        finish(run, settings)
    means = [logged(run, "reward/total") for run in runs]
    assert means[0] == means[1], "the same searches"
    assert logged(runs[0], "grad_norm")[-1:] != logged(runs[1], "grad_norm")[-1:]


@pytest.mark.parametrize(
    ("changes", "ignored"),
    [
        ({"algorithm": {"name": "ppo"}, "learner": {"critic": {}}}, "algorithm.advantage=gae"),
        (
            {"algorithm": {"name": "rloo", "kl_coef": 0.1, "kl_as": "reward"}, "learner": {"reference": "frozen"}},
            "algorithm.kl_as=reward",
        ),
        ({"algorithm": {"name": "reinforce", "turn_rewards": True}}, "algorithm.turn_rewards"),
        ({"algorithm": {"name": "reinforce++_baseline"}}, "algorithm.whiten"),
        ({"rollout": {**SMALL["rollout"], "tree": TREE, "pad_groups": True}}, "rollout.pad_groups"),
    ],
)
def test_what_a_search_would_ignore_is_refused(changes: dict[str, Any], ignored: str):
    with pytest.raises(ValidationError, match=f"would ignore {ignored}"):
        searched(**changes)


def test_an_evaluation_searches_no_trees():
    with pytest.raises(ConfigError, match=r"rollout.tree is for training, and this job only evaluates"):
        EvalConfig.of(tasks=[{"env": "multiplication"}], rollout={"tree": {}})


def test_searches_whose_chains_are_of_several_versions_are_dropped_as_a_whole(tmp_path: Path):
    """The reward sleeps, so that the attempts of a search start before and after a publish."""
    (tmp_path / "odd_answers.py").write_text(
        "import time\n\ndef odd(episode):\n    time.sleep(0.02 * (len(episode.response) % 3))\n"
        "    return float(len(episode.response) % 2)\n"
    )
    rollout = {**searched().rollout.model_dump(), "max_lag": 2, "max_in_flight": 6, "stale": "drop"}
    settings = searched(rollout=rollout, steps=12)
    run = start(tmp_path, settings)
    finish(run, settings)
    assert len(logged(run, "tree/leaves")) == settings.steps
