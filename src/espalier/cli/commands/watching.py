"""`espalier watch`: a live view of a run in another process."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live as Screen
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from espalier.cli.commands.runs import STYLES, WIDTH
from espalier.cli.places import find_run, newest_running
from espalier.core.run.watch import Frame, Watch
from espalier.core.tracking.live import Live, Work
from espalier.core.tracking.progress import duration, pace, readable, sparkline

EVERY = 0.5
"""Seconds between two looks."""
SHOWN = {
    "reward/total": "reward",
    "eval/avg": "held-out accuracy",
    "len/mean": "length",
    "entropy": "entropy",
    "loss/ce": "cross entropy",
    "grad_norm": "gradient norm",
}
"""Metrics that are shown, and what they are called. A run that has none of them shows its first ones."""
FIRST = 6
UNSHOWN = ("time/", "memory/", "cost/")
WARNINGS = 4
"""Warnings that are shown, the last ones."""


def add_watch(parser: argparse.ArgumentParser) -> None:
    """Arguments of `espalier watch`."""
    parser.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="a run folder (runs/NAME/TIME), or NAME for its newest run (default: the newest that is running)",
    )
    parser.add_argument("--once", action="store_true", help="print the run as it is now, and end")


def watch(args: argparse.Namespace) -> int:
    """Show the run until it ends; returns 1 if it failed or was killed meanwhile."""
    followed = Watch(find_run(args.run) if args.run else newest_running())
    frame = followed.look()
    if args.once or not sys.stdout.isatty():
        Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH).print(drawn(frame, time.time()))
        return 0
    with contextlib.suppress(KeyboardInterrupt):
        with Screen(console=Console(highlight=False), auto_refresh=False) as screen:
            while True:
                screen.update(drawn(frame, time.time()), refresh=True)
                if frame.ended:
                    break
                time.sleep(EVERY)
                frame = followed.look()
        print(f"report: {followed.path / 'report.html'}")
    return int(frame.status in ("failed", "killed"))


def drawn(frame: Frame, now: float) -> RenderableType:
    """The view of a run at the time `now`, in seconds of the epoch."""
    live = frame.live or Live()
    status = Text(frame.status, style=STYLES.get(frame.status, "yellow"))
    parts = [
        _grid([(Text(frame.name, style="bold"), frame.job, status, duration(frame.seconds))]),
        _progress(frame, live.title),
        _values(frame),
        _work(frame, live, now),
        _engines(live),
        _slowest(live, now),
        _notes(frame),
        _figures(frame),
    ]
    return Group(*(Group(part, "") for part in parts if part is not None))


def _progress(frame: Frame, title: str) -> RenderableType | None:
    if not frame.total:
        return _grid([(f"step {frame.step:,}", *pace(frame.rate, 0))]) if frame.step else None
    bar = ProgressBar(total=frame.total, completed=frame.step, width=28)
    left = 0 if frame.ended else frame.total - frame.step
    return _grid([(title, bar, f"{frame.step:,}/{frame.total:,}", *pace(frame.rate, left))])


def _values(frame: Frame) -> RenderableType | None:
    last = frame.last
    names = {name: label for name, label in SHOWN.items() if name in last}
    if not names:
        names = {name: name for name in [name for name in last if not name.startswith(UNSHOWN)][:FIRST]}
    rows = [
        (_dim(label), readable(last[name]), Text(sparkline(frame.curves[name]), style="cyan"))
        for name, label in names.items()
    ]
    return _grid(rows)


def _work(frame: Frame, live: Live, now: float) -> RenderableType | None:
    """Lag and queue, and who waits for whom."""
    lag = "mean {lag/mean:.1f}, max {lag/max:.0f}, {lag/masked:.1%} of the tokens masked"
    rows = [(_dim("lag"), lag.format_map(frame.last))] if "lag/masked" in frame.last else []
    rows += [(_dim("queue"), live.queue)] if live.queue else []
    rows += [(_dim(one.who), f"{one.doing}{_age(one, now, ' ({})')}") for one in live.work]
    return _grid(rows)


def _engines(live: Live) -> RenderableType | None:
    states = {True: Text("up", style="green"), False: Text("lost", style="red")}
    rows = [(one.name, states[one.up], str(one.running), str(one.waiting), readable(one.speed)) for one in live.workers]
    return _grid(rows, ("engine", "state", "running", "waiting", "tokens/s"))


def _slowest(live: Live, now: float) -> RenderableType | None:
    rows = [(one.who, _age(one, now), one.doing) for one in live.slowest]
    return _grid(rows, ("slowest attempts", "since", ""))


def _notes(frame: Frame) -> RenderableType | None:
    """The last warnings, what could not be read, and why the run failed."""
    warned = [f"{'' if one.step is None else f'step {one.step}: '}{one.text}" for one in frame.warned[-WARNINGS:]]
    problems = [*frame.problems, *([frame.error] if frame.error else [])]
    texts = [*(Text(text, style="yellow") for text in warned), *(Text(text, style="red") for text in problems)]
    return _grid([(text,) for text in texts])


def _figures(frame: Frame) -> RenderableType | None:
    """The job's result."""
    numbers = {name: value for name, value in frame.figures.items() if isinstance(value, int | float)}
    return _grid([(_dim(name), readable(value)) for name, value in numbers.items()])


def _grid(rows: Sequence[Sequence[RenderableType]], heads: Sequence[str] = ()) -> RenderableType | None:
    """A table without lines, under `heads`; None where it has no rows."""
    if not rows:
        return None
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(heads), header_style="dim")
    for head in heads:
        table.add_column(head)
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return table


def _dim(text: str) -> Text:
    return Text(text, style="dim")


def _age(one: Work, now: float, form: str = "{}") -> str:
    return "" if one.since is None else form.format(duration(max(0.0, now - one.since)))
