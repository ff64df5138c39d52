"""What the benchmarks share: paired timing, the table they print, the JSON they write.

Two sides are timed in turn, ours and the peer's, again and again (ABAB), so that a machine that slows down slows both;
the ratio is the median of the pairs' ratios. Rates are medians; the spread is the 10th to 90th percentile.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

THREADS = 2


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a benchmark. `ratio` says how many times better than the peer we are; `spread` are its 10-90%."""

    name: str
    ours: float
    peer: float | None
    unit: str
    ratio: float | None
    must: float | None = None
    aim: float | None = None
    spread: tuple[float, float] | None = None
    note: str = ""


def arguments(description: str) -> argparse.ArgumentParser:
    """The options that every benchmark takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer repeats, at most three minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here")
    return parser


def paired(
    name: str,
    ours: Callable[[], float],
    peer: Callable[[], float],
    *,
    unit: str,
    repeats: int,
    higher_is_better: bool = True,
    must: float | None = None,
    aim: float | None = None,
    note: str = "",
) -> Row:
    """Run each side once to warm up, then `repeats` times in turn. Each call returns its own rate or time in `unit`."""
    ours(), peer()
    pairs = np.array([(ours(), peer()) for _ in range(repeats)])
    ratios = pairs[:, 0] / pairs[:, 1] if higher_is_better else pairs[:, 1] / pairs[:, 0]
    low, high = np.percentile(ratios, [10, 90])
    mine, theirs = np.median(pairs, axis=0)
    return Row(
        name, float(mine), float(theirs), unit, float(np.median(ratios)), must, aim, (float(low), float(high)), note
    )


def finish(
    title: str, rows: list[Row], args: argparse.Namespace, packages: tuple[str, ...], *, spread: str = "10-90%"
) -> int:
    """Print the table, write the JSON. Returns 1 if a `must` was missed. spread: the title of that column."""
    versions = {"python": platform.python_version(), **{name: version(name) for name in packages}}
    console = Console(width=140)
    table = Table(title=title)
    for column in ("", "ours", "peer", "unit", "ratio", spread, "must", "aim", ""):
        table.add_column(column, justify="left" if column in ("", "unit") else "right")
    for row in rows:
        between = f"{row.spread[0]:.2f} to {row.spread[1]:.2f}" if row.spread else ""
        cells = (_number(row.ours), _number(row.peer), row.unit, _ratio(row.ratio), between)
        table.add_row(row.name, *cells, _ratio(row.must), _ratio(row.aim), _verdict(row))
    console.print(table)
    for row in rows:
        if row.note:
            console.print(f"{row.name}: {row.note}", highlight=False)
    console.print(f"{machine()['cpu']}, {machine()['cores']} cores, {torch.get_num_threads()} threads", highlight=False)
    console.print(", ".join(f"{name} {number}" for name, number in versions.items()), highlight=False)
    if args.json:
        content = {"rows": [asdict(row) for row in rows], "machine": machine(), "versions": versions}
        args.json.write_text(json.dumps({**content, "command": " ".join(["python", *sys.argv])}, indent=2) + "\n")
    return int(any(_verdict(row) == "missed" for row in rows))


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in _lines(info) if line.startswith("model name")]
    memory = [int(line.split()[1]) for line in _lines(Path("/proc/meminfo")) if line.startswith("MemTotal")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory[0] / 2**20, 1) if memory else None,
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
    }


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _verdict(row: Row) -> str:
    if row.must is None or row.ratio is None:
        return ""
    if not row.ratio >= row.must:
        return "missed"
    return "aim met" if row.aim is not None and row.ratio >= row.aim else "met"
