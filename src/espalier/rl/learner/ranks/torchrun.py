"""Ranks that torchrun has started: rank 0 runs the job, the others do its commands."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from espalier.core.errors import EspalierError
from espalier.core.torchrun import local_rank
from espalier.core.workers import die_with_parent
from espalier.rl.learner.ranks.commands import Command, Weights
from espalier.rl.learner.ranks.rank import Rank

PATIENCE = timedelta(days=30)
"""How long a rank waits for the next command: rank 0 may sample for hours."""
GRACE_S = 30
"""A rank that failed gives rank 0 this long to report the same error."""
TOGETHER = timedelta(minutes=30)
"""Longest difference in time between two ranks within a command."""


def place(device: torch.device) -> torch.device:
    """The device of this rank: of GPUs, the one with its local number."""
    return torch.device(device.type, local_rank()) if device.type == "cuda" else device


def join(device: torch.device) -> tuple[Rank, dist.ProcessGroup]:
    """This rank, once all have joined, and the group by which commands are sent."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=TOGETHER)
    commands = dist.new_group(backend="gloo", timeout=PATIENCE)
    return Rank(device), commands


@dataclass
class Torchrun:
    """Implements `Crew`, in rank 0."""

    first: Rank
    commands: Any
    broken: bool = False
    """Whether a command was not completed, so that the others may wait in the middle of it."""

    @property
    def size(self) -> int:
        """See `Crew`."""
        return self.first.ranks.size

    async def call(self, command: Command, weights: Weights | None = None) -> Any:
        """See `Crew`. This process is rank 0, and does its part."""
        self.broken = True
        dist.broadcast_object_list([command], src=0, group=self.commands)
        answer = await self.first.do(command, weights)
        self.broken = False
        return answer

    async def close(self) -> None:
        """See `Crew`. After an error the connections are only closed, which ends the others."""
        with suppress(RuntimeError):
            if not self.broken:
                dist.broadcast_object_list([None], src=0, group=self.commands)
            dist.destroy_process_group()


def lead(device: torch.device) -> Torchrun:
    """The ranks, for rank 0."""
    return Torchrun(*join(place(device)))


def obey(device: torch.device) -> None:
    """For the other ranks: do what rank 0 says, until it has no more to do.

    Ctrl-C and SIGTERM reach all ranks; rank 0 decides what they mean. Raises EspalierError if rank 0 is lost.
    """
    die_with_parent()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    rank, commands = join(place(device))
    asyncio.run(_work(rank, commands))
    dist.destroy_process_group()


async def _work(rank: Rank, commands: Any) -> None:
    failed = False
    while True:
        told: list[Command | None] = [None]
        try:
            dist.broadcast_object_list(told, src=0, group=commands)
        except RuntimeError as error:
            if failed:
                raise SystemExit(1) from None
            raise EspalierError(f"rank {rank.ranks.rank} has lost rank 0: {error}") from None
        if told[0] is None:
            return
        try:
            await rank.do(told[0])
        except EspalierError:  # of all ranks, and rank 0 reports it; if it does not, this one ends the run
            failed = True
            signal.alarm(GRACE_S)
