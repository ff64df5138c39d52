"""The metrics of a run: JSON lines, the source of truth, from which every curve is drawn."""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, SupportsFloat

from espalier.core.errors import DataError
from espalier.core.io.files import write_atomic
from espalier.core.io.jsonlines import whole_lines
from espalier.core.io.text import lines_of, parse_json
from espalier.core.tracking.sinks import Sink

NOT_FINITE = ("nan", "inf", "-inf")
"""How values are written that JSON has no numbers for."""
LARGEST = 1e15
"""Steps and seconds are no more."""


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
        _tidy(path)
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

    def rewind(self, step: int, *, without: str = "") -> None:
        """Forget what was logged beyond `step`, atomically; a resumed run logs it again.

        `without`: forget lines at `step`, too, that hold a metric whose name begins so.
        """

        def kept(record: Mapping[str, Any]) -> bool:
            if without and record["step"] == step:
                return not any(name.startswith(without) for name in record)
            return bool(record["step"] <= step)

        self._file.close()
        lines = [f"{line}\n" for line, record in _records(self.path) if kept(record)]
        write_atomic(self.path, "".join(lines))
        self._file = self.path.open("a", encoding="utf-8")

    def close(self) -> None:
        """Close the file and the sinks."""
        self._file.close()
        for sink in self._sinks:
            sink.close()


def read_history(path: Path) -> History:
    """The history in a file of metrics, which may be growing: a last line without its end is left out.

    Raises DataError by file and line.
    """
    history: History = {}
    for _, record in _records(path):
        step, seconds = record.pop("step"), record.pop("seconds")
        for name, value in record.items():
            history.setdefault(name, []).append(Point(step, float(value), seconds))
    return history


def last_seconds(path: Path) -> float:
    """The age of the run at its last metrics, 0.0 where there are none."""
    return max((float(record["seconds"]) for _, record in _records(path)), default=0.0)


def _records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Lines and their records. Raises DataError by file and line; a last line that was not written whole is none."""
    if not path.exists():
        return
    for number, line in lines_of(io.BytesIO(whole_lines(path.read_bytes())), path):
        if line.strip():
            where = f"{path}:{number}"
            yield line, checked(parse_json(line, where), where)


def checked(record: Any, where: str) -> dict[str, Any]:
    """A line's value. Raises DataError for what `MetricLog.log` does not write."""
    if not isinstance(record, dict) or not {"step", "seconds"} <= record.keys():
        raise DataError(f"{where}: a line of metrics is an object with step and seconds")
    for name, value in record.items():
        is_number = isinstance(value, float) or (type(value) is int and abs(value) <= sys.float_info.max)
        sound = is_number and abs(value) <= LARGEST if name in ("step", "seconds") else is_number or value in NOT_FINITE
        if not sound or (name == "step" and value != int(value)):
            raise DataError(f"{where}: {name} is {value!r:.40}, not {'a whole' if name == 'step' else 'a'} number")
    return record


def _tidy(path: Path) -> None:
    """Only whole lines, in UTF-8 with line feeds, so that more can be appended."""
    whole = "".join(f"{line}\n" for line, _ in _records(path)).encode()
    if whole != path.read_bytes():
        write_atomic(path, whole)
