"""What a learner asks of the other processes that train the same model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from espalier.rl.algorithms.objective import merge
from espalier.rl.learner.batches.pack import Floats

T = TypeVar("T")
F = TypeVar("F", np.float32, np.float64)


class Ranks:
    """This process alone. rank: its number. size: the number of processes."""

    rank = 0
    size = 1

    def share(self, pieces: Sequence[T]) -> list[tuple[T, bool]]:
        """This rank's pieces of work, and whether each counts.

        All ranks get the same number, as they gather weights together: a piece that does not count is computed only for
        that.
        """
        return [(piece, True) for piece in pieces]

    def total(self, column: NDArray[F]) -> NDArray[F]:
        """[N] the sum of the ranks' columns; each has zeros where it computed nothing."""
        return column

    def union(self, column: Floats) -> Floats:
        """[N] the values of the ranks' columns; each has NaN where it computed nothing."""
        return column

    def merge(self, stats: Mapping[str, float]) -> dict[str, float]:
        """The statistics of all ranks, of which each has its share (see `objective.merge`)."""
        return dict(stats)


ALONE = Ranks()


class ProcessGroup(Ranks):
    """The processes of torch's default process group, which has been initialised, with a backend for the CPU."""

    def __init__(self) -> None:
        self.rank = torch.distributed.get_rank()
        self.size = torch.distributed.get_world_size()

    def share(self, pieces: Sequence[T]) -> list[tuple[T, bool]]:
        """See `Ranks`. The last piece, which is the cheapest, is what is repeated."""
        rounds = -(-len(pieces) // self.size)
        numbers = [self.rank + self.size * i for i in range(rounds)]
        return [(pieces[min(n, len(pieces) - 1)], n < len(pieces)) for n in numbers]

    def total(self, column: NDArray[F]) -> NDArray[F]:
        """See `Ranks`."""
        torch.distributed.all_reduce(torch.from_numpy(column))
        return column

    def union(self, column: Floats) -> Floats:
        """See `Ranks`."""
        columns = [torch.empty(len(column)) for _ in range(self.size)]
        torch.distributed.all_gather(columns, torch.from_numpy(column))
        found: Floats = np.fmax.reduce([one.numpy() for one in columns])
        return found

    def merge(self, stats: Mapping[str, float]) -> dict[str, float]:
        """See `Ranks`."""
        parts: list[dict[str, float]] = [{}] * self.size
        torch.distributed.all_gather_object(parts, dict(stats))
        return merge(parts)
