"""Checkpoints of a run: a folder per step that appears complete or not at all."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

from espalier.core.files import atomic_dir, sweep, write_json
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


class Checkpoints:
    """Below `folder`; the newest `keep` are kept."""

    def __init__(self, folder: Path, *, keep: int) -> None:
        self._folder = folder
        self._keep = keep

    async def save(self, number: int, state: State, learner: Learner) -> None:
        """Write checkpoint `number`, larger than all before, then remove the ones beyond `keep`."""
        with atomic_dir(self._folder / f"step_{number:07d}") as path:
            await learner.save(path / "learner")
            write_json(path / "state.json", asdict(state))
        for old in self._all()[: -self._keep]:
            shutil.rmtree(old)

    def latest(self) -> tuple[Path, State] | None:
        """The newest checkpoint: its learner's folder and the state. None where there is none."""
        sweep(self._folder)
        if not (paths := self._all()):
            return None
        return paths[-1] / "learner", State(**json.loads((paths[-1] / "state.json").read_text()))

    def _all(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("step_*") if (path / "state.json").is_file())
