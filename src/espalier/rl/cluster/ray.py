"""A Ray cluster: the connection, the reserved room, and the end of everything that was started in it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # otherwise a call after the end would start another Ray

import ray
from ray.exceptions import RayActorError, RayTaskError
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from espalier.core.errors import ConfigError, EspalierError
from espalier.core.workers import module_path
from espalier.rl.cluster.config import ClusterConfig
from espalier.rl.cluster.plan import Bundle, Machine, Role, check_room


class RayCluster:
    """The bundles, reserved. Raises ConfigError if the cluster has no room for them, after `config.seconds` at the
    latest.
    """

    def __init__(self, config: ClusterConfig, bundles: list[Bundle], say: Callable[[str], None]) -> None:
        self._bundles = bundles
        self._actors: list[Any] = []
        self._group: Any = None
        self._own = not ray.is_initialized()
        self._folder = _connect(config.address) if self._own else None
        try:
            check_room(bundles, machines())
            self._group = placement_group([_resources(bundle) for bundle in bundles], strategy="PACK")
            if not self._group.wait(config.seconds):
                raise ConfigError(
                    f"cluster: there was no room for {', '.join(map(str, bundles))} within {config.seconds:g} s. Free "
                    f"now: {_free()}. Wait for other work, raise cluster.seconds, or ask for less"
                )
            say(f"ray: room for {len(bundles)} processes on {len(machines())} machines")
        except BaseException:
            self.close()
            raise

    def start(self, actor: type, role: Role, index: int, *args: Any, **env: str) -> Any:
        """Start an actor in the room of its role and number. env: variables of its process."""
        bundle = next(one for one in self._bundles if (one.role, one.index) == (role, index))
        strategy = PlacementGroupSchedulingStrategy(self._group, self._bundles.index(bundle))
        env |= {"OMP_NUM_THREADS": str(max(1, int(bundle.cpus))), "PYTHONPATH": module_path()}
        if not bundle.gpus:
            env["CUDA_VISIBLE_DEVICES"] = ""  # Ray leaves those of the machine visible
        started = (
            ray.remote(actor)
            .options(
                num_cpus=bundle.cpus,
                num_gpus=bundle.gpus,
                scheduling_strategy=strategy,
                max_concurrency=10_000,
                runtime_env={"env_vars": env},
            )
            .remote(*args)
        )
        self._actors.append(started)
        return started

    def stop(self, actor: Any) -> None:
        """End an actor at once."""
        ray.kill(actor, no_restart=True)
        self._actors = [one for one in self._actors if one is not actor]

    def close(self) -> None:
        """End all actors and give the room back; end Ray as well, if it was started for this run."""
        for actor in list(self._actors):
            self.stop(actor)
        if self._group is not None:
            remove_placement_group(self._group)
            self._group = None
        if self._own and ray.is_initialized():
            ray.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


async def answered(answer: Any) -> Any:
    """What an actor's method returned, or raised. A cancelled wait cancels the method.

    Raises RayActorError if the actor is dead.
    """
    try:
        return await answer
    except RayTaskError as error:
        raise cause_of(error) from None
    except asyncio.CancelledError:
        if ray.is_initialized():
            ray.cancel(answer)
        raise


def cause_of(error: RayTaskError) -> EspalierError:
    """The error that an actor's method raised: one of espalier's as it is, others by class and message."""
    cause = error.cause
    return cause if isinstance(cause, EspalierError) else EspalierError(f"{type(cause).__name__}: {cause}")


def brief(error: RayActorError) -> str:
    """Why an actor is dead, in one line: the last of Ray's, without its colours."""
    lines = [line.strip() for line in re.sub("\x1b\\[[0-9;]*m", "", str(error)).splitlines()]
    return next((line for line in reversed(lines) if line), "")


def machines() -> list[Machine]:
    """The machines of the cluster that are alive."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    resources = [(node["NodeManagerAddress"], node["Resources"]) for node in alive]
    return [Machine(name, found.get("CPU", 0.0), found.get("GPU", 0.0)) for name, found in resources]


def _connect(address: str | None) -> str | None:
    """Connect, or start Ray on this machine. Returns the folder that was made for it."""
    handler = signal.getsignal(signal.SIGTERM)
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp") if address is None else None  # sockets need a short path
    try:
        if address is None:
            ray.init("local", include_dashboard=False, log_to_driver=False, logging_level="error", _temp_dir=folder)
        else:
            ray.init(address, log_to_driver=False, logging_level="error")
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        where = "on this machine" if address is None else f"at {address}"
        raise EspalierError(f"cluster: there is no Ray {where}: {error}") from None
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # Ray takes it, and would end the run without a checkpoint
    return folder


def _free() -> str:
    found = ray.available_resources()
    return f"{found.get('CPU', 0.0):g} cores, {found.get('GPU', 0.0):g} GPUs"


def _resources(bundle: Bundle) -> dict[str, float]:
    return {"CPU": bundle.cpus} | ({"GPU": bundle.gpus} if bundle.gpus else {})
