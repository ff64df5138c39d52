"""What it costs to watch a run: `live.json`, which every run writes, and a timeline (`trace: true`).

A span is timed alone, with its part of writing the file. Its share of a step is that of a run of `rl/async` without
delays, where nothing hides it: the events that the run recorded times the time of a span, over the time of its steps.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from common import Row, arguments, finish
from espalier.core.tracking.activity import Activity
from espalier.core.tracking.live import EVERY, Live, LiveFile, Work, Worker
from espalier.core.tracking.spans import Spans
from espalier.envs.api import Task
from espalier.rl.rollout.under_way import UnderWay

RECIPE = [
    "rl/async",
    "tasks.0.delay=null",
    "warm_start.steps=20",
    "steps=10",
    "evaluation.every=1000",
    "evaluation.tasks=8",
    "evaluation.browse=0",
    "checkpoint.every=1000",
    "trace=true",
]
MOST = 0.01
"""Share of a step, and of a second, that watching may take."""


def main() -> int:
    """Run it."""
    args = arguments(__doc__ or "").parse_args()
    repeats = 5 if args.quick else 15
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        spans = Spans(place / "trace.json", "bench", clock=time.perf_counter)
        off = median(seconds(Activity()) for _ in range(repeats))
        on = median(seconds(Activity(spans.lane("loop")), spans.save) for _ in range(repeats))
        written = median(snapshot(place / "live.json") for _ in range(repeats))
        events, step, steps = traced(place)
        each = on - off
    share = each * events / steps / step
    rows = [
        Row("a span, traced", 1e6 * on, None, "µs", None, note=f"{1e6 * off:.2f} µs without a timeline"),
        Row(
            "a timeline's share of a step",
            share,
            MOST,
            "",
            MOST / share,
            1.0,
            note=f"{events / steps:.0f} events a step of {1e3 * step:.0f} ms",
        ),
        Row("live.json with 64 attempts, share of a second", written / EVERY, MOST, "", MOST * EVERY / written, 1.0),
    ]
    return finish("What watching costs", rows, args, ("espalier",))


def seconds(activity: Activity, after: Callable[[], None] = lambda: None, count: int = 20_000) -> float:
    """Of one thing that is done, with its part of `after`."""
    begun = time.perf_counter()
    for _ in range(count):
        with activity.at("generate"):
            pass
    after()
    return (time.perf_counter() - begun) / count


def snapshot(path: Path, count: int = 200) -> float:
    """Seconds of looking at 64 attempts and writing what they do, which changes every time."""
    under_way = UnderWay()
    attempts = [under_way.attempt(Task("env", f"task {number}", {})) for number in range(64)]
    for attempt in attempts:
        attempt.__enter__().doing = "generate"
    workers = [Worker(f"engine {number}", True, 16, 3, 1234.5) for number in range(4)]
    steps = iter(range(10**9))

    def look() -> Live:
        work = [Work("learner", "trains", 0.0), Work("attempts", under_way.summary())]
        return Live("training", next(steps), 100, 1.5, "groups", work, workers, under_way.slowest(5))

    file = LiveFile(path, look)
    begun = time.perf_counter()
    for _ in range(count):
        file.write()
    took = (time.perf_counter() - begun) / count
    for attempt in attempts:
        attempt.__exit__(None, None, None)
    return took


def traced(place: Path) -> tuple[int, float, int]:
    """Events of a run's training, the mean seconds of its steps, and their number."""
    command = [sys.executable, "-m", "espalier", "run", *RECIPE, "--runs-dir", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    (run,) = (path for path in (place / "async").glob("[!.]*") if path.is_dir())
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [line["time/step"] for line in lines if "time/step" in line]
    events = json.loads((run / "artefacts/trace.json").read_text())
    begin = min(event["ts"] for event in events if event["name"] == "collect")
    last = max(event["ts"] for event in events if event["name"] == "train")
    inside = sum(begin <= event["ts"] <= last for event in events if event["ph"] == "X")
    return inside, sum(steps) / len(steps), len(steps)


if __name__ == "__main__":
    sys.exit(main())
