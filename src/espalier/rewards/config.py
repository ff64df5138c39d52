"""The recipe section `rewards:`, a list of components. Imports without torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from espalier.rewards.answer import AnswerConfig
from espalier.rewards.domains.chart import ChartConfig
from espalier.rewards.domains.choice import ChoiceConfig
from espalier.rewards.domains.count import CountConfig
from espalier.rewards.domains.ocr import OcrConfig
from espalier.rewards.domains.quantity import QuantityConfig
from espalier.rewards.environment import EnvRewardConfig
from espalier.rewards.exact import ExactConfig
from espalier.rewards.form import FormatConfig
from espalier.rewards.length import LengthConfig
from espalier.rewards.mathematics.maths import MathsConfig
from espalier.rewards.mathematics.numeric import NumericConfig
from espalier.rewards.overlap import F1Config
from espalier.rewards.pattern import RegexConfig
from espalier.rewards.penalties.penalties import PenaltiesConfig
from espalier.rewards.plugin import PluginRewardConfig
from espalier.rewards.repetition import RepetitionConfig

AnyComponentConfig = Annotated[
    AnswerConfig
    | ChartConfig
    | ChoiceConfig
    | CountConfig
    | EnvRewardConfig
    | ExactConfig
    | F1Config
    | FormatConfig
    | LengthConfig
    | MathsConfig
    | NumericConfig
    | OcrConfig
    | PenaltiesConfig
    | PluginRewardConfig
    | QuantityConfig
    | RegexConfig
    | RepetitionConfig,
    Field(discriminator="kind"),
]


def component_name(component: AnyComponentConfig) -> str:
    """What metrics call it."""
    return component.name or component.kind


def _named_apart(components: list[AnyComponentConfig]) -> list[AnyComponentConfig]:
    names = [component_name(component) for component in components]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two rewards are called {twice[0]!r}: give one of them another `name`")
    return components


RewardsConfig = Annotated[list[AnyComponentConfig], Field(min_length=1), AfterValidator(_named_apart)]
"""The reward is the weighted sum of the components, unless one has a `veto`; the first is the verdict on right and
wrong."""

ENV_REWARD: list[AnyComponentConfig] = [EnvRewardConfig()]
"""The environment's own reward, and nothing else."""
