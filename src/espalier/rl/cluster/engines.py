"""Embedded engines in actors of a Ray cluster. They get weights through Ray's object store."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import ray
import torch
from ray.exceptions import RayActorError

from espalier.core.errors import EngineError, EngineLostError, EspalierError
from espalier.engine.api import Capabilities, PauseMode
from espalier.engine.called import CalledEngine, answer
from espalier.engine.config import EngineConfig
from espalier.engine.embedded import embedded
from espalier.engine.requests import check_update
from espalier.engine.updates import Probe, TensorUpdate, WeightUpdate
from espalier.lm.decoder import Decoder
from espalier.rl.cluster.ray import RayCluster, answered, brief

START_SECONDS = 300.0
"""Longest start of an actor, with its imports and the copy of the model."""
Flat = list[tuple[str, str, tuple[int, ...], np.ndarray[Any, np.dtype[np.uint8]]]]
"""Tensors as name, dtype, shape and bytes."""


class Store:
    """Puts each update into the object store once, however many engines load it."""

    def __init__(self) -> None:
        self._update: TensorUpdate | None = None
        self._stored: Any = None

    def put(self, update: TensorUpdate) -> Any:
        """A reference to the tensors as they are at the first call with this update."""
        if update is not self._update:
            self._update = self._stored = None  # its memory is needed for the next
            self._update, self._stored = update, ray.put(_flat(update))
        return self._stored


class EngineActor:
    """Runs in the actor's process."""

    def __init__(self, model: Decoder, config: EngineConfig, threads: int, device: str) -> None:
        torch.set_num_threads(threads)
        self._engine = embedded(model.to(device), config, overlap=True)

    async def call(self, method: str, *args: Any) -> Any:
        """A method of the engine."""
        return await answer(self._engine, method, args)

    async def take(self, stored: list[Any], version: int, probe: Probe | None, mode: PauseMode | None) -> None:
        """Load weights out of the object store; with `mode`, as a publish."""
        flat: Flat = await stored[0]
        tensors = {
            name: torch.from_numpy(bytes_.copy()).view(getattr(torch, dtype)).reshape(shape)
            for name, dtype, shape, bytes_ in flat
        }
        update = TensorUpdate(version, tensors, probe)
        await (self._engine.load(update) if mode is None else self._engine.publish(update, mode))


class RayEngine(CalledEngine):
    """A `LocalEngine` in an actor. Made by `start`."""

    CAPABILITIES = Capabilities(updates=frozenset(("tensors",)))

    def __init__(self, cluster: RayCluster, actor: Any, config: EngineConfig, store: Store) -> None:
        super().__init__(config)
        self._cluster = cluster
        self._actor = actor
        self._store = store

    @classmethod
    async def start(
        cls, cluster: RayCluster, index: int, model: Any, config: EngineConfig, store: Store, threads: int, device: str
    ) -> RayEngine:
        """Start the actor with `model`, a reference to one. Raises EngineLostError if it does not start in time."""
        actor = cluster.start(EngineActor, "engine", index, model, config, threads, device)
        engine = cls(cluster, actor, config, store)
        try:
            async with asyncio.timeout(START_SECONDS):
                await engine.stats()
        except TimeoutError:
            engine.kill()
            raise EngineLostError(f"the actor of engine {index} did not start in {START_SECONDS:g} s") from None
        return engine

    async def load(self, update: WeightUpdate) -> None:
        """See `Engine`."""
        await self._take(update, None)

    async def publish(self, update: WeightUpdate, mode: PauseMode = "keep") -> None:
        """See `Engine`."""
        await self._take(update, mode)

    def kill(self) -> None:
        """End the actor at once."""
        self._cluster.stop(self._actor)

    async def _take(self, update: WeightUpdate, mode: PauseMode | None) -> None:
        check_update(self.capabilities, update)
        assert isinstance(update, TensorUpdate)
        stored = self._store.put(update)
        await self._await(self._actor.take.remote([stored], update.version, update.probe, mode))
        self._version = update.version

    async def _ask(self, method: str, *args: Any) -> Any:
        return await self._await(self._actor.call.remote(method, *args))

    async def _await(self, answer: Any) -> Any:
        try:
            return await answered(answer)
        except RayActorError as error:
            raise EngineLostError(f"the actor of an engine is dead: {brief(error)}") from None
        except EngineError:
            raise
        except EspalierError as error:
            raise EngineError(str(error)) from None


def _flat(update: TensorUpdate) -> Flat:
    return [
        (
            name,
            str(tensor.dtype).removeprefix("torch."),
            tuple(tensor.shape),
            tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy(),
        )
        for name, tensor in update.tensors.items()
    ]
