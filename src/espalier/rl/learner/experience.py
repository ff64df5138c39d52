"""Everything that is known about the rows of a step before its first gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from espalier.rl.algorithms.config import Algorithm
from espalier.rl.algorithms.credit import Credit, advantages
from espalier.rl.learner.batches.pack import Columns, Floats, Ints, columns, trained_rows
from espalier.rl.learner.stages import Pass
from espalier.rl.trajectory import Trajectory
from espalier.rl.unit import Unit

Bools = NDArray[np.bool_]

Score = Callable[[Columns, Ints, Pass], Floats]
"""Runs a forward pass over the given rows, for the tokens of the policy's loss: [N]."""


@dataclass(frozen=True, slots=True)
class Passes:
    """The forward passes that a step needs; None for those it does not need."""

    prox: Pass | None
    ref: Pass | None
    values: Pass | None


@dataclass(frozen=True, slots=True)
class Experience:
    """Columns [N] over all rows of the step, prompt tokens included.

    advantage: 0 outside of the mask. moving: [R] whether a row can change the policy at all. computed: rows with a
    forward pass of the policy. prox, ref: log-probs of the policy's tokens under the weights at the start of the step,
    and under the reference. values, returns: of the critic; the return is NaN where the critic is not trained. None if
    not computed.
    """

    table: Columns
    advantage: Floats
    moving: Bools
    computed: Ints
    prox: Floats | None = None
    ref: Floats | None = None
    values: Floats | None = None
    returns: Floats | None = None


def experience(
    units: Sequence[Unit], algorithm: Algorithm, passes: Passes, score: Score, *, skip: bool = False
) -> Experience:
    """Pack the rows of all units, run the forward passes and compute advantages. With `skip`, only rows that can change
    the policy are computed.

    Rows without a reward that are not in the policy loss, such as demonstrations, have no advantage.
    """
    rows = [row for unit in units for row in unit.rows]
    table = columns(rows, block=_blocks(units), ref=algorithm.needs_reference)
    trained = trained_rows(table)
    judged = _judged(rows, table)
    if not judged.any():
        return Experience(table, np.zeros(len(table.tokens), np.float32), table.counts(table.ce) > 0, trained)

    def run(wanted: Pass | None, over: Ints) -> Floats | None:
        return None if wanted is None else score(table, over, wanted)

    values = run(passes.values, trained)
    in_reward = algorithm.needs_reference and algorithm.kl_as == "reward"
    prox, ref = (run(passes.prox, trained), run(passes.ref, trained)) if in_reward else (None, None)
    kl = prox - ref if prox is not None and ref is not None else None
    credit = _credit(algorithm, units, table, judged, values, kl)
    advantage = _everywhere(table, credit.advantages, judged)
    moving = _moving(algorithm, table, advantage)
    computed = trained[moving[trained]] if skip else trained
    if not in_reward:
        prox, ref = run(passes.prox, computed), run(passes.ref, computed)
    returns = _everywhere(table, credit.returns, judged) if credit.returns is not None else None
    return Experience(table, advantage, moving, computed, prox, ref, values, returns)


def _blocks(units: Sequence[Unit]) -> Ints:
    """[R] a number for each row, shared by the rows of an indivisible unit."""
    labels: list[int] = []
    for unit in units:
        start, count = len(labels), len(unit.rows)
        labels += [start] * count if unit.indivisible else range(start, start + count)
    return np.array(labels, np.int64)


def _moving(algorithm: Algorithm, table: Columns, advantage: Floats) -> Bools:
    """[R] whether a row, or one of its block, can move the policy: by credit, cross entropy, KL or entropy bonus, or by
    a loss of the user's own, of which nothing is known.
    """
    moving = ((advantage != 0) & (table.rl != 0)) | (table.ce != 0)
    if algorithm.entropy_coef or (algorithm.plugin and algorithm.plugin.loss):
        moving |= table.rl != 0
    if algorithm.needs_reference and algorithm.kl_as == "loss":
        moving |= table.ref != 0
    return np.isin(table.block, table.block[table.counts(moving) > 0])


def _judged(rows: Sequence[Trajectory], table: Columns) -> np.ndarray:
    """[R] whether a row has a reward, or tokens in the policy loss."""
    scored = np.fromiter((row.reward is not None for row in rows), bool, len(rows))
    return scored | (table.counts(table.rl) > 0)


def _credit(
    algorithm: Algorithm,
    units: Sequence[Unit],
    table: Columns,
    judged: np.ndarray,
    values: Floats | None,
    kl: Floats | None,
) -> Credit:
    numbers = iter(judged.tolist())
    kept = [[row for row in unit.rows if next(numbers)] for unit in units]

    def split(column: Floats | None) -> list[list[float]] | None:
        return None if column is None else [part for part, one in zip(table.split(column), judged, strict=True) if one]

    return advantages(algorithm, [group for group in kept if group], split(values), split(kl))


def _everywhere(table: Columns, parts: list[list[float]], judged: np.ndarray) -> Floats:
    """[N] column from the lists of the judged rows; zero in the others."""
    found = iter(parts)
    return table.spread([next(found) if one else [0.0] * n for one, n in zip(judged, table.lengths, strict=True)])
