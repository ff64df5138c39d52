"""Runs that are watched from outside while they train."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from rl_runs import config, finish, start

from espalier.cli.commands.watching import drawn
from espalier.cli.main import main
from espalier.core.run.watch import Frame, Watch
from espalier.core.tracking.live import LIVE, LiveFile
from espalier.rl.config import TrainConfig
from espalier.rl.loop.collect import Collected, Collector

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
