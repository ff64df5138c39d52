"""A reward of the user's own, in a process of its own."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from espalier.core.errors import ConfigError, EnvError
from espalier.core.plugins import imported
from espalier.core.recipe.beside import PluginName
from espalier.envs.api import Episode
from espalier.envs.workers.deadline import DeadlineError, within
from espalier.envs.workers.process import CallError, OverrunError
from espalier.envs.workers.worker import Worker
from espalier.rewards.component import ComponentConfig


class PluginRewardConfig(ComponentConfig):
    """What your own `function(episode, **options)` returns, perhaps async.

    With `scope: group` it is called once for all finished attempts at a task, and returns a number for each. A class is
    made once, as `Class(**options)`, and then called with the episodes alone: it may keep what it likes between calls.
    The code has your rights: name only what you trust.
    """

    later: ClassVar[frozenset[str]] = ComponentConfig.later | {"scope"}

    kind: Literal["plugin"] = "plugin"
    """The reward."""
    function: PluginName
    """Where it is, as `./file.py:callable` beside the recipe, or `package.module:callable`."""
    scope: Literal["episode", "group"] = "episode"
    """What it judges at a time."""
    options: dict[str, Any] = Field(default={})
    """Its keyword arguments."""
    seconds: PositiveFloat = 60.0
    """Longest judgement; an attempt whose judgement takes longer has failed."""
    workers: PositiveInt = 1
    """Processes that call it, in turn; more than one where it computes for long and keeps nothing between calls."""


class Plugin:
    """The reward. A function that does not await has one call at a time in each process; one that does, many."""

    def __init__(self, config: PluginRewardConfig) -> None:
        """Raises ConfigError where the function is not there."""
        self._name = config.function
        self._seconds = config.seconds
        self._workers = [Worker(Function, config.function, config.options) for _ in range(config.workers)]
        self._turn = itertools.cycle(self._workers)
        try:
            self._workers[0].ready()
        except CallError as error:
            raise ConfigError(f"{config.function}: {error}") from None

    async def __call__(self, episode: Episode) -> float:
        """Raises EnvError where the function raises, gives no number or takes too long."""
        return float(await self._ask("score", episode))

    async def compare(self, episodes: Sequence[Episode]) -> list[float]:
        """A number for each episode. Raises EnvError as above."""
        return list(await self._ask("compare", list(episodes)))

    async def _ask(self, method: str, judged: object) -> Any:
        try:
            return await within(self._seconds, next(self._turn).ask(method, judged))
        except DeadlineError as error:
            raise EnvError(f"{self._name} {error} (its option `seconds`)") from None
        except OverrunError as error:
            raise EnvError(f"{self._name}: {error}") from None

    def close(self) -> None:
        """End the processes; the next call starts others."""
        for worker in self._workers:
            worker.close()


class Function:
    """The user's function, as a worker holds it."""

    def __init__(self, function: str, options: Mapping[str, Any]) -> None:
        self._name = function
        found = imported(function)
        if isinstance(found, type):
            self._function = found(**options)
        else:
            check_options(function, found, options)
            self._function = partial(found, **options)

    async def score(self, episode: Episode) -> float:
        """What it returns, as a number."""
        return self._number(await self._called(episode))

    async def compare(self, episodes: list[Episode]) -> list[float]:
        """What it returns, as one number for each episode."""
        values = await self._called(episodes)
        try:
            items = list(values)
        except TypeError:
            raise EnvError(f"{self._name} gave {type(values).__name__}, not a list of numbers") from None
        return [self._number(value) for value in items]

    async def _called(self, judged: object) -> Any:
        found = self._function(judged)
        return await found if inspect.isawaitable(found) else found

    def _number(self, value: Any) -> float:
        try:
            return float(value)
        except (TypeError, ValueError):
            raise EnvError(f"{self._name} gave {type(value).__name__}, not a number") from None


def check_options(name: str, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raises ConfigError where a function cannot be called with one argument and these options."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # one written in C tells nothing
        return
    try:
        signature.bind(None, **options)
    except TypeError as error:
        raise ConfigError(f"{name}{signature} cannot take the options {dict(options)}: {error}") from None
