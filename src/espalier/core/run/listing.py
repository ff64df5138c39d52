"""The runs below a folder: what each is, how it stands and what it has found."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from espalier.core.errors import EspalierError
from espalier.core.io.text import parse_json, read_object
from espalier.core.run.folder import read_config, read_state, standing

TAIL = 1 << 18
"""Bytes at the end of a file of metrics that are read for its last values."""
LAST = ("eval/avg", "reward/total")
"""Metrics of which the table has the last value: held-out accuracy, and reward."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run. `status` is the recorded one, or `killed`, or `broken` where `problem` says what cannot be read.

    steps: the last step logged. accuracy, reward: the last ones logged, None where there are none. seconds: its age
    over all sessions. figures: those of `result.json`.
    """

    path: str
    name: str
    time: str
    job: str
    status: str
    steps: int = 0
    accuracy: float | None = None
    reward: float | None = None
    seconds: float = 0.0
    figures: Mapping[str, Any] | None = None
    problem: str = ""


def find_runs(root: Path) -> Iterator[RunRow]:
    """The runs in the folders NAME/TIME below `root`, by name and time."""
    for config in sorted(root.glob("[!.]*/[!.]*/config.yaml")):
        yield read_run(config.parent)


def read_run(path: Path) -> RunRow:
    """The run in the folder `path`. A file that cannot be read makes the row `broken`, not an error."""
    try:
        config = read_config(path)
        state = read_state(path)
        status = standing(path, state)
        last = _last_values(path / "metrics.jsonl")
        result = read_object(path / "result.json") if (path / "result.json").is_file() else {}
    except EspalierError as error:
        return RunRow(str(path), path.parent.name, path.name, "", "broken", problem=str(error))
    own = {name: value for name, value in result.items() if name not in ("seconds", "seed", "job")}
    return RunRow(
        str(path),
        str(config["name"]),
        path.name,
        str(config["job"]),
        status,
        steps=int(last.get("step", 0)),
        accuracy=_number(last.get(LAST[0], own.get("accuracy"))),
        reward=_number(last.get(LAST[1])),
        seconds=max(state.seconds, float(last.get("seconds", 0.0))),
        figures=own or None,
    )


def _last_values(path: Path) -> dict[str, Any]:
    """The last value of each metric in the last lines of a file of metrics. Raises DataError where they are broken."""
    if not path.exists():
        return {}
    with path.open("rb") as file:
        size = file.seek(0, 2)
        begin = max(0, size - TAIL)
        file.seek(begin)
        content = file.read()
    lines = content[: content.rfind(b"\n") + 1].decode("utf-8", "replace").split("\n")[:-1]
    found: dict[str, Any] = {}
    for number, line in enumerate(lines[1:] if begin else lines):
        record = parse_json(line, f"{path}, line {number + 1} of its end") if line.strip() else {}
        found |= record if isinstance(record, dict) else {}
    return found


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
