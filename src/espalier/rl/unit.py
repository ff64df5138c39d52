"""Rows that stay together from the rollout to the learner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

    Raises UnitError if a pair does not have two rows, if two rows of a tree are the same member, or if a row of it has
    no parent in it or does not begin as its parent does.
    """

    rows: Sequence[Trajectory]
    kind: Kind = "group"

    def __post_init__(self) -> None:
        if self.kind == "pair" and len(self.rows) != 2:
            raise UnitError(f"a pair has two rows, not {len(self.rows)}")
        if self.kind == "tree":
            self._check_tree()

    @property
    def indivisible(self) -> bool:
        """Whether its rows share an optimizer step and a micro-batch."""
        return self.kind != "group"

    def ancestors(self, row: Trajectory) -> Iterator[Trajectory]:
        """The row that `row` was forked from, that row's parent, and so on to the root.

        Raises UnitError if one of them is not in the unit, or if the forks form a cycle.
        """
        return self._up(row, {other.member: other for other in self.rows})

    def _check_tree(self) -> None:
        members: dict[int, Trajectory] = {}
        for row in self.rows:
            if members.setdefault(row.member, row) is not row:
                raise UnitError(f"row {row.key}: two rows of a tree are member {row.member}")
        for row in self.rows:
            list(self._up(row, members))
            if row.origin is None:
                continue
            parent, shared = members[row.origin[0]], row.origin[1]
            if len(parent.tokens) < shared or row.tokens[:shared] != parent.tokens[:shared]:
                raise UnitError(
                    f"row {row.key}: member {row.member} was forked at token {shared} of member {parent.member}, "
                    "and does not begin with its tokens"
                )

    @staticmethod
    def _up(row: Trajectory, members: Mapping[int, Trajectory]) -> Iterator[Trajectory]:
        seen = {row.member}
        while row.origin is not None:
            parent = members.get(row.origin[0])
            if parent is None or parent.member in seen:
                what = "is not in its unit" if parent is None else "was forked from it"
                raise UnitError(f"row {row.key}: member {row.origin[0]}, from which {row.member} was forked, {what}")
            seen.add(parent.member)
            yield parent
            row = parent
