"""The demo, seed after seed: held-out accuracy before and after reinforcement learning, wall time, memory.

Each seed is `espalier run rl/quickstart`, or the recipe named, in a process of its own, as `make demo`
runs it. The worst seed counts.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from common import Row, arguments, finish

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Run it."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--recipe", default="rl/quickstart", help="default: %(default)s")
    parser.add_argument("--seeds", type=int, default=5, help="default: %(default)s; 1 with --quick")
    parser.add_argument("overrides", nargs="*", help="key=value, as for `espalier run`")
    args = parser.parse_args()
    seeds = 1 if args.quick else args.seeds
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            before, after, seconds = once(args.recipe, args.overrides, seed, Path(folder))
            runs.append((before, after, seconds))
            Console().print(f"seed {seed}: {before:.1%} -> {after:.1%} in {seconds:.0f} s", highlight=False)
    rise = min(after - before for before, after, _ in runs)
    final = min(after for _, after, _ in runs)
    slowest = max(seconds for _, _, seconds in runs)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
    rows = [
        Row("smallest rise over the warm start", 100 * rise, None, "points", 100 * rise / 25, 1.0),
        Row("lowest accuracy at the end", 100 * final, None, "%", 100 * final / 85, 1.0),
        Row("longest run", slowest, None, "s", 360 / slowest, 1.0, 2.0, note="must 360 s, aim 180 s"),
        Row("largest resident set", memory, None, "GB", 1.5 / memory, 1.0),
    ]
    return finish(f"{args.recipe}, {seeds} seeds", rows, args, ("torch",))


def once(recipe: str, overrides: list[str], seed: int, folder: Path) -> tuple[float, float, float]:
    """Accuracy before and after, and wall time in seconds, from process start to end."""
    command = [sys.executable, "-m", "espalier", "run", recipe, f"seed={seed}", f"name=seed{seed}", *overrides]
    started = time.perf_counter()
    subprocess.run([*command, "--runs-dir", str(folder)], cwd=ROOT, check=True, capture_output=True)
    seconds = time.perf_counter() - started
    (found,) = folder.glob(f"seed{seed}/*/result.json")
    figures = json.loads(found.read_text())
    return figures["accuracy_before"], figures["accuracy_after"], seconds


if __name__ == "__main__":
    sys.exit(main())
