"""Allocation of the KV rows: which are active, which keep finished sequences, and copies between them.

Invariant: in a forward pass the active sequences are exactly rows 0..active-1, so decoding reads them in place. A
finished sequence stays in its row until the row is needed. It is then moved to the free row with the lowest retention
value: pinned rows always, others if there are `retain` rows.
"""

from __future__ import annotations

from collections.abc import Callable

from espalier.engine.batching.sequence import Sequence
from espalier.engine.kv.prefix import Match, PrefixIndex
from espalier.engine.kv.slab import Slab

Move = Callable[[int, int], None]


class Rows:
    """Allocates and frees rows and keeps the active ones contiguous.

    `on_move(source, target)` is called when an active sequence changes its row.
    """

    def __init__(self, slab: Slab, index: PrefixIndex, on_move: Move, *, retain: bool) -> None:
        self.slab, self.index, self.on_move, self.retain = slab, index, on_move, retain
        self.active = 0
        self.holes: list[int] = []

    @property
    def running(self) -> int:
        """Number of active sequences."""
        return self.active - len(self.holes)

    def allocate(self, sequence: Sequence, version: int) -> None:
        """Assign a row to `sequence`, with the longest prefix of its prompt that is in the cache."""
        match = self.index.match(sequence.prompt, sequence.key, version)
        row = self._choose(match, sequence.session)
        if match.row != row or self.index.held[row] > match.length:
            self._save(row, spare=match.row)
        if match.length and match.row != row:
            self.slab.copy(match.row, row, match.length)
            self._unpin_previous(match, sequence.session)
        self.index.open(row, sequence.prompt, sequence.key, match.length, version)
        sequence.row, sequence.cached = row, match.length

    def free(self, row: int) -> None:
        """The sequence in `row` has ended. The row keeps its KV; it is a hole until it is reused or compacted."""
        self.index.touch(row)
        self.holes.append(row)

    def compact(self) -> None:
        """Move the last active rows into the holes."""
        for hole in sorted(self.holes, reverse=True):
            last = self.active - 1
            if hole != last:
                self._swap(hole, last)
                self.on_move(last, hole)
            self.active = last
        self.holes.clear()

    def reset(self) -> None:
        """Free and clear every row."""
        self.active = 0
        self.holes.clear()
        for row in range(self.slab.rows):
            self.index.clear(row)

    def _choose(self, match: Match, session: int) -> int:
        """The row that already holds the prefix if it may become active, else the hole missed least, else a new row."""
        if match.length and match.row in self.holes and self.index.pin[match.row] in (0, session):
            self.holes.remove(match.row)
            return match.row
        if self.holes:  # the oldest comes first
            row = next((hole for hole in self.holes if not self.index.pin[hole]), self.holes[0])
            self.holes.remove(row)
            return row
        self.active += 1
        return self.active - 1

    def _save(self, row: int, spare: int) -> None:
        """Before `row` is overwritten, keep its content in a free row if one holds less. `spare` must survive."""
        retention = self._retention(row)
        least_retained = self.index.least_retained(self.active, spare) if retention >= 0 else None
        if least_retained is not None and self.index.retention([least_retained])[0] < retention:
            self.slab.copy(row, least_retained, int(self.index.held[row]))
            self.index.move(row, least_retained)

    def _retention(self, row: int) -> int:
        """See `PrefixIndex.retention`; -1 also for what nobody asked to keep."""
        return int(self.index.retention([row])[0]) if self.retain or self.index.pin[row] else -1

    def _unpin_previous(self, match: Match, session: int) -> None:
        """A session's next turn has copied the row pinned for it; the old row need not be kept."""
        if session and self.index.pin[match.row] == session:
            self.index.pin[match.row] = 0
            if self.index.held[match.row] == match.length:
                self.index.clear(match.row)

    def _swap(self, hole: int, last: int) -> None:
        """Exchange a finished row with an active one; the finished content is dropped if nobody wants it."""
        index = self.index
        if self._retention(hole) >= 0:
            self.slab.swap(hole, last, int(max(index.held[hole], index.held[last])))
            index.swap(hole, last)
        else:
            self.slab.copy(last, hole, int(index.held[last]))
            index.move(last, hole)
