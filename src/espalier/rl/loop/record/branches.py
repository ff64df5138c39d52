"""A searched tree, as the report shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from espalier.core.report.rollouts import Branch
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.rollout.tree.nodes import Segment, Tree
from espalier.rl.trajectory import Status, Trajectory


def branches(group: ScoredGroup, text: Callable[[Sequence[int]], str]) -> list[Branch]:
    """The segments of the group's tree, with the values of the leaves below; none where nothing was forked.

    text: what is shown of ids. Answers are numbered as the group's rows, and then its others.
    """
    leaves = group.judged
    if not group.searched:
        return []
    rows = {row.member: row for row in leaves}
    places = {row.member: place for place, row in enumerate(leaves)}
    tree = Tree(leaves)
    return [
        Branch(
            text=text(rows[segment.member].tokens[segment.start : segment.end]),
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
    for leaf in sorted(segment.leaves, key=lambda leaf: rows[leaf].status == Status.TRUNCATED):
        advantages = rows[leaf].advantages
        if advantages is not None:
            sampled = (place for place in range(segment.start, segment.end) if rows[leaf].mask[place])
            return next((advantages[place] for place in sampled), None)
    return None


def _surprisal(segment: Segment, rows: dict[int, Trajectory]) -> float | None:
    """For which the fork was chosen that the segment begins; None where it begins none."""
    row = rows[segment.member]
    if row.origin is None or segment.start != row.origin[1]:
        return None
    surprisal: float = row.info["surprisal"]
    return surprisal
