"""Everything about a step's rows that is known before its first gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from espalier.rl.algorithms.config import Algorithm
from espalier.rl.algorithms.credit import Credit, advantages
from espalier.rl.learner.pack import Columns, Floats, columns
from espalier.rl.learner.stages import Pass
from espalier.rl.trajectory import Group, Trajectory

Score = Callable[[Columns, Pass], Floats]
"""Runs a forward pass over all rows that feed the policy's loss: [N]."""


@dataclass(frozen=True, slots=True)
class Passes:
    """The forward passes that a step needs; None where it can do without."""

    prox: Pass | None
    ref: Pass | None
    values: Pass | None


@dataclass(frozen=True, slots=True)
class Experience:
    """Columns [N] over all rows of the step, prompt tokens included.

    advantage: 0 outside of the mask. prox, ref: log-probs of the policy's tokens under the weights at the start of the
    step, and under the reference. values, returns: of the critic. None where not computed.
    """

    table: Columns
    advantage: Floats
    prox: Floats | None = None
    ref: Floats | None = None
    values: Floats | None = None
    returns: Floats | None = None


def experience(groups: Sequence[Group], algorithm: Algorithm, passes: Passes, score: Score) -> Experience:
    """Pack the rows of all groups, run the passes and assign credit.

    Rows without a reward that feed no policy loss, such as demonstrations, take no part in credit.
    """
    rows = [row for group in groups for row in group]
    table = columns(rows, ref=algorithm.needs_reference)
    judged = _judged(rows, table)
    if not judged.any():
        return Experience(table, np.zeros(len(table.tokens), np.float32))
    prox, ref, values = (score(table, run) if run else None for run in (passes.prox, passes.ref, passes.values))
    in_reward = algorithm.needs_reference and algorithm.kl_as == "reward"
    kl = prox - ref if in_reward and prox is not None and ref is not None else None
    credit = _credit(algorithm, groups, table, judged, values, kl)
    return Experience(
        table,
        advantage=_everywhere(table, credit.advantages, judged),
        prox=prox,
        ref=ref,
        values=values,
        returns=_everywhere(table, credit.returns, judged) if credit.returns is not None else None,
    )


def _judged(rows: Sequence[Trajectory], table: Columns) -> np.ndarray:
    """[R] whether a row has a reward, or tokens in the policy loss."""
    scored = np.fromiter((row.reward is not None for row in rows), bool, len(rows))
    return scored | (table.counts(table.rl) > 0)


def _credit(
    algorithm: Algorithm,
    groups: Sequence[Group],
    table: Columns,
    judged: np.ndarray,
    values: Floats | None,
    kl: Floats | None,
) -> Credit:
    numbers = iter(judged.tolist())
    kept = [[row for row in group if next(numbers)] for group in groups]

    def split(column: Floats | None) -> list[list[float]] | None:
        return None if column is None else [part for part, one in zip(table.split(column), judged, strict=True) if one]

    return advantages(algorithm, [group for group in kept if group], split(values), split(kl))


def _everywhere(table: Columns, parts: list[list[float]], judged: np.ndarray) -> Floats:
    """[N] column from the lists of the judged rows; zero in the others."""
    found = iter(parts)
    return table.spread([next(found) if one else [0.0] * n for one, n in zip(judged, table.lengths, strict=True)])
