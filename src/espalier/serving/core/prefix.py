"""Which rank holds which prefixes: least recently used block hashes, per rank."""

from __future__ import annotations

from collections import OrderedDict, defaultdict

from espalier.serving.core.types import Place, Request


class PrefixIndex:
    """block: tokens a hash stands for. capacity: blocks a rank keeps.

    A block's hash depends on all blocks before it, so a prompt's hit on a rank is its longest leading run there.
    """

    def __init__(self, block: int = 512, capacity: int = 4096) -> None:
        self.block, self.capacity = block, capacity
        self._kept: defaultdict[Place, OrderedDict[int, None]] = defaultdict(OrderedDict)
        self._where: defaultdict[int, set[Place]] = defaultdict(set)

    def hits(self, request: Request) -> dict[Place, int]:
        """Tokens of the prompt that each rank holds, where it holds any; at most all but one."""
        found: dict[Place, int] = {}
        here: set[Place] | None = None
        for depth, block in enumerate(request.blocks, 1):
            where = self._where.get(block)
            here = where if here is None else here & where if where else None
            if not here:
                break
            tokens = min(depth * self.block, request.prompt - 1)
            for place in here:
                found[place] = tokens
        return found

    def add(self, request: Request, instance: int, rank: int) -> None:
        """The rank is about to hold the prompt's blocks, the first ones longest."""
        place = (instance, rank)
        kept = self._kept[place]
        for block in reversed(request.blocks):
            if block in kept:
                kept.move_to_end(block)
            else:
                kept[block] = None
                self._where[block].add(place)
        while len(kept) > self.capacity:
            self._drop(kept.popitem(last=False)[0], place)

    def forget(self, instance: int) -> None:
        """The instance lost its cache."""
        for place in [place for place in self._kept if place[0] == instance]:
            for block in self._kept.pop(place):
                self._drop(block, place)

    def _drop(self, block: int, place: Place) -> None:
        where = self._where[block]
        where.discard(place)
        if not where:
            del self._where[block]
