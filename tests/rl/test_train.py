"""The job as a whole: what it leaves behind, and that nothing of it depends on being interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from rl_runs import SMALL, config, finish, start, stopped_at, trace
from safetensors.torch import load_file

from espalier.core.data import DataRoot
from espalier.core.errors import ConfigError
from espalier.core.report.content import content
from espalier.core.report.rollouts import read_rollouts
from espalier.core.run.run import Run
from espalier.lm.checkpoint.files import load_model
from espalier.rewards.pattern import RegexConfig
from espalier.rl.config import TrainConfig
from espalier.rl.loop.idle import NothingToLearnError
from espalier.rl.train import train


def test_a_run_leaves_model_report_samples_and_figures(tmp_path: Path):
    run = start(tmp_path, config())
    figures = finish(run, config())
    accuracies, costs = ["accuracy_before", "accuracy_after"], ["generated_tokens", "forwarded_tokens", "cpu_seconds"]
    assert list(figures) == accuracies + costs
    assert load_model(run.path / "model").config.hidden_size == 32
    page = (run.path / "report.html").read_text()
    assert "Held-out accuracy" in page
    before = json.loads((run.path / "artefacts/samples/before.json").read_text())
    assert len(before) == 2 * 4
    spoken = [passage for passage in before[0]["passages"] if passage["role"] == "assistant"]
    assert len(spoken[0]["pieces"]) == len(spoken[0]["values"]["advantage"]) == len(spoken[0]["values"]["logprob"])
    history = run.metrics.history()
    assert [point.step for point in history["eval/avg"]] == [60, 62, 64]
    assert [point.step for point in history["reward/total"]] == [61, 62, 63, 64]


def test_greedy_answers_and_probes_are_measured_apart_from_the_accuracy(tmp_path: Path):
    plain, probed = tmp_path / "plain", tmp_path / "probed"
    probes = [{**SMALL["tasks"][0], "name": "longer", "digits": 2}]
    settings = config(evaluation={**SMALL["evaluation"], "greedy": True, "probes": probes})
    figures, expected = finish(start(probed, settings), settings), finish(start(plain, config()), config())
    for name in ("greedy", "probe", "probe_greedy"):
        assert 0.0 <= figures[f"{name}_before"] <= 1.0
        assert 0.0 <= figures[f"{name}_after"] <= 1.0
    assert [figures[f"accuracy_{when}"] for when in ("before", "after")] == [
        expected[f"accuracy_{when}"] for when in ("before", "after")
    ], "they change nothing of training"
    (page,) = probed.rglob("report.html")
    assert "probe, greedy" in page.read_text()


def test_what_a_reward_remembers_of_evaluations_does_not_reach_training(tmp_path: Path):
    (tmp_path / "counting.py").write_text(
        "calls = []\n\ndef count(episode):\n    calls.append(1)\n    return len(calls)\n"
    )
    rewards = [{"kind": "plugin", "function": f"{tmp_path}/counting.py:count"}]
    settings = config(warm_start={"steps": 0}, steps=1, rewards=rewards)
    run = start(tmp_path, settings)
    finish(run, settings)
    (mean,) = run.metrics.history()["reward/total"]
    assert mean.value == sum(range(1, 65)) / 64, "64 answers of training, counted from 1"


def test_equal_seeds_give_equal_runs_and_other_seeds_do_not(tmp_path: Path):
    runs = [start(tmp_path, config(), seed=seed) for seed in (3, 3, 4)]
    for run in runs:
        finish(run, config())
    assert trace(runs[0].path) == trace(runs[1].path)
    assert trace(runs[0].path) != trace(runs[2].path)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_engine_and_learner_agree_on_logprobs_of_fresh_tokens(tmp_path: Path, temperature: float):
    settings = config(rollout={**SMALL["rollout"], "temperature": temperature})
    run = start(tmp_path, settings)
    finish(run, settings)
    gaps = [point.value for point in run.metrics.history()["mismatch/0/abs"]]
    assert len(gaps) >= 2
    assert max(gaps) < 1e-5


@pytest.mark.parametrize("at", [11, 62])
def test_stopped_and_resumed_equals_uninterrupted_to_the_last_bit(
    tmp_path: Path, at: int, monkeypatch: pytest.MonkeyPatch
):
    whole = start(tmp_path / "whole", config())
    finish(whole, config())

    parts = start(tmp_path / "parts", config())
    stopped_at(at, parts, config(), monkeypatch)
    assert not (parts.path / "model").exists()
    again = Run.reopen(parts.path, data=DataRoot(None))
    finish(again, config())
    assert trace(again.path) == trace(whole.path)
    ours, theirs = (load_file(run.path / "model/model.safetensors") for run in (again, whole))
    assert all(ours[name].equal(theirs[name]) for name in theirs)


@pytest.mark.slow
def test_killed_at_any_moment_it_loses_at_most_the_step(tmp_path: Path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"job": "rl.train", "name": "small", **SMALL, "steps": 12}))
    environment = {**os.environ, "ESPALIER_DATA": str(tmp_path)}

    def command(root: str) -> list[str]:
        return [sys.executable, "-m", "espalier", "run", str(recipe), "--runs-dir", str(tmp_path / root)]

    subprocess.run(command("whole"), env=environment, check=True, capture_output=True)
    first = subprocess.Popen(command("killed"), env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(tmp_path.glob("killed/small/*/checkpoints/step_000006[2-8]")):
        time.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    resumed = [*command("killed"), "--resume"]
    done = subprocess.run(resumed, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (whole,), (again,) = (list(tmp_path.glob(f"{root}/small/*")) for root in ("whole", "killed"))
    assert trace(again) == trace(whole)


def test_shuffled_rewards_are_the_same_rewards_dealt_out_anew(tmp_path: Path):
    settings = config(shuffle_rewards=True)
    run = start(tmp_path, settings)
    finish(run, settings)
    plain = start(tmp_path, config())
    finish(plain, config())
    ours, theirs = run.metrics.history(), plain.metrics.history()
    assert ours["reward/total"][0].value == theirs["reward/total"][0].value, "step one samples the same rows"
    assert ours["grad_norm"] != theirs["grad_norm"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rollout": {**SMALL["rollout"], "samples_per_group": 1}}, "compares the samples of a group"),
        ({"algorithm": {"name": "ppo"}}, "needs a value model: set learner.critic"),
        ({"learner": {"critic": {}}}, "uses no critic: set learner.critic to null"),
        ({"algorithm": {"name": ["grpo"]}}, "there is no algorithm"),
        ({"algorithm": {"name": "grpo", "kl_coef": 0.1}}, "set learner.reference to frozen or ema"),
        ({"rollout": {**SMALL["rollout"], "max_tokens": 32}}, r"engine.max_len \(32\) must leave room"),
    ],
)
def test_contradictions_are_found_before_anything_is_built(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_train_is_exported_for_use_without_the_command_line(tmp_path: Path):
    settings = TrainConfig.model_validate(SMALL)
    with start(tmp_path, settings) as run:
        assert 0.0 <= train(settings, run)["accuracy_after"] <= 1.0


def test_adapters_are_trained_sampled_from_and_saved(tmp_path: Path):
    settings = config(model={**SMALL["model"], "lora": {"rank": 4}}, warm_start={"steps": 0}, shuffle_rewards=True)
    settings = settings.model_copy(update={"rewards": [RegexConfig(pattern="1")]})
    run = start(tmp_path, settings)
    finish(run, settings)
    history = run.metrics.history()
    assert max(point.value for point in history["mismatch/0/abs"]) < 1e-5, "the engine samples with the adapters"
    assert max(point.value for point in history["grad_norm"]) > 0.0
    saved = load_file(run.path / "model/model.safetensors")
    assert not any("lora" in name for name in saved)
    assert (run.path / "model/adapters/adapter_model.safetensors").is_file()


UNLEARNABLE = [RegexConfig(pattern="no answer matches this")]


def test_a_run_in_which_nothing_can_be_learned_says_so_and_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    settings = config(stop_after_idle=2, steps=9, warm_start={"steps": 0}).model_copy(update={"rewards": UNLEARNABLE})
    run = start(tmp_path, settings)
    with pytest.raises(NothingToLearnError, match="2 steps in a row had nothing to learn from"):
        finish(run, settings)
    said = capsys.readouterr().out
    assert "step 1: nothing to learn from: all 64 rewards are 0 (regex gave 0 to all); the first answer: " in said
    assert "entropy 0" not in said
    assert [point.step for point in run.metrics.history()["reward/total"]] == [1, 2]


def test_a_solved_task_ends_training_early_with_a_last_evaluation(tmp_path: Path):
    settings = config(stop_after_idle=2, steps=9, warm_start={"steps": 0})
    settings = settings.model_copy(update={"rewards": [RegexConfig(pattern="(?s).*")]})
    run = start(tmp_path, settings)
    assert finish(run, settings)["accuracy_after"] == 1.0
    assert (run.path / "model").is_dir()
    assert [point.step for point in run.metrics.history()["reward/total"]] == [1, 2]


def test_a_config_that_cannot_fit_is_refused_before_anything_is_trained(tmp_path: Path):
    settings = config(rollout={**SMALL["rollout"], "max_tokens": 30})
    run = start(tmp_path, settings)
    match = r"engine\.max_len=32 has no room for prompts of .* set engine\.max_len to 3\d"
    with pytest.raises(ConfigError, match=match):
        finish(run, settings)


def test_steps_have_one_number_in_metrics_messages_rollouts_and_checkpoints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    settings = config(rollout_log={"groups": 1})
    run = start(tmp_path, settings)
    finish(run, settings)
    said = capsys.readouterr().out
    for step in (60, 62, 64):
        assert f"step {step}: held-out accuracy" in said
    assert "reinforcement learning 64/64" in said
    assert [group.step for group in read_rollouts(run.path / "artefacts/rollouts.jsonl")] == [61, 62, 63, 64]
    assert (run.path / "checkpoints/step_0000064").is_dir()
    shown = content(run.path)
    assert shown["steps"] == 64
    titles = {block["title"]: block for block in shown["blocks"]}
    assert [one["label"] for one in titles["Answers sampled in training"]["sets"]] == [
        f"step {n}" for n in range(61, 65)
    ]
    assert {
        "Reward spread",
        "Learning rate",
        "Truncated answers",
        "pass@k on held-out tasks",
        "Memory",
    } <= titles.keys()
    for title in ("Reward spread", "Learning rate", "Truncated answers", "pass@k on held-out tasks", "Memory"):
        assert titles[title]["series"], f"{title} is drawn, but was not logged"
    assert titles["Samples of held-out tasks"]["sets"][0]["samples"][0]["title"].endswith("=")


def test_a_resumed_run_writes_the_same_rollouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = start(tmp_path / "whole", config())
    finish(whole, config())
    parts = start(tmp_path / "parts", config())
    stopped_at(62, parts, config(), monkeypatch)
    finish(Run.reopen(parts.path, data=DataRoot(None)), config())
    ours, theirs = ((run.path / "artefacts/rollouts.jsonl").read_bytes() for run in (parts, whole))
    assert ours == theirs
