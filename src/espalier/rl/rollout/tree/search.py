"""EPTree (TreeRL, arXiv 2506.11902, section 3.1): chains, forked in rounds at their most surprising tokens."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, islice
from random import Random

from espalier.core.seed import rng
from espalier.envs.api import Task
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.rollout.attempts import Attempt, Attempts
from espalier.rl.rollout.replay import Fork
from espalier.rl.rollout.tree.config import TreeConfig
from espalier.rl.rollout.tree.forks import Pieces, choose, places
from espalier.rl.trajectory import Trajectory


class TreePlayer:
    """Implements `espalier.rl.rollout.api.Player`: a group is the leaves of one search.

    Each row is a whole path from the prompt to a leaf. Of all leaves, `rollout.samples_per_group` are trained, among
    them a right one where there is any. `TreeCredit` gives them their advantages.
    """

    def __init__(self, attempts: Attempts, config: TreeConfig, pieces: Pieces, *, correct_above: float) -> None:
        """`correct_above`: see `EvaluationConfig`."""
        self._attempts = attempts
        self._config = config
        self._pieces = pieces
        self._correct_above = correct_above

    async def play(self, index: int, task: Task, members: int | None = None) -> ScoredGroup:
        """See `Player`; `members` is the number of leaves that are kept."""
        wanted = members or self._attempts.config.samples_per_group
        played = ScoredGroup(index, task, least=1)
        random = rng(self._attempts.seed, "tree", index)
        found = await self._search(played, random)
        await self._attempts.score(played, found)
        if played.rows:
            self._select(played, wanted, random)
            played.figures = self._figures(found)
        return played

    async def _search(self, played: ScoredGroup, random: Random) -> list[Attempt]:
        config, numbers = self._config, count()
        rounds = config.rounds if config.forks else 0

        async def run(forks: Sequence[Fork | None], number: int) -> list[Attempt]:
            members = dict(zip(islice(numbers, len(forks)), forks, strict=True))
            return await self._attempts.run(played, members, more=number < rounds)

        try:
            found = await run([None] * config.chains, 0)
            trees = [[attempt] for attempt in found]
            tree_of = {attempt.row.member: tree for attempt, tree in zip(found, trees, strict=True)}
            for number in range(1, rounds + 1):
                forks = [fork for tree in trees for fork in self._forks(tree, random)]
                if not forks:
                    break
                found += (grown := await run(forks, number))
                for attempt in grown:
                    assert attempt.row.origin is not None
                    tree = tree_of[attempt.row.member] = tree_of[attempt.row.origin[0]]
                    tree.append(attempt)
            return found
        finally:
            await self._attempts.end(played.index)

    def _forks(self, tree: Sequence[Attempt], random: Random) -> list[Fork]:
        rows = {attempt.row.member: attempt for attempt in tree}
        candidates = places([attempt.row for attempt in tree], self._config, self._pieces)
        chosen = choose(candidates, self._config, random)
        return [
            Fork(rows[place.member].row, rows[place.member].episode.messages, place.at, place.surprisal)
            for place in chosen
            for _ in range(self._config.branches)
        ]

    def _select(self, played: ScoredGroup, wanted: int, random: Random) -> None:
        """Keep some of the rows for training; the others stay in the group, because they count in its values."""
        rows = played.rows
        chosen = sorted(random.sample(range(len(rows)), min(wanted, len(rows))))
        right = [place for place, row in enumerate(rows) if self._right(row)]
        if right and not set(right) & set(chosen):
            chosen[random.randrange(len(chosen))] = random.choice(right)
            chosen.sort()
        played.others = [row for place, row in enumerate(rows) if place not in chosen]
        played.rows = [rows[place] for place in chosen]
        played.episodes = [played.episodes[place] for place in chosen]

    def _right(self, row: Trajectory) -> bool:
        return row.is_right(self._correct_above)

    def _figures(self, found: Sequence[Attempt]) -> dict[str, float]:
        right = [self._right(attempt.row) for attempt in found]
        chains = [one for one, attempt in zip(right, found, strict=True) if attempt.row.origin is None]
        forked = [attempt for attempt in found if attempt.row.origin is not None]
        return {
            "tree/leaves": float(len(found)),
            "tree/right": sum(right) / len(found),
            "tree/right_chains": sum(chains) / len(chains),
            "tree/solved": float(any(right)),
            "tree/recomputed": float(sum(attempt.prefilled for attempt in forked)),
        }
