"""`espalier runs` and `espalier compare`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from espalier.cli.places import RUNS, find_run
from espalier.core.errors import EspalierError
from espalier.core.io.files import write_atomic
from espalier.core.run.listing import RunRow, find_runs
from espalier.core.tracking.progress import duration

WIDTH = 200
"""Characters of a line where the output is no terminal."""
STYLES = {"finished": "green", "running": "blue", "failed": "red", "killed": "red", "broken": "red"}

KEYS: dict[str, Callable[[RunRow], Any]] = {
    "time": lambda run: run.time,
    "name": lambda run: (run.name, run.time),
    "job": lambda run: (run.job, run.time),
    "status": lambda run: (run.status, run.time),
    "steps": lambda run: run.steps,
    "accuracy": lambda run: float("-inf") if run.accuracy is None else run.accuracy,
    "reward": lambda run: float("-inf") if run.reward is None else run.reward,
    "seconds": lambda run: run.seconds,
}
"""What a table of runs can be sorted by, the largest last."""


def add_runs(parser: argparse.ArgumentParser) -> None:
    """Arguments of `espalier runs`."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="only the runs of this name")
    parser.add_argument("--runs-dir", type=Path, default=RUNS, help="folder of the runs (default: runs)")
    parser.add_argument("--sort", choices=KEYS, default="time", help="the largest comes last (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of a table")


def show_runs(args: argparse.Namespace) -> int:
    """Print a table of the runs."""
    runs = [run for run in find_runs(args.runs_dir) if args.name in (None, run.name)]
    runs.sort(key=KEYS[args.sort])
    if args.json:
        print(json.dumps([asdict(run) for run in runs], indent=2, ensure_ascii=False))
        return 0
    if not runs:
        print(f"there is no run{f' called {args.name}' if args.name else ''} below {args.runs_dir}/")
        return 0
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    console.print(_table(runs))
    for run in runs:
        if run.problem:
            console.print(f"{run.path}: {run.problem}", markup=False, soft_wrap=True)
    return 0


def _table(runs: list[RunRow]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("name", "time", "job", "status"):
        table.add_column(column, no_wrap=True)
    for column in ("steps", "accuracy", "reward", "took"):
        table.add_column(column, justify="right", no_wrap=True)
    for run in runs:
        style = STYLES.get(run.status, "yellow")
        accuracy = "" if run.accuracy is None else f"{run.accuracy:.1%}"
        reward = "" if run.reward is None else f"{run.reward:.4g}"
        took = duration(run.seconds) if run.seconds else ""
        status = f"[{style}]{run.status}[/]"
        table.add_row(run.name, run.time, run.job, status, f"{run.steps:,}", accuracy, reward, took)
    return table


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Arguments of `espalier compare`."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, or NAME for its newest run")
    parser.add_argument("--out", type=Path, default=Path("comparison.html"), help="the page (default: %(default)s)")


def compare(args: argparse.Namespace) -> int:
    """Write one page about several runs."""
    from espalier.core.report.build import page
    from espalier.core.report.compare import comparison

    shown = comparison([find_run(word) for word in args.runs])
    if not args.out.parent.is_dir():
        raise EspalierError(f"--out {args.out}: there is no folder {args.out.parent}")
    write_atomic(args.out, page(shown))
    print(args.out)
    return 0
