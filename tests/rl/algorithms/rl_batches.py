"""Random ragged batches, and the two forms that the oracle and the code want them in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
from rl_oracle import Token

from espalier.rl.algorithms.objective import Denominators, TokenBatch
from espalier.rl.trajectory import Trajectory


def token_rows(rng: np.random.Generator, rows: int = 5, longest: int = 7, spread: float = 0.4) -> list[list[Token]]:
    """Rows of 1..longest tokens; about one token in five has weight 0 and some weigh other than 1."""

    def token() -> Token:
        behave = float(-rng.exponential(1.0)) - 0.01
        new = behave + float(rng.normal(0, spread))
        return Token(
            new=new,
            held=new,
            behave=behave,
            prox=behave + float(rng.normal(0, spread)),
            ref=behave + float(rng.normal(0, spread)),
            entropy=float(rng.exponential(1.0)),
            advantage=float(rng.normal()),
            weight=float(rng.choice([0.0, 1.0, 1.0, 1.0, 0.5])),
        )

    return [[token() for _ in range(rng.integers(1, longest + 1))] for _ in range(rows)]


def batch(rows: Sequence[Sequence[Token]]) -> TokenBatch:
    """float64 tensors; `new` is a leaf."""
    tokens = [t for row in rows for t in row]

    def column(name: str) -> torch.Tensor:
        return torch.tensor([vars(t)[name] for t in tokens], dtype=torch.float64)

    return TokenBatch(
        new=column("new").requires_grad_(),
        behave=column("behave"),
        advantage=column("advantage"),
        weight=column("weight"),
        row=torch.tensor([i for i, row in enumerate(rows) for _ in row]),
        prox=column("prox"),
        ref=column("ref"),
        entropy=column("entropy"),
    )


def counts(rows: Sequence[Sequence[Token]], length: float | None = None) -> Denominators:
    return Denominators.count([sum(t.weight != 0 for t in row) for row in rows], length)


def trajectory(
    reward: float | None, mask: Sequence[bool] = (False, True), *, task: str = "t", group: int = 0
) -> Trajectory:
    row = Trajectory(task, key="k", group=group, reward=reward)
    for sampled, run in groupby(mask):
        size = len(list(run))
        if sampled:
            row.sample([1] * size, [-0.5] * size, [0] * size)
        else:
            row.observe([1] * size)
    return row


def random_groups(rng: np.random.Generator, *, tasks: int = 2) -> list[list[Trajectory]]:
    """2 to 4 groups of 2 to 5 rows with observations between sampled tokens; rewards are small integers."""

    def row(task: str, group: int) -> Trajectory:
        mask = [False] + [bool(rng.random() < 0.7) for _ in range(rng.integers(1, 9))]
        return trajectory(float(rng.integers(0, 3)), mask, task=task, group=group)

    return [[row(f"task{g % tasks}", g) for _ in range(rng.integers(2, 6))] for g in range(rng.integers(2, 5))]


def algorithms_of_every_kind(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """One random override per table row, over all corrections, aggregations and KLs."""
    while True:
        yield {
            "correction": str(rng.choice(["none", "bypass", "tis", "icepop", "sequence_mask", "decoupled"])),
            "aggregate": str(rng.choice(["token", "sequence", "sequence_sum", "constant"])),
            "constant": rng.choice([7.0, 12.5]),
            "kl_coef": float(rng.choice([0.0, 0.3])),
            "kl_as": "loss",
            "kl_estimator": str(rng.choice(["k2", "k3"])),
            "entropy_coef": float(rng.choice([0.0, 0.1])),
            "correction_low": float(rng.uniform(0.4, 0.9)),
            "correction_high": float(rng.uniform(1.1, 2.0)),
        }
