"""`espalier eval`: a model, measured on a recipe's tasks or on a kind of tasks."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from espalier.cli.commands import running
from espalier.cli.jobs import find_job
from espalier.cli.places import RUNS, find_model, find_recipe
from espalier.core.config import Config
from espalier.core.data import DataRoot
from espalier.core.errors import ConfigError, nearest
from espalier.core.fetch.reads import check_reads
from espalier.core.recipe.resolve import load_recipe, load_settings
from espalier.core.run.run import Run
from espalier.envs.config import AnyTaskConfig
from espalier.rl.config import SFTConfig, TrainConfig
from espalier.rl.eval_config import EvalConfig

JOB = "rl.eval"
MAX_TOKENS = 256
"""Tokens of an answer to tasks that no recipe describes."""
PROMPT = 512
"""Tokens that prompts of such tasks may have."""

KINDS: dict[str, type[Config]] = {
    model.model_fields["env"].default: model for model in get_args(get_args(AnyTaskConfig)[0])
}
"""The config of each kind of tasks."""


def add_eval(parser: argparse.ArgumentParser) -> None:
    """Arguments of `espalier eval`."""
    parser.add_argument(
        "model", metavar="MODEL", help="a run folder, a model folder, or the name of a pretrained model"
    )
    parser.add_argument(
        "tasks",
        metavar="TASKS",
        help=f"a recipe (rl/quickstart, a file), or a kind of tasks: {', '.join(sorted(KINDS))}",
    )
    parser.add_argument(
        "words", nargs="*", metavar="key=value", help="settings of the kind (digits=4), or of the evaluation"
    )
    parser.add_argument("--n", type=int, help="attempts at each task (default: the recipe's, 1 at temperature 0)")
    parser.add_argument("--k", help="each k of pass@k, with commas (default: powers of two up to n)")
    parser.add_argument("--limit", type=int, help="held-out tasks (default: the recipe's evaluation.tasks)")
    parser.add_argument("--temperature", type=float, help="0 is greedy (default: the recipe's evaluation.temperature)")
    parser.add_argument("--max-tokens", type=int, help=f"tokens of an answer (default: the recipe's, or {MAX_TOKENS})")
    parser.add_argument("--seed", type=int, help="seed of tasks and sampling (default: the recipe's, or 0)")
    parser.add_argument("--runs-dir", type=Path, default=RUNS, help="folder of the runs (default: runs)")
    running.add_data_root(parser)


def evaluate(args: argparse.Namespace) -> int:
    """Evaluate in a new run folder called `eval`."""
    if wrong := next((word for word in args.words if "=" not in word), None):
        raise ConfigError(f"{wrong!r} is not a setting: write key=value after MODEL and TASKS")
    sections, seed = described(args.tasks, args.words)
    sections["model"] = {**sections.get("model", {}), **find_model(args.model)}
    _apply_options(sections, args)
    config = EvalConfig.of(**sections)
    job, data = find_job(JOB), DataRoot.find(args.data_root)
    check_reads(args.tasks, job.reads(config), data)
    run = Run.create(
        args.runs_dir,
        job=JOB,
        name="eval",
        seed=seed if args.seed is None else args.seed,
        config=config.model_dump(mode="json"),
        data=data,
    )
    return running.execute(job, config, run, args.data_root)


def described(word: str, settings: list[str]) -> tuple[dict[str, Any], int]:
    """Sections of the evaluation of a kind of tasks, or of a recipe's tasks, and the seed.

    Raises ConfigError where `word` is neither, or the recipe's job has no such tasks.
    """
    if word in KINDS:
        own = KINDS[word].model_fields
        roots = {re.split(r"[.=]", text)[0] for text in settings}
        known = {*own, *EvalConfig.model_fields}
        if wrong := sorted(roots - known):
            raise ConfigError(f"{word} has no setting {wrong[0]!r}{nearest(wrong[0], known)}")
        words = [f"tasks.0.{text}" if re.split(r"[.=]", text)[0] in own else text for text in settings]
        base = [f"rollout.max_tokens={MAX_TOKENS}", f"engine.max_len={MAX_TOKENS + PROMPT}"]
        config: Config = load_settings(EvalConfig, [], [f"tasks=[{{env: {word}}}]", *base, *words])
        return _sections(config), 0
    try:
        file = find_recipe(word)
    except ConfigError as error:
        raise ConfigError(f"{error}; and no kind of tasks is called so{nearest(word, KINDS)}") from None
    recipe = load_recipe([file], settings, find_job)
    if not isinstance(recipe.config, TrainConfig | SFTConfig | EvalConfig):
        raise ConfigError(f"{file}: the job {recipe.job.name} has no tasks of a language model")
    return _sections(recipe.config), recipe.run.seed


def _sections(config: Config) -> dict[str, Any]:
    """The sections that an evaluation shares with `config`, but its model."""
    return {name: value for name, value in config if name in EvalConfig.model_fields and name != "model"}


def _apply_options(sections: dict[str, Any], args: argparse.Namespace) -> None:
    """Put the options into the sections."""
    for option in ("n", "limit", "max_tokens"):
        value = getattr(args, option)
        if value is not None and value < 1:
            raise ConfigError(f"--{option.replace('_', '-')} is 1 or more, not {value}")
    temperature = args.temperature
    if temperature is not None and not 0 <= temperature < float("inf"):
        raise ConfigError(f"--temperature is 0 (greedy) or more, not {temperature:g}")
    if temperature is None:
        temperature = sections["evaluation"].temperature
    given: Mapping[str, Any] = {
        "tasks": args.limit,
        "samples": 1 if args.n is None and temperature == 0 else args.n,
        "temperature": args.temperature,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    sections["evaluation"] = type(sections["evaluation"]).of(**{**dict(sections["evaluation"]), **changes})
    if args.max_tokens is not None:
        sections["rollout"] = type(sections["rollout"]).of(
            **{**dict(sections["rollout"]), "max_tokens": args.max_tokens}
        )
        longest = max(sections["engine"].max_len, args.max_tokens + PROMPT)
        sections["engine"] = type(sections["engine"]).of(**{**dict(sections["engine"]), "max_len": longest})
    if args.k is not None:
        if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", args.k):
            raise ConfigError(f"--k {args.k}: write whole numbers above 0 with commas between, such as 1,4")
        sections["k"] = tuple(map(int, args.k.split(",")))
