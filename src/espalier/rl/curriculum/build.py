"""From the recipe's `curriculum:` to the objects of the loop."""

from __future__ import annotations

from espalier.core.seed import derive
from espalier.envs.api import TaskSet, guess_rate
from espalier.envs.mixture import sets_of
from espalier.rl.config import TrainConfig
from espalier.rl.curriculum.expansion import Expansion
from espalier.rl.curriculum.source import CurriculumSource
from espalier.rl.loop.checkpoints import State
from espalier.rl.loop.source import Source, TaskSource


def build_source(config: TrainConfig, tasks: TaskSet, state: State, *, seed: int) -> Source:
    """Issues the training tasks, from `state` on. `seed`: the run's."""
    if config.curriculum is None:
        return TaskSource(tasks, state.cursor)
    return CurriculumSource(
        tasks,
        config.curriculum,
        seed=derive(seed, "curriculum"),
        guesses={name: guess_rate(each) for name, each in sets_of(tasks).items()},
        correct_above=config.evaluation.correct_above,
        cursor=state.cursor,
        saved=state.source,
    )


def build_expansion(config: TrainConfig, state: State, *, seed: int) -> Expansion | None:
    """Chooses the groups of a step among more, if that is configured."""
    if config.curriculum is None or config.curriculum.expansion is None:
        return None
    return Expansion(
        config.curriculum.expansion,
        seed=derive(seed, "expansion"),
        correct_above=config.evaluation.correct_above,
        saved=state.expansion,
    )
