"""A job that learns a number slowly, for studies; as a program, the command line that knows it and studies."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from espalier.cli import jobs
from espalier.cli.main import main
from espalier.cli.places import find_recipe
from espalier.core.config import Config
from espalier.core.errors import DataError
from espalier.core.job import Job
from espalier.core.recipe.beside import RecipePath
from espalier.core.run.pieces import read_piece, write_piece
from espalier.core.run.run import Run
from espalier.core.study.cells import House
from espalier.core.study.jobs import jobs as study_jobs
from espalier.core.workers import die_with_parent


class Learn(Config):
    """A start, and what each step adds."""

    start: float | Path = 0.0
    """A number, or a folder that holds it."""
    gain: float = 1.0
    steps: int = 2
    pause: float = 0.0
    fail: bool = False
    tokens: float = 10.0
    """Of each step."""
    table: RecipePath | None = None
    """A file, which is not used."""
    plugin: str = ""
    """A function of a file, which is not used."""


def learn(config: Learn, run: Run) -> dict[str, float]:
    done, value = 0, config.start if isinstance(config.start, float) else float((config.start / "value").read_text())
    first = value
    if (piece := run.checkpoints / "state.json").exists():
        found = read_piece(piece)
        done, value, first = found["done"], found["value"], found["first"]
    run.metrics.rewind(done)
    for step in range(done, config.steps + 1):
        if config.fail and step == 1:
            raise DataError("rows.jsonl:7: bad row")
        value += config.gain * (1 + 0.1 * run.seed) if step else 0.0
        run.metrics.log(step, {"eval/avg": value, "cost/generated_tokens": step * config.tokens})
        write_piece(piece, {"done": step + 1, "value": value, "first": first})
        time.sleep(config.pause)
        if run.stop.requested:
            break
    run.artefact("value").write_text(str(value))
    spent = config.tokens * config.steps
    return {"accuracy_before": first, "accuracy_after": value, "generated_tokens": spent, "cpu_seconds": 100.0}


TOY = (Job("toy.learn", "learns a number", Learn, lambda: learn),)
HOUSE = House(jobs.find_job, find_recipe, (sys.executable, str(Path(__file__))))


def register() -> None:
    """Let the command line know the toy."""
    jobs.DOMAINS = {"toy": lambda: TOY, "core": lambda: study_jobs(HOUSE)}


if __name__ == "__main__":
    die_with_parent()
    register()
    sys.exit(main())
