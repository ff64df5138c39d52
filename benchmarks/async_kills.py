"""Asynchronous runs whose parts are killed at random: is any group trained twice or lost, and does every run end?

Each run trains with a lag of 2, an engine in a process of its own and environments in another, which wait and are slow.
One of the three (the run itself, its engine, its environments) is killed with SIGKILL, again and again; a killed run is
resumed. Every group of every step is logged with the key of its task, which is its number. In the lineage of the final
weights, the keys of all steps must be distinct, and with the groups that failed they must leave no gap.

The control forgets on resume what became of the groups. It must be found out.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from common import Row, arguments, finish

ENVIRONMENT = '''
import asyncio
from random import Random

from espalier.core.messages import Message
from espalier.envs.api import Step, Task


class Slow:
    """Three turns; every answer takes up to 0.2 s and rewards the digit 1."""

    name = "slow"

    def __init__(self):
        self.turns = 0
        self.random = Random()

    async def reset(self, task):
        return [Message.user(task.data["text"])]

    async def step(self, action):
        self.turns += 1
        await asyncio.sleep(self.random.random() / 5)
        return Step((Message.user("?"),), reward=min(1.0, action.content.count("1") / 4), done=self.turns == 3)


class Tasks:
    name = "slow"

    def task(self, split, index):
        return Task("slow", f"{split}{index}", {"text": str(index % 10)}, split)

    def env(self, task):
        return Slow()


def tasks():
    return Tasks()
'''
STEPS, GROUPS = 40, 4
RECIPE: dict[str, Any] = {
    "job": "rl.train",
    "name": "slow",
    "tasks": [{"env": "plugin", "factory": "slow_env:tasks"}],
    "model": {
        "decoder": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2},
        "tokenizer": {"alphabet": "0123456789?"},
    },
    "steps": STEPS,
    "stop_after_idle": 0,
    "rollout": {"groups_per_step": GROUPS, "samples_per_group": 4, "max_tokens": 24, "max_turns": 3, "max_lag": 2},
    "engine": {"kind": "process", "max_rows": 32, "max_len": 96, "heartbeat_seconds": 0.5},
    "evaluation": {"every": 20, "tasks": 2, "samples": 1, "browse": 0},
    "rollout_log": {"groups": GROUPS},
}
FORGETFUL = """
import sys
from espalier.rl.loop import ledger
remember = ledger.Ledger.__init__
ledger.Ledger.__init__ = lambda self, saved=None: remember(self, None)
from espalier.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
PARTS = {"engine": "espalier.engine.process", "environments": "espalier.envs.workers"}
LONGEST = 240.0
"""Seconds after which a run counts as hanging."""


@dataclass(frozen=True, slots=True)
class Ended:
    """killed: how often each part was. fault: what is wrong with the run; empty if nothing."""

    killed: Counter[str]
    fault: str


def main() -> int:
    """Run it."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--kills", type=int, default=50, help="in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    args = parser.parse_args()
    kills, each = (6, 3) if args.quick else (args.kills, 5)
    draw, killed, faults = random.Random(args.seed), Counter[str](), []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "slow_env.py").write_text(ENVIRONMENT)
        (place / "slow.yaml").write_text(yaml.safe_dump(RECIPE))
        for number in range(-(-kills // each)):
            ended = Killed(place, f"run{number}", draw, min(each, kills - each * number)).run()
            killed += ended.killed
            faults += [ended.fault] if ended.fault else []
            Console().print(f"run {number}: {dict(ended.killed)}; {ended.fault or 'nothing lost'}", highlight=False)
        control = Killed(place, "control", draw, 2, only="run", forgetful=True).run()
    runs = -(-kills // each)
    note = f"killed: {dict(killed)}; " + ("; ".join(faults) or "nothing is lost or trained twice")
    rows = [
        Row(
            "runs that end, with every group trained once",
            runs - len(faults),
            runs,
            "runs",
            1 - len(faults) / runs,
            1.0,
            note=note,
        )
    ]
    found = 1.0 if control.fault else 0.0
    said = f"the control: {control.fault or 'not found out'}"
    rows.append(Row("a resume that forgets is found out", found, 1.0, "", found, 1.0, note=said))
    return finish("Killed parts of asynchronous runs", rows, args, ("espalier", "torch"), spread="")


class Killed:
    """One run in `place / root`, killed `kills` times. only: the one part that is killed. forgetful: the control."""

    def __init__(
        self, place: Path, root: str, draw: random.Random, kills: int, *, only: str = "", forgetful: bool = False
    ) -> None:
        self.place, self.root, self.draw, self.kills = place, root, draw, kills
        self.parts = [only] if only else ["run", *PARTS]
        self.program = ["-c", FORGETFUL] if forgetful else ["-m", "espalier"]
        self.killed = Counter[str]()

    def run(self) -> Ended:
        """Start, kill, resume, and look at what is left."""
        begun, process = time.monotonic(), self.start()
        left = self.kills
        while process.poll() is None or left < 0:
            if time.monotonic() - begun > LONGEST:
                os.killpg(process.pid, signal.SIGKILL)
                return Ended(self.killed, f"{self.root} did not end within {LONGEST:g} s")
            time.sleep(0.05)
            if not left or not self.training():
                continue
            time.sleep(self.draw.uniform(0.3, 2.0))
            if process.poll() is None and self.kill(process):
                left -= 1
                if process.poll() is not None:
                    process = self.start("--resume")
        if process.returncode:
            return Ended(self.killed, f"{self.root} ended with {process.returncode}: {self.log()}")
        return Ended(self.killed, self.checked())

    def start(self, *flags: str) -> subprocess.Popen[bytes]:
        """`espalier run` in a process group of its own."""
        source = Path(__file__).resolve().parents[1] / "src"
        environment = {**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{self.place}", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, *self.program, "run", "slow.yaml", "--runs-dir", self.root, *flags]
        with (self.place / f"{self.root}.log").open("ab") as log:
            return subprocess.Popen(
                command, cwd=self.place, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def training(self) -> bool:
        """Whether a step was logged since the last look, so that there is something to kill."""
        return any(self.place.glob(f"{self.root}/slow/[!.]*/checkpoints/step_*"))

    def kill(self, process: subprocess.Popen[bytes]) -> bool:
        """Kill one part; returns whether it was there."""
        part = self.draw.choice(self.parts)
        pids = [process.pid] if part == "run" else children(process.pid, PARTS[part])
        if not pids:
            return False
        os.kill(self.draw.choice(pids), signal.SIGKILL)
        self.killed[part] += 1
        if part == "run":
            process.wait()
        return True

    def checked(self) -> str:
        """What is wrong with the lineage of the final weights; empty if nothing."""
        run = min(path for path in (self.place / self.root / "slow").glob("[!.]*") if (path / "result.json").exists())
        lines = [json.loads(line) for line in (run / "artefacts/rollouts.jsonl").read_text().splitlines()]
        trained = Counter(int(line["key"].removeprefix("train")) for line in lines)
        state = json.loads((max((run / "checkpoints").glob("step_*")) / "state.json").read_text())
        ended = {
            index
            for name in ("filtered", "failed", "stale")
            for a, b in state["groups"][name]
            for index in range(a, b + 1)
        }
        if twice := [index for index, count in trained.items() if count > 1]:
            return f"{self.root}: trained twice: {sorted(twice)[:5]}"
        if len(trained) != STEPS * GROUPS:
            return f"{self.root}: {len(trained)} groups trained, not {STEPS * GROUPS}"
        if lost := set(range(state["cursor"])) - trained.keys() - ended:
            return f"{self.root}: lost: {sorted(lost)[:5]}"
        return ""

    def log(self) -> str:
        """The end of what the run printed."""
        return (self.place / f"{self.root}.log").read_text()[-500:]


def children(parent: int, module: str) -> list[int]:
    """Processes below `parent` that run `module`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            above = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        if above == parent and module.encode() in words:
            found.append(int(folder.name))
    return found


if __name__ == "__main__":
    sys.exit(main())
