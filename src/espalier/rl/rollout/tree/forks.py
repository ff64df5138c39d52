"""Where a tree is forked: the places at which the policy was most surprised by what it sampled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean

from espalier.rl.rollout.markers import marked_at
from espalier.rl.rollout.tree.config import TreeConfig
from espalier.rl.rollout.tree.nodes import own_start
from espalier.rl.trajectory import Trajectory

OVERSUPPLY = 5
"""Among so many times the wanted places are the diverse ones chosen (the authors' code)."""

Pieces = Callable[[Sequence[int]], Sequence[str]]
"""The text that each token adds (`Tokenizer.pieces`)."""


@dataclass(frozen=True, slots=True)
class Place:
    """The token `at` of the row `member`, which a fork samples again. surprisal: -log p of what was sampled there, in
    nats; of a whole turn, the mean over its tokens.
    """

    member: int
    at: int
    surprisal: float

    @property
    def origin(self) -> tuple[int, int]:
        """Of the rows that are forked here."""
        return self.member, self.at


def places(rows: Sequence[Trajectory], config: TreeConfig, pieces: Pieces) -> list[Place]:
    """Where the rows may be forked, the most surprising first.

    A row is forked where its tokens are its own. The first token of a branch is left out, and so are places that were
    forked before: both would repeat a fork. Nothing is forked after a marker of the answer.
    """
    per_row = _tokens if config.at == "tokens" else _turns
    forked = {row.origin for row in rows}
    found = [place for row in rows for place in per_row(row, config.markers, pieces) if place.origin not in forked]
    return sorted(found, key=lambda place: (-place.surprisal, place.member, place.at))


def choose(candidates: Sequence[Place], config: TreeConfig, random: Random) -> list[Place]:
    """N of the `candidates`, which `places` has sorted; all of them where there are fewer."""
    count = min(config.forks, len(candidates))
    if config.places == "random":
        return random.sample(candidates, count)
    if config.places == "surprisal":
        return list(candidates[:count])
    return _apart(candidates[: OVERSUPPLY * config.forks], count)


def _apart(candidates: Sequence[Place], count: int) -> list[Place]:
    """Begin with the first, and add the one that is farthest, in tokens, from those chosen so far."""
    chosen, rest = list(candidates[:1]), list(candidates[1:])
    while len(chosen) < count:
        farthest = max(rest, key=lambda place: min(abs(place.at - other.at) for other in chosen))
        rest.remove(farthest)
        chosen.append(farthest)
    return chosen


def _tokens(row: Trajectory, markers: Sequence[str], pieces: Pieces) -> Iterator[Place]:
    first = own_start(row) + (row.origin is not None)
    for turn in row.policy_turns:
        answer = marked_at(pieces(row.tokens[turn.start : turn.end]), markers)
        end = turn.end if answer is None else turn.start + answer + 1
        for at in range(max(turn.start, first), end):
            if row.mask[at]:
                yield Place(row.member, at, -row.logprobs[at])


def _turns(row: Trajectory, markers: Sequence[str], pieces: Pieces) -> Iterator[Place]:
    for turn in row.policy_turns[1:]:
        if turn.start > own_start(row):
            yield Place(row.member, turn.start, -fmean(row.logprobs[turn.start : turn.end] or [0.0]))
