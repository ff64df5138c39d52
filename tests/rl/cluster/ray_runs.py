"""Started in a network namespace of its own: `ray_runs.py CASE FOLDER`. Writes what it finds to result.json."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import ray
from ray_tasks import Slow
from rl_runs import config, finish, start, trace

from espalier.core.data import DataRoot
from espalier.core.errors import EnvError, EspalierError
from espalier.core.run.run import Run
from espalier.envs.workers.deadline import within
from espalier.rl.cluster.config import ClusterConfig
from espalier.rl.cluster.environments import RayWorker
from espalier.rl.cluster.plan import bundles
from espalier.rl.cluster.ray import RayCluster
from espalier.rl.config import TrainConfig

SMALL: dict[str, Any] = {"warm_start": {"steps": 8, "rows_per_step": 32}, "steps": 3, "stop_after_idle": 0}
TASK = {"env": "multiplication", "digits": 1, "direct": 1.0}
SHARES = {"learner": {"cpus": 0.3}, "engine": {"cpus": 0.3}, "environment": {"cpus": 0.2}}
ENGINE = {"max_rows": 64, "max_len": 32, "heartbeat_seconds": 0.5}


def settings(**more: Any) -> TrainConfig:
    return config(**{**SMALL, **more})


def on_ray(learners: int = 1, engines: int = 1, **more: Any) -> TrainConfig:
    return settings(
        **{
            "engine": {**ENGINE, "kind": "process", "count": engines},
            "cluster": {"kind": "ray", "learners": learners, **SHARES},
            **more,
        }
    )


def done(folder: Path, name: str, wanted: TrainConfig) -> dict[str, Any]:
    run = start(folder / name, wanted)
    return {"figures": finish(run, wanted), "trace": trace(run.path), "path": str(run.path)}


def ours() -> set[int]:
    """Processes in this network namespace besides this one."""
    here, found = Path("/proc/self/ns/net").readlink(), set()
    for place in Path("/proc").glob("[0-9]*/ns/net"):
        with contextlib.suppress(OSError):
            if place.readlink() == here and (pid := int(place.parts[2])) != os.getpid():
                found.add(pid)
    return found


def actors(name: str) -> list[int]:
    """Process ids of the actors of a class."""
    return [process.pid for process in children() if (process.cmdline() or [""])[0].startswith(f"ray::{name}")]


def children() -> list[psutil.Process]:
    """Processes that were started from this one and run."""
    found = psutil.Process().children(recursive=True)
    return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]


def left() -> int:
    """How many processes are still in this namespace a few seconds after the end of a run."""
    deadline = time.monotonic() + 5
    while ours() and time.monotonic() < deadline:
        time.sleep(0.05)
    return len(ours())


def after(condition: Callable[[], bool], act: Callable[[], None]) -> threading.Thread:
    """Act in a thread, once the condition holds."""

    def work() -> None:
        deadline = time.monotonic() + 120
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.02)
        act()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def newest(run: Run) -> int:
    """The number of the newest checkpoint; 0 for none."""
    return max((int(path.name.removeprefix("step_")) for path in run.checkpoints.glob("step_*")), default=0)


def lines(run: Run) -> int:
    return len((run.path / "metrics.jsonl").read_text().splitlines())


def same(folder: Path) -> dict[str, Any]:
    """A run of one learner, one engine and one environment on Ray, and the same in this process."""
    tasks = {"tasks": [{"env": "plugin", "factory": "ray_tasks:Echo"}]}
    seen: list[int] = []
    watched = after(lambda: bool(actors("EngineActor")), lambda: seen.append(len(ours())))
    here = done(folder, "ray", on_ray(**tasks))
    watched.join()
    remaining = left()
    theirs = done(folder, "local", settings(**tasks, engine=ENGINE))
    pids = {p for _, name, p in here["trace"] if name == "env/echo/pid"}
    own = {p for _, name, p in theirs["trace"] if name == "env/echo/pid"}
    for found in (here, theirs):  # how requests meet in a batch is a matter of timing
        found["trace"] = [entry for entry in found["trace"] if entry[1] not in ("env/echo/pid", "engine/steps")]
    return {
        "ray": here,
        "local": theirs,
        "seen": seen,
        "left": remaining,
        "elsewhere": len(pids) == 1 and pids.isdisjoint(own),
        "running": ray.is_initialized(),
    }


def engine_killed(folder: Path) -> dict[str, Any]:
    """An engine's actor is killed while groups run beside the learner of two ranks."""
    rollout = {"groups_per_step": 8, "samples_per_group": 8, "max_tokens": 16, "max_lag": 1}
    slow = {**TASK, "delay": {"seconds": 0.1}}
    wanted = on_ray(learners=2, engines=2, steps=8, rollout=rollout, tasks=[slow])
    run = start(folder / "killed", wanted)
    killed: list[int] = []

    def kill() -> None:
        killed.append(actors("EngineActor")[0])
        os.kill(killed[0], 9)

    thread = after(lambda: lines(run) > SMALL["warm_start"]["steps"] + 3, kill)
    figures = finish(run, wanted)
    thread.join()
    found = trace(run.path)
    return {
        "figures": figures,
        "killed": len(killed),
        "lost": sum(value for _, name, value in found if name == "engine/lost"),
        "steps": max(step for step, _, _ in found),
        "warnings": (run.path / "warnings.jsonl").read_text() if (run.path / "warnings.jsonl").exists() else "",
        "left": left(),
    }


def learner_killed(folder: Path) -> dict[str, Any]:
    """A rank of the learner is killed: the run ends with words, and is resumed."""
    wanted = on_ray(learners=2, steps=6)
    run = start(folder / "rank", wanted)
    thread = after(lambda: newest(run) >= 10, lambda: os.kill(actors("RankActor")[1], 9))
    began = time.monotonic()
    try:
        finish(run, wanted)
        error = ""
    except EspalierError as caught:
        error = str(caught)
    thread.join()
    seconds = time.monotonic() - began
    remaining = left()
    alone = settings(steps=6, engine=ENGINE)  # in this process, from the checkpoint of two ranks
    again = Run.reopen(run.path, data=DataRoot(None))
    figures = finish(again, alone)
    return {"error": error, "seconds": seconds, "left": remaining, "figures": figures}


def no_room(folder: Path) -> dict[str, Any]:
    """A plan that no machine has room for, and one whose room another holds."""
    found: dict[str, Any] = {}
    for name, more in {"never": {"learner": {"cpus": 99}}, "late": {"seconds": 1.5}}.items():
        wanted = on_ray(cluster={"kind": "ray", **SHARES, **more})
        holder = _held() if name == "late" else None
        run = start(folder / name, wanted)
        began = time.monotonic()
        try:
            finish(run, wanted)
            found[name] = {"error": ""}
        except EspalierError as error:
            found[name] = {"error": str(error), "seconds": time.monotonic() - began}
        if holder is not None:
            ray.shutdown()
    return found


def _held() -> Any:
    """All cores, held by another."""
    ray.init("local", include_dashboard=False, log_to_driver=False, logging_level="error", num_cpus=1)
    group = ray.util.placement_group([{"CPU": 1.0}])
    assert group.wait(30)
    return group


def environment_killed(folder: Path) -> dict[str, Any]:
    """The actor of an environment is killed under many calls: they fail, and others are answered by a new one."""
    config = ClusterConfig(kind="ray", **SHARES)
    cluster = RayCluster(config, bundles(config, engines=0, environments=1), print)
    worker = RayWorker(cluster, 0, Slow)
    first = worker.call("pid", seconds=30)

    async def calls() -> dict[str, Any]:
        asked = [asyncio.create_task(worker.ask("wait", 60.0)) for _ in range(64)]
        await asyncio.sleep(1.0)
        os.kill(actors("WorkerActor")[0], 9)
        lost = await asyncio.gather(*asked, return_exceptions=True)
        again = await asyncio.wait_for(asyncio.gather(*(worker.ask("pid") for _ in range(64))), 60)

        async def limited(seconds: float) -> float:
            return await within(1.0, worker.ask("block", seconds))

        queued = await asyncio.gather(*(limited(0.4) for _ in range(6)), return_exceptions=True)
        try:
            late = str(await limited(5.0))
        except EnvError as error:
            late = str(error)
        return {
            "lost": sorted({type(error).__name__ for error in lost}),
            "again": len(set(again) - {first}),
            "queued": [str(one) for one in queued],
            "late": late,
        }

    try:
        found = asyncio.run(calls())
    finally:
        cluster.close()
    return found | {"left": left()}


def elsewhere(folder: Path) -> dict[str, Any]:
    """On a running cluster that was started in another folder, with a run folder of a relative path."""
    (folder / "other").mkdir()
    started = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--port=6379", "--num-cpus=2"]
    quiet = ["--include-dashboard=false", "--disable-usage-stats"]
    subprocess.run([*started, *quiet], cwd=folder / "other", check=True, capture_output=True)
    try:
        os.chdir(folder)
        wanted = on_ray(learners=2, cluster={"kind": "ray", "address": "127.0.0.1:6379", "learners": 2, **SHARES})
        run = start(Path("runs"), wanted)
        finish(run, wanted)
        kept = sorted(path.name for path in run.checkpoints.glob("step_*/learner/*"))
        return {
            "kept": kept,
            "there": [str(path) for path in (folder / "other").rglob("*")],
            "running": len(ours()) > 0,
        }
    finally:
        for pid in ours():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)


CASES = {
    "same": same,
    "engine_killed": engine_killed,
    "learner_killed": learner_killed,
    "environment_killed": environment_killed,
    "elsewhere": elsewhere,
    "no_room": no_room,
}


if __name__ == "__main__":
    case, place = sys.argv[1], Path(sys.argv[2])
    os.environ["RAY_AUTH_MODE"] = "disabled"  # in this namespace there is nobody else
    result = CASES[case](place)
    (place / "result.json").write_text(json.dumps(result))
    asyncio.set_event_loop(None)
