"""Messages on their way: delay, loss and range. No clock: the caller says what time it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from espalier.robots.swarm.fleet.config import CommsConfig
from espalier.robots.swarm.fleet.message import Message, encode
from espalier.robots.swarm.fleet.roster import Allotment, Claims
from espalier.robots.swarm.traj.neighbours import Neighbours, pack, selected
from espalier.robots.swarm.traj.trajectory import Trajectory

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Inbox(NamedTuple):
    """The newest message of each other vehicle that has come: who (m,), when it was sent (m,), the paths, the slots
    (m,), and which of the allotments each follows (m,).
    """

    senders: Ints
    sent_s: Floats
    paths: Neighbours
    slot: Ints
    which: Ints
    allotments: Sequence[Allotment]

    @classmethod
    def of_messages(cls, messages: Sequence[Message]) -> Inbox:
        """Of each sender the message that was said last; of several that were said at once, the last of these."""
        messages = list({one.sender: one for one in sorted(messages, key=lambda one: one.sent_s)}.values())
        senders, slot = np.array([[one.sender, one.slot] for one in messages], np.int64).reshape(-1, 2).T
        sent = np.array([one.sent_s for one in messages], np.float64)
        paths, which = pack([one.trajectory for one in messages]), np.arange(len(messages))
        return cls(senders, sent, paths, slot, which, [one.allotment for one in messages])

    def only(self, flags: Flags) -> Inbox:
        """Some of the senders, by flags (m,)."""
        rows = np.flatnonzero(flags)
        slot, which = self.slot[rows], self.which[rows]
        return Inbox(self.senders[rows], self.sent_s[rows], selected(self.paths, rows), slot, which, self.allotments)

    def claims(self, since_s: float) -> Claims:
        """What those say that were heard of since then."""
        fresh = self.sent_s >= since_s
        return Claims(self.senders[fresh], self.slot[fresh], self.which[fresh], self.allotments)


class Store:
    """The messages that somebody may still read, in arrays, so that an inbox is one selection of rows. Rows are used
    again; the arrays double where most are in use.

    in_use: tells which rows are. said: (rows, 4) sender, slot, number of the allotment, bytes.
    """

    def __init__(self, in_use: Callable[[], Ints]) -> None:
        self._in_use = in_use
        self._free = [0]
        self.said = np.zeros((1, 4), np.int64)
        self.paths = pack([Trajectory.hover(np.zeros(3))])
        self.allotments: list[Allotment] = []
        self._numbers: dict[tuple[int, int], int] = {}

    def add(self, message: Message) -> int:
        """Its row."""
        one = pack([message.trajectory])
        (rows, pieces), m = self.paths.ends.shape, one.ends.shape[1]
        crowded = False
        if not self._free:
            self._free = np.setdiff1d(np.arange(rows), self._in_use()).tolist()
            crowded = 2 * len(self._free) < rows
        if crowded or m > pieces:
            self._grow(2 * rows if crowded else rows, max(pieces, m))
        row = self._free.pop()
        self.paths.coefficients[row] = 0.0
        self.paths.ends[row] = np.inf
        self.paths.coefficients[row, :m], self.paths.ends[row, :m] = one.coefficients[0], one.ends[0]
        for all_rows, mine in zip(self.paths[2:], one[2:], strict=True):
            all_rows[row] = mine[0]
        told = message.allotment
        which = self._numbers.setdefault((told.round, told.by if told.round else 0), len(self.allotments))
        if which == len(self.allotments):
            self.allotments.append(told)
        self.said[row] = message.sender, message.slot, which, len(encode(message))
        return row

    def inbox(self, rows: Ints, sent_s: Floats) -> Inbox:
        """A copy of some rows, one of each sender, told last at (m,)."""
        senders, slot, which, _ = self.said[rows].T
        return Inbox(senders, sent_s, selected(self.paths, rows), slot, which, self.allotments)

    def _grow(self, rows: int, pieces: int) -> None:
        before = self.paths
        old, most = before.ends.shape
        coefficients, ends = np.zeros((rows, pieces, 6, 3)), np.full((rows, pieces), np.inf)
        coefficients[:old, :most], ends[:old, :most] = before.coefficients, before.ends
        rest = [np.concatenate([values, np.zeros(rows - old, values.dtype)]) for values in before[2:]]
        self.paths = Neighbours(coefficients, ends, *rest)
        self.said = np.concatenate([self.said, np.zeros((rows - old, 4), np.int64)])
        self._free += range(old, rows)


class Channel:
    """Between `n` vehicles. sent, delivered: messages so far, each receiver counted for the second. bytes: sent."""

    def __init__(self, n: int, config: CommsConfig, rng: np.random.Generator) -> None:
        self.n, self.config, self.rng = n, config, rng
        self.sent = self.delivered = self.bytes = 0
        self._store = Store(self._rows)
        self._said = np.full(n, -1, np.int64)
        self._latest, self._read = np.full((2, n, n), -1, np.int64)
        self._sent_s = np.full((n, n), -np.inf)
        self._way: list[tuple[float, int, int, float, Flags]] = []
        self._order = count()

    def send(self, message: Message, now_s: float, positions: Floats) -> None:
        """To all that are not out of range; positions: (n, 3) of all now."""
        self._said[message.sender] = self._store.add(message)
        self.repeat(message.sender, now_s, positions)

    def repeat(self, sender: int, now_s: float, positions: Floats) -> None:
        """What it said last, once more; it holds still, so it counts as said now."""
        config, row = self.config, int(self._said[sender])
        if row < 0:
            return
        gets = self.rng.random(self.n) >= config.loss
        gets[sender] = False
        if config.range_m is not None:
            gets &= np.linalg.norm(positions - positions[sender], axis=1) <= config.range_m
        arrives = now_s + config.delay_s + config.jitter_s * float(self.rng.random())
        heappush(self._way, (arrives, next(self._order), row, now_s, gets))
        self.sent += 1
        self.bytes += int(self._store.said[row, 3])

    def inbox(self, receiver: int, now_s: float) -> Inbox:
        """The newest message of each sender that has come by now."""
        self._deliver(now_s)
        return self._take(receiver, np.flatnonzero(self._latest[receiver] >= 0))

    def news(self, receiver: int, now_s: float) -> Inbox:
        """What the receiver has not taken yet, by `inbox` or by this; without what only repeats."""
        self._deliver(now_s)
        return self._take(receiver, np.flatnonzero(self._latest[receiver] != self._read[receiver]))

    def _take(self, receiver: int, senders: Ints) -> Inbox:
        rows = self._latest[receiver, senders]
        self._read[receiver, senders] = rows
        return self._store.inbox(rows, self._sent_s[receiver, senders])

    def _rows(self) -> Ints:
        """Of messages that are to be told again, are on their way, or came last to somebody or were read last."""
        on_way = np.array([row for _, _, row, _, _ in self._way], np.int64)
        return np.unique(np.concatenate([self._said, on_way, self._latest.ravel(), self._read.ravel()]))

    def _deliver(self, now_s: float) -> None:
        while self._way and self._way[0][0] <= now_s:
            _, _, row, sent_s, gets = heappop(self._way)
            sender = int(self._store.said[row, 0])
            self.delivered += int(gets.sum())
            gets &= self._sent_s[:, sender] <= sent_s
            self._latest[gets, sender] = row
            self._sent_s[gets, sender] = sent_s
