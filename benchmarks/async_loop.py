"""Asynchronous against synchronous training with slow environments: the recipe `rl/async`, with a lag of 2 and of 0.

Batches of 64 attempts, at most 64 in flight, 1 to 6 turns, a lognormal delay of 0.5 s a turn. Each side starts from the
same warm start and trains on as many groups.

1. Seconds of a step, with the delay and without, in turn; the first steps are not measured. The simulator of
   async_sim.py is told the costs that the synchronous runs measured (of decoding, and of a training step) and predicts
   the speed-up.
2. Held-out accuracy at the end over seeds. The asynchronous mean must lie within the range of the synchronous seeds.
3. The share of a step that the loop itself takes with 256 attempts a step and 256 in flight. Its seconds are those of a
   synchronous step without delay that are neither the engine's nor the learner's; the step is the asynchronous one with
   delay.
4. Seconds of a synchronous step without delay, with the engine in a process of its own and with the embedded one.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from async_sim import Workload, speedup
from common import Row, arguments, finish

RECIPE = "rl/async"
QUIET = ["evaluation.every=1000", "evaluation.browse=0", "checkpoint.every=1000", "rollout_log.groups=8"]
PARTS = ("speed", "accuracy", "control", "process")
SKIPPED = 4
"""Steps at either end of a timed run that are not measured: the pipeline fills, and runs empty."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run logged at each step of reinforcement learning, and its figures."""

    steps: list[dict[str, float]]
    result: dict[str, Any]
    turns: tuple[int, ...]
    """Of the logged attempts."""

    def mean(self, name: str) -> float:
        """Of the measured steps."""
        return statistics.fmean(step[name] for step in self.steps[SKIPPED:-SKIPPED])


def main() -> int:
    """Run it."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--repeats", type=int, default=3, help="pairs of timed runs (default: %(default)s)")
    parser.add_argument(
        "--seeds", type=int, default=5, help="seeds of the accuracies, 0 for none (default: %(default)s)"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, help="measure these parts (default: all)")
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), args.quick, args.repeats)
        parts = {
            "speed": bench.speed,
            "accuracy": lambda: bench.accuracy(1 if args.quick else args.seeds),
            "control": bench.control_plane,
            "process": bench.process,
        }
        rows = [row for name in args.only or parts for row in parts[name]()]
    return finish("Asynchronous against synchronous training", rows, args, ("espalier", "torch"), spread="10-90%")


class Bench:
    """Runs the recipe in subprocesses below `place`."""

    def __init__(self, place: Path, quick: bool, repeats: int) -> None:
        self.place, self.quick, self.repeats = place, quick, 1 if quick else repeats
        self._count = 0

    def speed(self) -> list[Row]:
        """Seconds of a step with delays and without."""
        steps, warm = (12, 10) if self.quick else (32, 150)
        common = [f"steps={steps}", f"warm_start.steps={warm}", "evaluation.tasks=4", *QUIET]
        rows = []
        fast = [self.both([*common, "tasks.0.delay=null"]) for _ in range(self.repeats)]
        slow = [self.both(common) for _ in range(self.repeats)]
        load = calibrated(fast[0][0], slow[0][0])
        for name, pairs, delay in (("delay 0.5 s", slow, 0.5), ("no delay", fast, 0.0)):
            ratios = [sync.mean("time/step") / lagging.mean("time/step") for sync, lagging in pairs]
            ours, peer = (statistics.median(pair[side].mean("time/step") for pair in pairs) for side in (1, 0))
            predicted = speedup(replace(load, delay=delay), steps=30, seeds=2)
            ratio = statistics.median(ratios)
            lag = statistics.median(pair[1].mean("lag/tokens") for pair in pairs)
            note = f"simulated {predicted:.2f}x; mean lag of the tokens {lag:.2f}"
            spread = (min(ratios), max(ratios))
            must = 3.0 if delay else None
            rows.append(Row(f"{name}: a step, async over sync", ours, peer, "s", ratio, must, None, spread, note))
            if delay:
                rows.append(
                    Row(f"{name}: speed-up over the simulated one", ratio, predicted, "x", ratio / predicted, 0.85)
                )
        return rows

    def accuracy(self, seeds: int) -> list[Row]:
        """Held-out accuracy at the end."""
        if not seeds:
            return []
        steps = ["steps=4", "warm_start.steps=10", "evaluation.tasks=50"] if self.quick else ["evaluation.tasks=400"]
        common = [*steps, "evaluation.every=1000", "evaluation.browse=0", "checkpoint.every=1000"]
        cells = [
            (
                seed,
                lag,
                [*common, f"seed={seed}", f"rollout.max_lag={lag}", *(["tasks.0.delay=null"] if not lag else [])],
            )
            for seed in range(seeds)
            for lag in (2, 0)
        ]
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda cell: self.run(cell[2]).result["accuracy_after"], cells))
        lagging, sync = ([value for value, cell in zip(found, cells, strict=True) if cell[1] == lag] for lag in (2, 0))
        ours, peer = statistics.fmean(lagging), statistics.fmean(sync)
        inside = 1.0 if self.quick or min(sync) <= ours else ours / min(sync)
        seen = f"async {_list(lagging)}; sync {_list(sync)} (without a delay, which changes only the batches)"
        return [
            Row("accuracy at the end, async and sync", ours, peer, "", inside, 1.0, None, (min(sync), max(sync)), seen)
        ]

    def control_plane(self) -> list[Row]:
        """The loop's own share of a step."""
        warm = 10 if self.quick else 150
        settings = [f"warm_start.steps={warm}", "evaluation.tasks=4", *QUIET, "rollout_log.groups=2"]
        settings += ["steps=12", "rollout.groups_per_step=32", "rollout.max_in_flight=256", "engine.max_rows=256"]
        alone = self.run([*settings, "tasks.0.delay=null", "rollout.max_lag=0", "rollout.max_in_flight=0"])
        own = alone.mean("time/step") - alone.mean("time/engine") - alone.mean("time/train")
        step = self.run(settings).mean("time/step")
        share, note = own / step, f"{1e3 * own:.0f} ms of {step:.2f} s"
        return [Row("256 in flight: the loop's own share of a step", share, 0.03, "", 0.03 / share, 1.0, note=note)]

    def process(self) -> list[Row]:
        """A step without delay: the engine in a process of its own against the embedded one, in turn."""
        steps, warm = (12, 10) if self.quick else (24, 150)
        common = [f"steps={steps}", f"warm_start.steps={warm}", "evaluation.tasks=4", *QUIET]
        common += ["tasks.0.delay=null", "rollout.max_lag=0", "rollout.max_in_flight=0"]
        pairs = [(self.run(common), self.run([*common, "engine.kind=process"])) for _ in range(self.repeats)]
        ratios = [inline.mean("time/step") / other.mean("time/step") for inline, other in pairs]
        ours, peer = (statistics.median(pair[side].mean("time/step") for pair in pairs) for side in (1, 0))
        publish = statistics.median(other.mean("time/publish") for _, other in pairs)
        note = f"a publish takes {1e3 * publish:.0f} ms"
        spread = (min(ratios), max(ratios))
        must = round(1 / 1.05, 3)
        return [
            Row(
                "no delay: a step, engine process over embedded",
                ours,
                peer,
                "s",
                statistics.median(ratios),
                must,
                None,
                spread,
                note,
            )
        ]

    def both(self, settings: list[str]) -> tuple[Ran, Ran]:
        """Synchronous, then asynchronous."""
        return self.run([*settings, "rollout.max_lag=0"]), self.run(settings)

    def run(self, settings: list[str]) -> Ran:
        """`espalier run` in a process of its own."""
        self._count += 1
        root = self.place / str(self._count)
        command = [sys.executable, "-m", "espalier", "run", RECIPE, "--runs-dir", str(root), *settings]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
        (run,) = (path for path in (root / "async").glob("[!.]*") if path.is_dir())
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        Console().print(f"{' '.join(settings)}: done", highlight=False)
        groups = [json.loads(line) for line in (run / "artefacts/rollouts.jsonl").read_text().splitlines()]
        spoken = [[turn["role"] for turn in answer["turns"]] for group in groups for answer in group["answers"]]
        turns = [roles.count("assistant") for roles in spoken]
        result = json.loads((run / "result.json").read_text())
        return Ran([line for line in lines if "time/step" in line], result, tuple(turns))


def calibrated(crowded: Ran, sparse: Ran) -> Workload:
    """The costs that two synchronous runs measured: with many rows in a step of the engine, and with few."""
    points = []
    for ran in (crowded, sparse):
        steps = ran.mean("engine/steps")
        points.append((ran.mean("engine/tokens") / steps, ran.mean("time/engine") / steps))
    (many, slow), (few, fast) = points
    per_row = max(0.0, (slow - fast) / (many - few)) if many > few else 0.0
    return Workload(
        groups=8,
        members=8,
        turns=crowded.turns,
        tokens=max(1, round(crowded.mean("len/mean") / crowded.mean("turns"))),
        rows=64,
        step=max(1e-4, fast - per_row * few),
        per_row=per_row,
        train=crowded.mean("time/train"),
        share=0.5,
        in_flight=64,
        max_lag=2,
    )


def _list(values: list[float]) -> str:
    return " ".join(f"{value:.1%}" for value in values)


if __name__ == "__main__":
    sys.exit(main())
