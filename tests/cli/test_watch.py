"""`espalier watch`."""

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from espalier.cli.commands import watching
from espalier.cli.main import main
from espalier.core.run.run import Run
from espalier.core.run.watch import Watch
from espalier.core.tracking.live import LIVE, Live, LiveFile, Work, Worker

TOY = Path(__file__).parent / "toy.py"


def shown(path: Path, now: float = 100.0) -> str:
    out = io.StringIO()
    Console(width=120, file=out).print(watching.drawn(Watch(path).look(), now))
    return out.getvalue()


def counting(folder: Path, *words: str) -> subprocess.Popen[str]:
    """A toy run in another process, once it has counted to 1."""
    (folder / "toy.yaml").write_text("job: toy.count\n")
    command = [sys.executable, str(TOY), "run", "toy.yaml", *words]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    end = time.monotonic() + 30
    while not any(path.stat().st_size for path in folder.glob("runs/toy/*/metrics.jsonl")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.02)
    return process


def test_the_newest_running_run_is_shown_until_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["watch"]) == 2
    assert "no run goes on below runs/" in capsys.readouterr().err
    process = counting(tmp_path, "steps=4", "pause=0.7")
    monkeypatch.setattr(watching, "EVERY", 0.05)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    try:
        assert main(["watch"]) == 0
    finally:
        process.communicate(timeout=30)
    out = capsys.readouterr().out
    assert "finished" in out
    assert "total" in out
    assert "report: " in out


def test_a_run_that_fails_ends_the_view_with_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    process = counting(tmp_path, "steps=3", "pause=0.3", "fail_at=3")
    monkeypatch.setattr(watching, "EVERY", 0.05)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    try:
        assert main(["watch", "toy"]) == 1
    finally:
        process.communicate(timeout=30)
    assert "DataError: rows.jsonl:7: bad row" in capsys.readouterr().out


def test_once_prints_one_frame_of_whatever_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder made by hand, as an older run left it, with lines that are broken or cut short."""
    (tmp_path / "config.yaml").write_text("job: graph.pretrain\nname: cora\nseed: 0\n")
    (tmp_path / "state.json").write_text(json.dumps({"status": "interrupted", "seconds": 61.0}))
    lines = ['{"step": 1, "seconds": 1.0, "loss": 2.5, "time/epoch": 1.0}', '{"step": 2,', '{"step": 3, "seconds": 9']
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    assert main(["watch", str(tmp_path), "--once"]) == 0
    out = capsys.readouterr().out
    assert "cora  graph.pretrain  interrupted  1 min 01 s" in out
    assert "step 1" in out
    assert "loss  2.5" in out
    assert "time/epoch" not in out
    assert "metrics.jsonl:2: not JSON" in out


def test_a_frame_of_training(tmp_path: Path) -> None:
    with Run.create(tmp_path, job="rl.train", name="maze") as run:
        for step in range(1, 5):
            run.metrics.log(step, {"reward/total": step / 4, "lag/mean": 1.25, "lag/max": 3, "lag/masked": 0.02})
        run.warn("odd [bold]", 3)
        work = [Work("learner", "waits for groups", 90.0), Work("admission", "waits for new weights")]
        engines = [Worker("engine 0", True, 12, 3, 812.0), Worker("engine 1", False)]
        live = Live("training", 4, 10, 0.5, "groups: running 5", work, engines, [Work("maze k7", "turn 3", 40.0)])
        LiveFile(run.path / LIVE, lambda: live).write()
        lines = [" ".join(line.split()) for line in shown(run.path).splitlines() if line.strip()]
    assert lines[0].startswith("maze rl.train running")
    assert lines[1].endswith("4/10 2.0 s/step 12 s left")
    assert lines[2:] == [
        "reward 1 ▁▃▆█",
        "lag mean 1.2, max 3, 2.0% of the tokens masked",
        "queue groups: running 5",
        "learner waits for groups (10 s)",
        "admission waits for new weights",
        "engine state running waiting tokens/s",
        "engine 0 up 12 3 812",
        "engine 1 lost 0 0 0",
        "slowest attempts since",
        "maze k7 1 min 00 s turn 3",
        "step 3: odd [bold]",
    ]
