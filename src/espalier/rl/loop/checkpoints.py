"""Checkpoints of a training run.

step_0000064/learner/         weights and optimizer
             state.json       the state of the loop
             waiting.jsonl    the groups that are finished and not trained yet, one a line
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from espalier.core.errors import DataError
from espalier.core.io.files import write_json
from espalier.core.io.jsonlines import JsonLines, read_lines
from espalier.core.io.typed import read_typed
from espalier.core.run import checkpoints
from espalier.core.run.run import Run
from espalier.rl.learner.api import Learner
from espalier.rl.rollout.api import ScoredGroup


@dataclass(frozen=True, slots=True)
class State:
    """The state besides weights and optimizer.

    stage: `warm_start` or `rl`. step: finished training steps of that stage. cursor: number of tasks issued. groups:
    what became of them (`Ledger.save`). idle: the counters of `IdleWatch`. figures: the results so far, which the job
    reports at the end. source, expansion: of the curriculum (`Source.save`, `Expansion.save`).
    """

    stage: str
    step: int
    cursor: int = 0
    groups: dict[str, list[list[int]]] = field(default_factory=dict)
    idle: dict[str, int] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    expansion: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint: the learner's folder, the state, and the finished groups that were not trained yet."""

    learner: Path
    state: State
    waiting: list[ScoredGroup]


_STATE = TypeAdapter(State)
_GROUP = TypeAdapter(ScoredGroup)
WAITING = "waiting.jsonl"


class Checkpoints:
    """The checkpoints of `run`; the newest `keep` are kept."""

    def __init__(self, run: Run, *, keep: int) -> None:
        self._store = checkpoints.Checkpoints(run.checkpoints, keep=keep, say=run.say)

    async def save(self, number: int, state: State, learner: Learner, waiting: Sequence[ScoredGroup] = ()) -> None:
        """Write checkpoint `number`. Raises RunError if it cannot be written; earlier checkpoints are kept."""
        with self._store.write(number) as path:
            await learner.save(path / "learner")
            write_json(path / "state.json", asdict(state))
            lines = JsonLines(path / WAITING)
            for group in waiting:
                lines.append(_GROUP.dump_python(group, mode="json", fallback=_plain))

    def latest(self) -> Saved | None:
        """The newest valid checkpoint. None if none was written yet.

        Raises RunError if checkpoints were written but all are missing or broken; DataError if it was written by
        another version.
        """
        path = self._store.newest()
        if path is None:
            return None
        return Saved(path / "learner", read_typed(path / "state.json", _STATE), _groups(path / WAITING))


def _plain(value: Any) -> Any:
    """What environments of the user's own put into tasks and episodes: arrays and sets as lists, the rest as text."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return sorted(value, key=str) if isinstance(value, (set, frozenset)) else str(value)


def _groups(file: Path) -> list[ScoredGroup]:
    try:
        return [_GROUP.validate_python(line) for _, line in read_lines(file)]
    except ValidationError as error:
        raise DataError(f"{file}: it does not hold groups of this version: {error.errors()[0]['msg']}") from None
