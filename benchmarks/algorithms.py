"""Every algorithm of the table learns to sort: from one mediocre warm start a seed, under the same budget.

The warm start imitates slips. Each algorithm then gets as many steps, samples and the same learning rate; accuracy is
of sampled answers to 200 held-out tasks, four each. The interval is Student's over seeds, of the gain over the warm
start. The control deals the rewards of each step out at random: it must not gain.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from common import Row, arguments, finish
from espalier.core.run import Run
from espalier.rl.algorithms.table import ALGORITHMS
from espalier.rl.config import SFTConfig, TrainConfig
from espalier.rl.sft import sft
from espalier.rl.train import train

STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""97.5% quantiles of Student's distribution, by number of seeds."""
CONTROL = "control: grpo, shuffled rewards"
COMMON: dict[str, Any] = {
    "tasks": [{"env": "sorting", "length": 5, "slips": 0.12}],
    "engine": {"max_rows": 256, "max_len": 32},
    "rollout": {"groups_per_step": 16, "samples_per_group": 8, "max_tokens": 12},
    "evaluation": {"every": 10_000, "tasks": 200, "samples": 4, "browse": 0},
    "checkpoint": {"every": 10_000},
}
MODEL = {
    "decoder": {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 3},
    "tokenizer": {"alphabet": "0123456789=#"},
}


def main() -> int:
    """Run it."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--seeds", type=int, default=3, choices=STUDENT, help="default: %(default)s; 2 with --quick")
    parser.add_argument("--steps", type=int, default=40, help="of reinforcement learning, default: %(default)s")
    parser.add_argument("names", nargs="*", help="algorithms; all unless given")
    args = parser.parse_args()
    torch.set_num_threads(1)  # the fastest for a model this small
    seeds = 2 if args.quick else args.seeds
    names = args.names or [*ALGORITHMS, CONTROL]
    gains: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            before, model = warm_start(Path(folder), seed)
            for name in names:
                started = time.perf_counter()
                after = reinforce(Path(folder), name, model, seed, args.steps)
                gains[name].append(100 * (after - before))
                seconds = time.perf_counter() - started
                Console().print(f"seed {seed}, {name}: {before:.1%} -> {after:.1%}, {seconds:.0f} s", highlight=False)
    rows = [row(name, found) for name, found in gains.items()]
    return finish(
        f"Sorting, {args.steps} steps, gain over the warm start, {seeds} seeds", rows, args, ("torch",), spread="95%"
    )


def warm_start(folder: Path, seed: int) -> tuple[float, Path]:
    """Accuracy of a model that imitated sorting with slips, and where it is."""
    optim = {"name": "muon", "lr": 3e-3, "schedule": "linear", "warmup": 10}
    given = {**COMMON, "model": MODEL, "steps": 150, "rows_per_step": 64, "learner": {"optim": optim}}
    with Run.create(folder, job="rl.sft", name=f"warm{seed}", seed=seed, console=Console(quiet=True)) as run:
        figures = sft(SFTConfig.of(**given), run)
    return figures["accuracy_after"], run.path / "model"


def reinforce(folder: Path, name: str, model: Path, seed: int, steps: int) -> float:
    """Accuracy after reinforcement learning."""
    algorithm = "grpo" if name == CONTROL else name
    learner: dict[str, Any] = {"optim": {"lr": 3e-4}, "updates_per_step": 2}
    if ALGORITHMS[algorithm].needs_values:
        learner["critic"] = {"optim": {"lr": 1e-3}}
    given = {
        **COMMON,
        "model": {"pretrained": model, "renderer": "plain"},
        "algorithm": {"name": algorithm},
        "learner": learner,
        "steps": steps,
        "shuffle_rewards": name == CONTROL,
    }
    with Run.create(folder, job="rl.train", name=f"{algorithm}{seed}", seed=seed, console=Console(quiet=True)) as run:
        return train(TrainConfig.of(**given), run)["accuracy_after"]


def row(name: str, gains: list[float]) -> Row:
    """Mean gain with its interval; the ratio is 1 where the interval says what it must."""
    mean = statistics.mean(gains)
    half = STUDENT[len(gains)] * statistics.stdev(gains) / len(gains) ** 0.5
    said = mean - half > 0 if name != CONTROL else mean - half <= 0
    return Row(name, mean, None, "points", float(said), 1.0, spread=(mean - half, mean + half))


if __name__ == "__main__":
    sys.exit(main())
