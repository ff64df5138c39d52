"""Least tokens: the strong baseline, which knows how much each rank has yet to prefill."""

from __future__ import annotations

from espalier.serving.core.state import Pool
from espalier.serving.core.types import Hits, Place, Request


class LeastTokens:
    """The smallest backlog once the request is on it, so a cached prefix counts; of equals the next in turn."""

    def __init__(self) -> None:
        self._turn = 0

    def choose(self, pool: Pool, request: Request, hits: Hits) -> Place:
        """Backlogs are those of the virtual state."""
        self._turn += 1
        best = pool.least_backlog(self._turn)
        if not hits:
            return best
        least = pool.instances[best[0]].backlog.values[best[1]] - hits.get(best, 0)
        for place, hit in hits.items():
            if place[0] in pool.ready and (after := pool.instances[place[0]].backlog.values[place[1]] - hit) < least:
                best, least = place, after
        return best
