"""What became of every group, by its index: the state from which a resumed run knows what is left to do."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, get_args

Fate = Literal["trained", "filtered", "failed", "stale"]
"""How a group ended. `stale`: it was accepted, and dropped because its tokens had become too old."""


class Indices:
    """A set of whole numbers, stored as disjoint ranges."""

    def __init__(self, ranges: Iterable[Sequence[int]] = ()) -> None:
        """`ranges`: as `ranges` returns them."""
        self._ranges = sorted([first, last] for first, last in ranges)

    @classmethod
    def of(cls, numbers: Iterable[int]) -> Indices:
        """The set of `numbers`."""
        made = cls()
        for number in numbers:
            made.add(number)
        return made

    def add(self, number: int) -> None:
        """Add `number`. Raises ValueError if it is there already."""
        if number in self:
            raise ValueError(f"{number} is already in the set")
        place = self._place(number)
        joins_left = place > 0 and self._ranges[place - 1][1] == number - 1
        joins_right = place < len(self._ranges) and self._ranges[place][0] == number + 1
        if joins_left and joins_right:
            self._ranges[place - 1][1] = self._ranges.pop(place)[1]
        elif joins_left:
            self._ranges[place - 1][1] = number
        elif joins_right:
            self._ranges[place][0] = number
        else:
            self._ranges.insert(place, [number, number])

    def __contains__(self, number: int) -> bool:
        place = self._place(number)
        return place > 0 and number <= self._ranges[place - 1][1]

    def __iter__(self) -> Iterator[int]:
        for first, last in self._ranges:
            yield from range(first, last + 1)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self._ranges)

    @property
    def ranges(self) -> list[list[int]]:
        """The first and the last number of each range, ascending."""
        return [list(one) for one in self._ranges]

    def _place(self, number: int) -> int:
        """Number of ranges that begin at or before `number`."""
        return bisect_right(self._ranges, number, key=lambda one: one[0])


class Ledger:
    """Invariant: each group that started either runs, or waits to be trained, or has exactly one fate.

    Every method raises RuntimeError where that would be broken: a group is never trained twice.
    """

    def __init__(self, saved: Mapping[str, list[list[int]]] | None = None) -> None:
        """`saved`: what `save` returned. Its running groups do not run yet: each must be started again."""
        saved = saved or {}
        self.running: dict[int, int] = {}
        """Index -> version of the weights when the group started."""
        self.waiting = set(Indices(saved.get("waiting", ())))
        """Indices of the accepted groups that are not trained yet."""
        self.interrupted = list(Indices(saved.get("running", ())))
        """Indices of the groups that ran when the state was saved, ascending."""
        self._ended = {fate: Indices(saved.get(fate, ())) for fate in get_args(Fate)}

    def start(self, index: int, version: int) -> None:
        """A group starts with the weights of `version`."""
        if index in self.running or index in self.waiting or self.fate(index):
            raise RuntimeError(f"group {index} was started twice")
        if index in self.interrupted:
            self.interrupted.remove(index)
        self.running[index] = version

    def accept(self, index: int) -> None:
        """A running group waits to be trained."""
        self._leave(index)
        self.waiting.add(index)

    def end(self, index: int, fate: Fate) -> None:
        """A waiting group was trained or dropped, or a running one was filtered or failed."""
        if fate in ("trained", "stale"):
            if index not in self.waiting:
                raise RuntimeError(f"group {index} is {fate} and was not waiting to be trained")
            self.waiting.remove(index)
        else:
            self._leave(index)
        self._ended[fate].add(index)

    def fate(self, index: int) -> Fate | None:
        """How the group ended; None if it did not."""
        return next((fate for fate, ended in self._ended.items() if index in ended), None)

    def save(self) -> dict[str, list[list[int]]]:
        """Ranges of indices by state, for a checkpoint."""
        return {
            "running": Indices.of((*self.running, *self.interrupted)).ranges,
            "waiting": Indices.of(self.waiting).ranges,
            **{fate: ended.ranges for fate, ended in self._ended.items()},
        }

    def _leave(self, index: int) -> None:
        if self.running.pop(index, None) is None:
            raise RuntimeError(f"group {index} ended and was not running")
