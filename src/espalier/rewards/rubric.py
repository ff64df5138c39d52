"""A rubric: the weighted sum of reward components."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from functools import partial
from typing import assert_never

from espalier.core.errors import ConfigError, EnvError, nearest
from espalier.envs.api import Episode
from espalier.envs.workers.process import CallError
from espalier.rewards.answer import Answer, AnswerConfig
from espalier.rewards.api import Reward
from espalier.rewards.config import AnyComponentConfig, RewardsConfig, component_name
from espalier.rewards.environment import EnvRewardConfig, environment
from espalier.rewards.exact import ExactConfig, exact
from espalier.rewards.form import FormatConfig, form
from espalier.rewards.length import LengthConfig, length
from espalier.rewards.maths import Maths, MathsConfig
from espalier.rewards.numeric import Numeric, NumericConfig
from espalier.rewards.pattern import Regex, RegexConfig
from espalier.rewards.plugin import Plugin, PluginRewardConfig
from espalier.rewards.repetition import RepetitionConfig, repetition


@dataclass(frozen=True, slots=True)
class Scores:
    """Weighted values of the components that apply, their sum, and the unweighted verdict on right and wrong."""

    components: dict[str, float]
    total: float
    verdict: float


class Rubric:
    """Scores episodes. `verdict` names the component that decides on right and wrong: the first unless given.

    Where that component does not apply to an episode's task, the first one that does decides. Raises ConfigError where
    no component has the name.
    """

    def __init__(self, config: RewardsConfig, *, verdict: str | None = None) -> None:
        self._components = [(component, component_name(component), build(component)) for component in config]
        names = [name for _, name, _ in self._components]
        if verdict is not None and verdict not in names:
            raise ConfigError(f"evaluation.component: the rewards have no {verdict!r}{nearest(verdict, names)}")
        self._verdict = verdict

    async def score(self, episode: Episode) -> Scores:
        """Raises EnvError where a component cannot judge, gives no finite number, or none applies."""
        weighted: dict[str, float] = {}
        raw: dict[str, float] = {}
        for component, name, reward in self._components:
            if not component.tasks or episode.task.env in component.tasks:
                raw[name] = await _value(name, reward, episode)
                weighted[name] = component.weight * raw[name] + 0.0  # never -0.0
        if not raw:
            raise EnvError(f"no reward applies to the task set {episode.task.env!r}: see `rewards.*.tasks`")
        decides = self._verdict if self._verdict in raw else next(iter(raw))
        return Scores(weighted, math.fsum(weighted.values()), raw[decides])


async def _value(name: str, reward: Reward, episode: Episode) -> float:
    try:
        found = reward(episode)
        value = await found if inspect.isawaitable(found) else found
        number = float(value)
    except CallError as error:
        raise EnvError(f"the reward {name!r} raised {error}") from None
    except EnvError:
        raise
    except Exception as error:
        raise EnvError(f"the reward {name!r} raised {type(error).__name__}: {error}") from error
    if not math.isfinite(number):
        raise EnvError(f"the reward {name!r} gave {number} for the task {episode.task.key} of {episode.task.env}")
    return number


def build(config: AnyComponentConfig) -> Reward:
    """The reward of a component."""
    match config:
        case AnswerConfig():
            return Answer()
        case EnvRewardConfig():
            return environment
        case ExactConfig():
            return partial(exact, config)
        case FormatConfig():
            return partial(form, config)
        case LengthConfig():
            return partial(length, config)
        case MathsConfig():
            return Maths(config)
        case NumericConfig():
            return Numeric(config)
        case PluginRewardConfig():
            return Plugin(config)
        case RegexConfig():
            return Regex(config)
        case RepetitionConfig():
            return partial(repetition, config)
        case _:
            assert_never(config)
