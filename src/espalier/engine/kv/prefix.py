"""The contents of every KV row, and the longest prefix of a prompt among them.

One mechanism serves the samples of a prompt, the next turn of a conversation and a fork at any token: find the row with
the longest prefix of the prompt, and copy its KV. Only rows whose whole KV was computed by the current weights are
used.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

NO_VERSION = -1
_PINNED = 1 << 40


class Match(NamedTuple):
    """Row `row` contains the first `length` tokens of the prompt."""

    row: int
    length: int


class PrefixIndex:
    """Tokens [rows, max_len] and, per row, the number of tokens with KV (`held`), the weight version, and the time of
    last use.

    `pin` is the number of the session that a row is kept for, 0 for none.
    """

    def __init__(self, rows: int, max_len: int) -> None:
        self.tokens = np.zeros((rows, max_len), dtype=np.int64)
        self.held = np.zeros(rows, dtype=np.int64)
        self.version = np.full(rows, NO_VERSION, dtype=np.int64)
        self.prompt = np.zeros(rows, dtype=np.int64)
        self.pin = np.zeros(rows, dtype=np.int64)
        self.used = np.zeros(rows, dtype=np.int64)
        self._clock = 0

    def match(self, prompt: npt.NDArray[np.int64], key: int, version: int) -> Match:
        """The row with the longest prefix of `prompt` (hash `key`) at `version`; length 0 if there is none."""
        usable = self.version == version
        equal_prompts = np.flatnonzero(usable & (self.prompt == key) & (self.held >= len(prompt)))
        for row in equal_prompts:
            if np.array_equal(self.tokens[row, : len(prompt)], prompt):
                return Match(int(row), len(prompt))
        rows = np.flatnonzero(usable & (self.held > 0) & (self.tokens[:, 0] == prompt[0]))
        if not len(rows):
            return Match(0, 0)
        width = min(len(prompt), int(self.held[rows].max()))
        equal = self.tokens[rows, :width] == prompt[:width]
        common = np.where(equal.all(1), width, equal.argmin(1))
        common = np.minimum(common, self.held[rows])
        best = int(common.argmax())
        return Match(int(rows[best]), int(common[best]))

    def open(self, row: int, prompt: npt.NDArray[np.int64], key: int, held: int, version: int) -> None:
        """Row `row` starts `prompt`, whose first `held` tokens have KV."""
        self.tokens[row, : len(prompt)] = prompt
        self.held[row], self.version[row], self.prompt[row], self.pin[row] = held, version, key, 0

    def move(self, source: int, target: int) -> None:
        """Row `target` takes over the contents of `source`; `source` becomes empty."""
        self.tokens[target] = self.tokens[source]
        for field in (self.held, self.version, self.prompt, self.pin, self.used):
            field[target] = field[source]
        self.clear(source)

    def swap(self, one: int, other: int) -> None:
        """Swap the contents of two rows."""
        pair, reverse = [one, other], [other, one]
        for field in (self.tokens, self.held, self.version, self.prompt, self.pin, self.used):
            field[pair] = field[reverse]

    def clear(self, row: int) -> None:
        """Row `row` becomes empty."""
        self.held[row], self.version[row], self.prompt[row], self.pin[row] = 0, NO_VERSION, 0, 0

    def touch(self, row: int) -> None:
        """Row `row` was used now."""
        self._clock += 1
        self.used[row] = self._clock

    def expire(self) -> None:
        """The weights changed: no row may be reused. Active rows continue, but are not copied from."""
        self.version[:] = NO_VERSION
        self.pin[:] = 0

    def pinned(self, session: int) -> bool:
        """Whether a row is kept for `session`."""
        return bool(np.count_nonzero(self.pin == session))

    def unpin(self, session: int) -> None:
        """Rows kept for `session` become ordinary retained rows."""
        self.pin[self.pin == session] = 0

    def least_retained(self, first: int, spare: int) -> int | None:
        """The row from `first` on, other than `spare`, with the lowest retention value; None if there is none."""
        retention = self.retention(slice(first, None))
        if spare >= first:
            retention[spare - first] = np.iinfo(np.int64).max
        if not len(retention) or retention.min() == np.iinfo(np.int64).max:
            return None
        return first + int(retention.argmin())

    def retention(self, rows: slice | list[int]) -> npt.NDArray[np.int64]:
        """Retention values of rows: -1 if they cannot be reused, else the time of last use; highest for pinned rows."""
        usable = (self.version[rows] != NO_VERSION) & (self.held[rows] > 0)
        return np.where(usable, self.used[rows] + (self.pin[rows] > 0) * _PINNED, -1)
