"""Whole runs in which groups are sampled while the learner trains, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from rl_runs import config, start, trace
from safetensors.torch import load_file

from espalier.core.clock import VirtualClock
from espalier.core.data import DataRoot
from espalier.core.messages import Message, ToolSpec
from espalier.core.run.run import Run
from espalier.engine.local import LocalEngine
from espalier.envs.api import Split, Step, Task
from espalier.envs.delayed import Delayed
from espalier.envs.procedural import DelayConfig
from espalier.rl import assemble
from espalier.rl import train as job
from espalier.rl.config import TrainConfig
from espalier.rl.learner.learner import TorchLearner
from espalier.rl.loop.checkpoints import Checkpoints
from espalier.rl.loop.ledger import Indices
from espalier.rl.loop.loop import Loop
from espalier.rl.room import LOOKED_AT
from espalier.rl.unit import Unit

TRAIN_SECONDS = 1.0
STEPS = 6
TURNS = 4
SETTINGS: dict[str, Any] = {
    "model": {
        "decoder": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2},
        "tokenizer": {"alphabet": "0123456789-?#<> "},
    },
    "warm_start": {"steps": 0},
    "steps": STEPS,
    "stop_after_idle": 0,
    "engine": {"max_rows": 16, "max_len": 64},
    "evaluation": {"every": 3, "tasks": 3, "samples": 1, "browse": 0},
}
ROLLOUT: dict[str, Any] = {
    "groups_per_step": 2,
    "samples_per_group": 2,
    "max_tokens": 32,
    "max_turns": TURNS,
    "max_lag": 2,
}


def small(**rollout: Any) -> TrainConfig:
    """A small run of several turns."""
    return config(**{**SETTINGS, "rollout": ROLLOUT | rollout})


class Digits:
    """Asks for digits, turn after turn, whatever the answers are: every answer is a part of the reward."""

    name = "digits"

    def task(self, split: Split, index: int) -> Task:
        return Task("digits", f"{split}{index}", {"text": str(index)}, split)

    def env(self, task: Task) -> DigitsEnv:
        return DigitsEnv()

    def tools(self, task: Task) -> Sequence[ToolSpec]:
        return ()

    def demonstrate(self, task: Task, rng: Random) -> Sequence[Message]:
        return [Message.user(task.data["text"]), Message.assistant("0")]


class DigitsEnv:
    name = "digits"

    def __init__(self) -> None:
        self.turns = 0

    def tools(self) -> list[ToolSpec]:
        return []

    async def reset(self, task: Task) -> list[Message]:
        return [Message.user(task.data["text"])]

    async def step(self, action: Message) -> Step:
        self.turns += 1
        digits = sum(letter.isdigit() for letter in action.content)
        return Step((Message.user("?"),), reward=digits / 8, done=self.turns == TURNS)

    async def close(self) -> None:
        pass


class SlowLearner(TorchLearner):
    """Takes a virtual second longer for each step."""

    async def update(self, units: Sequence[Unit]) -> Any:
        await asyncio.sleep(TRAIN_SECONDS)
        return await super().update(units)


@pytest.fixture(autouse=True)
def _slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "TorchLearner", SlowLearner)
    delayed(monkeypatch, DelayConfig(seconds=0.8, sigma=1.0))


def delayed(monkeypatch: pytest.MonkeyPatch, delay: DelayConfig) -> None:
    """Let the environments of `Digits` take so long."""
    monkeypatch.setattr(assemble, "build_tasks", lambda *args, **kwargs: Delayed(Digits(), delay, seed=0))


def finish(run: Run, settings: TrainConfig) -> dict[str, float]:
    """The job in virtual time, where equal runs take equal times."""
    with run:
        return VirtualClock().run(job.Training(settings, run).run())


def weights(run: Run) -> dict[str, Any]:
    return load_file(run.path / "model/model.safetensors")


COUNTED = ("engine/", "cost/")
"""Metrics that also count tokens of groups that were cancelled."""


def same(one: Run, other: Run) -> bool:
    """Whether two runs logged the same and ended with the same weights, to the last bit."""
    ours, theirs = weights(one), weights(other)
    logged = [[line for line in trace(run.path) if not line[1].startswith(COUNTED)] for run in (one, other)]
    return logged[0] == logged[1] and all(ours[name].equal(theirs[name]) for name in theirs)


def after_save(monkeypatch: pytest.MonkeyPatch, at: int, then: Callable[[Loop], Awaitable[None]]) -> None:
    """Do `then` once the checkpoint of step `at` is written."""
    save, done = Loop.save, []

    async def saved(self: Loop) -> None:
        await save(self)
        if self.step == at and not done:
            done.append(at)
            await then(self)

    monkeypatch.setattr(Loop, "save", saved)


async def stop(loop: Loop) -> None:
    loop._run.stop.requested = True


def series(run: Run, name: str) -> list[float]:
    return [point.value for point in run.metrics.history()[name]]


def test_groups_overlap_with_training_and_every_token_knows_its_version(tmp_path: Path):
    settings = small()
    run = start(tmp_path, settings)
    finish(run, settings)
    assert max(series(run, "lag/mean")) > 0.5
    assert len(run.metrics.history()["mismatch/1/abs"]) >= 2
    assert series(run, "mismatch/0/abs")[0] < 1e-5
    assert set(series(run, "group/stale")) == {0.0}
    assert all(0.0 <= share < 1.0 for share in series(run, "lag/masked"))


def test_equal_seeds_give_equal_runs(tmp_path: Path):
    runs = [start(tmp_path, small()) for _ in range(2)]
    for run in runs:
        finish(run, small())
    assert same(*runs)


@pytest.mark.parametrize("publish", ["keep", "recompute"])
def test_answers_that_straddle_a_publish_keep_their_tokens(
    tmp_path: Path, publish: str, monkeypatch: pytest.MonkeyPatch
):
    straddling = 0
    update = SlowLearner.update

    async def looked_at(self: SlowLearner, units: Sequence[Unit]) -> Any:
        nonlocal straddling
        for unit in units:
            for row in unit.rows:
                row.check()
                sampled = [v for v in row.versions if v >= 0]
                assert sampled == sorted(sampled), "versions only rise"
                straddling += len(set(sampled)) > 1
        return await update(self, units)

    monkeypatch.setattr(SlowLearner, "update", looked_at)
    settings = small(after_publish=publish)
    finish(start(tmp_path, settings), settings)
    assert straddling > 0


def test_drained_a_checkpoint_goes_on_as_if_nothing_had_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    delayed(monkeypatch, DelayConfig(seconds=1e-3, sigma=0.0))  # all groups end while the learner trains
    settings = small()
    whole = start(tmp_path / "whole", settings)
    finish(whole, settings)
    parts = start(tmp_path / "parts", settings)
    with monkeypatch.context() as patched:
        after_save(patched, 2, stop)
        finish(parts, settings)
    saved = Checkpoints(parts, keep=2).latest()
    assert saved is not None
    assert saved.state.groups["running"] == []
    assert len(saved.waiting) > 0
    again = Run.reopen(parts.path, data=DataRoot(None))
    finish(again, settings)
    assert same(again, whole)


def test_a_resume_equals_a_run_in_which_the_running_groups_began_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = small()
    parts, reference = start(tmp_path / "parts", settings), start(tmp_path / "reference", settings)
    with monkeypatch.context() as patched:
        after_save(patched, 2, stop)
        finish(parts, settings)
    saved = Checkpoints(parts, keep=2).latest()
    assert saved is not None
    running = list(Indices(saved.state.groups["running"]))
    assert running
    again = Run.reopen(parts.path, data=DataRoot(None))
    finish(again, settings)

    opened = [f"{split}{index}" for split in ("train", "heldout") for index in range(LOOKED_AT)]  # before every run

    async def begin_anew(loop: Loop) -> None:
        """What a kill and a resume do, in one process."""
        collector, tasks = loop._collector, loop._parts.source._tasks
        assert isinstance(tasks, Delayed)
        await collector.close()
        collector._held = collector._closed = False
        collector.ledger.interrupted, collector.ledger.running = sorted(collector.ledger.running), {}
        loop._admission.running = 0
        tasks._episodes = Counter(dict.fromkeys(opened, 1))
        await loop.publish()

    with monkeypatch.context() as patched:
        after_save(patched, 2, begin_anew)
        finish(reference, settings)
    assert same(again, reference)
    whole = start(tmp_path / "whole", settings)
    finish(whole, settings)
    assert not same(again, whole), "the control: what ran was sampled anew"


def test_in_the_lineage_of_the_weights_every_group_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = small()
    run = start(tmp_path, settings)
    for at in (1, 2, 4):
        with monkeypatch.context() as patched:
            after_save(patched, at, stop)
            finish(run, settings)
        run = Run.reopen(run.path, data=DataRoot(None))
    finish(run, settings)
    saved = Checkpoints(run, keep=2).latest()
    assert saved is not None
    assert list(Indices(saved.state.groups["trained"])) == list(range(STEPS * 2))
    assert saved.state.cursor == STEPS * 2
    assert saved.waiting == []


def test_an_evaluation_is_of_one_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    evaluate, seen = Loop.evaluate, []

    async def watched(self: Loop, progress: Any) -> Any:
        begun, started = self._parts.engine.version, self._parts.source.cursor
        found = await evaluate(self, progress)
        seen.append((begun, self._parts.engine.version, self._parts.source.cursor - started))
        return found

    monkeypatch.setattr(Loop, "evaluate", watched)
    settings = small()
    finish(start(tmp_path, settings), settings)
    assert [(after - before, started) for before, after, started in seen] == [(0, 0)] * 3


def test_a_limit_on_attempts_holds(tmp_path: Path):
    settings = small(max_in_flight=3)
    run = start(tmp_path, settings)
    finish(run, settings)
    assert max(series(run, "episodes/in_flight")) <= 3.0


def test_the_engine_keeps_its_own_weights_while_the_learner_changes_them(tmp_path: Path):
    run = start(tmp_path, small())
    training = job.Training(small(), run)
    engine, model = training._setting.engine, training._setting.language.decoder
    assert isinstance(engine, LocalEngine)
    assert engine.model is not model
    assert job.Training(small(max_lag=0), run)._setting.engine.model is not engine.model  # type: ignore[attr-defined]


def test_a_checkpoint_takes_what_environments_made_with_numpy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    step = DigitsEnv.step

    async def numpy_step(self: DigitsEnv, action: Message) -> Step:
        found = await step(self, action)
        return Step(found.messages, np.float32(found.reward), found.done, {"seen": np.int64(1)})  # type: ignore[arg-type]

    monkeypatch.setattr(DigitsEnv, "step", numpy_step)
    run = start(tmp_path, small())
    with monkeypatch.context() as patched:
        after_save(patched, 2, stop)
        finish(run, small())
    finish(Run.reopen(run.path, data=DataRoot(None)), small())
    assert (run.path / "model").exists()
