"""A run whose checkpoints were damaged: it goes on exactly from the one before, or says that it cannot."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
from rl_runs import config, finish, start, stopped_at, trace
from safetensors.torch import load_file

from espalier.core.data import DataRoot
from espalier.core.errors import RunError
from espalier.core.run.run import Run


def stopped(root: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was asked to stop at the metrics' `step`."""
    run = start(root, config())
    stopped_at(step, run, config(), monkeypatch)
    return run.path


def checkpoints(path: Path) -> list[Path]:
    return sorted((path / "checkpoints").glob("step_*"))


@pytest.mark.parametrize(
    "at",
    [
        pytest.param(11, id="warm start", marks=pytest.mark.slow),
        pytest.param(60, id="between the stages"),
        pytest.param(62, id="reinforcement", marks=pytest.mark.slow),
    ],
)
def test_a_broken_newest_checkpoint_is_passed_over_and_the_run_ends_in_the_same_bits(
    tmp_path: Path, at: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = start(tmp_path / "whole", config())
    finish(whole, config())
    path = stopped(tmp_path / "parts", at, monkeypatch)
    newest = checkpoints(path)[-1]
    os.truncate(newest / "learner/policy.safetensors", 100)
    again = Run.reopen(path, data=DataRoot(None))
    finish(again, config())
    assert f"{newest}/learner/policy.safetensors is broken" in capsys.readouterr().out
    assert trace(again.path) == trace(whole.path)
    ours, theirs = (load_file(run.path / "model/model.safetensors") for run in (again, whole))
    assert all(ours[name].equal(theirs[name]) for name in theirs)


def test_without_any_whole_checkpoint_a_run_is_not_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stopped(tmp_path, 11, monkeypatch)
    before = trace(path)
    for checkpoint in checkpoints(path):
        (checkpoint / "state.json").write_text("{")
    with pytest.raises(RunError, match="no checkpoint is left to go on from"):
        finish(Run.reopen(path, data=DataRoot(None)), config())
    shutil.rmtree(path / "checkpoints")
    with pytest.raises(RunError, match="was written, and is gone"):
        finish(Run.reopen(path, data=DataRoot(None)), config())
    assert trace(path) == before


def test_a_disk_that_fills_up_ends_the_run_with_words_and_it_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(tmp_path, config())
    log, fsync, full = run.metrics.log, os.fsync, False

    def log_and_fill(at: int, metrics) -> None:  # type: ignore[no-untyped-def]
        nonlocal full
        log(at, metrics)
        full = at == 62

    def refuse_when_full(handle: int) -> None:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(run.metrics, "log", log_and_fill)
    monkeypatch.setattr(os, "fsync", refuse_when_full)
    with pytest.raises(RunError, match="step 62 could not be written: No space left on device; the one of step 61"):
        finish(run, config())
    monkeypatch.undo()
    assert [path.name for path in checkpoints(run.path)] == ["step_0000060", "step_0000061"]
    again = Run.reopen(run.path, data=DataRoot(None))
    finish(again, config())
    whole = start(tmp_path / "whole", config())
    finish(whole, config())
    assert trace(again.path) == trace(whole.path)


def test_a_file_of_another_checkpoint_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file of a checkpoint counts: none may be swapped for another run's."""
    path, other = (stopped(tmp_path / name, 11, monkeypatch) for name in ("one", "two"))
    newest = checkpoints(path)[-1]
    files = [file.relative_to(newest) for file in newest.rglob("*") if file.is_file() and file.name != "SHA256SUMS"]
    assert len(files) == 4
    older = checkpoints(other)[0]
    shutil.copy(older / "learner/policy_optimizer.safetensors", newest / "learner/policy_optimizer.safetensors")
    again = Run.reopen(path, data=DataRoot(None))
    finish(again, config())
    assert (path / "checkpoints" / f"broken_{newest.name}").is_dir()
