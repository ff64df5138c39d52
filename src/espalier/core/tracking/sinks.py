"""Where metrics go besides the run folder: TensorBoard, Weights & Biases, trackio.

Each tracker works in a thread of its own behind a bounded queue: one that is slow, dead or raising loses its metrics,
says so once, and never holds up training.
"""

from __future__ import annotations

import contextlib
import importlib.util
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from espalier.core.errors import MissingExtraError

Tracker = Literal["tensorboard", "wandb", "trackio"]


class Sink(Protocol):
    """Takes metrics."""

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record `metrics` at `step`."""
        ...

    def close(self) -> None:
        """Finish what was written."""
        ...


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What a tracker is told of the run. `path` is its folder, `config` the resolved recipe."""

    path: Path
    name: str
    config: Mapping[str, Any]


class TensorBoardSink:
    """Event files in the run folder's `tensorboard/`."""

    def __init__(self, info: RunInfo) -> None:
        from tensorboard.summary import Writer

        self._writer = Writer(str(info.path / "tensorboard"))

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add one scalar for each metric."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


class WandbSink:
    """A run of Weights & Biases; its own settings (`WANDB_MODE`, `WANDB_PROJECT`, ...) apply."""

    def __init__(self, info: RunInfo) -> None:
        import wandb

        self._run = wandb.init(
            project="espalier",
            name=info.name,
            id=f"{info.name}-{info.path.name}",
            dir=str(info.path),
            config=dict(info.config),
            resume="allow",
        )

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log one row."""
        self._run.log(dict(metrics), step=step)

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


class TrackioSink:
    """A run of trackio, kept on this machine by default."""

    def __init__(self, info: RunInfo) -> None:
        import trackio

        self._run = trackio.init(
            project="espalier", name=f"{info.name}-{info.path.name}", config=dict(info.config), resume="allow"
        )

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log one row."""
        self._run.log(dict(metrics), step=step)

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


_TRACKERS: Mapping[Tracker, Callable[[RunInfo], Sink]] = {
    "tensorboard": TensorBoardSink,
    "wandb": WandbSink,
    "trackio": TrackioSink,
}


def open_sink(tracker: Tracker, info: RunInfo, warn: Callable[[str], None]) -> QueuedSink:
    """The sink of `tracker`, behind its queue. Raises MissingExtraError at once where its package is not installed."""
    if importlib.util.find_spec(tracker) is None:
        raise MissingExtraError(tracker, "trackers")
    return QueuedSink(tracker, lambda: _TRACKERS[tracker](info), warn)


class QueuedSink:
    """Runs the sink that `open` makes in a thread; writing never waits and never raises.

    `capacity` is the number of writes held while the sink is busy, `patience` the seconds that closing waits for it.
    """

    def __init__(
        self,
        name: str,
        open: Callable[[], Sink],
        warn: Callable[[str], None],
        *,
        capacity: int = 1000,
        patience: float = 10.0,
    ) -> None:
        self._name = name
        self._open = open
        self._warn = warn
        self._patience = patience
        self._queue: queue.Queue[tuple[int, Mapping[str, float]] | None] = queue.Queue(capacity)
        self._told = False
        self._thread = threading.Thread(target=self._work, name=f"sink-{name}", daemon=True)
        self._thread.start()

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Queue the metrics, or drop them where the queue is full."""
        if not self._thread.is_alive():
            return
        try:
            self._queue.put_nowait((step, metrics))
        except queue.Full:
            self._lost("is too slow")

    def close(self) -> None:
        """Let the sink finish, for `patience` seconds at most."""
        if self._thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._queue.put(None, timeout=self._patience)
                self._thread.join(self._patience)
        if self._thread.is_alive():
            self._lost("did not finish in time")

    def _work(self) -> None:
        try:
            sink = self._open()
            while (item := self._queue.get()) is not None:
                sink.write(*item)
            sink.close()
        except Exception as error:
            self._lost(f"failed ({type(error).__name__}: {error})")

    def _lost(self, why: str) -> None:
        if not self._told:
            self._told = True
            self._warn(
                f"{self._name} {why}; some metrics are missing there. metrics.jsonl in the run folder has them all."
            )
