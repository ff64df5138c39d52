"""Where a tree is forked: the places at which the policy was most surprised by what it sampled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean

from espalier.rl.rollout.tree.config import TreeConfig
from espalier.rl.rollout.tree.nodes import own_start
from espalier.rl.trajectory import Trajectory, Turn

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
    for turn in _sampled(row):
        end = _before_answer(row, turn, markers, pieces)
        for at in range(max(turn.start, own_start(row) + (row.origin is not None)), end):
            if row.mask[at]:
                yield Place(row.member, at, -row.logprobs[at])


def _turns(row: Trajectory, markers: Sequence[str], pieces: Pieces) -> Iterator[Place]:
    for turn in _sampled(row)[1:]:
        if turn.start > own_start(row):
            yield Place(row.member, turn.start, -fmean(row.logprobs[turn.start : turn.end] or [0.0]))


def _sampled(row: Trajectory) -> list[Turn]:
    return [turn for turn in row.turns if turn.role == "assistant"]


def _before_answer(row: Trajectory, turn: Turn, markers: Sequence[str], pieces: Pieces) -> int:
    """The place after the token that completes the first marker; the end of the turn where it has none."""
    text, longest = "", max(map(len, markers), default=0)
    for at, piece in enumerate(pieces(row.tokens[turn.start : turn.end]), turn.start):
        text = text[-longest:] + piece if longest else ""
        if any(marker in text for marker in markers):
            return at + 1
    return turn.end
