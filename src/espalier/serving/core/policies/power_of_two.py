"""Power of two choices: of two random ranks the one with fewer tokens."""

from __future__ import annotations

from espalier.serving.core.policies.random_rank import RandomRank
from espalier.serving.core.state import Pool
from espalier.serving.core.types import Hits, Place, Request


class PowerOfTwo:
    """Source: Mitzenmacher, 2001, with queued tokens as the load."""

    def __init__(self, seed: int = 0) -> None:
        self._draw = RandomRank(seed)

    def choose(self, pool: Pool, request: Request, hits: Hits) -> Place:
        """Backlogs are those of the virtual state; a cached prefix counts."""
        one, other = (self._draw.choose(pool, request, hits) for _ in range(2))
        return min(one, other, key=lambda place: pool.instances[place[0]].backlog.values[place[1]] - hits.get(place, 0))
