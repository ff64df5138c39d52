"""Round robin: take turns."""

from __future__ import annotations

from espalier.serving.core.state import Pool
from espalier.serving.core.types import Hits, Place, Request


class RoundRobin:
    """The next rank, instance by instance: neighbours in the order lie on different instances."""

    def __init__(self) -> None:
        self._turn = 0

    def choose(self, pool: Pool, request: Request, hits: Hits) -> Place:
        """Turn k of N instances goes to instance k mod N and there to rank (k div N) mod R."""
        ready = pool.ready
        round_, place = divmod(self._turn, len(ready))
        self._turn += 1
        return ready[place], round_ % pool.instances[ready[place]].ranks
