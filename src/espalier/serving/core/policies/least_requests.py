"""Least requests: the score of vLLM's data-parallel balancer."""

from __future__ import annotations

from espalier.serving.core.state import Pool
from espalier.serving.core.types import Hits, Place, Request


class LeastRequests:
    """The smallest 4 * waiting + running; of equals the next in turn, so that ties do not pile up on the first rank."""

    def __init__(self) -> None:
        self._turn = 0

    def choose(self, pool: Pool, request: Request, hits: Hits) -> Place:
        """Scores are those of the virtual state."""
        self._turn += 1
        return pool.least_score(self._turn)
