"""Saves a few groups of each training step for the report: prompts, and answers with reward, advantage and length."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from espalier.core.io.jsonlines import JsonLines
from espalier.core.report.rollouts import Answer, RolloutGroup, Spoken, as_line
from espalier.envs.api import Episode, Task
from espalier.rl.algorithms.config import Algorithm
from espalier.rl.algorithms.credit import advantages
from espalier.rl.config import RolloutLogConfig
from espalier.rl.loop.record.branches import branches
from espalier.rl.loop.record.stretches import Stretch, clipped, stretches
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.trajectory import Trajectory, Turn

MEGABYTE = 1_000_000


class RolloutLog:
    """Appends to `path`: one line per group, the first groups of a step.

    When the file is larger than `config.max_mb`, every second of its steps is dropped, and from then on steps are saved
    half as often; `say` receives a message. The file therefore covers the whole run, however long it is.

    decode: ids to text. correct_above: reward value above which an answer is right.
    """

    def __init__(
        self,
        path: Path,
        config: RolloutLogConfig,
        algorithm: Algorithm,
        decode: Callable[[Sequence[int]], str],
        say: Callable[[str], None],
        *,
        correct_above: float,
    ) -> None:
        self._lines = JsonLines(path)
        self._config = config
        self._algorithm = algorithm.model_copy(update={"kl_coef": 0.0})
        self._decode = decode
        self._say = say
        self._correct_above = correct_above
        self._every = config.every

    def rewind(self, step: int) -> None:
        """Remove the steps after `step`, which a resumed run repeats. If steps were left out, so are later ones."""
        steps: set[int] = set()

        def kept(line: Mapping[str, Any]) -> bool:
            if line["step"] <= step:
                steps.add(line["step"])
            return bool(line["step"] <= step)

        self._lines.keep(kept)
        if len(steps) > 3:
            self._every = max(self._every, math.gcd(*steps))

    def write(self, step: int, groups: Sequence[ScoredGroup], version: int | None = None) -> None:
        """Save the first groups of `step`, which trains the weights of `version`."""
        if not self._config.groups or step % self._every:
            return
        compared = iter(self._advantages(groups))
        for group in groups[: self._config.groups]:
            self._lines.append(as_line(self._group(step, group, [next(compared) for _ in group.rows], version)))
        while self._lines.size > self._config.max_mb * MEGABYTE and self._thin():
            pass

    def _thin(self) -> bool:
        """Drop every second step; returns whether anything was left out."""
        before = self._lines.size
        self._every *= 2
        self._lines.keep(lambda line: line["step"] % self._every == 0)
        self._say(
            f"{self._lines.path.name} is larger than {self._config.max_mb:g} MB (rollout_log.max_mb): from now on it "
            f"keeps the steps that {self._every} divides"
        )
        return self._lines.size < before

    def _advantages(self, groups: Sequence[ScoredGroup]) -> list[float | None]:
        """The mean advantage of each row's tokens, without a KL term; None where a critic decides on it."""
        rows = [row for group in groups for row in group.rows]
        if self._algorithm.needs_values:
            return [None] * len(rows)
        found = advantages(self._algorithm, [group.rows for group in groups]).advantages
        return [_mean(row, values) for row, values in zip(rows, found, strict=True)]

    def _group(
        self, step: int, group: ScoredGroup, compared: Sequence[float | None], version: int | None
    ) -> RolloutGroup:
        asked = opening(group.episodes[0])
        tree = branches(group, lambda ids: self._spoken("assistant", self._decode(ids)).text)
        answers = [
            self._answer(row, group.task, advantage=advantage, tokens=row.sampled, finish=episode.finish)
            for row, episode, advantage in zip(group.rows, group.episodes, compared, strict=True)
        ]
        answers += [self._answer(row, group.task, trained="no", tokens=row.sampled) for row in group.others]
        prompt = [self._spoken(role, text) for role, text in asked]
        return RolloutGroup(step, group.task.key, title(group.episodes[0]), prompt, answers, version, tree)

    def _answer(self, row: Trajectory, task: Task, **known: str | float | int | None) -> Answer:
        turns = [self._turn(row, turn) for turn in row.turns[1:]]
        facts: dict[str, str | float | int | None] = {
            "reward": row.reward,
            **known,
            **({"expected": task.answer} if task.answer else {}),
            **(row.rewards if len(row.rewards) > 1 else {}),
        }
        return Answer(turns, facts, row.info.get("verdict", 0.0) > self._correct_above)

    def _turn(self, row: Trajectory, turn: Turn) -> Spoken:
        ids, versions = row.tokens[turn.start : turn.end], row.versions[turn.start : turn.end]
        if not any(row.mask[turn.start : turn.end]):
            return self._spoken(turn.role, self._decode(ids))
        return self._spoken(turn.role, *stretches(ids, versions, self._decode))

    def _spoken(self, role: str, text: str, versions: Sequence[Stretch] = ()) -> Spoken:
        """The text without its middle where it is too long."""
        most, length = self._config.longest, len(text)
        if length <= most:
            return Spoken(role, text, versions)
        half = most // 2
        note = f"\n[... {length - 2 * half:,} characters left out ...]\n"
        parts = [*clipped(versions, 0, half), (-1, len(note)), *clipped(versions, length - half, length)]
        return Spoken(role, text[:half] + note + text[length - half :], parts if versions else ())


def opening(episode: Episode) -> list[tuple[str, str]]:
    """Roles and texts of the messages before the first answer."""
    found = []
    for message in episode.messages:
        if message.role == "assistant":
            break
        found.append((message.role.value, message.content))
    return found


def title(episode: Episode) -> str:
    """The title of an episode in a list: the last user message before the first answer."""
    asked = opening(episode)
    said = [text for role, text in asked if role == "user"] or [text for _, text in asked]
    return " ".join(said[-1].split())[:200] if said else episode.task.key


def _mean(row: Trajectory, values: Sequence[float]) -> float | None:
    own = [value for value, sampled in zip(values, row.mask, strict=True) if sampled]
    return fmean(own) if own else None
