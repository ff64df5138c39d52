"""`espalier run` and `espalier resume`."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from espalier.cli.jobs import find_job, load_function
from espalier.cli.places import RUNS, find_run, split_words
from espalier.core import torchrun
from espalier.core.config import Config
from espalier.core.data import DataRoot
from espalier.core.errors import ConfigError, NoCheckpointError, RunError
from espalier.core.fetch.reads import check_reads
from espalier.core.job import Job
from espalier.core.recipe.provenance import ORIGINS, save_origins, settings
from espalier.core.recipe.resolve import Recipe, load_recipe
from espalier.core.run.folder import newest_unfinished, read_config
from espalier.core.run.run import Run
from espalier.core.tracking.progress import duration, readable

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


def add_run(parser: argparse.ArgumentParser) -> None:
    """Arguments of `espalier run`."""
    parser.add_argument("words", nargs="+", metavar="RECIPE | key=value", help="recipe files, merged, then overrides")
    parser.add_argument("--runs-dir", type=Path, default=RUNS, help="folder of the runs (default: runs)")
    parser.add_argument("--resume", action="store_true", help="continue the recipe's unfinished run, if there is one")
    parser.add_argument("--smoke", action="store_true", help="a study's small variant, the same as variant=smoke")
    add_data_root(parser)


def add_resume(parser: argparse.ArgumentParser) -> None:
    """Arguments of `espalier resume`."""
    parser.add_argument("run", metavar="RUN", help="a run folder (runs/NAME/TIME), or NAME for its newest run")
    add_data_root(parser)


def add_data_root(parser: argparse.ArgumentParser) -> None:
    """The option that every command with data has."""
    parser.add_argument("--data-root", type=Path, help="folder of data sets (default: ESPALIER_DATA)")


def run(args: argparse.Namespace) -> int:
    """Run a recipe in a new folder, or in that of its unfinished run."""
    files, overrides = split_words(args.words)
    recipe = load_recipe(files, overrides, find_job)
    if args.smoke:
        if not hasattr(recipe.config, "variant"):
            raise ConfigError(f"--smoke: {recipe.run.name} is no study, and only studies have a small variant")
        recipe = load_recipe(files, [*overrides, "variant=smoke"], find_job)
    for line in recipe.layers.dropped:
        print(line)
    if _followed(recipe.job, recipe.config):
        return 0
    unfinished = newest_unfinished(args.runs_dir, recipe.run.name) if args.resume else None
    if unfinished:
        _check_same(recipe, unfinished)
        reopened = Run.reopen(unfinished, data=DataRoot.find(args.data_root))
        return execute(recipe.job, recipe.config, reopened, args.data_root)
    data = DataRoot.find(args.data_root).near(files)
    check_reads(recipe.run.name, recipe.job.reads(recipe.config), data)
    started = Run.create(
        args.runs_dir,
        job=recipe.run.job,
        name=recipe.run.name,
        seed=recipe.run.seed,
        trackers=recipe.run.trackers,
        config=recipe.config.model_dump(mode="json"),
        data=data,
    )
    save_origins(settings(recipe, files), started.path / ORIGINS)
    return execute(recipe.job, recipe.config, started, args.data_root)


def resume(args: argparse.Namespace) -> int:
    """Go on with a run, by the config in its folder."""
    path = find_run(args.run)
    recipe = load_recipe([path / "config.yaml"], [], find_job)
    if _followed(recipe.job, recipe.config):
        return 0
    return execute(recipe.job, recipe.config, Run.reopen(path, data=DataRoot.find(args.data_root)), args.data_root)


def _followed(job: Job, config: Config) -> bool:
    """Whether this process is a rank of torchrun beyond the first, and has done what the first told it."""
    if torchrun.size() == 1:
        return False
    if job.follow is None:
        raise ConfigError(f"the job {job.name} runs in one process: start it without torchrun")
    if not torchrun.rank():
        return False
    job.follow()(config)
    return True


def _check_same(recipe: Recipe, path: Path) -> None:
    """A run goes on by the config it began with."""
    theirs = read_config(path)
    ours = recipe.resolved
    if differing := [key for key in ours | theirs if ours.get(key) != theirs.get(key)]:
        raise RunError(
            f"the unfinished run {path} has another config ({', '.join(differing)} differ). "
            f"`espalier resume {path}` goes on with its own; without --resume a new run starts."
        )


def execute(job: Job, config: Config, run: Run, data_root: Path | None) -> int:
    """Do the job in `run` and show what it found; returns the exit code."""
    console = Console(highlight=False)
    console.print(f"{'resuming' if run.resumed else 'run'} {run.path}", markup=False, soft_wrap=True)
    again = ["espalier", "resume", str(run.path), *(["--data-root", str(data_root)] if data_root else [])]
    try:
        with run:
            figures = load_function(job)(config, run)
            if not run.stop.requested:
                run.finish(figures)
    except KeyboardInterrupt:
        run.stop.request()
    except Exception as error:
        way_on = "" if isinstance(error, NoCheckpointError) else _way_on(run, again)
        console.print(f"failed{way_on}", markup=False, soft_wrap=True)
        raise
    if run.stop.requested:
        console.print(f"stopped{_way_on(run, again)}", markup=False, soft_wrap=True)
        return INTERRUPTED
    _show_result(console, run, figures)
    return 0


def _way_on(run: Run, again: Sequence[str]) -> str:
    """What can be done with a run that has ended early."""
    if not run.path.exists():
        return f" before anything was done; {run.path} is removed"
    if not run.begun:
        return f"; there is no checkpoint yet, so that this begins again: {shlex.join(again)}"
    return f"; to go on from the last checkpoint: {shlex.join(again)}"


def _show_result(console: Console, run: Run, figures: Mapping[str, float]) -> None:
    table = Table.grid(padding=(0, 2))
    for name, value in figures.items():
        table.add_row(f"  {name}", readable(value))
    console.print(f"\nfinished in {duration(run.seconds)}")
    console.print(table)
    console.print(f"report: {run.path / 'report.html'}", markup=False, soft_wrap=True)
