from pathlib import Path
from typing import Any

import pytest
from rl_runs import SMALL, stop_once_logged, trace
from safetensors.torch import load_file

from espalier.core.data import DataRoot
from espalier.core.run.run import Run
from espalier.rl.config import SFTConfig
from espalier.rl.sft import sft

GIVEN: dict[str, Any] = {
    **{name: SMALL[name] for name in ("model", "rollout", "engine")},
    "tasks": [{"env": "multiplication", "digits": 1, "direct": 1.0}],
    "steps": 40,
    "rows_per_step": 32,
    "learner": {"optim": {"name": "muon", "lr": 3e-3, "schedule": "linear", "warmup": 4}},
    "evaluation": {"every": 20, "tasks": 8, "samples": 2},
    "checkpoint": {"every": 10},
}


def begin(root: Path) -> Run:
    return Run.create(root, job="rl.sft", name="small", config=SFTConfig.of(**GIVEN).model_dump(mode="json"))


def test_supervised_training_lowers_the_loss_and_leaves_a_model(tmp_path: Path):
    with begin(tmp_path) as run:
        figures = sft(SFTConfig.of(**GIVEN), run)
    history = run.metrics.history()
    assert list(figures) == ["accuracy_before", "accuracy_after", "generated_tokens", "forwarded_tokens", "cpu_seconds"]
    assert figures["generated_tokens"] == 0.0
    assert figures["forwarded_tokens"] == sum(point.value for point in history["tokens/forwarded"])
    assert [point.step for point in history["eval/avg"]] == [0, 20, 40]
    assert history["loss/ce"][-1].value < 0.6 * history["loss/ce"][0].value
    assert "Cross entropy" in (run.path / "report.html").read_text()
    assert (run.path / "model" / "model.safetensors").is_file()


def test_stopped_and_resumed_equals_uninterrupted_to_the_last_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = SFTConfig.of(**GIVEN)
    with begin(tmp_path / "whole") as whole:
        sft(config, whole)
    parts = begin(tmp_path / "parts")
    stop_once_logged(23, parts, monkeypatch)
    with parts:
        sft(config, parts)
    with Run.reopen(parts.path, data=DataRoot(None)) as again:
        sft(config, again)
    assert trace(again.path) == trace(whole.path)
    ours, theirs = (load_file(run.path / "model/model.safetensors") for run in (again, whole))
    assert all(ours[name].equal(theirs[name]) for name in theirs)
