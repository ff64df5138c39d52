"""Looking at a run from outside."""

import json
import math
from pathlib import Path

import pytest

from espalier.core.errors import RunError
from espalier.core.run.run import Run
from espalier.core.run.watch import COLUMNS, Curve, Watch
from espalier.core.tracking.live import LIVE, Live, LiveFile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run that goes on, as its files say; nobody holds it."""
    (tmp_path / "config.yaml").write_text("job: toy.train\nname: toy\nseed: 0\n")
    (tmp_path / "state.json").write_text('{"status": "running", "seconds": 5.0}')
    return tmp_path


def log(folder: Path, *lines: dict[str, float | str]) -> None:
    with (folder / "metrics.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def test_values_rate_and_age_follow_what_is_appended(tmp_path: Path) -> None:
    run = Run.create(tmp_path, job="toy.train", name="toy")
    log(run.path, {"step": 1, "seconds": 10.0, "a": 1.0}, {"step": 2, "seconds": 12.0, "a": 3.0})
    watch = Watch(run.path, now=lambda: (run.path / "metrics.jsonl").stat().st_mtime + 4.0)
    frame = watch.look()
    assert (frame.status, frame.step, frame.rate, frame.seconds) == ("running", 2, 0.5, 16.0)
    assert (frame.last, frame.curves, frame.total, frame.live) == ({"a": 3.0}, {"a": [1.0, 3.0]}, 0, None)
    log(run.path, {"step": 2, "seconds": 13.0, "eval": "nan"}, {"step": 4, "seconds": 15.0, "a": 2.0})
    frame = watch.look()
    assert (frame.step, frame.rate, frame.curves["a"]) == (4, 3 / 5, [1.0, 3.0, 2.0])
    assert math.isnan(frame.last["eval"])


def test_a_resumed_run_forgets_what_it_logs_again(tmp_path: Path) -> None:
    run = Run.create(tmp_path, job="toy.train", name="toy")
    run.warn("odd", 1)
    for step in (1, 2, 3):
        run.metrics.log(step, {"a": step})
    watch = Watch(run.path)
    assert watch.look().step == 3
    run.metrics.rewind(1)
    run.metrics.log(2, {"a": 9})
    frame = watch.look()
    assert (frame.step, frame.curves["a"]) == (2, [1.0, 9.0])
    assert [one.text for one in frame.warned] == ["odd"]


def test_the_run_says_how_far_it_is_and_its_end_ends_the_view(tmp_path: Path) -> None:
    with Run.create(tmp_path, job="toy.train", name="toy") as run, run.progress(20, "training") as progress:
        run.look = lambda: Live(queue="long")
        progress.update(3, {})
        LiveFile(run.path / LIVE, run._now).write()
        frame = Watch(run.path).look()
        assert (frame.ended, frame.step, frame.total) == (False, 3, 20)
        assert frame.live is not None
        assert (frame.live.title, frame.live.queue) == ("training", "long")
        run.finish({"accuracy": 0.5})
    frame = Watch(run.path).look()
    assert (frame.ended, frame.status, frame.figures, frame.live) == (True, "finished", {"accuracy": 0.5}, None)


def test_broken_and_half_written_lines_are_named_and_the_rest_is_shown(folder: Path) -> None:
    log(folder, {"step": 1, "seconds": 1.0, "a": 1.0})
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "sec\n{"step": 3}\n')
    log(folder, {"step": 4, "seconds": 2.0, "a": 2.0})
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "seconds": 3.0, "a"')
    (folder / "warnings.jsonl").write_text('{"text": "odd", "step": 1}\n{"text": 7}\n')
    (folder / LIVE).write_text("{")
    frame = Watch(folder).look()
    assert (frame.status, frame.step, frame.curves) == ("killed", 4, {"a": [1.0, 2.0]})
    assert [one.text for one in frame.warned] == ["odd"]
    metrics, warnings, live = frame.problems
    assert f"{folder / 'metrics.jsonl'}:3: a line of metrics is an object with step and seconds" in metrics
    assert f"{folder / 'warnings.jsonl'}:2: " in warnings
    assert f"{folder / LIVE}: not JSON" in live


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no config\.yaml"):
        Watch(tmp_path)


def test_a_curve_is_the_means_of_equal_parts() -> None:
    curve = Curve()
    for value in range(8 * COLUMNS + 1):
        curve.add(float(value))
    means = curve.means
    assert means[:2] == [3.5, 11.5], "the means of 0 to 7 and of 8 to 15"
    assert (len(means), means[-1]) == (COLUMNS + 1, 8.0 * COLUMNS)
