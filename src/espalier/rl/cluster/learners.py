"""The ranks of a learner in actors of a Ray cluster."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import ray
import torch
from ray.exceptions import RayActorError

from espalier.core.errors import EspalierError
from espalier.core.sockets import free_port
from espalier.rl.cluster.ray import RayCluster, answered, brief
from espalier.rl.learner.ranks.commands import Command, Weights
from espalier.rl.learner.ranks.rank import Rank
from espalier.rl.learner.ranks.torchrun import join

JOIN_SECONDS = 300.0
"""Longest start of all ranks."""


class RankActor:
    """Runs in the actor's process: one rank."""

    def __init__(self, rank: int, size: int, threads: int, device: str) -> None:
        torch.set_num_threads(threads)
        self._device = torch.device(device)
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": "0"}  # Ray shows it only its own GPUs
        self._rank: Rank | None = None

    async def meeting(self) -> tuple[str, int]:
        """Address and port at which the ranks can meet, on this rank's machine."""
        return ray.util.get_node_ip_address(), free_port()

    async def join(self, address: str, port: int) -> None:
        """Meet the other ranks."""
        os.environ |= {"MASTER_ADDR": address, "MASTER_PORT": str(port)}
        self._rank, _ = join(self._device)

    async def do(self, command: Command, weights: Weights | None) -> Any:
        """See `Rank.do`."""
        assert self._rank is not None
        return await self._rank.do(command, weights)


class RayCrew:
    """Implements `Crew`. The learner's processes start with the first command."""

    def __init__(self, cluster: RayCluster, size: int, threads: int, device: str) -> None:
        self._cluster = cluster
        self._size = size
        self._rest = (threads, device)
        self._actors: list[Any] = []

    @property
    def size(self) -> int:
        """See `Crew`."""
        return self._size

    async def call(self, command: Command, weights: Weights | None = None) -> Any:
        """See `Crew`. Raises EspalierError if a rank is lost: its part of the weights went with it."""
        await self._start()
        stored = ray.put(command)
        if weights is not None:
            weights = {name: {key: tensor.cpu() for key, tensor in model.items()} for name, model in weights.items()}
        answers = [actor.do.remote(stored, weights if rank == 0 else None) for rank, actor in enumerate(self._actors)]
        return (await self._all(answers))[0]

    async def close(self) -> None:
        """See `Crew`."""
        for actor in self._actors:
            self._cluster.stop(actor)
        self._actors.clear()

    async def _start(self) -> None:
        if self._actors:
            return
        self._actors = [
            self._cluster.start(RankActor, "learner", rank, rank, self._size, *self._rest) for rank in range(self._size)
        ]
        try:
            async with asyncio.timeout(JOIN_SECONDS):
                (meeting,) = await self._all([self._actors[0].meeting.remote()])
                await self._all([actor.join.remote(*meeting) for actor in self._actors])
        except TimeoutError:
            raise EspalierError(f"the learner's {self._size} ranks did not meet within {JOIN_SECONDS:g} s") from None

    async def _all(self, answers: list[Any]) -> list[Any]:
        tasks = [asyncio.ensure_future(answered(answer)) for answer in answers]
        try:
            return list(await asyncio.gather(*tasks))
        except RayActorError as error:
            for task in tasks:  # the other ranks wait for the lost one
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise EspalierError(
                f"a rank of the learner is lost: {brief(error)} `espalier resume` goes on from the last checkpoint"
            ) from None
