"""The recipe section `tasks:`, a list of task sets. Imports without torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from espalier.envs.adapters.plugin import PluginConfig
from espalier.envs.adapters.reasoning_gym import ReasoningGymConfig
from espalier.envs.adapters.table import TableConfig
from espalier.envs.catalogue.brackets import BracketsConfig
from espalier.envs.catalogue.calculator import CalculatorConfig
from espalier.envs.catalogue.chain_sums import ChainSumsConfig
from espalier.envs.catalogue.countdown import CountdownConfig
from espalier.envs.catalogue.factoring import FactoringConfig
from espalier.envs.catalogue.guess_number import GuessNumberConfig
from espalier.envs.catalogue.multiplication import MultiplicationConfig
from espalier.envs.catalogue.paths import PathsConfig
from espalier.envs.catalogue.programs import ProgramsConfig
from espalier.envs.catalogue.quantities import QuantitiesConfig
from espalier.envs.catalogue.reverse import ReverseConfig
from espalier.envs.catalogue.sorting import SortingConfig

AnyTaskConfig = Annotated[
    BracketsConfig
    | CalculatorConfig
    | ChainSumsConfig
    | CountdownConfig
    | FactoringConfig
    | GuessNumberConfig
    | MultiplicationConfig
    | PathsConfig
    | PluginConfig
    | ProgramsConfig
    | QuantitiesConfig
    | ReasoningGymConfig
    | ReverseConfig
    | SortingConfig
    | TableConfig,
    Field(discriminator="env"),
]

TasksConfig = Annotated[list[AnyTaskConfig], Field(min_length=1)]
"""One task set, or a mixture of several by their weights."""
