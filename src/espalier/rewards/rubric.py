"""A rubric: the weighted sum of reward components, of single episodes and of whole groups."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, assert_never

from espalier.core.errors import ConfigError, EnvError, nearest
from espalier.envs.api import Episode, Task
from espalier.envs.workers.process import CallError
from espalier.rewards.answer import Answer, AnswerConfig
from espalier.rewards.api import GroupReward, Reward
from espalier.rewards.config import AnyComponentConfig, RewardsConfig, component_name
from espalier.rewards.domains.chart import ChartConfig, chart
from espalier.rewards.domains.choice import ChoiceConfig, choice
from espalier.rewards.domains.count import CountConfig, count
from espalier.rewards.domains.ocr import OcrConfig, ocr
from espalier.rewards.domains.quantity import QuantityConfig, quantity
from espalier.rewards.environment import EnvRewardConfig, environment
from espalier.rewards.exact import ExactConfig, exact
from espalier.rewards.form import FormatConfig, form
from espalier.rewards.length import LengthConfig, length
from espalier.rewards.mathematics.maths import Maths, MathsConfig
from espalier.rewards.mathematics.numeric import Numeric, NumericConfig
from espalier.rewards.overlap import F1Config, f1
from espalier.rewards.pattern import Regex, RegexConfig
from espalier.rewards.penalties.penalties import PenaltiesConfig, penalties
from espalier.rewards.plugin import Plugin, PluginRewardConfig
from espalier.rewards.repetition import RepetitionConfig, repetition

A = TypeVar("A")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Scores:
    """What is paid for the components that apply, their sum, and the unweighted verdict on right and wrong."""

    components: dict[str, float]
    total: float
    verdict: float


class Rubric:
    """Scores episodes: one by one, and those of a group together.

    `verdict` names the component that decides on right and wrong: the first unless given, but no penalty. Where that
    component does not apply to an episode's task, the first one that does decides. With `vetoes`, an answer with a veto
    is wrong whatever the verdict. Raises ConfigError where no component has the name.
    """

    def __init__(self, config: RewardsConfig, *, verdict: str | None = None, vetoes: bool = False) -> None:
        self._components = {component_name(component): component for component in config}
        self._judges: dict[str, Reward] = {}
        self._group_judges: dict[str, GroupReward] = {}
        for name, component in self._components.items():
            if isinstance(component, PluginRewardConfig) and component.scope == "group":
                self._group_judges[name] = Plugin(component).compare
            else:
                self._judges[name] = build(component)
        if verdict is not None and verdict not in self._components:
            names = list(self._components)
            raise ConfigError(f"evaluation.component: the rewards have no {verdict!r}{nearest(verdict, names)}")
        self._verdict = verdict
        self._vetoes = vetoes

    async def score(self, episode: Episode) -> Scores:
        """The scores of an episode that is a group of its own. Raises EnvError as `judge` and `compare` do."""
        (compared,) = await self.compare([episode])
        return self.scores(await self.judge(episode) | compared)

    async def judge(self, episode: Episode) -> dict[str, float]:
        """The unweighted value of each component that judges single episodes.

        Raises EnvError where one cannot judge or gives no finite number, or where no component at all applies.
        """
        if not any(self._applies(name, episode.task) for name in self._components):
            raise EnvError(f"no reward applies to the task set {episode.task.env!r}: see `rewards.*.tasks`")
        found: dict[str, float] = {}
        for name, reward in self._judges.items():
            if self._applies(name, episode.task):
                (found[name],) = _numbers(name, [await _awaited(name, reward, episode)], episode.task)
        return found

    async def compare(self, episodes: Sequence[Episode]) -> list[dict[str, float]]:
        """For each episode of a group, which has one task, the unweighted value of each component that judges groups.

        Raises EnvError where one cannot judge, or does not give one finite number for each episode.
        """
        found: list[dict[str, float]] = [{} for _ in episodes]
        for name, reward in self._group_judges.items():
            if episodes and self._applies(name, episodes[0].task):
                values = _numbers(name, await _awaited(name, reward, episodes), episodes[0].task)
                if len(values) != len(episodes):
                    raise EnvError(f"the reward {name!r} gave {len(values)} numbers for {len(episodes)} episodes")
                for scores, value in zip(found, values, strict=True):
                    scores[name] = value
        return found

    def scores(self, values: Mapping[str, float]) -> Scores:
        """The weighted sum of what `judge` and `compare` found of an episode, in the order of the components.

        Where a component has a veto, its veto is paid and nothing else: the lowest, if there are several.
        """
        applying = [name for name in self._components if name in values]
        paid = {name: self._components[name].weight * values[name] + 0.0 for name in applying}  # never -0.0
        verdict = values[self._decides(applying)]
        if vetoes := self._vetoes_of(values, applying):
            lowest = min(vetoes, key=lambda name: vetoes[name])
            paid = dict.fromkeys(applying, 0.0) | {lowest: vetoes[lowest]}
            verdict = min(verdict, vetoes[lowest]) if self._vetoes else verdict
        return Scores(paid, math.fsum(paid.values()), verdict)

    def turn_weight(self, task: Task) -> float:
        """The weight of the environment's own rewards, which fall turn by turn; 0 where they are not paid for."""
        own = (name for name, component in self._components.items() if isinstance(component, EnvRewardConfig))
        return math.fsum(self._components[name].weight for name in own if self._applies(name, task))

    def _decides(self, applying: Sequence[str]) -> str:
        if self._verdict is not None and self._verdict in applying:
            return self._verdict
        return next((name for name in applying if self._components[name].verifies), applying[0])

    def _vetoes_of(self, values: Mapping[str, float], applying: Sequence[str]) -> dict[str, float]:
        found = {name: self._components[name].veto for name in applying if values[name] <= 0.0}
        return {name: veto + 0.0 for name, veto in found.items() if veto is not None}

    def _applies(self, name: str, task: Task) -> bool:
        sets = self._components[name].tasks
        return not sets or task.env in sets


async def _awaited(name: str, reward: Callable[[A], R | Awaitable[R]], judged: A) -> R:
    """What the reward gives, whatever goes wrong in it as an EnvError."""
    try:
        found = reward(judged)
        return await found if inspect.isawaitable(found) else found
    except CallError as error:
        raise EnvError(f"the reward {name!r} raised {error}") from None
    except EnvError:
        raise
    except Exception as error:
        raise EnvError(f"the reward {name!r} raised {type(error).__name__}: {error}") from error


def _numbers(name: str, values: Iterable[float], task: Task) -> list[float]:
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError, OverflowError) as error:
        raise EnvError(f"the reward {name!r} raised {type(error).__name__}: {error}") from error
    if bad := [number for number in numbers if not math.isfinite(number)]:
        raise EnvError(f"the reward {name!r} gave {bad[0]} for the task {task.key} of {task.env}")
    return numbers


def build(config: AnyComponentConfig) -> Reward:
    """The reward of a component."""
    match config:
        case AnswerConfig():
            return Answer()
        case ChartConfig():
            return partial(chart, config)
        case ChoiceConfig():
            return partial(choice, config)
        case CountConfig():
            return partial(count, config)
        case EnvRewardConfig():
            return environment
        case ExactConfig():
            return partial(exact, config)
        case F1Config():
            return partial(f1, config)
        case FormatConfig():
            return partial(form, config)
        case LengthConfig():
            return partial(length, config)
        case MathsConfig():
            return Maths(config)
        case NumericConfig():
            return Numeric(config)
        case OcrConfig():
            return partial(ocr, config)
        case PenaltiesConfig():
            return partial(penalties, config)
        case PluginRewardConfig():
            return Plugin(config)
        case QuantityConfig():
            return partial(quantity, config)
        case RegexConfig():
            return Regex(config)
        case RepetitionConfig():
            return partial(repetition, config)
        case _:
            assert_never(config)
