"""What a run in another process does, read from its folder again and again."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from espalier.core.errors import DataError
from espalier.core.io.text import read_object
from espalier.core.run.folder import read_config, read_state, standing
from espalier.core.tracking import metrics, warnings
from espalier.core.tracking.live import LIVE, Live, read_live
from espalier.core.tracking.tail import Tail
from espalier.core.tracking.warnings import Warned

COLUMNS = 20
"""Values of a curve that are shown, at least, where there are as many; and fewer than twice as many."""
RATE_STEPS = 20
"""Steps over which the rate is averaged."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A run at one moment.

    status: the recorded one, or `killed`. seconds: its age over all sessions. rate: steps a second, 0.0 where it is not
    known. last, curves: of each metric the last value, and means over its whole course. live: what its job does, where
    it says so. problems: what could not be read.
    """

    name: str
    job: str
    status: str
    error: str
    seconds: float
    step: int
    rate: float
    last: Mapping[str, float]
    curves: Mapping[str, Sequence[float]]
    live: Live | None
    warned: Sequence[Warned]
    figures: Mapping[str, Any]
    problems: Sequence[str]

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.status != "running"

    @property
    def total(self) -> int:
        """Steps until the end; 0 where that is not known."""
        return self.live.total if self.live else 0


class Watch:
    """Follows the run in the folder `path`. Raises RunError where its config or its state is broken."""

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self.path = path
        self._now = now
        self._config = read_config(path)
        self._metrics = Tail(path / "metrics.jsonl", metrics.checked)
        self._warnings = Tail(path / "warnings.jsonl", warnings.parsed)
        self._warned: list[Warned] = []
        self._begin()

    def _begin(self) -> None:
        self._curves: dict[str, Curve] = {}
        self._last: dict[str, float] = {}
        self._marks: deque[tuple[int, float]] = deque(maxlen=RATE_STEPS + 1)
        self._seconds = 0.0

    def look(self) -> Frame:
        """The run as it is now."""
        state = read_state(self.path)
        status = standing(self.path, state)
        self._follow()
        problems = [tail.broken for tail in (self._metrics, self._warnings) if tail.broken]
        live, result = None, {}
        try:
            live = read_live(self.path / LIVE) if status in ("running", "killed") else None
            result = read_object(self.path / "result.json") if status == "finished" else {}
        except DataError as error:
            problems.append(str(error))
        return Frame(
            name=str(self._config["name"]),
            job=str(self._config["job"]),
            status=status,
            error=state.error,
            seconds=self._age(status, state.seconds),
            step=max(self._marks[-1][0] if self._marks else 0, live.step if live else 0),
            rate=live.rate if live else self._rate(),
            last=self._last,
            curves={name: curve.means for name, curve in self._curves.items()},
            live=live,
            warned=self._warned,
            figures={name: value for name, value in result.items() if name not in ("seconds", "seed", "job")},
            problems=problems,
        )

    def _follow(self) -> None:
        anew, records = self._metrics.look()
        if anew:
            self._begin()
        for record in records:
            step, self._seconds = int(record.pop("step")), float(record.pop("seconds"))
            if not self._marks or step > self._marks[-1][0]:
                self._marks.append((step, self._seconds))
            for name, value in record.items():
                self._last[name] = float(value)
                self._curves.setdefault(name, Curve()).add(float(value))
        anew, warned = self._warnings.look()
        self._warned = [*([] if anew else self._warned), *warned]

    def _age(self, status: str, recorded: float) -> float:
        """While it runs, the age at the last metrics, and the time since."""
        if status != "running":
            return max(recorded, self._seconds)
        try:
            return self._seconds + max(0.0, self._now() - (self.path / "metrics.jsonl").stat().st_mtime)
        except OSError:
            return self._seconds

    def _rate(self) -> float:
        if len(self._marks) < 2:
            return 0.0
        (first, begun), (last, ended) = self._marks[0], self._marks[-1]
        return (last - first) / (ended - begun) if ended > begun else 0.0


class Curve:
    """Means over everything that was added, of equally many values each."""

    def __init__(self) -> None:
        self._means: list[float] = []
        self._part: list[float] = []
        self._width = 1

    def add(self, value: float) -> None:
        """Add a value."""
        self._part.append(value)
        if len(self._part) == self._width:
            self._means.append(_mean(self._part))
            self._part = []
        if len(self._means) == 2 * COLUMNS:
            self._means = [_mean(pair) for pair in zip(self._means[::2], self._means[1::2], strict=True)]
            self._width *= 2

    @property
    def means(self) -> list[float]:
        """In the order in which the values were added."""
        return [*self._means, *([_mean(self._part)] if self._part else [])]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
