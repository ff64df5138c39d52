"""The jobs of reinforcement learning, for the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from espalier.core.fetch.catalogue import ITEMS, Item
from espalier.core.fetch.reads import Read
from espalier.core.job import Job, JobFunction
from espalier.core.tracking.findings import Finding
from espalier.core.tracking.metrics import History
from espalier.envs.adapters.rows import HUB_NAME, SUFFIXES
from espalier.envs.adapters.table import TableConfig
from espalier.rl.config import SFTConfig, TrainConfig
from espalier.rl.eval_config import EvalConfig
from espalier.rl.search_config import SearchConfig


def _train() -> JobFunction:
    from espalier.rl.train import train

    return train


def _sft() -> JobFunction:
    from espalier.rl.sft import sft

    return sft


def _evaluate() -> JobFunction:
    from espalier.rl.measure import measure

    return measure


def _search() -> JobFunction:
    from espalier.rl.search import search

    return search


def _follow() -> Callable[[TrainConfig | SFTConfig], None]:
    from espalier.rl.processes import follow

    return follow


def _examine(config: TrainConfig | SFTConfig, history: History) -> Sequence[Finding]:
    from espalier.rl.doctor.examine import examine

    return examine(config, history)


def _of_config(config: TrainConfig | SFTConfig | EvalConfig) -> tuple[Read | Item, ...]:
    """Files of its tables, and the model where it is one of the data cache; not what the Hugging Face hub has, nor what
    was found beside the recipe.
    """
    tables = [task for task in [*config.tasks, *config.evaluation.probes] if isinstance(task, TableConfig)]
    paths = [path for task in tables for path in (task.path, task.heldout_path) if path is not None]
    paths = [path for path in paths if not (path.is_absolute() and path.exists())]
    files = [path for path in paths if path.suffix.lower() in SUFFIXES or not HUB_NAME.fullmatch(path.as_posix())]
    model = ITEMS.get(config.model.pretrained or "")
    return (*(Read(str(path)) for path in files), *([model] if model else []))


JOBS: tuple[Job, ...] = (
    Job(
        "rl.train",
        "post-train a language model with reinforcement learning",
        TrainConfig,
        _train,
        _of_config,
        _follow,
        _examine,
    ),
    Job("rl.sft", "fine-tune a language model on demonstrations", SFTConfig, _sft, _of_config, _follow, _examine),
    Job("rl.eval", "measure a language model on held-out tasks", EvalConfig, _evaluate, _of_config),
    Job("rl.search", "compare tree searches with independent attempts", SearchConfig, _search, _of_config),
)
