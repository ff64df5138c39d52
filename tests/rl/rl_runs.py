"""Small runs of `rl.train` for tests: seconds, not minutes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from espalier.core.data import DataRoot
from espalier.core.run.run import Run
from espalier.rl.config import TrainConfig
from espalier.rl.train import train

SMALL: dict[str, Any] = {
    "tasks": [{"env": "multiplication", "digits": 1, "direct": 1.0}],
    "model": {
        "decoder": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2},
        "tokenizer": {"alphabet": "0123456789+*= #"},
    },
    "warm_start": {
        "steps": 60,
        "rows_per_step": 32,
        "optim": {"name": "muon", "lr": 3e-3, "schedule": "linear", "warmup": 4},
    },
    "steps": 4,
    "rollout": {"groups_per_step": 8, "samples_per_group": 8, "max_tokens": 16},
    "engine": {"max_rows": 64, "max_len": 32},
    "evaluation": {"every": 2, "tasks": 8, "samples": 2, "browse": 2},
}


def config(**changes: Any) -> TrainConfig:
    """`SMALL` with some top-level sections changed."""
    return TrainConfig.model_validate({**SMALL, **changes})


def start(root: Path, settings: TrainConfig, *, seed: int = 0) -> Run:
    """A new run folder below `root`."""
    plain = settings.model_dump(mode="json")
    return Run.create(root, job="rl.train", name="small", seed=seed, config=plain, data=DataRoot(None))


def finish(run: Run, settings: TrainConfig) -> dict[str, float]:
    """Do the job in `run`."""
    with run:
        return train(settings, run)


def stopped_at(step: int, run: Run, settings: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do the job in `run` until `step` was logged."""
    stop_once_logged(step, run, monkeypatch)
    finish(run, settings)


def stop_once_logged(step: int, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask `run` to stop when `step` is logged."""
    log = run.metrics.log

    def log_and_stop(number: int, metrics: Mapping[str, float]) -> None:
        log(number, metrics)
        run.stop.requested |= number == step

    monkeypatch.setattr(run.metrics, "log", log_and_stop)


def trace(folder: Path) -> list[tuple[int, str, float]]:
    """What the run in `folder` logged, less everything about time and memory: step, metric and value."""
    lines = (json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines())
    timed = ("time/", "seconds", "engine/tokens_s", "cost/cpu_seconds", "memory/", "episodes/in_flight")
    return [
        (line["step"], name, value)
        for line in lines
        for name, value in line.items()
        if name != "step" and not name.startswith(timed)
    ]
