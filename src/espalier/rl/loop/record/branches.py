"""A searched tree, as the report shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from espalier.core.report.rollouts import Branch
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.rollout.tree.nodes import Segment, Tree
from espalier.rl.trajectory import Trajectory


def branches(group: ScoredGroup, decode: Callable[[Sequence[int]], str]) -> list[Branch]:
    """The segments of the group's tree, with the values of the leaves below; none where nothing was forked.

    Answers are numbered as the group's rows, and then its others.
    """
    leaves = [*group.rows, *group.others]
    if all(row.origin is None for row in leaves):
        return []
    rows = {row.member: row for row in leaves}
    places = {row.member: place for place, row in enumerate(leaves)}
    tree = Tree(leaves)
    return [
        Branch(
            text=decode(rows[segment.member].tokens[segment.start : segment.end]),
            parent=segment.parent,
            value=fmean(rows[leaf].reward or 0.0 for leaf in segment.leaves),
            leaves=len(segment.leaves),
            credit=_credit(segment, rows),
            surprisal=_surprisal(segment, rows),
            answer=places[segment.member] if segment.end == len(rows[segment.member].tokens) else None,
        )
        for segment in tree.segments
    ]


def _credit(segment: Segment, rows: dict[int, Trajectory]) -> float | None:
    """The advantage of its tokens; None where no leaf below is trained."""
    for leaf in segment.leaves:
        advantages = rows[leaf].advantages
        if advantages is not None:
            sampled = (place for place in range(segment.start, segment.end) if rows[leaf].mask[place])
            return next((advantages[place] for place in sampled), None)
    return None


def _surprisal(segment: Segment, rows: dict[int, Trajectory]) -> float | None:
    """Of the token in whose place the segment was sampled; None where it begins no fork."""
    origin = rows[segment.member].origin
    if origin is None or segment.start != origin[1]:
        return None
    return -rows[origin[0]].logprobs[origin[1]]
