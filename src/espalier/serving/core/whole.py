"""Staggered scheduling of whole prompts: ours."""

from __future__ import annotations

from espalier.serving.core.interval import Interval
from espalier.serving.core.prefix import PrefixIndex
from espalier.serving.core.staggered import Staggered
from espalier.serving.core.state import Pool
from espalier.serving.core.types import Request


class WholePrompts(Staggered):
    """As `Staggered`, but a prompt is cut over two passes only where there is no other way.

    There a rank with any room left takes a whole prompt. What does not fit runs in the next pass: that
    request waits a pass instead of an interval, and the rest it leaves makes the instance go on at once, out of step
    with the others. Here a prompt that fits a chunk goes where it fits, and otherwise waits for the next instance.

    Capacity would be lost under pressure, so once more is held than one instance takes, and than `pressure` times what
    the pool takes in a round, ranks are filled to the brim again, and requests go by arrival time plus prompt over
    `speed`: a short prompt may pass a long one by that many seconds and no more.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        interval: Interval | None = None,
        prefix: PrefixIndex | None = None,
        pressure: float = 0.5,
        speed: float = 3000.0,
    ) -> None:
        super().__init__(pool, interval=interval, ageing=0.0, prefix=prefix)
        self.pressure, self.speed = pressure, speed
        self._in_order = False

    def _order(self, split: bool) -> list[Request]:
        in_order, self._in_order = self._in_order and not self._new, split
        if not split:
            return super()._order(split)
        if in_order:
            return self._carried
        held, speed = self._carried + self._new, self.speed
        due = [request.arrival + request.prompt / speed for request in held]
        return self._by_priority([held[k] for k in sorted(range(len(held)), key=due.__getitem__)])

    def _may_split(self) -> bool:
        ranks = [self.pool.instances[number].ranks for number in self.pool.ready]
        return self._tokens > max(self.pressure * sum(ranks), max(ranks, default=0)) * self.pool.chunk
