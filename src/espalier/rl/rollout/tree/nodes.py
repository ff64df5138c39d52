"""The tree of forked rows: its segments, and which leaves lie below each.

A row that was forked from another shares the tokens before the fork (`Trajectory.origin`). The forks cut the rows into
segments, so the tree follows from the rows alone. Its root is the prompt; each row is a leaf.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from espalier.rl.trajectory import Trajectory

ROOT = -1
"""The parent of the segments that begin at the prompt."""


@dataclass(slots=True)
class Segment:
    """Tokens `start:end` of the row `member`, between two forks. parent: index of the segment before, or ROOT. leaves:
    the members whose rows contain it.
    """

    member: int
    start: int
    end: int
    parent: int
    leaves: list[int] = field(default_factory=list)


class Tree:
    """The segments of `rows`, parents before children, and the path to each leaf."""

    def __init__(self, rows: Sequence[Trajectory]) -> None:
        """rows: a row is forked from one with a smaller member. Raises ValueError if that one is missing."""
        self.segments: list[Segment] = []
        self.paths: dict[int, list[int]] = {}
        """Of each member: the indices of its segments, from the prompt on."""
        cuts: dict[int, set[int]] = defaultdict(set)
        for row in rows:
            if row.origin is not None:
                cuts[row.origin[0]].add(row.origin[1])
        for row in sorted(rows, key=lambda row: row.member):
            self._add(row, sorted(cuts[row.member]))

    def _add(self, row: Trajectory, cuts: Sequence[int]) -> None:
        start, path = prompt_length(row), []
        if row.origin is not None:
            member, start = row.origin
            if member not in self.paths:
                raise ValueError(f"row {row.key}: member {row.member} was forked from {member}, which is not there")
            path = [index for index in self.paths[member] if self.segments[index].end <= start]
        for end in (*(cut for cut in cuts if cut > start), len(row.tokens)):
            self.segments.append(Segment(row.member, start, end, path[-1] if path else ROOT))
            path = [*path, len(self.segments) - 1]
            start = end
        self.paths[row.member] = path
        for index in path:
            self.segments[index].leaves.append(row.member)


def prompt_length(row: Trajectory) -> int:
    """Tokens before the first that was sampled."""
    return row.turns[0].end


def own_start(row: Trajectory) -> int:
    """The first token that the row does not share with the one it was forked from."""
    return prompt_length(row) if row.origin is None else row.origin[1]
