"""What a run does now, in a file: written when it changes, never in the way."""

import json
import time
from pathlib import Path

import pytest

from espalier.core.clock import VirtualClock
from espalier.core.errors import DataError
from espalier.core.tracking.activity import Activity
from espalier.core.tracking.live import Live, LiveFile, Work, Worker, read_live

BUSY = Live(
    "training", 3, 10, 0.5, "1 group", [Work("learner", "trains", 7.5)], [Worker("e", True, 2, 1, 99.5)], [Work("k")]
)


def test_what_was_written_reads_back(tmp_path: Path) -> None:
    assert read_live(tmp_path / "live.json") is None
    LiveFile(tmp_path / "live.json", lambda: BUSY).write()
    assert read_live(tmp_path / "live.json") == BUSY
    (tmp_path / "live.json").write_text('{"step": "three"}')
    with pytest.raises(DataError, match=r"live\.json: step: "):
        read_live(tmp_path / "live.json")


def test_it_is_written_only_where_something_changed(tmp_path: Path) -> None:
    shown = [Live()]
    file = LiveFile(tmp_path / "live.json", lambda: shown[-1])
    file.write()
    assert list(tmp_path.iterdir()) == [], "a job that says nothing has no file"
    shown.append(BUSY)
    file.write()
    first = (tmp_path / "live.json").stat()
    file.write()
    assert (tmp_path / "live.json").stat().st_ino == first.st_ino
    shown.append(Live(step=4))
    file.write()
    assert (tmp_path / "live.json").stat().st_ino != first.st_ino, "another file took its place, whole"
    assert [path.name for path in tmp_path.iterdir()] == ["live.json"]


def test_what_changes_while_it_is_read_is_looked_at_again_later(tmp_path: Path) -> None:
    def look() -> Live:
        raise RuntimeError("dictionary changed size during iteration")

    LiveFile(tmp_path / "live.json", look).write()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_is_no_error_and_is_tried_again(tmp_path: Path) -> None:
    file = LiveFile(tmp_path / "absent" / "live.json", lambda: BUSY)
    file.write()
    (tmp_path / "absent").mkdir()
    file.write()
    assert read_live(tmp_path / "absent" / "live.json") == BUSY


def test_a_thread_writes_it_until_the_end_and_a_failure_leaves_it(tmp_path: Path) -> None:
    path = tmp_path / "live.json"
    path.write_text("of a killed session")

    def wait() -> None:
        end = time.monotonic() + 20
        while not path.exists():
            assert time.monotonic() < end
            time.sleep(0.01)

    with LiveFile(path, lambda: BUSY, every=0.02):
        wait()
    assert not path.exists()

    def fail() -> None:
        with LiveFile(path, lambda: BUSY, every=0.02):
            wait()
            raise ValueError("the job")

    with pytest.raises(ValueError, match="the job"):
        fail()
    assert json.loads(path.read_text())["step"] == 3


def test_an_activity_goes_back_to_what_it_did_before() -> None:
    clock = VirtualClock(100.0)
    one = Activity(clock=clock.now)

    def inner() -> None:
        with one.at("publish"):
            clock.advance(1.0)
            raise ValueError("it")

    with one.at("evaluate"):
        clock.advance(5.0)
        with pytest.raises(ValueError, match="it"):
            inner()
        assert (one.doing, one.since, clock.now()) == ("evaluate", 100.0, 106.0)
    assert (one.doing, one.begun) == ("", 100.0)
