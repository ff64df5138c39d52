"""What a run's files say about its health, whatever its job."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from espalier.core.run.doctor import diagnose
from espalier.core.run.run import Run
from espalier.core.tracking.findings import LEAST, WINDOW, Finding, ends, latest, not_finite, total, values
from espalier.core.tracking.live import LIVE, Live, LiveFile, Work
from espalier.core.tracking.metrics import History, Point

NOW = 1e6


def nothing(history: History) -> Sequence[Finding]:
    return ()


def found(path: Path) -> list[Finding]:
    return diagnose(path, nothing, now=lambda: NOW)


def series(*some: float) -> History:
    return {"a": [Point(step, value, 0.0) for step, value in enumerate(some, 1)]}


def going(tmp_path: Path, *, silent: float) -> Run:
    """A run of three steps of 20 seconds, which has logged nothing for so many seconds."""
    run = Run.create(tmp_path, job="toy.train", name="toy")
    lines = [{"step": step, "seconds": 20.0 * step, "a": 1.0} for step in (1, 2, 3)]
    run.metrics.path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    os.utime(run.metrics.path, (NOW - silent, NOW - silent))
    return run


def test_a_finished_run_without_fault_has_no_findings(tmp_path: Path) -> None:
    with Run.create(tmp_path, job="toy.train", name="toy") as run:
        run.metrics.log(1, {"a": 1.0})
        run.finish({})
    assert found(run.path) == []


def test_a_run_that_failed_says_why_and_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="odd"), Run.create(tmp_path, job="toy.train", name="toy") as run:
        raise ValueError("odd")
    (one,) = found(run.path)
    assert (one.rule, one.evidence) == ("failed", "ValueError: odd")
    assert f"espalier resume {run.path}" in one.advice


def test_a_killed_run_says_what_it_did_last(tmp_path: Path) -> None:
    run = Run.create(tmp_path, job="toy.train", name="toy")
    live = Live("training", 7, 20, work=[Work("learner", "waits for groups")])
    LiveFile(run.path / LIVE, lambda: live).write()
    shutil.copytree(run.path, tmp_path / "dead")
    (one,) = found(tmp_path / "dead")
    assert (one.rule, one.evidence) == ("killed", "at step 7 of 20 of training: learner waits for groups")


def test_a_stopped_run(tmp_path: Path) -> None:
    with Run.create(tmp_path, job="toy.train", name="toy") as run:
        pass
    (one,) = found(run.path)
    assert (one.rule, one.what) == ("interrupted", "the run was stopped before its end")


def test_a_run_that_goes_on_and_logs_nothing(tmp_path: Path) -> None:
    talking, silent = going(tmp_path, silent=199.0), going(tmp_path, silent=201.0)  # each holds its run's lock
    assert found(talking.path) == []
    (one,) = found(silent.path)
    assert one.rule == "silent"
    assert "nothing was logged for 3 min 21 s; a step took 20 s" in one.evidence


def test_warnings_are_counted_and_the_first_are_shown(tmp_path: Path) -> None:
    with Run.create(tmp_path, job="toy.train", name="toy") as run:
        run.warn("odd")
        for step in range(1, 5):
            run.warn("strange", step)
        run.finish({})
    (one,) = found(run.path)
    assert (one.rule, one.what) == ("warned", "the run warned 5 times")
    assert one.evidence.splitlines() == ["odd", "step 1: strange", "step 2: strange", "and 2 more"]


def test_a_broken_line_is_a_finding(tmp_path: Path) -> None:
    with Run.create(tmp_path, job="toy.train", name="toy") as run:
        run.finish({})
    run.metrics.path.write_text('{"step": 1}\n')
    (one,) = found(run.path)
    assert one.rule == "broken_file"
    assert "metrics.jsonl:1: a line of metrics is an object with step and seconds" in one.evidence


def test_metrics_that_are_not_finite() -> None:
    history = {name: [Point(1, 0.5, 0.0), Point(3, math.nan, 0.0), Point(4, math.inf, 0.0)] for name in "abcd"}
    one = not_finite(history | {"e": [Point(1, 0.5, 0.0)]})
    assert one is not None
    assert one.evidence == "NaN or infinite, at first: a at step 3, b at step 3, c at step 3, and 1 more"
    assert not_finite({"e": [Point(1, 0.5, 0.0)]}) is None


def test_the_ends_of_a_series_by_hand() -> None:
    history = {"a": [Point(2, 9.0, 0.0), Point(1, 1.0, 0.0), Point(2, 2.0, 0.0), Point(3, math.nan, 0.0)]}
    assert values(history, "a") == [1.0, 2.0], "of two at a step the last; what is not finite is left out"
    assert total(history, "a") == 3.0
    assert latest(history, "a") is None
    assert latest(history, "a", least=1) == 1.5
    assert (values(history, "b"), total(history, "b"), latest(history, "b", least=1)) == ([], 0.0, None)
    long = series(*range(2 * WINDOW + 10))
    assert latest(long, "a") == WINDOW + 10 + (WINDOW - 1) / 2
    assert ends(long, "a") == (list(range(WINDOW)), list(range(WINDOW + 10, 2 * WINDOW + 10)))
    assert ends(series(*range(2 * LEAST + 1)), "a") == (list(range(LEAST)), list(range(LEAST + 1, 2 * LEAST + 1)))
    assert ends(series(*range(2 * LEAST - 1)), "a") is None
