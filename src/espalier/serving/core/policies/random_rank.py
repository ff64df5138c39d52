"""Random: look at nothing."""

from __future__ import annotations

import random

from espalier.serving.core.state import Pool
from espalier.serving.core.types import Hits, Place, Request


class RandomRank:
    """Any rank of any instance, with equal chances. A seed makes it repeatable."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def choose(self, pool: Pool, request: Request, hits: Hits) -> Place:
        """An instance, then a rank of it."""
        ready = pool.ready
        instance = ready[int(self._random.random() * len(ready))]
        return instance, int(self._random.random() * pool.instances[instance].ranks)
