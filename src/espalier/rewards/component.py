"""What all reward components share."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from espalier.core.config import Config
from espalier.core.errors import EnvError
from espalier.envs.api import Episode


class ComponentConfig(Config):
    """One term of the rubric."""

    later: ClassVar[frozenset[str]] = frozenset({"veto"})
    verifies: ClassVar[bool] = True
    """Whether it can be what decides on right and wrong, unless it is named for that."""

    name: str = ""
    """Its name in metrics; the kind unless given. Needed where a rubric holds the same kind twice."""
    weight: float = Field(default=1.0, allow_inf_nan=False)
    """What its value is multiplied with; below 0 for what is unwanted, 0 to log it without paying for it."""
    tasks: tuple[str, ...] = ()
    """Task sets it applies to, by name; all unless given."""
    veto: float | None = Field(default=None, le=0.0)
    """The whole reward of an answer for which the value of this component is 0 or less, whatever the others give: 0, or
    less than any other answer can earn. Null for no such rule."""


def place(episode: Episode) -> str:
    """Where the user finds the task of an episode: its file and line, or its set."""
    return episode.task.source or episode.task.env


def reference(episode: Episode, kind: str) -> str:
    """The task's reference answer. Raises EnvError where it has none."""
    answer = episode.task.answer
    if not answer:
        raise EnvError(f"{place(episode)}: the task has no reference answer for the reward {kind!r}")
    return answer
