"""Rows of trees, made by hand or drawn."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from espalier.rl.trajectory import Status, Trajectory

PROMPT = 2


def chain(member: int, length: int, reward: float = 0.0) -> Trajectory:
    """A prompt of two tokens and so many sampled ones; token values name the row."""
    row = Trajectory("tree", "k", member=member)
    row.observe([1, 2], "prompt")
    _sample(row, length)
    return _scored(row, reward)


def branch(parent: Trajectory, at: int, member: int, length: int, reward: float = 0.0) -> Trajectory:
    """A row that leaves `parent` at `at`, and samples so many tokens of its own."""
    row = parent.fork(at, member, trained=True)
    _sample(row, length)
    return _scored(row, reward)


def drawn(random: Random, chains: int = 3, forks: int = 6) -> list[Trajectory]:
    """A random forest with rewards of 0 and 1."""
    rows = [chain(m, random.randint(1, 9), random.randint(0, 1)) for m in range(chains)]
    for member in range(chains, chains + forks):
        parent = random.choice(rows)
        start = PROMPT if parent.origin is None else parent.origin[1]
        if len(parent.tokens) - start > 1:
            at = random.randint(start + 1, len(parent.tokens) - 1)
            rows.append(branch(parent, at, member, random.randint(1, 9), random.randint(0, 1)))
    return rows


def _sample(row: Trajectory, length: int) -> None:
    ids = [100 * (row.member + 1) + i for i in range(length)]
    row.sample(ids, [-0.1 * (i + 1) for i in range(length)], [0] * length)


def _scored(row: Trajectory, reward: float) -> Trajectory:
    row.reward, row.status, row.info = reward, Status.DONE, {"verdict": reward}
    return row


def six() -> Sequence[Trajectory]:
    """Two chains, each forked once into two branches; half of the first tree is right."""
    one, two = chain(0, 6, 1.0), chain(1, 5, 0.0)
    return [
        one,
        two,
        branch(one, 5, 2, 4, 1.0),
        branch(one, 5, 3, 2, 0.0),
        branch(two, 4, 4, 2, 0.0),
        branch(two, 4, 5, 4, 0.0),
    ]
