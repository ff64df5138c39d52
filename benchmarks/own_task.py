"""Tasks of one's own learn at the first try: three files of questions and an environment with a tool.

Each recipe has at most 12 lines and no code; the environment is the one that `espalier new env` writes. The files are
made here. A short warm start on the training questions, then GRPO. The gain is that of the accuracy of sampled answers
to held-out questions over the warm start, with Student's interval over seeds. Of the file in GSM8K's form, a row shows
the share of groups whose rewards differ: without such groups nothing can be learned.
"""

from __future__ import annotations

import csv
import json
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from rich.console import Console

from common import Row, arguments, finish
from espalier.cli.commands.new import contents
from espalier.cli.jobs import find_job
from espalier.core.data import DataRoot
from espalier.core.recipe.resolve import load_recipe
from espalier.core.run.run import Run
from espalier.rl.config import TrainConfig
from espalier.rl.train import train

STUDENT = {1: math.nan, 2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""97.5% quantiles of Student's distribution, by number of seeds."""
RECIPE = """\
job: rl.train
tasks: [{{env: table, path: {file}, heldout: 0.2}}]
warm_start: {{steps: {warm}, rows_per_step: 64}}
steps: 40
rollout: {{groups_per_step: 8, max_tokens: {tokens}}}
engine: {{max_len: 192}}
evaluation: {{every: 1000, tasks: 200}}
checkpoint: {{every: 1000}}
"""
QUICK = ["steps=15", "evaluation.tasks=100"]


def quiz(draw: random.Random) -> Iterator[dict[str, object]]:
    """Multiple choice: the answer is a letter."""
    for _ in range(1500):
        even, odd = 2 * draw.randrange(5, 50), 2 * draw.randrange(5, 50) + 1
        first = draw.random() < 0.5
        a, b = (even, odd) if first else (odd, even)
        yield {"question": "Which is even?", "A": a, "B": b, "answer": "A" if first else "B"}


def words(draw: random.Random) -> Iterator[dict[str, object]]:
    """Plain questions: the answer is a word."""
    for _ in range(1500):
        word = "".join(draw.choices("abcdefgh", k=3))
        yield {"problem": f"Spell {word} backwards.", "solution": word[::-1]}


def sums(draw: random.Random) -> Iterator[dict[str, object]]:
    """GSM8K's form: a worked solution that ends with #### and the number."""
    for _ in range(1500):
        name, a, b = draw.choice(("Ann", "Bob", "Eve")), draw.randrange(2, 20), draw.randrange(2, 20)
        solution = f"{a}+{b}=<<{a}+{b}={a + b}>>{a + b}\n#### {a + b}"
        yield {"question": f"{name} has {a} pens and buys {b}. How many now?", "answer": solution}


def write_tasks(folder: Path) -> dict[str, Path]:
    """Files and recipes; returns the recipes by what they show."""
    made: tuple[tuple[str, Callable[[random.Random], Iterator[dict[str, object]]], str, int, int], ...] = (
        ("multiple choice, CSV", quiz, "csv", 16, 4),
        ("plain questions, CSV", words, "csv", 30, 8),
        ("GSM8K's form, JSONL", sums, "jsonl", 60, 48),
    )
    recipes = {}
    for title, rows, kind, warm, tokens in made:
        file = folder / f"{rows.__name__}.{kind}"
        unique = list({str(row): row for row in rows(random.Random(0))}.values())
        with file.open("w", newline="") as out:
            if kind == "csv":
                writer = csv.DictWriter(out, list(unique[0]))
                writer.writeheader()
                writer.writerows(unique)
            else:
                out.writelines(json.dumps(row) + "\n" for row in unique)
        recipes[title] = file.with_suffix(".yaml")
        recipes[title].write_text(RECIPE.format(file=file.name, warm=warm, tokens=tokens))
    for name, text in contents("env", "boxes").items():
        (folder / name).write_text(text)
    recipes["tool environment"] = folder / "boxes.yaml"
    return recipes


def learn(recipe: Path, runs: Path, seed: int, overrides: list[str]) -> tuple[float, float, float]:
    """Held-out accuracy before and after, and the share of groups whose rewards differ."""
    loaded = load_recipe([recipe], [f"seed={seed}", *overrides], find_job)
    assert isinstance(loaded.config, TrainConfig)
    plain, data = loaded.config.model_dump(mode="json"), DataRoot(None).near([recipe])
    run = Run.create(
        runs, job="rl.train", name=recipe.stem, seed=seed, config=plain, data=data, console=Console(quiet=True)
    )
    with run:
        figures = train(loaded.config, run)
    logged = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    spread = [1.0 - line["reward/zero_std_frac"] for line in logged if "reward/zero_std_frac" in line]
    return figures["accuracy_before"], figures["accuracy_after"], statistics.mean(spread)


def main() -> int:
    """Run it."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--seeds", type=int, default=5, choices=STUDENT, help="default: %(default)s; 2 with --quick")
    parser.add_argument("names", nargs="*", help="first words of the rows to measure; all unless given")
    args = parser.parse_args()
    torch.set_num_threads(1)  # the fastest for a model this small
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for title, recipe in write_tasks(Path(folder)).items():
            if args.names and not title.startswith(tuple(args.names)):
                continue
            spread_only = title.startswith("GSM8K")
            seeds = 1 if spread_only else 2 if args.quick else args.seeds
            found = []
            for seed in range(seeds):
                started = time.perf_counter()
                found.append(learn(recipe, Path(folder) / "runs", seed, QUICK if args.quick else []))
                print(f"{title}, seed {seed}: {found[-1]}, {time.perf_counter() - started:.0f} s", flush=True)
            rows.append(spread_row(title, found) if spread_only else gain_row(title, found))
    return finish("Tasks of one's own", rows, args, ("torch", "pydantic"), spread="95%")


def gain_row(title: str, found: list[tuple[float, float, float]]) -> Row:
    """The gain in points. Its `ratio` is the lower end of the interval, which must be above zero."""
    gains = [100 * (after - before) for before, after, _ in found]
    mean, half = statistics.mean(gains), math.nan
    if len(gains) > 1:
        half = STUDENT[len(gains)] * statistics.stdev(gains) / math.sqrt(len(gains))
    before, after = (100 * statistics.mean(figures) for figures in list(zip(*found, strict=True))[:2])
    note = f"{before:.1f}% -> {after:.1f}% over {len(found)} seeds; `ratio` is the lower end of the interval"
    must = 0.0 if len(gains) == 5 else None
    return Row(title, mean, None, "points gained", mean - half, must, None, (mean - half, mean + half), note)


def spread_row(title: str, found: list[tuple[float, float, float]]) -> Row:
    """The share of groups whose rewards differ."""
    ((before, after, share),) = found
    note = f"share of groups with different rewards; accuracy {100 * before:.1f}% -> {100 * after:.1f}%"
    return Row(title, 100 * share, None, "% of groups", share, 0.05, note=note)


if __name__ == "__main__":
    sys.exit(main())
