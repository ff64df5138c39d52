"""The metrics of a run: JSON lines, the source of truth, from which every curve is drawn."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, SupportsFloat

from espalier.core.errors import DataError
from espalier.core.files import write_atomic
from espalier.core.tracking.sinks import Sink


class Point(NamedTuple):
    """One value of one metric; `seconds` is the run's age when it was logged."""

    step: int
    value: float
    seconds: float


History = dict[str, list[Point]]
"""The points of each metric, in the order they were logged."""


class MetricLog:
    """Appends to `path`, one line a call, and passes the same on to `sinks`. `seconds` tells the run's age."""

    def __init__(self, path: Path, *, seconds: Callable[[], float], sinks: Sequence[Sink] = ()) -> None:
        self.path = path
        self._seconds = seconds
        self._sinks = sinks
        path.touch()
        _drop_torn_line(path)
        self._file = path.open("a", encoding="utf-8")

    def log(self, step: int, metrics: Mapping[str, SupportsFloat]) -> None:
        """Record `metrics` at `step`. A step may be logged in several calls (training, then evaluation)."""
        values = {name: float(value) for name, value in metrics.items()}
        if reserved := values.keys() & {"step", "seconds"}:
            raise ValueError(f"a metric cannot be called {reserved.pop()!r}: each line has one already")
        record: dict[str, Any] = {"step": step, "seconds": round(self._seconds(), 3)}
        record |= {name: value if math.isfinite(value) else str(value) for name, value in values.items()}
        self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._file.flush()
        for sink in self._sinks:
            sink.write(step, values)

    def history(self) -> History:
        """Everything logged so far."""
        return read_history(self.path)

    def rewind(self, step: int) -> None:
        """Forget what was logged beyond `step`, atomically; a resumed run logs it again."""
        self._file.close()
        lines = [line for line, record in _records(self.path) if record["step"] <= step]
        write_atomic(self.path, b"".join(lines))
        self._file = self.path.open("a", encoding="utf-8")

    def close(self) -> None:
        """Close the file and the sinks."""
        self._file.close()
        for sink in self._sinks:
            sink.close()


def read_history(path: Path) -> History:
    """The history in a file of metrics, which may be growing: a last line without its end is left out."""
    history: History = {}
    for _, record in _records(path):
        step, seconds = record.pop("step"), record.pop("seconds")
        for name, value in record.items():
            history.setdefault(name, []).append(Point(step, float(value), seconds))
    return history


def last_seconds(path: Path) -> float:
    """The age of the run at its last metrics, 0.0 where there are none."""
    return max((float(record["seconds"]) for _, record in _records(path)), default=0.0)


def _records(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            yield line, _record(line, f"{path}:{number}")


def _record(line: bytes, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: this line of metrics is not JSON ({error}); mend or delete it") from None
    if not isinstance(record, dict) or not all(
        isinstance(record.get(key), (int, float)) for key in ("step", "seconds")
    ):
        raise DataError(f"{where}: this line of metrics has no step and seconds; mend or delete it")
    return record


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line that a killed writer left without its end."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
