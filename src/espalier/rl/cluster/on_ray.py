"""The processes of a run as actors of a Ray cluster."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any

import ray

from espalier.engine.api import Engine
from espalier.engine.build import pool
from espalier.engine.channels.api import Channel, Direct
from espalier.engine.config import EngineConfig
from espalier.engine.pool.member import Launch
from espalier.envs.adapters.plugin import PluginConfig
from espalier.envs.config import AnyTaskConfig
from espalier.lm.decoder import Decoder
from espalier.rl.cluster.config import ClusterConfig, Share
from espalier.rl.cluster.engines import RayEngine, Store
from espalier.rl.cluster.environments import RayWorker
from espalier.rl.cluster.learners import RayCrew
from espalier.rl.cluster.plan import bundles
from espalier.rl.cluster.ray import RayCluster


class OnRay:
    """Reserves room for all processes of a run, and makes what they are reached by.

    Raises ConfigError if the cluster has no room for them.
    """

    def __init__(
        self,
        config: ClusterConfig,
        engine: EngineConfig,
        tasks: Sequence[AnyTaskConfig],
        say: Callable[[str], None],
    ) -> None:
        self._config = config
        self._engine = engine
        engines = engine.count if engine.kind == "process" else 0
        environments = sum(task.workers for task in tasks if isinstance(task, PluginConfig))
        self._cluster = RayCluster(config, bundles(config, engines=engines, environments=environments), say)
        self._environments = count()

    def crew(self) -> RayCrew:
        """The ranks of the learner."""
        return RayCrew(self._cluster, self._config.learners, *_place(self._config.learner))

    def worker(self, make: Callable[..., Any], *args: Any) -> RayWorker:
        """A process of an environment, see `Worker`."""
        return RayWorker(self._cluster, next(self._environments), make, *args)

    def engine(self, model: Decoder, say: Callable[[str], None]) -> tuple[Engine, Channel]:
        """The engines, with the weights of `model`."""
        threads, device = _place(self._config.engine)
        stored = ray.put(copy.deepcopy(model).requires_grad_(False).cpu())
        rest = (stored, self._engine, Store(), self._engine.threads or threads, device)
        launches: list[Launch] = [
            partial(RayEngine.start, self._cluster, index, *rest) for index in range(self._engine.count)
        ]
        return pool(launches, RayEngine.CAPABILITIES, self._engine, say), Direct()

    def close(self) -> None:
        """End everything that was started on the cluster."""
        self._cluster.close()


def _place(share: Share) -> tuple[int, str]:
    """Threads and device of a process."""
    return max(1, int(share.cpus)), "cuda" if share.gpus else "cpu"
