"""A task set of the user's own, named by where its factory is."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from espalier.core.errors import ConfigError
from espalier.core.plugins import PATTERN, imported
from espalier.envs.api import TaskSet
from espalier.envs.procedural import TaskConfig


class PluginConfig(TaskConfig):
    """`factory(seed=..., **options)` must return a `TaskSet`. It runs with your rights: name only code you trust."""

    env: Literal["plugin"] = "plugin"
    """The environment."""
    factory: str = Field(pattern=PATTERN)
    """Where the factory is, as `package.module:callable`; modules in the working directory are found."""
    options: dict[str, Any] = Field(default={})
    """Its keyword arguments, besides `seed`."""


def plugin(config: PluginConfig, seed: int) -> TaskSet:
    """Call the factory. Raises ConfigError saying what about it is wrong."""
    tasks = imported(config.factory)(seed=seed, **config.options)
    if not isinstance(tasks, TaskSet):
        missing = [name for name in ("name", "task", "env", "tools", "demonstrate") if not hasattr(tasks, name)]
        raise ConfigError(
            f"{config.factory} returned {type(tasks).__name__}, which is no TaskSet: it lacks {', '.join(missing)}"
        )
    return tasks
