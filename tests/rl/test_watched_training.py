"""Runs that are watched from outside while they train."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console
from rl_runs import config, finish, start, trace
from timelines import check, events

from espalier.cli.commands.watching import drawn
from espalier.cli.main import main
from espalier.core.report.rollouts import read_rollouts
from espalier.core.run.watch import Frame, Watch
from espalier.core.tracking.live import LIVE, LiveFile
from espalier.core.tracking.spans import TRACE
from espalier.rl.config import TrainConfig
from espalier.rl.loop.collect import Collected, Collector
from espalier.rl.report import ROLLOUTS

STEPS = 3


def small(**more: object) -> TrainConfig:
    rollout = {"groups_per_step": 2, "samples_per_group": 2, "max_tokens": 16, "max_lag": 1}
    evaluation = {"every": 2, "tasks": 4, "samples": 1, "browse": 0}
    return config(
        steps=STEPS, stop_after_idle=0, rollout=rollout, evaluation=evaluation, warm_start={"steps": 2}, **more
    )


def test_who_waits_for_whom_is_seen_while_groups_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Frame] = []
    run = start(tmp_path, small())
    collect = Collector.collect

    async def watched(self: Collector) -> Collected:
        LiveFile(run.path / LIVE, run._now).write()
        seen.append(Watch(run.path).look())
        return await collect(self)

    monkeypatch.setattr(Collector, "collect", watched)
    finish(run, small())
    assert [frame.step for frame in seen] == [2, 3, 4]
    live = seen[-1].live
    assert live is not None
    assert (live.title, live.total, len(live.workers)) == ("reinforcement learning", 2 + STEPS, 1)
    assert live.work[0].doing == "waits for groups"
    console = Console(width=120, file=io.StringIO())
    console.print(drawn(seen[-1], 0.0))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for words in ("running", "4/5", "reward", "held-out accuracy", "lag ", "waits for groups (", "embedded"):
        assert words in text

    capsys.readouterr()
    assert main(["watch", str(run.path), "--once"]) == 0
    out = capsys.readouterr().out
    assert "step 5" in out
    assert "waits for" not in out, "nothing is under way"


def test_saved_answers_know_their_versions(tmp_path: Path) -> None:
    run = start(tmp_path, small())
    finish(run, small())
    groups = read_rollouts(run.path / "artefacts" / ROLLOUTS)
    assert [group.version for group in groups] == [step - 3 for step in (3, 3, 4, 4, 5, 5)]
    for group in groups:
        for answer in group.answers:
            for turn in answer.turns:
                assert sum(length for _, length in turn.versions) == len(turn.text)
                assert all(0 <= version <= (group.version or 0) for version, _ in turn.versions)


def test_a_traced_run_has_its_loop_and_every_attempt_on_a_timeline_and_trains_the_same(tmp_path: Path) -> None:
    rollout = {"groups_per_step": 2, "samples_per_group": 2, "max_tokens": 16}
    runs = []
    for traced in (True, False):
        settings = config(steps=STEPS, stop_after_idle=0, rollout=rollout, warm_start={"steps": 2}, trace=traced)
        run = start(tmp_path, settings)
        finish(run, settings)
        runs.append(run)
    assert trace(runs[0].path) == trace(runs[1].path)
    assert not (runs[1].path / "artefacts" / TRACE).exists()
    lanes = check(events(runs[0].path / "artefacts" / TRACE))
    counts = Counter(event["name"] for event in lanes["loop"])
    assert counts == {"collect": 3, "train": 3, "save": 4, "evaluate": 3, "publish": 1 + 3 + 3}
    attempts = [event for name, inside in lanes.items() if name.startswith("attempt ") for event in inside]
    whole = [event for event in attempts if event["name"] == "multiplication"]
    trained = [event for event in lanes["loop"] if event["name"] == "collect"]
    inside = [
        event
        for event in whole
        if any(one["ts"] <= event["ts"] and event["ts"] + event["dur"] <= one["ts"] + one["dur"] for one in trained)
    ]
    assert len(inside) == STEPS * 4, "each attempt of a step lies within its collection"
    parts = Counter(event["name"] for event in attempts)
    assert parts["generate"] == parts["reward"] == parts["multiplication"] == len(whole)
    assert parts["environment"] == 3 * len(whole), "reset, step, close"
