"""From the recipe's `tasks:` to a task set."""

from pathlib import Path

from espalier.envs.api import TaskSet
from espalier.envs.catalogue.multiplication import Multiplication
from espalier.envs.config import TasksConfig


def build_tasks(config: TasksConfig, *, seed: int, data: Path | None) -> TaskSet:
    """The task set of the section."""
    return Multiplication(config[0], seed)
