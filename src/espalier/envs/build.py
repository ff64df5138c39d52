"""From the recipe's `tasks:` to a task set."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from espalier.core.data import DataRoot
from espalier.envs.adapters.plugin import PluginConfig, PluginTasks
from espalier.envs.adapters.reasoning_gym import ReasoningGym, ReasoningGymConfig, gallery_pool
from espalier.envs.adapters.table import Table, TableConfig
from espalier.envs.api import TaskSet
from espalier.envs.catalogue.brackets import Brackets, BracketsConfig
from espalier.envs.catalogue.calculator import Calculator, CalculatorConfig
from espalier.envs.catalogue.chain_sums import ChainSums, ChainSumsConfig
from espalier.envs.catalogue.countdown import Countdown, CountdownConfig
from espalier.envs.catalogue.factoring import Factoring, FactoringConfig
from espalier.envs.catalogue.guess_number import GuessNumber, GuessNumberConfig
from espalier.envs.catalogue.multiplication import Multiplication, MultiplicationConfig
from espalier.envs.catalogue.paths import Paths, PathsConfig
from espalier.envs.catalogue.programs import Programs, ProgramsConfig
from espalier.envs.catalogue.quantities import Quantities, QuantitiesConfig
from espalier.envs.catalogue.reverse import Reverse, ReverseConfig
from espalier.envs.catalogue.sorting import Sorting, SortingConfig
from espalier.envs.config import AnyTaskConfig, TasksConfig
from espalier.envs.delayed import Delayed
from espalier.envs.mixture import Mixture
from espalier.envs.workers.pool import Pool
from espalier.envs.workers.worker import Start, Worker


def build_tasks(
    config: TasksConfig,
    *,
    seed: int,
    data: DataRoot,
    say: Callable[[str], None] = lambda text: None,
    start: Start = Worker,
) -> TaskSet:
    """The task set of the section: the one it names, or a mixture. `say` is told what was decided about files. `start`
    says where the processes of the user's own environments run.
    """
    puzzles = gallery_pool() if any(isinstance(entry, ReasoningGymConfig) for entry in config) else None
    sets = [_delayed(_build(entry, seed, data, puzzles, say, start), entry, seed) for entry in config]
    return sets[0] if len(sets) == 1 else Mixture(sets, [entry.weight for entry in config])


def _delayed(tasks: TaskSet, config: AnyTaskConfig, seed: int) -> TaskSet:
    return tasks if config.delay is None else Delayed(tasks, config.delay, seed)


def _build(
    config: AnyTaskConfig, seed: int, data: DataRoot, puzzles: Pool | None, say: Callable[[str], None], start: Start
) -> TaskSet:
    match config:
        case BracketsConfig():
            return Brackets(config, seed)
        case CalculatorConfig():
            return Calculator(config, seed)
        case ChainSumsConfig():
            return ChainSums(config, seed)
        case CountdownConfig():
            return Countdown(config, seed)
        case FactoringConfig():
            return Factoring(config, seed)
        case GuessNumberConfig():
            return GuessNumber(config, seed)
        case MultiplicationConfig():
            return Multiplication(config, seed)
        case PathsConfig():
            return Paths(config, seed)
        case PluginConfig():
            return PluginTasks(config, seed, start)
        case ProgramsConfig():
            return Programs(config, seed)
        case QuantitiesConfig():
            return Quantities(config, seed)
        case ReasoningGymConfig():
            return ReasoningGym(config, seed, puzzles)
        case ReverseConfig():
            return Reverse(config, seed)
        case SortingConfig():
            return Sorting(config, seed)
        case TableConfig():
            return Table(config, seed, data, say)
        case _:
            assert_never(config)
