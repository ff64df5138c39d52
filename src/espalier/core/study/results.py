"""The result file of a study, and its table in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from espalier.core.io.files import write_json
from espalier.core.io.typed import read_typed
from espalier.core.report.blocks import Number
from espalier.core.study.targets import CellResult, Row

COLUMNS = ("claim", "kind", "value", "95% interval", "target", "seeds", "verdict")


@dataclass(frozen=True, slots=True)
class Results:
    """What `docs/systems/results/NAME.json` holds. commit: of the source, with `+changes` where files differed."""

    rows: list[Row]
    cells: list[CellResult]
    command: str
    commit: str
    machine: dict[str, Any]
    seconds: float


_RESULTS = TypeAdapter(Results)


def results(
    rows: Sequence[Row], cells: Sequence[CellResult], environment: Mapping[str, Any], seconds: float
) -> Results:
    """`environment`: what `core.environment` recorded of the run."""
    commit, command, machine = commit_of(environment), environment["command"], environment["machine"]
    return Results(list(rows), list(cells), command, commit, machine, round(seconds, 1))


def commit_of(environment: Mapping[str, Any]) -> str:
    """The commit of the source, with `+changes` where files differed from it."""
    git = environment.get("git") or {"commit": "unknown", "dirty": False}
    return str(git["commit"]) + ("+changes" if git["dirty"] else "")


def write_results(path: Path, found: Results) -> None:
    """Write the file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(found))


def read_results(path: Path) -> Results:
    """What `write_results` wrote. Raises DataError, naming file and key, where it holds anything else."""
    return read_typed(path, _RESULTS)


def table(rows: Sequence[Row]) -> list[list[str | Number]]:
    """Cells of the table, by `COLUMNS`."""
    return [
        [row.name, row.kind, _short(row.value), _interval(row), _short(row.target), row.seeds, row.verdict]
        for row in rows
    ]


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str | Number]]) -> str:
    """A table in Markdown. Numbers are rounded to three figures; None is an empty cell."""
    lines = [["---"] * len(columns), *([_cell(cell) for cell in row] for row in rows)]
    header = f"| {' | '.join(columns).lstrip()} |\n"
    return header + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(cell: str | Number) -> str:
    return "" if cell is None else f"{cell:.3g}" if isinstance(cell, float) else str(cell)


def _interval(row: Row) -> str:
    return "" if row.low is None or row.high is None else f"{_short(row.low)} to {_short(row.high)}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4f}" if abs(value) < 1 else f"{value:.4g}"
