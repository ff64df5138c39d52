"""Rows that stay together from the rollout to the learner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from espalier.rl.trajectory import Trajectory

Kind = Literal["group", "pair", "tree"]


class UnitError(ValueError):
    """The rows of a unit do not fit together."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Rows of one task that belong together.

    A `group` has attempts that are compared with each other; once they have their advantages, they are trained
    independently. A `pair` (chosen, rejected) and a `tree` (forks and the rows they were forked from) share one
    micro-batch.

    Raises UnitError if a pair does not have two rows, or a row of a tree has no parent in it.
    """

    rows: Sequence[Trajectory]
    kind: Kind = "group"

    def __post_init__(self) -> None:
        if self.kind == "pair" and len(self.rows) != 2:
            raise UnitError(f"a pair has two rows, not {len(self.rows)}")
        if self.kind == "tree":
            for row in self.rows:
                list(self.ancestors(row))

    @property
    def indivisible(self) -> bool:
        """Whether its rows share an optimizer step and a micro-batch."""
        return self.kind != "group"

    def ancestors(self, row: Trajectory) -> Iterator[Trajectory]:
        """The row that `row` was forked from, that row's parent, and so on to the root.

        Raises UnitError if one of them is not in the unit, or if the forks form a cycle.
        """
        members = {other.member: other for other in self.rows}
        seen = {row.member}
        while row.origin is not None:
            parent = members.get(row.origin[0])
            if parent is None or parent.member in seen:
                what = "is not in its unit" if parent is None else "was forked from it"
                raise UnitError(f"row {row.key}: member {row.origin[0]}, from which {row.member} was forked, {what}")
            seen.add(parent.member)
            yield parent
            row = parent
