"""A task set of the user's own, named by where its factory is."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from espalier.core.errors import ConfigError
from espalier.envs.api import TaskSet
from espalier.envs.procedural import TaskConfig


class PluginConfig(TaskConfig):
    """`factory(seed=..., **options)` must return a `TaskSet`. It runs with your rights: name only code you trust."""

    env: Literal["plugin"] = "plugin"
    """The environment."""
    factory: str = Field(pattern=r"^[\w.]+:[\w.]+$")
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


def imported(where: str) -> Callable[..., Any]:
    """The callable at `package.module:name`. Raises ConfigError where it is not there."""
    module_name, _, name = where.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(f"{where}: {error}; is the module installed, or in {here}?") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise ConfigError(f"{where}: {module_name} has no {name}")
        found = getattr(found, part)
    if not callable(found):
        raise ConfigError(f"{where} is {type(found).__name__}, which cannot be called")
    result: Callable[..., Any] = found
    return result
