"""Tasks in two lists, in a new order each time all of them have come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from espalier.core.seed import rng
from espalier.envs.api import Split, Task


class Shuffled:
    """Task `index` of a split: every task comes once before any comes again. `name` names the random stream."""

    def __init__(self, tasks: Mapping[Split, Sequence[Task]], *, seed: int, name: str) -> None:
        self.tasks = tasks
        self._seed = seed
        self._name = name
        self._order: tuple[tuple[Split, int], list[Task]] = (("train", -1), [])
        """The order of one epoch of one split: what was asked for last."""

    def task(self, split: Split, index: int) -> Task:
        """See `TaskSet`."""
        epoch, place = divmod(index, len(self.tasks[split]))
        if (split, epoch) != self._order[0]:
            order = list(self.tasks[split])
            rng(self._seed, self._name, split, epoch).shuffle(order)
            self._order = ((split, epoch), order)
        return self._order[1][place]
