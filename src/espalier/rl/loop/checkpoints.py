"""Checkpoints of a training run: the learner's folder beside the numbers of the loop."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from espalier.core import checkpoints
from espalier.core.files import write_json
from espalier.core.run import Run
from espalier.core.typed import read_typed
from espalier.rl.learner.api import Learner


@dataclass(frozen=True, slots=True)
class State:
    """What is needed besides weights and optimizer.

    stage: `warm_start` or `rl`. step: training steps of that stage that are done. cursor: tasks given out. admission:
    its counters. idle: those of `IdleWatch`. figures: what the job has found so far and reports in the end.
    """

    stage: str
    step: int
    cursor: int = 0
    admission: dict[str, int] = field(default_factory=dict)
    idle: dict[str, int] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)


_STATE = TypeAdapter(State)


class Checkpoints:
    """Those of `run`; the newest `keep` are kept."""

    def __init__(self, run: Run, *, keep: int) -> None:
        self._store = checkpoints.Checkpoints(run.checkpoints, keep=keep, say=run.say)

    async def save(self, number: int, state: State, learner: Learner) -> None:
        """Write checkpoint `number`. Raises RunError where it cannot be written; the ones before stay."""
        with self._store.write(number) as path:
            await learner.save(path / "learner")
            write_json(path / "state.json", asdict(state))

    def latest(self) -> tuple[Path, State] | None:
        """The newest checkpoint that is whole: its learner's folder and the state. None where there was none yet.

        Raises RunError where there were some, and all are gone or broken; DataError where it is not of this version.
        """
        path = self._store.newest()
        if path is None:
            return None
        return path / "learner", read_typed(path / "state.json", _STATE)
