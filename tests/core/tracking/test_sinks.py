import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from espalier.core.errors import MissingExtraError
from espalier.core.tracking import sinks
from espalier.core.tracking.sinks import QueuedSink, RunInfo, Sink, open_sink


class Recorder:
    def __init__(self) -> None:
        self.steps: list[int] = []
        self.closed = False

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        self.steps.append(step)

    def close(self) -> None:
        self.closed = True


class Stuck(Recorder):
    def __init__(self, release: threading.Event) -> None:
        super().__init__()
        self.release = release

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        self.release.wait()
        super().write(step, metrics)


class Raising(Recorder):
    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        raise ConnectionError("no route")


def test_writes_arrive_in_order_before_close_returns() -> None:
    inner = Recorder()
    said: list[str] = []
    sink = QueuedSink("x", lambda: inner, said.append)
    for step in range(100):
        sink.write(step, {"a": 1.0})
    sink.close()
    assert inner.steps == list(range(100))
    assert inner.closed
    assert said == []


def test_a_stuck_sink_never_holds_up_the_writer_and_is_told_once() -> None:
    release = threading.Event()
    inner = Stuck(release)
    said: list[str] = []
    sink = QueuedSink("x", lambda: inner, said.append, capacity=5, patience=0.1)
    started = time.monotonic()
    for step in range(1000):
        sink.write(step, {})
    sink.close()
    assert time.monotonic() - started < 2
    assert len(said) == 1
    assert "x is too slow" in said[0]
    release.set()


def test_a_sink_that_never_finishes_is_told() -> None:
    release = threading.Event()
    said: list[str] = []
    sink = QueuedSink("x", lambda: Stuck(release), said.append, patience=0.1)
    sink.write(1, {})
    sink.close()
    assert "did not finish in time" in said[0]
    release.set()


def _dead() -> Sink:
    raise ConnectionError("no route")


@pytest.mark.parametrize("open_inner", [Raising, _dead])
def test_a_raising_sink_is_told_once_and_then_left_alone(open_inner: type[Raising]) -> None:
    said: list[str] = []
    sink = QueuedSink("x", open_inner, said.append, capacity=3)
    sink.write(0, {})
    deadline = time.monotonic() + 30
    while not said and time.monotonic() < deadline:
        time.sleep(0.001)
    for step in range(1, 50):
        sink.write(step, {})
    sink.close()
    assert len(said) == 1
    assert "x failed (ConnectionError: no route)" in said[0]


def test_a_missing_package_is_an_error_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"'wandb'.*espalier\[trackers\]"):
        open_sink("wandb", RunInfo(tmp_path, "n", {}), print)


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    said: list[str] = []
    sink = open_sink("tensorboard", RunInfo(tmp_path, "n", {}), said.append)
    for step in range(5):
        sink.write(step, {"reward/total": step / 4})
    sink.close()
    assert said == []
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    (name,) = events.Tags()["tensors"] or events.Tags()["scalars"]
    assert name == "reward/total"
    assert len(events.Tensors(name) if events.Tags()["tensors"] else events.Scalars(name)) == 5
