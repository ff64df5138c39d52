"""Aggregates token losses to one number, divided by counts over the whole optimizer step.

All divisors are global, so micro-batches add up to exactly the loss of all rows, however rows are divided among them. A
row must be in one micro-batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from espalier.rl.algorithms.config import Aggregate


@dataclass(frozen=True, slots=True)
class Denominators:
    """Counts over all rows of one optimizer step, on all ranks and in all micro-batches.

    tokens: tokens whose weight is not zero. rows: rows with such a token. constant: rows times the constant length,
    0 where there is none.
    """

    tokens: float
    rows: float
    constant: float

    @staticmethod
    def count(lengths: Iterable[int], length: float | None = None) -> Denominators:
        """From the number of weighted tokens of each row; `length` is `Algorithm.constant`."""
        counts = [int(n) for n in lengths if n]
        return Denominators(float(sum(counts)), float(len(counts)), len(counts) * (length or 0.0))


def reduce(loss: Tensor, weight: Tensor, row: Tensor, how: Aggregate, denominators: Denominators) -> Tensor:
    """This micro-batch's share of the aggregated loss, a scalar.

    loss, weight: [M]; a token with weight 0 is not counted. row: Long[M]. With l the loss, w the weight, n_i the
    weighted tokens of row i, over the whole step: token: sum l w / tokens. sequence: (1/rows) sum_i (1/n_i) sum_t l w.
    sequence_sum: (1/rows) sum_i sum_t l w. constant: sum l w / (rows * length).
    """
    weighted = torch.where(weight != 0, loss * weight, 0.0)
    if how == "sequence":
        counts = row_sum((weight != 0).to(loss.dtype), row)
        return _over((row_sum(weighted, row) / counts.clamp_min(1.0)).sum(), denominators.rows)
    divisors = {"token": denominators.tokens, "sequence_sum": denominators.rows, "constant": denominators.constant}
    return _over(weighted.sum(), divisors[how])


def _over(total: Tensor, divisor: float) -> Tensor:
    """`total / divisor`, where an empty step has divisor 0 and total 0."""
    return total / divisor if divisor else total


def row_sum(values: Tensor, row: Tensor) -> Tensor:
    """[R] sum of `values` [M] over each row, R = 1 + the largest index in `row` [M]."""
    rows = int(row.max()) + 1 if row.numel() else 0
    return values.new_zeros(rows).index_add(0, row, values)


def row_mean(values: Tensor, present: Tensor, row: Tensor) -> Tensor:
    """[R] mean of `values` [M] over the `present` [M] tokens (0 or 1) of each row; 0 where a row has none."""
    return row_sum(values * present, row) / row_sum(present, row).clamp_min(1.0)
