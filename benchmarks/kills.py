"""Runs that are killed and resumed, against the run that was not: do they end with the same weights, to the last bit?

Five kinds of run (GRPO, DAPO with its replacements, PPO with a critic, LoRA, a mixture of tasks), each once whole and
then killed at a random moment and resumed, time after time. Every process has another PYTHONHASHSEED, and the judge
of every answer sleeps for a random time, so that nothing may depend on what finishes first.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from common import Row, arguments, finish

JUDGE = '''
import asyncio, os, random

async def judge(episode):
    """1 for an even number of ones, after a random time that no seed decides."""
    await asyncio.sleep(0.03 * int.from_bytes(os.urandom(2)) / 65535)
    return float(episode.response.count("1") % 2)
'''

BASE: dict[str, Any] = {
    "job": "rl.train",
    "tasks": [{"env": "multiplication", "digits": 1, "direct": 1.0}],
    "rewards": [{"kind": "plugin", "function": "delayed:judge"}],
    "model": {
        "decoder": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2},
        "tokenizer": {"alphabet": "0123456789+*= #"},
    },
    "warm_start": {"steps": 6, "rows_per_step": 16},
    "steps": 14,
    "stop_after_idle": 0,
    "rollout": {"groups_per_step": 6, "samples_per_group": 4, "max_tokens": 10},
    "engine": {"max_rows": 24, "max_len": 40},
    "evaluation": {"every": 5, "tasks": 4, "samples": 2, "browse": 1},
}
MIXTURE = [
    {"env": "multiplication", "digits": 1, "direct": 1.0},
    {"env": "sorting", "weight": 2.0},
    {"env": "reverse"},
]
LETTERS = {**BASE["model"], "tokenizer": {"kind": "char"}}
CASES: dict[str, dict[str, Any]] = {
    "grpo": {"algorithm": {"name": "grpo"}},
    "dapo": {"algorithm": {"name": "dapo"}, "rollout": {**BASE["rollout"], "samples_per_group": 2}},
    "ppo": {"algorithm": {"name": "ppo"}, "learner": {"critic": {}, "updates_per_step": 2}},
    "lora": {"model": {**BASE["model"], "lora": {"rank": 4}}, "warm_start": {"steps": 0}},
    "mixture": {"tasks": MIXTURE, "model": LETTERS, "engine": {"max_rows": 24, "max_len": 64}},
}


@dataclass(frozen=True, slots=True)
class Ended:
    """The final weights and what was logged, less everything about time; and how long the processes took."""

    weights: str
    metrics: list[dict[str, float]]
    seconds: float

    def unlike(self, whole: Ended) -> str:
        """The first thing that differs from `whole`; empty where nothing does."""
        for ours, theirs in zip_longest(self.metrics, whole.metrics, fillvalue=dict[str, float]()):
            if names := [name for name in ours | theirs if ours.get(name) != theirs.get(name)]:
                found = ", ".join(f"{name} {ours.get(name)} for {theirs.get(name)}" for name in names[:4])
                return f"step {theirs.get('step')}: {found}"
        return "" if self.weights == whole.weights else "the weights"


def main() -> int:
    """Run it."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--kills", type=int, default=10, help="killed runs of each kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    args = parser.parse_args()
    kills = 2 if args.quick else args.kills
    moments = random.Random(args.seed)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "delayed.py").write_text(JUDGE)
        for name, changes in CASES.items():
            (place / f"{name}.yaml").write_text(yaml.safe_dump({**BASE, "name": name, **changes}))
            whole = ended(place, name, "whole", None)
            delays = [moments.uniform(0.25, 0.95) * whole.seconds for _ in range(kills)]
            again = [ended(place, name, f"killed{i}", delay) for i, delay in enumerate(delays)]
            unlike = [difference for one in again if (difference := one.unlike(whole))]
            equal, note = kills - len(unlike), "; ".join(unlike)
            rows.append(Row(f"{name}: killed runs that end equal", equal, kills, "runs", equal / kills, 1.0, note=note))
            said = f"{name}: {equal} of {kills} equal; a whole run takes {whole.seconds:.1f} s"
            Console().print(said, highlight=False)
    return finish("Killed and resumed, against not interrupted", rows, args, ("torch",), spread="")


def ended(place: Path, name: str, root: str, kill_after: float | None) -> Ended:
    """Run the recipe below `root`; killed once after so many seconds (unless it was faster), then resumed."""
    started = time.perf_counter()
    process = start(place, name, root)
    if kill_after is not None:
        try:
            process.wait(kill_after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    if process.wait() != 0:
        process = start(place, name, root, "--resume")
        if process.wait() != 0:
            raise SystemExit(f"{name} cannot be resumed: {(place / 'log').read_text()[-2000:]}")
    run = min(path for path in (place / root / name).glob("[!.]*") if (path / "result.json").exists())
    weights = sha256((run / "model/model.safetensors").read_bytes()).hexdigest()
    result = Ended(weights, trace(run), time.perf_counter() - started)
    shutil.rmtree(place / root)
    return result


def start(place: Path, name: str, root: str, *flags: str) -> subprocess.Popen[bytes]:
    """`espalier run` in a process group of its own, with a hash seed of its own."""
    hash_seed = str(int.from_bytes(os.urandom(2)))
    source = str(Path(__file__).resolve().parents[1] / "src")
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": source}
    command = [sys.executable, "-m", "espalier", "run", f"{name}.yaml", "--runs-dir", root, *flags]
    with (place / "log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=place, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def trace(run: Path) -> list[dict[str, float]]:
    """The metrics that do not measure time or memory."""
    lines = (json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines())
    timed = ("time/", "seconds", "engine/tokens_s", "cost/cpu_seconds", "memory/")
    return [{name: value for name, value in line.items() if not name.startswith(timed)} for line in lines]


if __name__ == "__main__":
    sys.exit(main())
