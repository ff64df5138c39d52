"""Checkpoints of a training run: the learner's folder and the state of the loop."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from espalier.core.io.files import write_json
from espalier.core.io.typed import read_typed
from espalier.core.run import checkpoints
from espalier.core.run.run import Run
from espalier.rl.learner.api import Learner


@dataclass(frozen=True, slots=True)
class State:
    """The state besides weights and optimizer.

    stage: `warm_start` or `rl`. step: finished training steps of that stage. cursor: number of tasks issued. admission:
    its counters. idle: those of `IdleWatch`. figures: the results so far, which the job reports at the end.
    """

    stage: str
    step: int
    cursor: int = 0
    admission: dict[str, int] = field(default_factory=dict)
    idle: dict[str, int] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)


_STATE = TypeAdapter(State)


class Checkpoints:
    """The checkpoints of `run`; the newest `keep` are kept."""

    def __init__(self, run: Run, *, keep: int) -> None:
        self._store = checkpoints.Checkpoints(run.checkpoints, keep=keep, say=run.say)

    async def save(self, number: int, state: State, learner: Learner) -> None:
        """Write checkpoint `number`. Raises RunError if it cannot be written; earlier checkpoints are kept."""
        with self._store.write(number) as path:
            await learner.save(path / "learner")
            write_json(path / "state.json", asdict(state))

    def latest(self) -> tuple[Path, State] | None:
        """The newest valid checkpoint: its learner's folder and the state. None if none was written yet.

        Raises RunError if checkpoints were written but all are missing or broken; DataError if it was written by
        another version.
        """
        path = self._store.newest()
        if path is None:
            return None
        return path / "learner", read_typed(path / "state.json", _STATE)
