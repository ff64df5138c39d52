"""Progress of long work: a live panel on a terminal, one plain line every few seconds anywhere else."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from espalier.core.clock import Clock
from espalier.core.stop import Stop

_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_EVERY = 5.0
"""Seconds between plain lines."""
_KEPT_NOTES = 4
_RATE_WINDOW = 20
"""Steps over which the rate is averaged, so that it follows a change of pace."""

_FASTEST = 1e5
"""Steps a second beyond which they ended together, and have no rate."""


class Progress:
    """Use as a context manager. `total` steps of `title`; ends when the block does, whatever step it reached."""

    def __init__(self, total: int, title: str, *, console: Console, clock: Clock, stop: Stop) -> None:
        self.total = total
        self.title = title
        self.step = 0
        self.notes: deque[str] = deque(maxlen=_KEPT_NOTES)
        self.values: dict[str, deque[float]] = {}
        self._labels: tuple[str, ...] = ()
        self._console = console
        self._clock = clock
        self._stop = stop
        self._started = clock.now()
        self._marks: deque[tuple[float, int]] = deque(maxlen=_RATE_WINDOW + 1)
        self._said = self._started
        self._live = (
            Live(get_renderable=self._panel, console=console, refresh_per_second=4) if console.is_terminal else None
        )
        self._tell = stop.tell

    def update(self, step: int, values: Mapping[str, float]) -> None:
        """`step` steps are done now; `values` are shown by their labels, until the next update."""
        self.step = step
        self._labels = tuple(values)
        if not self._marks and step == 1:  # a resumed job begins elsewhere: its pace is known from the second update on
            self._marks.append((self._started, 0))
        self._marks.append((self._clock.now(), step))
        for label, value in values.items():
            self.values.setdefault(label, deque(maxlen=24)).append(float(value))
        if self._live is None and self._clock.now() - self._said >= _PLAIN_EVERY:
            self._say_line()

    def note(self, text: str) -> None:
        """Show a line of text: in the panel, which keeps the last few, or as a plain line."""
        self.notes.append(text)
        if self._live is None:
            self._console.print(escape(text), highlight=False, soft_wrap=True)

    @property
    def rate(self) -> float:
        """Steps a second, lately; 0.0 until it can be told."""
        if len(self._marks) < 2:
            return 0.0
        (start, first), (end, last) = self._marks[0], self._marks[-1]
        return (last - first) / (end - start) if end > start else 0.0

    def __enter__(self) -> Progress:
        self._started = self._clock.now()
        if self._live is not None:
            self._stop.tell = self.notes.append
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._stop.tell = self._tell
        else:
            self._say_line()

    def line(self) -> str:
        """The state in one line of text."""
        parts = [f"{self.title} {self.step}/{self.total}", *pace(self.rate, self.total - self.step)]
        parts += [f"{label} {readable(self.values[label][-1])}" for label in self._labels]
        return "  ".join(parts)

    def _say_line(self) -> None:
        self._said = self._clock.now()
        self._console.print(escape(self.line()), highlight=False, soft_wrap=True)

    def _panel(self) -> RenderableType:
        head = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=max(self.total, 1), completed=self.step, width=28)
        clock = Text(duration(self._clock.now() - self._started), style="dim")
        left = self.total - self.step
        head.add_row(Text(self.title, style="bold"), bar, f"{self.step}/{self.total}", *pace(self.rate, left), clock)
        table = Table.grid(padding=(0, 2))
        for label in self._labels:
            series = self.values[label]
            table.add_row(
                Text(f"  {label}", style="dim"), Text(readable(series[-1])), Text(sparkline(series), style="cyan")
            )
        notes = [Text(f"  {note}", style="yellow") for note in self.notes]
        return Group(head, table, *notes)


def pace(rate: float, left: int) -> list[str]:
    """`2.0 steps/s` or `1.3 s/step`, and how long the `left` steps take; nothing where the rate is not known."""
    if not 0 < rate < _FASTEST:
        return []
    words = f"{rate:.1f} steps/s" if rate >= 1 else f"{1 / rate:.1f} s/step"
    return [words, f"{duration(left / rate)} left"] if left > 0 else [words]


def sparkline(values: Sequence[float]) -> str:
    """One bar a value, scaled to their range; values that are not finite are gaps."""
    finite = [v for v in values if abs(v) < float("inf")]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((v - low) * scale)] if abs(v) < float("inf") else " " for v in values)


def readable(value: float) -> str:
    """Four significant figures: `0.1234`, `12.34`, `1,234`, `1.2e+06`."""
    if value == int(value) if abs(value) < 1e5 else False:
        return f"{int(value):,}"
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.4g}"


def duration(seconds: float) -> str:
    """`8 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
