"""Samples for the report: a few held-out groups, before and after training, token by token."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from espalier.core.io.files import write_json
from espalier.core.io.typed import read_typed
from espalier.core.report.blocks import Sample, Samples
from espalier.envs.api import Task
from espalier.lm.tokens import Tokenizer
from espalier.rl.algorithms.config import Algorithm
from espalier.rl.algorithms.credit import advantages
from espalier.rl.loop.record.rollout_log import title
from espalier.rl.rollout.api import Player, ScoredGroup
from espalier.rl.trajectory import POLICY, Trajectory

_SET = TypeAdapter(list[Sample])
_BY_GROUP = {"advantage": "group_mean", "whiten": "none", "kl_coef": 0.0}
"""Colours show how an attempt compares with the others at its task, whatever the algorithm trains on."""


ATTEMPTS = 4
"""Samples of each task."""


class Browser:
    """Runs the same held-out `tasks` each time, and saves the results as JSON files in `folder`."""

    def __init__(
        self,
        player: Player,
        tasks: Sequence[Task],
        algorithm: Algorithm,
        tokenizer: Tokenizer,
        folder: Path,
        *,
        correct_above: float,
    ) -> None:
        self._player = player
        self._tasks = tasks
        self._algorithm = algorithm
        self._tokenizer = tokenizer
        self._folder = folder
        self._correct_above = correct_above

    async def write(self, name: str) -> None:
        """Run the tasks and save the rows as the set `name`."""
        groups = await asyncio.gather(*(self._player.play(i, task, ATTEMPTS) for i, task in enumerate(self._tasks)))
        samples = [
            {**self._sample(group, *rated), "title": title(group.episodes[0])}
            for group in groups
            for rated in self._rated(group)
        ]
        self._folder.mkdir(parents=True, exist_ok=True)
        write_json(self._folder / f"{name}.json", samples)

    def _rated(self, group: ScoredGroup) -> Iterator[tuple[Trajectory, Sequence[float]]]:
        """Each row with its tokens' advantages; zero where no other attempt is left to compare it with."""
        compared = [[0.0] * len(row.tokens) for row in group.rows]
        if len(group.rows) > 1:
            compared = advantages(self._algorithm.model_copy(update=_BY_GROUP), [group.rows]).advantages
        yield from zip(group.rows, compared, strict=True)

    def _sample(self, group: ScoredGroup, row: Trajectory, advantage: Sequence[float]) -> dict[str, Any]:
        passages = []
        for turn in row.turns:
            ids = row.tokens[turn.start : turn.end]
            passage: dict[str, Any] = {"role": turn.role, "pieces": self._tokenizer.pieces(ids), "values": {}}
            if turn.role == POLICY:
                passage["values"] = {
                    "advantage": list(advantage[turn.start : turn.end]),
                    "logprob": row.logprobs[turn.start : turn.end],
                }
            passages.append(passage)
        facts: dict[str, str | float] = {"task": row.task, "answer": group.task.answer, "status": row.status.value}
        facts |= {"reward": row.reward or 0.0, "tokens": row.sampled, **row.rewards}
        correct = row.is_right(self._correct_above)
        return {"key": f"{row.key}/{row.member}", "passages": passages, "correct": correct, "facts": facts}

    def block(self) -> Samples:
        """The report block with all saved sets, oldest first."""
        files = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        sets = {path.stem: read_typed(path, _SET) for path in files}
        return Samples("Samples of held-out tasks", sets, colour="advantage")
