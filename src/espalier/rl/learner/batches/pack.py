"""Packing: rows of Python lists become flat columns once per step, and tensors once per micro-batch.

A token is predicted by the hidden state of the token before it. The first token of a row has no context, and so no
weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from espalier.core.errors import EspalierError
from espalier.rl.trajectory import Stream, Trajectory

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class PackError(EspalierError):
    """A row cannot be trained on."""


@dataclass(frozen=True, slots=True)
class Columns:
    """All rows of a step, concatenated: N tokens of R rows, with per-token data.

    offsets: [R+1] start of each row, and the end. block: [R] rows with the same number share a micro-batch. tokens,
    versions: [N]. behave: [N] log-prob when sampled. rl, ce, ref: [N] weight in each loss stream, zero if the token is
    not in it.
    """

    offsets: Ints
    block: Ints
    tokens: Ints
    versions: Ints
    behave: Floats
    rl: Floats
    ce: Floats
    ref: Floats

    @property
    def lengths(self) -> Ints:
        """[R] tokens of each row."""
        return np.diff(self.offsets)

    def counts(self, weight: NDArray[Any]) -> Ints:
        """[R] tokens of each row whose `weight` [N] is not zero."""
        before = np.concatenate(([0], np.cumsum(weight != 0)))
        return np.diff(before[self.offsets])

    def spread(self, values: Sequence[Sequence[float]]) -> Floats:
        """[N] column of per-row per-token values."""
        return _flat(values, len(self.tokens), np.float32)

    def split(self, column: Floats) -> list[list[float]]:
        """The inverse of `spread`."""
        flat = column.tolist()
        return [flat[start:end] for start, end in zip(self.offsets[:-1], self.offsets[1:], strict=True)]


@dataclass(frozen=True, slots=True)
class Packed:
    """One micro-batch on the device: U tokens. A prefix that several rows share is computed once.

    lengths: tokens of each row. flat: [sum of lengths] which of the U tokens each token of each row is. tokens,
    positions: [U]. source: [U] index of each token in the step's columns. row: [U] the row that trains it. before: [U]
    the token whose hidden state predicts it. policy, ce: [M] tokens whose log-probs the policy's streams (rl or ref)
    and cross entropy need. idle: computed only because other ranks compute one more; it counts for nothing.
    """

    lengths: list[int]
    flat: Ints
    tokens: Tensor
    positions: Tensor
    source: Ints
    row: Ints
    before: Ints
    policy: Ints
    ce: Ints
    idle: bool = False

    def gather(self, column: NDArray[Any], at: Ints) -> Tensor:
        """Values of a step-wide column at this micro-batch's tokens `at`: [M]."""
        return torch.from_numpy(column[self.source[at]]).to(self.tokens.device)

    def rows(self, at: Ints) -> Tensor:
        """[M] row index, within the micro-batch, of the tokens `at`."""
        return torch.from_numpy(self.row[at]).to(self.tokens.device)

    def predictors(self, at: Ints) -> Tensor:
        """[M] index of the token before each of the tokens `at`."""
        return torch.from_numpy(self.before[at]).to(self.tokens.device)


def columns(rows: Sequence[Trajectory], *, block: Ints | None = None, ref: bool = True) -> Columns:
    """Flatten `rows`. Without `ref`, the stream of that name is off. Without `block`, each row is its own block.

    Raises PackError if a row gives weight to its first token, or its lists are not aligned.
    """
    lengths = np.fromiter((len(row.tokens) for row in rows), np.int64, len(rows))
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    size = int(offsets[-1])

    def column(values: Callable[[Trajectory], Sequence[Any]], dtype: type[np.generic]) -> NDArray[Any]:
        return _flat((values(row) for row in rows), size, dtype)

    mask = column(lambda row: row.mask, np.float32)
    weighted = any(row.weights for row in rows)

    def stream(name: Stream, absent: Floats) -> Floats:
        if not weighted:
            return absent
        result = absent.copy()
        for row, start, length in zip(rows, offsets, lengths, strict=False):
            if row.weights and name in row.weights:
                result[start : start + length] = row.weights[name]
        return result

    none = np.zeros(size, np.float32)
    result = Columns(
        offsets=offsets,
        block=np.arange(len(rows)) if block is None else block,
        tokens=column(lambda row: row.tokens, np.int64),
        versions=column(lambda row: row.versions, np.int64),
        behave=column(lambda row: row.logprobs, np.float32),
        rl=stream("rl", mask),
        ce=stream("ce", none),
        ref=stream("ref", mask) if ref else none,
    )
    first = offsets[:-1][lengths > 0]
    if np.any(result.rl[first]) or np.any(result.ce[first]) or np.any(result.ref[first]):
        raise PackError("a row gives its first token a loss weight, but nothing predicts it: start rows with context")
    return result


def trained_rows(table: Columns) -> Ints:
    """Rows with a weighted token in any stream; the others are not needed."""
    return np.flatnonzero(table.counts(table.rl) + table.counts(table.ce) + table.counts(table.ref))


def pack(table: Columns, rows: Ints, device: torch.device, *, idle: bool = False) -> Packed:
    """The given rows of the table, in that order, as one micro-batch.

    The tokens of a row before its first weighted token are computed once for all rows that begin with them: the prompt
    of a group, the stem of a tree.
    """
    lengths = table.lengths[rows]
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    positions = np.arange(int(lengths.sum())) - np.repeat(starts, lengths)
    source = positions + np.repeat(table.offsets[rows], lengths)
    weighted = (table.rl[source] != 0) | (table.ref[source] != 0)
    trained = weighted | (table.ce[source] != 0)
    owner = _owners(table.tokens[source], starts, lengths, trained)
    own = owner == np.arange(len(owner))
    flat = (np.cumsum(own) - 1)[owner]
    kept = source[own]
    return Packed(
        lengths=lengths.tolist(),
        flat=flat,
        tokens=torch.from_numpy(table.tokens[kept]).to(device),
        positions=torch.from_numpy(positions[own]).to(device),
        source=kept,
        row=np.repeat(np.arange(len(rows)), lengths)[own],
        before=np.concatenate(([0], flat))[: len(flat)][own],
        policy=np.flatnonzero(weighted[own]),
        ce=np.flatnonzero(table.ce[kept]),
        idle=idle,
    )


def stems(table: Columns, rows: Ints) -> list[tuple[bytes, int]]:
    """The tokens of each row before its first weighted token, as bytes, and their number."""
    trained, found = (table.rl != 0) | (table.ref != 0) | (table.ce != 0), []
    for start, end in zip(table.offsets[rows], table.offsets[rows + 1], strict=True):
        count = _first(trained[start:end])
        found.append((table.tokens[start : start + count].tobytes(), count))
    return found


def _owners(tokens: Ints, starts: Ints, lengths: Ints, trained: NDArray[np.bool_]) -> Ints:
    """[sum of lengths] for each token of the rows, laid end to end, the place that is computed for it.

    That is its own from the row's first trained token on. Before, it is the same token of a row that begins alike: of
    the one that is trained from the earliest token on, as this may train some of them.
    """
    owner = np.arange(len(tokens))
    counts = [_first(trained[start : start + n]) for start, n in zip(starts, lengths, strict=True)]
    earliest = sorted(range(len(counts)), key=counts.__getitem__)
    for count in sorted(set(counts) - {0}):
        first: dict[bytes, int] = {}
        for row in earliest:
            if lengths[row] >= count:
                start = int(starts[row])
                found = first.setdefault(tokens[start : start + count].tobytes(), start)
                if counts[row] == count:
                    owner[start : start + count] = owner[found : found + count]
    return owner


def _first(trained: NDArray[np.bool_]) -> int:
    """The index of the first true value, or the length."""
    return int(trained.argmax()) if trained.any() else len(trained)


def _flat(values: Iterable[Sequence[Any]], size: int, dtype: type[np.generic]) -> NDArray[Any]:
    flat = np.fromiter(chain.from_iterable(values), dtype, -1)
    if len(flat) != size:
        raise PackError(f"per-token values number {len(flat)} for {size} tokens: the rows' lists are not aligned")
    return flat
